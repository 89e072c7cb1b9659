//! From what a pickle made to tensors by name: looks through what people wrap them in.

use std::collections::BTreeMap;

use super::storages::Storages;
use crate::error::{Fault, shortened};
use crate::pickle::{Id, Pickled, Value};
use crate::tensor::Place;

/// Keys of other things that are remembered.
const MOST_OTHERS: usize = 100;

/// Tensors by name, and what they were found in.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub tensors: BTreeMap<String, Place>,
    /// Keys that lead to them: `state_dict`.
    pub wrappers: Vec<String>,
    /// Other keys on the way, which were left alone.
    pub others: Vec<String>,
}

impl State {
    /// Remembers a key for people to read: no more of them, and no longer ones, than somebody would.
    fn leave_alone(&mut self, key: &str) {
        if self.others.len() < MOST_OTHERS {
            self.others.push(shortened(key));
        }
    }
}

/// Keys under which people save weights, the likeliest first. Of a moving average and the weights that it is of, the weights
/// are taken; which there were is told.
const WRAPPERS: &[&str] = &[
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
];
/// Most wrappers around each other.
const DEEPEST: usize = 8;

/// The tensors in what a pickle made.
pub(super) fn state(pickled: &Pickled<'_>, storages: &dyn Storages) -> Result<State, Fault> {
    let mut state = State::default();
    let mut dict = pickled.root();
    for _ in 0..DEEPEST {
        let Value::Dict(entries) = dict else { break };
        let Some((key, inner)) = wrapped(pickled, entries) else { break };
        let others = texts(pickled, entries).filter(|(other, _)| *other != key);
        others.for_each(|(other, _)| state.leave_alone(other));
        state.wrappers.push(key.to_owned());
        dict = pickled.value(inner);
    }
    let Value::Dict(entries) = dict else {
        return Err(Fault::NoTensors("what was saved is no dictionary: save the `state_dict()`".into()));
    };
    if wrapped(pickled, entries).is_some() {
        return Err(Fault::NoTensors("its dictionaries are nested too deep".into()));
    }
    for (name, id) in texts(pickled, entries) {
        match pickled.value(id) {
            Value::Tensor { .. } => {
                let place = place(pickled, id, storages).map_err(|reason| Fault::tensor(name, reason))?;
                state.tensors.insert(name.to_owned(), place);
            }
            _ => state.leave_alone(name),
        }
    }
    match state.tensors.is_empty() {
        true => Err(Fault::NoTensors(format!("its keys are {}", listed(&state.others)))),
        false => Ok(state),
    }
}

/// Entries whose keys are texts.
fn texts<'a, 'p>(
    pickled: &'a Pickled<'p>,
    entries: &'a [(Id, Id)],
) -> impl Iterator<Item = (&'p str, Id)> + use<'a, 'p> {
    entries.iter().filter_map(|&(key, value)| match pickled.value(key) {
        &Value::Text(key) => Some((key, value)),
        _ => None,
    })
}

/// The first known key that leads to a dictionary which is not empty.
fn wrapped<'p>(pickled: &Pickled<'p>, entries: &[(Id, Id)]) -> Option<(&'p str, Id)> {
    let leads = |wrapper: &str| {
        texts(pickled, entries).find(|&(key, value)| {
            key == wrapper && matches!(pickled.value(value), Value::Dict(inner) if !inner.is_empty())
        })
    };
    WRAPPERS.iter().find_map(|wrapper| leads(wrapper))
}

/// Where a tensor lies.
fn place(pickled: &Pickled<'_>, id: Id, storages: &dyn Storages) -> Result<Place, String> {
    let Value::Tensor { storage, offset, shape, strides } = pickled.value(id) else {
        return Err("it is none".into());
    };
    let &Value::Storage { key, dtype, elements, view } = pickled.value(*storage) else {
        return Err("its storage is none".into());
    };
    let offset = offset.checked_add(view).ok_or("its offset overflows")?;
    Place::new(storages.find(key, dtype, elements)?, offset, shape.clone(), strides.clone())
}

/// A few names.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => {
            let few: Vec<String> = names.iter().take(5).map(|name| format!("`{name}`")).collect();
            few.join(", ") + if names.len() > few.len() { ", ..." } else { "" }
        }
    }
}
