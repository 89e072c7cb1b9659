//! The pictures that a command of `resnetc data` is about.

use resnetc::{Spec, SpecOptions};
use resnetc_runtime::data::{Dataset, Places};

use super::super::data::{self, Wanted};
use super::super::spec;
use crate::args::SourceArgs;
use crate::environment::Environment;
use crate::failure::Result;
use crate::output::Output;

/// The pictures, and the spec that says how they are split and prepared.
pub fn load(args: &SourceArgs, environment: &Environment, output: &Output) -> Result<(Spec, Dataset)> {
    let wanted = data::find(&args.source)?;
    let (network, mut set) = match &args.spec {
        Some(name) => (name.as_str(), Vec::new()),
        None => wanted.network()?,
    };
    set.push(wanted.set());
    set.extend(args.overrides.sets());
    let options = SpecOptions { set, limits: args.overrides.bounds.limits() };
    let spec = spec::load(network, &options, output)?;
    let dataset = match &wanted {
        Wanted::Named(facts) => {
            let data_dir = args.data_dir.clone().or_else(|| environment.data());
            let places = Places { data_dir, cache: environment.cache(), download: true };
            data::load(facts.name, &places, output)?
        }
        Wanted::Path(path) => data::pictures(path, &spec.resolved().train, output)?,
    };
    Ok((spec, dataset))
}
