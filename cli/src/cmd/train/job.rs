//! What is trained, and on what.

use std::path::{Path, PathBuf};

use resnetc::{Spec, SpecOptions};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::datasets::DEFAULT;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::{Compiled, Summary, Target};
use resnetc_runtime::data::Dataset;

use super::super::data::{self, Wanted};
use super::super::setup::Setup;
use super::super::spec;
use super::batch;
use crate::args::{RunArgs, TtaArg};
use crate::failure::Result;
use crate::output::Output;
use crate::report::summary::again;
use crate::report::units::{bytes, grouped, side};
use crate::sweep::key;

/// What the command line asks to train.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The network; none for the data set's.
    pub name: Option<&'a str>,
    /// The data set; none for the spec's.
    pub dataset: Option<&'a str>,
    /// All else.
    pub args: &'a RunArgs,
}

/// A network, and the data set that it is trained on.
pub struct Job {
    /// The network with all that the command line and the data say of it.
    pub spec: Spec,
    /// Whether it has another number of classes than the spec says, because the pictures have.
    pub other_classes: bool,
    summary: Summary,
    /// What a step takes, where the spec limits it.
    memory: Option<String>,
    wanted: Wanted,
    /// Name of the data set.
    dataset: String,
    /// What of it is known already: people's own pictures are listed for their classes.
    pictures: Option<Dataset>,
    /// How the spec is opened.
    network: String,
    options: SpecOptions,
}

impl Job {
    /// Reads the spec, with these overrides behind those of the command line, and compiles it: mistakes are told before any data are read.
    pub fn new(asked: &Asked<'_>, more: &[String], setup: &Setup, output: &Output) -> Result<Self> {
        let &Asked { name, dataset, args } = asked;
        let wanted = find_dataset(name, dataset, args)?;
        let (network, mut set) = match name {
            Some(name) => (name, Vec::new()),
            None => wanted.network()?,
        };
        set.extend(overrides(&wanted, args).into_iter().chain(more.iter().cloned()));
        let mut options = SpecOptions { set, limits: args.overrides.bounds.limits() };
        let pictures = match &wanted {
            Wanted::Path(path) => {
                Some(data::pictures(path, &spec::open(network, &options)?.resolved().train, output)?)
            }
            Wanted::Named(_) => None,
        };
        let before = options.set.len();
        let spec = match &pictures {
            Some(pictures) => data::with_classes(network, &mut options, pictures.classes(), output)?,
            None => spec::load(network, &options, output)?,
        };
        let other_classes = options.set.len() > before;
        let dataset = match (&wanted, &pictures) {
            (Wanted::Named(facts), _) => facts.name,
            (Wanted::Path(path), pictures) => pictures.as_ref().map_or(path, |pictures| &pictures.name),
        };
        let (dataset, network) = (dataset.to_owned(), network.to_owned());
        let (summary, memory) = compiled(&spec, setup)?;
        let host = spec.resolved().train.images_on_host();
        if let Some(key) = host.filter(|_| setup.device.backend() != Backend::CPU) {
            output.note(&format!("`{key}` has what only the CPU does: it makes the training images"))?;
        }
        Ok(Job { spec, other_classes, summary, memory, wanted, dataset, pictures, network, options })
    }

    /// Where the training is kept where nobody says it.
    pub fn out(&self) -> PathBuf {
        Path::new("out").join(format!("{}-{}", self.spec.name(), self.dataset))
    }

    /// Name of the data set.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Number of training images.
    pub fn images_to_train_on(&self) -> Option<usize> {
        match &self.wanted {
            Wanted::Named(facts) => Some(facts.images),
            Wanted::Path(_) => self.pictures.as_ref().map(|pictures| pictures.train.len()),
        }
    }

    /// Whether the data are people's own pictures, of which the settings say how they are read and split.
    pub fn reads_pictures(&self) -> bool {
        self.pictures.is_some()
    }

    /// Trained parameters, and multiply-accumulates of one image.
    pub fn size(&self) -> (u64, u64) {
        (self.summary.params, self.summary.macs)
    }

    /// The data set: found, downloaded or generated, where it is not at hand already.
    pub fn images(&mut self, setup: &Setup, output: &Output) -> Result<Dataset> {
        match self.pictures.take() {
            Some(pictures) => Ok(pictures),
            None => data::load(&self.dataset, &setup.places, output),
        }
    }

    /// Chooses the batch size where the spec leaves it to the memory; `resumed` is the folder of a training that goes on.
    pub fn settle_batch(
        &mut self,
        images: usize,
        resumed: Option<&Path>,
        setup: &Setup,
        output: &Output,
    ) -> Result {
        if !self.spec.resolved().train.auto_batch {
            return Ok(());
        }
        let size = batch::settle(&self.spec, resumed, images, &setup.device, output)?;
        self.options.set.push(format!("train.batch_size={size}"));
        self.spec = spec::open(&self.network, &self.options)?;
        (self.summary, self.memory) = compiled(&self.spec, setup)?;
        Ok(())
    }

    /// What is said before the training starts.
    pub fn heading(&self, images: &Dataset, out: &Path, threads: usize) -> String {
        let data = match &self.wanted {
            Wanted::Named(_) => self.dataset.clone(),
            Wanted::Path(path) => {
                let (train, test) = (grouped(images.train.len() as u64), grouped(images.test.len() as u64));
                format!("{path}, {} classes, {train} pictures, {test} to test on", images.classes().len())
            }
        };
        let (name, params, out) = (self.spec.name(), grouped(self.summary.params), out.display());
        let memory = self.memory.as_ref().map_or(String::new(), |memory| format!("\nmemory    {memory}"));
        let sizes = match self.spec.smaller_sizes()[..] {
            [] => String::new(),
            [first, ..] => {
                let [_, own @ ..] = self.spec.resolved().input.value;
                format!("\nsizes     {} to {} by epoch", side(first), side(own))
            }
        };
        format!(
            "network   {name}, {params} parameters{memory}\ndata      {data}{sizes}\nout       {out}\nthreads   {threads}"
        )
    }
}

impl Asked<'_> {
    /// The keys of the spec that the command line sets, but for those that a data set or its name sets.
    pub fn keys(&self) -> Vec<String> {
        let sets = overrides(&Wanted::Named(&DEFAULT), self.args);
        sets.iter().skip(1).filter_map(|set| Some(set.split_once('=')?.0.trim().to_owned())).collect()
    }
}

/// The network's figures, and what a step takes where the spec limits it.
fn compiled(spec: &Spec, setup: &Setup) -> Result<(Summary, Option<String>)> {
    let train = &spec.resolved().train;
    // A batch that is yet to be chosen is not to be refused.
    let target = Target::new(Mode::Train, if train.auto_batch { 1 } else { train.batch_size });
    let Compiled { plan, summary, recompute, .. } =
        spec.compile(&Target { backend: setup.device.backend(), ..target })?;
    let memory = train.memory_limit.filter(|_| !train.auto_batch).map(|limit| {
        let again = if recompute.is_empty() { "nothing is computed again".into() } else { again(&recompute) };
        format!("a step takes {} of {}: {again}", bytes(plan.bytes()), bytes(limit as usize))
    });
    Ok((summary, memory))
}

/// The data set: the command line's, else the spec's, else the default.
fn find_dataset(name: Option<&str>, dataset: Option<&str>, args: &RunArgs) -> Result<Wanted> {
    let default = Wanted::Named(&DEFAULT);
    match (dataset, name) {
        (Some(dataset), _) => data::find(dataset),
        (None, Some(name)) => {
            let spec = spec::open(name, &spec::options(&args.overrides))?;
            spec.resolved().train.dataset.as_deref().map_or(Ok(default), data::find)
        }
        (None, None) => Ok(default),
    }
}

/// The options that change the spec, as overrides; `--set` has the last word.
fn overrides(dataset: &Wanted, args: &RunArgs) -> Vec<String> {
    let number = |name: &str, value: Option<String>| value.map(|value| format!("{}={value}", key(name)));
    let flags = [
        number("epochs", args.epochs.map(|n| n.to_string())),
        number("batch_size", args.batch_size.clone().or_else(|| args.batch.map(|images| images.to_string()))),
        number("memory_limit", args.memory_limit.clone()),
        number("lr", args.lr.map(|rate| rate.to_string())),
        number("seed", args.seed.map(|seed| seed.to_string())),
        args.tta.map(TtaArg::set),
    ];
    std::iter::once(dataset.set()).chain(flags.into_iter().flatten()).chain(args.overrides.sets()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use resnetc_compiler::datasets::DEFAULT;

    use super::overrides;
    use crate::args::{Cli, Command};
    use crate::cmd::data::Wanted;

    fn said(flags: &[&str]) -> Vec<String> {
        let line = [&["resnetc", "run", "--train", "shapes10"], flags].concat();
        let Command::Run(args) = Cli::try_parse_from(line).expect("valid").command else {
            panic!("another command")
        };
        overrides(&Wanted::Named(&DEFAULT), &args)
    }

    /// Naming a rule would turn another optimizer into that one.
    #[test]
    fn a_rate_leaves_the_optimizer_alone() {
        assert!(said(&["--lr", "0.5"]).contains(&"train.optimizer.lr=0.5".to_owned()));
    }

    /// `build` and `bench` call it `--batch`, specs `batch_size`.
    #[test]
    fn a_batch_has_two_names() {
        assert_eq!(said(&["--batch", "16"]), said(&["--batch-size", "16"]));
        assert!(said(&["--batch", "16"]).contains(&"train.batch_size=16".to_owned()));
        assert!(!said(&[]).iter().any(|set| set.starts_with("train.batch_size")));
    }
}
