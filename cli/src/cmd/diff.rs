//! `resnetc diff`: how two networks differ.

use resnetc::SpecOptions;
use resnetc_compiler::diff::Difference;
use resnetc_compiler::report::Network;
use resnetc_compiler::spec::limits::Limits;
use serde::Serialize;

use super::spec;
use crate::args::DiffArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report;

/// The answer for programs.
#[derive(Debug, Serialize)]
struct Json<'a> {
    a: &'a str,
    b: &'a str,
    equal: bool,
    differences: &'a [Difference],
}

/// Runs the command.
pub fn diff(args: &DiffArgs, output: &Output) -> Result {
    let limits = args.bounds.limits();
    let (a, b) = (network(&args.a, limits, output)?, network(&args.b, limits, output)?);
    let differences = resnetc_compiler::diff::diff(&a, &b);
    let equal = differences.is_empty();
    if args.json {
        let json = Json { a: &args.a, b: &args.b, equal, differences: &differences };
        output.result(&serde_json::to_string_pretty(&json).expect("only string keys"))?;
    } else if equal {
        output.note("the networks are equal")?;
    } else {
        output.result(&report::diff::text(&differences, &args.a, &args.b, output.page.columns))?;
    }
    if equal { Ok(()) } else { Err(Failure::Found) }
}

fn network(name: &str, limits: Limits, output: &Output) -> Result<Network> {
    Ok(spec::load(name, &SpecOptions { limits, ..SpecOptions::default() }, output)?.expand()?)
}
