//! Files of `torch.save`: a pickle that names tensors, and their elements beside it.

mod archive;
mod globals;
mod legacy;
mod pickle;
mod state;
mod storages;
mod zip;

use std::collections::BTreeMap;

use crate::error::{Fault, shortened};
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

/// How a file of PyTorch is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A zip archive: since PyTorch 1.6.
    Zip,
    /// Pickles, then the elements: before.
    Legacy,
}

/// What layout bytes begin like.
pub(crate) fn layout(bytes: &[u8]) -> Option<Layout> {
    if zip::is_zip(bytes) {
        return Some(Layout::Zip);
    }
    matches!(bytes, [0x80, 2..=5, ..]).then_some(Layout::Legacy)
}

/// The tensors in a file of that layout.
pub(crate) fn read(bytes: &[u8], layout: Layout) -> Result<State, Fault> {
    match layout {
        Layout::Zip => archive::read(bytes),
        Layout::Legacy => legacy::read(bytes),
    }
}
