//! `resnetc new`: a spec to begin with, which extends another and says in comments what there is to change.

use std::fmt::Write;
use std::path::Path;

use resnetc::SpecOptions;

use super::spec;
use crate::args::NewArgs;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;

/// Runs the command.
pub fn new(args: &NewArgs, output: &Output) -> Result {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if args.name.is_empty() || args.name.len() > 64 || !args.name.chars().all(legal) {
        let text = "a name is at most 64 letters, digits, `_`, `-` and `.`; the file is NAME.yaml";
        return Err(Failure::Usage(text.into()));
    }
    let file = format!("{}.yaml", args.name);
    let path = Path::new(&file);
    if path.exists() && !args.force {
        return Err(Failure::Usage(format!("{file} exists; --force overwrites it")));
    }
    let options = SpecOptions { limits: args.bounds.limits(), ..SpecOptions::default() };
    let base = spec::load(&args.from, &options, output)?;
    files::write(path, text(args, &base.resolved().to_yaml()).as_bytes())?;
    output.note(&format!("wrote {file}; `resnetc build {file}` shows what it is"))
}

/// The spec: two lines that count, the whole base as comments.
fn text(args: &NewArgs, base: &str) -> String {
    let NewArgs { name, from, .. } = args;
    let mut text = format!(
        "# {name}: as yet what {from} is. `resnetc diff {from} {name}.yaml` tells how it differs.\n\
         name: {name}\n\
         extends: {from}\n\
         \n\
         # All that {from} says follows, defaults written out. Take the `# ` from a key to change it: maps join the\n\
         # base's key by key, everything else replaces. Where the network changes, the base's `expect` no longer counts.\n\
         #\n"
    );
    for line in base.lines().filter(|line| !line.starts_with("name:")) {
        writeln!(text, "# {line}").expect("writing to a string");
    }
    text
}
