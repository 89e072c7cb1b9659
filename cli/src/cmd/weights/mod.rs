//! `resnetc weights`: looks at files of weights, converts and compares them; and how other commands load weights.

mod convert;
mod diff;
mod inspect;
mod load;

use crate::args::{WeightsAction, WeightsCommand};
use crate::failure::Result;
use crate::output::Output;
pub use load::{first, load, store};

/// Runs the command.
pub fn weights(args: &WeightsCommand, output: &Output) -> Result {
    match &args.action {
        WeightsAction::Inspect(args) => inspect::inspect(args, output),
        WeightsAction::Convert(args) => convert::convert(args, output),
        WeightsAction::Diff(args) => diff::diff(args, output),
    }
}
