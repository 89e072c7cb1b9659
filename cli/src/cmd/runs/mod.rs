//! `resnetc runs`: the trainings that there are, and how they differ.

mod compare;
mod figures;
mod list;
mod page;
mod settings;

use crate::args::{RunsAction, RunsCommand};
use crate::failure::Result;
use crate::output::Output;

/// Runs the command.
pub fn runs(args: &RunsCommand, output: &Output) -> Result {
    match &args.action {
        Some(RunsAction::Compare(args)) => compare::compare(args, output),
        None => list::list(args, output),
    }
}
