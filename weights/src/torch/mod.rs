//! Files of `torch.save`: a pickle that names tensors, and their elements beside it.

mod archive;
mod globals;
mod legacy;
mod state;
mod storages;
mod zip;

use crate::error::Fault;

pub(crate) use state::State;

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
