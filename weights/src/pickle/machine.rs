//! Reads a pickle without running it: an own small interpreter that makes dictionaries, tensors and arrays, and calls nothing.
//!
//! The instructions are those that `torch.save` and NumPy write (protocols 2 to 5, see CPython's `Lib/pickletools.py`); any other is
//! refused, and so is every name that the reader's vocabulary does not list. Values lie side by side and refer to each other by number: what is nested
//! a million times or contains itself costs nothing, and memory is bounded by the instructions, which are bounded.

use std::collections::HashMap;

use super::value::{Array, Global, Id, Pickled, Value, Vocabulary};
use crate::error::Fault;
use crate::tensor::RANK;

/// Most values. A network of a thousand layers takes some hundred thousand.
const MOST_VALUES: usize = 1 << 21;
/// Most instructions.
const MOST_INSTRUCTIONS: usize = 1 << 23;

/// Reads the pickle that begins at a byte, and may name what is in the vocabulary.
pub(crate) fn read<'p>(
    bytes: &'p [u8],
    start: usize,
    vocabulary: &'static Vocabulary,
) -> Result<Pickled<'p>, Fault> {
    let mut machine = Machine {
        vocabulary,
        bytes,
        at: start,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
    };
    for _ in 0..MOST_INSTRUCTIONS {
        let at = machine.at;
        let done = machine.step().map_err(|stop| match stop {
            Stop::End => Fault::Truncated("its pickle"),
            Stop::Wrong(reason) => Fault::Pickle { at: at - start, reason },
        })?;
        if let Some(root) = done {
            return Ok(Pickled::new(machine.values, root, machine.at));
        }
    }
    Err(Fault::Pickle {
        at: machine.at - start,
        reason: format!("it has more than {MOST_INSTRUCTIONS} instructions"),
    })
}

/// Why a pickle is not read on.
enum Stop {
    /// The bytes end.
    End,
    /// It is damaged, or asks for what is not given.
    Wrong(String),
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Wrong(reason.into()))
}

struct Machine<'p> {
    vocabulary: &'static Vocabulary,
    bytes: &'p [u8],
    at: usize,
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Values that were copied into other containers.
    copied: usize,
}

impl<'p> Machine<'p> {
    /// One instruction; the result, where it is the last one.
    fn step(&mut self) -> Result<Option<Id>, Stop> {
        match self.number(1)? as u8 {
            0x80 => match self.number(1)? {
                2..=5 => {}
                protocol => return wrong(format!("protocol {protocol} is not read, 2 to 5 are")),
            },
            // A frame's length: bytes are not read in frames here.
            0x95 => drop(self.number(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),
            op @ (b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G') => self.plain(op)?,
            op @ (b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e) => self.text(op)?,
            op @ (b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'}' | b'd' | 0x8f | 0x91) => {
                self.container(op)?
            }
            op @ (b'a' | b'e' | b's' | b'u' | 0x90) => self.fill(op)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (&Value::Text(module), &Value::Text(name)) => self.global(module, name)?,
                    _ => return wrong("a name that is no text"),
                }
            }
            b'R' | 0x81 => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            op @ (b'q' | b'r' | 0x94 | b'h' | b'j') => self.memo(op)?,
            op => {
                let needs = self.vocabulary.needs;
                return wrong(format!("instruction 0x{op:02x} is none that {needs}; it was not carried out"));
            }
        }
        Ok(None)
    }

    fn value(&self, id: Id) -> &Value<'p> {
        &self.values[id.0 as usize]
    }

    fn push(&mut self, value: Value<'p>) -> Result<(), Stop> {
        if self.values.len() >= MOST_VALUES {
            return wrong(format!("it makes more than {MOST_VALUES} values"));
        }
        self.stack.push(Id(self.values.len() as u32));
        self.values.push(value);
        Ok(())
    }

    /// What lies below a mark is out of reach until the mark is taken.
    fn pop(&mut self) -> Result<Id, Stop> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let id = if self.stack.len() > floor { self.stack.pop() } else { None };
        id.ok_or_else(|| Stop::Wrong("it takes a value where there is none".into()))
    }

    fn top(&self) -> Result<Id, Stop> {
        self.stack.last().copied().ok_or_else(|| Stop::Wrong("it takes a value where there is none".into()))
    }

    /// All above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, Stop> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => wrong("it takes a mark where there is none"),
        }
    }

    fn take(&mut self, count: u64) -> Result<&'p [u8], Stop> {
        let end =
            usize::try_from(count).ok().and_then(|count| self.at.checked_add(count)).ok_or(Stop::End)?;
        let bytes = self.bytes;
        let taken = bytes.get(self.at..end).ok_or(Stop::End)?;
        self.at = end;
        Ok(taken)
    }

    /// The next so many bytes as an unsigned number.
    fn number(&mut self, count: u64) -> Result<u64, Stop> {
        Ok(self.take(count)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Result<&'p str, Stop> {
        let bytes = self.bytes;
        let rest = bytes.get(self.at..).ok_or(Stop::End)?;
        let end = rest.iter().take(1000).position(|&byte| byte == b'\n').ok_or(Stop::End)?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).or_else(|_| wrong("a name that is no text"))
    }

    fn plain(&mut self, op: u8) -> Result<(), Stop> {
        let value = match op {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool(op == 0x88),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            0x8a | 0x8b => {
                let length = self.number(if op == 0x8a { 1 } else { 4 })?;
                long(self.take(length)?)
            }
            _ => {
                self.take(8)?;
                Value::Opaque
            }
        };
        self.push(value)
    }

    /// Texts, and bytes, which are no names but by chance.
    fn text(&mut self, op: u8) -> Result<(), Stop> {
        let length = match op {
            0x8c | b'U' | b'C' => self.number(1)?,
            0x8d | 0x8e => self.number(8)?,
            _ => self.number(4)?,
        };
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).ok().filter(|_| !matches!(op, b'C' | b'B' | 0x8e));
        self.push(text.map_or(Value::Bytes(bytes), Value::Text))
    }

    fn container(&mut self, op: u8) -> Result<(), Stop> {
        let value = match op {
            b')' => Value::Tuple(Vec::new()),
            b't' => Value::Tuple(self.pop_mark()?),
            0x85..=0x87 => {
                let mut items = (0x85..=op).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                Value::Tuple(items)
            }
            b']' => Value::List(Vec::new()),
            b'l' => Value::List(self.pop_mark()?),
            b'}' => Value::Dict(Vec::new()),
            b'd' => Value::Dict(pairs(&self.pop_mark()?)?),
            0x8f => Value::Opaque,
            _ => {
                self.pop_mark()?;
                Value::Opaque
            }
        };
        self.push(value)
    }

    /// Puts what lies on top into the container below.
    fn fill(&mut self, op: u8) -> Result<(), Stop> {
        let items = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        let container = self.top()?;
        match (&mut self.values[container.0 as usize], op) {
            (Value::List(list), b'a' | b'e') => list.extend(items),
            (Value::Dict(dict), b's' | b'u') => dict.extend(pairs(&items)?),
            (Value::Opaque, _) => {}
            _ => return wrong("it fills what is no container of that kind"),
        }
        Ok(())
    }

    fn global(&mut self, module: &'p str, name: &'p str) -> Result<(), Stop> {
        let Vocabulary { names, needs, instead } = self.vocabulary;
        match names(module, name) {
            Some(known) => self.push(Value::Global(known)),
            None => wrong(format!(
                "it names `{module}.{name}`, which is not on the list of what {needs} and was not called. {instead}"
            )),
        }
    }

    /// A call, of which it is known what it makes.
    fn reduce(&mut self) -> Result<(), Stop> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Some(arguments) = self.first_items(arguments) else {
            return wrong("it calls with what are no arguments");
        };
        let made = match *self.value(callee) {
            Value::Global(Global::Dict) => Value::Dict(self.first_pairs(&arguments)?),
            Value::Global(Global::Tensor) => self.tensor(&arguments)?,
            Value::Global(Global::Parameter) => match arguments.first() {
                Some(&tensor) => {
                    self.stack.push(tensor);
                    return Ok(());
                }
                None => return wrong("a parameter of nothing"),
            },
            Value::Global(Global::Array) => Value::Array(None),
            Value::Global(Global::ElementType) => self.element_type(&arguments)?,
            Value::Global(Global::Encode) => self.encoded(&arguments)?,
            Value::Global(Global::Opaque) | Value::Opaque => Value::Opaque,
            _ => return wrong("it calls what cannot be called"),
        };
        self.push(made)
    }

    /// As many items of a tuple as anything here has arguments; the tuple may be named again and be of any length.
    fn first_items(&self, id: Id) -> Option<Vec<Id>> {
        match self.value(id) {
            Value::Tuple(items) => Some(items.iter().take(8).copied().collect()),
            _ => None,
        }
    }

    /// What a dictionary is made with: Python 2 gives an ordered one its pairs so.
    fn first_pairs(&mut self, arguments: &[Id]) -> Result<Vec<(Id, Id)>, Stop> {
        let Some(&list) = arguments.first() else { return Ok(Vec::new()) };
        let Value::List(pairs) = &self.values[list.0 as usize] else { return Ok(Vec::new()) };
        // One list can be named any number of times, and would be copied as often.
        self.copied += pairs.len();
        if self.copied > MOST_VALUES {
            return wrong(format!("it copies more than {MOST_VALUES} values"));
        }
        let pair = |&id: &Id| match self.value(id) {
            Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        };
        Ok(pairs.iter().filter_map(pair).collect())
    }

    /// `_rebuild_tensor_v2(storage, offset, sizes, strides, ...)`
    fn tensor(&self, arguments: &[Id]) -> Result<Value<'p>, Stop> {
        let &[storage, offset, sizes, strides, ..] = arguments else {
            return wrong("a tensor needs a storage, an offset, sizes and strides");
        };
        if !matches!(self.value(storage), Value::Storage { .. }) {
            return wrong("a tensor whose storage is none");
        }
        let (shape, strides) = (self.sizes(sizes)?, self.sizes(strides)?);
        Ok(Value::Tensor { storage, offset: self.size(offset)?, shape, strides })
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, Stop> {
        match self.value(id) {
            Value::Tuple(items) if items.len() <= RANK => items.iter().map(|&item| self.size(item)).collect(),
            Value::Tuple(items) => wrong(format!("a tensor of {} dimensions", items.len())),
            _ => wrong("sizes that are none"),
        }
    }

    fn size(&self, id: Id) -> Result<usize, Stop> {
        match self.value(id) {
            Value::Int(size) => usize::try_from(*size).or_else(|_| wrong(format!("a size of {size}"))),
            _ => wrong("a size that is no number"),
        }
    }

    /// `numpy.dtype('u1', ...)`
    fn element_type(&self, arguments: &[Id]) -> Result<Value<'p>, Stop> {
        match arguments.first().map(|&name| self.value(name)) {
            Some(&Value::Text(name)) => Ok(Value::ElementType(name)),
            _ => wrong("a type of elements without a name"),
        }
    }

    /// `_codecs.encode(text, 'latin1')`: each character is a byte.
    fn encoded(&self, arguments: &[Id]) -> Result<Value<'p>, Stop> {
        match *arguments {
            [text, code] => match (self.value(text), self.value(code)) {
                (&Value::Text(text), &Value::Text("latin1")) => Ok(Value::Latin1(text)),
                _ => wrong("bytes that are no text in latin1"),
            },
            _ => wrong("bytes of no text"),
        }
    }

    /// An object's state. Dictionaries get attributes, which nobody asks for; a tensor may have some too.
    fn build(&mut self) -> Result<(), Stop> {
        let state = self.pop()?;
        let top = self.top()?;
        match self.value(top) {
            Value::Dict(_) | Value::Opaque | Value::Tensor { .. } | Value::ElementType(_) => Ok(()),
            Value::Array(None) => {
                self.values[top.0 as usize] = Value::Array(Some(self.array(state)?));
                Ok(())
            }
            _ => wrong("it gives a state to what has none"),
        }
    }

    /// `(version, sizes, type, is in Fortran's order, elements)`
    fn array(&self, state: Id) -> Result<Array, Stop> {
        match self.first_items(state).as_deref() {
            Some(&[_, sizes, dtype, fortran, elements]) => Ok(Array {
                shape: self.sizes(sizes)?,
                dtype,
                fortran: !matches!(self.value(fortran), Value::Bool(false)),
                elements,
            }),
            _ => wrong("an array needs a version, sizes, a type, an order and elements"),
        }
    }

    /// `('storage', type, key, where it was, elements [, view])`
    fn persistent(&mut self) -> Result<(), Stop> {
        let id = self.pop()?;
        let Some(parts) = self.first_items(id) else { return wrong("a storage that is none") };
        let &[kind, dtype, key, _, elements, ref rest @ ..] = &*parts else {
            return wrong("a storage needs a type, a key and a number of elements");
        };
        let (&Value::Text("storage"), &Value::Global(Global::Storage(dtype)), &Value::Text(key)) =
            (self.value(kind), self.value(dtype), self.value(key))
        else {
            return wrong("a storage of a type that is not known");
        };
        let view = match rest.first().map(|&view| self.value(view)) {
            Some(Value::Tuple(view)) if view.len() == 3 => self.size(view[1])?,
            Some(Value::None) | None => 0,
            Some(_) => return wrong("a view of a storage that is none"),
        };
        let elements = self.size(elements)?;
        self.push(Value::Storage { key, dtype, elements, view })
    }

    fn memo(&mut self, op: u8) -> Result<(), Stop> {
        let slot = match op {
            b'q' | b'h' => self.number(1)?,
            b'r' | b'j' => self.number(4)?,
            _ => self.memo.len() as u64,
        };
        if matches!(op, b'h' | b'j') {
            let kept = self.memo.get(&slot).copied();
            self.stack.push(kept.ok_or_else(|| Stop::Wrong("it asks for what it has not kept".into()))?);
        } else {
            let top = self.top()?;
            self.memo.insert(slot, top);
        }
        Ok(())
    }
}

/// A number in two's complement of any length.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    Value::Int(bytes.iter().rev().fold(start, |number: i64, &byte| number << 8 | i64::from(byte)))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Stop> {
    if !items.len().is_multiple_of(2) {
        return wrong("a dictionary with a key that has no value");
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
