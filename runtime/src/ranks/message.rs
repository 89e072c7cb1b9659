//! What ranks tell each other beside the training: that they live, and why they do not go on.

use serde::{Deserialize, Serialize};

/// A message of a [`super::Watch`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The first of a rank, to rank 0: the token shows that it is of this training.
    Hello {
        /// Spread by the transport.
        token: u64,
        rank: usize,
        host: String,
    },
    /// How far the sender is, each second.
    Beat { step: u64, beats: u64, waits: bool },
    /// The sender's own error, in that step: it ends.
    Failed { step: u64, text: String },
    /// A rank is at fault: all end.
    Fault { text: String },
    /// The sender has done all, and ends.
    Bye,
}
