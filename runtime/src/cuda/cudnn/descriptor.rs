//! Descriptors of cuDNN's backend API, owned: made, set, finalised, asked, and destroyed with their owner.
//!
//! A descriptor keeps those alive that were set into it, as cuDNN's documents leave open whether it copies them.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cudnn::sys;
pub(super) use sys::cudnnBackendAttributeName_t as Attribute;
pub(super) use sys::cudnnBackendAttributeType_t as Kind;
pub(super) use sys::cudnnBackendDescriptorType_t as Type;

use super::fault::{Fault, Result, check};

/// What an attribute is set to.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Whole numbers.
    Ints(&'a [i64]),
    /// A number.
    Float(f32),
    /// A number in double precision.
    Double(f64),
    /// A switch.
    Flag(bool),
    /// An enumeration of cuDNN's, with the type that it has as an attribute.
    Code(Kind, i32),
    /// Text; a zero is put behind it.
    Text(&'a str),
    /// Addresses, of device memory.
    Pointers(&'a [*mut c_void]),
    /// The library's handle.
    Handle(sys::cudnnHandle_t),
    /// Other descriptors, all final.
    Parts(&'a [Arc<Descriptor>]),
}

/// A descriptor.
pub(super) struct Descriptor {
    raw: sys::cudnnBackendDescriptor_t,
    kind: Type,
    parts: Vec<Arc<Descriptor>>,
}

// SAFETY: cuDNN's functions may be called from any thread as long as no two use one handle, or change one descriptor, at a time.
// Only `&mut self` changes one.
unsafe impl Send for Descriptor {}
// SAFETY: what takes `&self` reads.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// A new one, not final.
    pub fn new(kind: Type) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is written where the status is success.
        let status = unsafe { sys::cudnnBackendCreateDescriptor(kind, &mut raw) };
        check(status, || format!("cannot make {kind:?}"))?;
        Ok(Descriptor { raw, kind, parts: Vec::new() })
    }

    /// A final one with these attributes.
    pub fn with(kind: Type, attributes: &[(Attribute, Value<'_>)]) -> Result<Arc<Self>> {
        let mut made = Descriptor::new(kind)?;
        for &(attribute, value) in attributes {
            made.set(attribute, value)?;
        }
        made.finalize()
    }

    /// Sets an attribute.
    pub fn set(&mut self, attribute: Attribute, value: Value<'_>) -> Result<()> {
        match value {
            Value::Ints(values) => self.set_raw(attribute, Kind::CUDNN_TYPE_INT64, values),
            Value::Float(value) => self.set_raw(attribute, Kind::CUDNN_TYPE_FLOAT, &[value]),
            Value::Double(value) => self.set_raw(attribute, Kind::CUDNN_TYPE_DOUBLE, &[value]),
            Value::Flag(value) => self.set_raw(attribute, Kind::CUDNN_TYPE_BOOLEAN, &[value]),
            Value::Code(kind, code) => self.set_raw(attribute, kind, &[code]),
            Value::Text(text) => {
                let bytes: Vec<u8> = text.bytes().chain([0]).collect();
                self.set_raw(attribute, Kind::CUDNN_TYPE_CHAR, &bytes)
            }
            Value::Pointers(values) => self.set_raw(attribute, Kind::CUDNN_TYPE_VOID_PTR, values),
            Value::Handle(handle) => self.set_raw(attribute, Kind::CUDNN_TYPE_HANDLE, &[handle]),
            Value::Parts(parts) => {
                let raw: Vec<_> = parts.iter().map(|part| part.raw).collect();
                self.set_raw(attribute, Kind::CUDNN_TYPE_BACKEND_DESCRIPTOR, &raw)?;
                self.parts.extend(parts.iter().cloned());
                Ok(())
            }
        }
    }

    /// The values have the size that cuDNN expects of this kind of attribute: private, called by [`Descriptor::set`] alone.
    fn set_raw<T>(&mut self, attribute: Attribute, kind: Kind, values: &[T]) -> Result<()> {
        // SAFETY: the descriptor lives; the values are as many as are told, and are read only.
        let status = unsafe {
            let values = (values.len() as i64, values.as_ptr().cast());
            sys::cudnnBackendSetAttribute(self.raw, attribute, kind, values.0, values.1)
        };
        check(status, || format!("cannot set {attribute:?} of {:?}", self.kind))
    }

    /// Makes it final: it does not change any more.
    pub fn finalize(self) -> Result<Arc<Self>> {
        // SAFETY: the descriptor lives.
        let status = unsafe { sys::cudnnBackendFinalize(self.raw) };
        check(status, || format!("cannot finalise {:?}", self.kind))?;
        Ok(Arc::new(self))
    }

    /// Elements that an attribute has.
    fn count(&self, attribute: Attribute, kind: Kind) -> Result<usize> {
        let mut count = 0i64;
        // SAFETY: no element is asked for, so none is written.
        let status = unsafe {
            sys::cudnnBackendGetAttribute(self.raw, attribute, kind, 0, &mut count, std::ptr::null_mut())
        };
        check(status, || self.unreadable(attribute))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Reads as many elements as there is room for; says how many there were.
    fn read<T>(&self, attribute: Attribute, kind: Kind, values: &mut [T]) -> Result<usize> {
        let mut count = 0i64;
        // SAFETY: at most as many elements are written as there is room for.
        let status = unsafe {
            let room = (values.len() as i64, values.as_mut_ptr().cast());
            sys::cudnnBackendGetAttribute(self.raw, attribute, kind, room.0, &mut count, room.1)
        };
        check(status, || self.unreadable(attribute))?;
        Ok(usize::try_from(count).unwrap_or(0).min(values.len()))
    }

    fn unreadable(&self, attribute: Attribute) -> String {
        format!("cannot read {attribute:?} of {:?}", self.kind)
    }

    /// One whole number.
    pub fn int(&self, attribute: Attribute) -> Result<i64> {
        self.one(attribute, Kind::CUDNN_TYPE_INT64, 0)
    }

    /// One member of an enumeration.
    pub fn code(&self, attribute: Attribute, kind: Kind) -> Result<i32> {
        self.one(attribute, kind, 0)
    }

    /// The element of an attribute that has one: cuDNN wants no more to be asked for.
    fn one<T: Copy>(&self, attribute: Attribute, kind: Kind, empty: T) -> Result<T> {
        let mut value = [empty];
        match self.read(attribute, kind, &mut value)? {
            0 => Err(Fault::refused(format!("{}: it has none", self.unreadable(attribute)))),
            _ => Ok(value[0]),
        }
    }

    /// Members of an enumeration, by number: a newer library has some that the bindings do not name.
    pub fn codes(&self, attribute: Attribute, kind: Kind) -> Result<Vec<i32>> {
        // More than any of cuDNN's enumerations of notes has.
        let mut values = [0i32; 64];
        let count = self.read(attribute, kind, &mut values)?;
        Ok(values[..count].to_vec())
    }

    /// Text.
    pub fn text(&self, attribute: Attribute) -> Result<String> {
        let mut bytes = vec![0u8; self.count(attribute, Kind::CUDNN_TYPE_CHAR)?];
        let count = self.read(attribute, Kind::CUDNN_TYPE_CHAR, &mut bytes)?;
        bytes.truncate(count);
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|_| Fault::refused(format!("{:?} is no UTF-8 text", attribute)))
    }

    /// Other descriptors, `kind` being theirs.
    pub fn parts(&self, attribute: Attribute, kind: Type) -> Result<Vec<Arc<Descriptor>>> {
        let count = self.count(attribute, Kind::CUDNN_TYPE_BACKEND_DESCRIPTOR)?;
        self.fill(attribute, kind, count)
    }

    /// The same where cuDNN does not tell the count, which is `most` at most.
    pub fn parts_up_to(&self, most: usize, attribute: Attribute, kind: Type) -> Result<Vec<Arc<Descriptor>>> {
        self.fill(attribute, kind, most)
    }

    /// The one descriptor of an attribute that has always one.
    pub fn part(&self, attribute: Attribute, kind: Type) -> Result<Arc<Descriptor>> {
        let one = self.fill(attribute, kind, 1)?.pop();
        one.ok_or_else(|| Fault::refused(format!("{}: it has none", self.unreadable(attribute))))
    }

    fn fill(&self, attribute: Attribute, kind: Type, count: usize) -> Result<Vec<Arc<Descriptor>>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        // cuDNN writes into descriptors that the caller has made.
        let made: Vec<Descriptor> = (0..count).map(|_| Descriptor::new(kind)).collect::<Result<_>>()?;
        let mut raw: Vec<_> = made.iter().map(|part| part.raw).collect();
        let filled = self.read(attribute, Kind::CUDNN_TYPE_BACKEND_DESCRIPTOR, &mut raw)?;
        Ok(made.into_iter().take(filled).map(Arc::new).collect())
    }

    /// For cuDNN's calls.
    pub fn raw(&self) -> sys::cudnnBackendDescriptor_t {
        self.raw
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it was made by `new` and is destroyed once. A status that says otherwise helps nobody here.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.raw) };
    }
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}
