//! `resnetc compile`: plans of a network's convolutions for a GPU that need not be there.

use crate::args::CompileArgs;
use crate::failure::Result;
use crate::output::Output;

/// Says how to get a build that can.
#[cfg(not(feature = "cudnn"))]
pub fn compile(_: &CompileArgs, _: &Output) -> Result {
    let failure = crate::failure::Failure::Usage;
    Err(failure("this build has no cuDNN: build with `--features cudnn`, or `--features cuda`".into()))
}

/// Runs the command.
#[cfg(feature = "cudnn")]
pub fn compile(args: &CompileArgs, output: &Output) -> Result {
    with_cudnn::compile(args, output)
}

#[cfg(feature = "cudnn")]
mod with_cudnn {
    use std::path::Path;

    use resnetc_compiler::backend::Backend;
    use resnetc_compiler::ir::graph::Mode;
    use resnetc_compiler::report::Target as Subject;
    use resnetc_runtime::cuda::cudnn::library::present;
    use resnetc_runtime::cuda::cudnn::{Cache, Compiled, Device, Fault, Job, Prepare, Rules, Target, ahead};
    use resnetc_runtime::files;

    use super::super::spec;
    use crate::args::CompileArgs;
    use crate::failure::{Failure, Result};
    use crate::output::Output;
    use crate::progress::Progress;
    use crate::report::table::{Align, Table};

    /// Bytes of a GPU's description, at most.
    const LARGEST: u64 = 1 << 16;

    pub fn compile(args: &CompileArgs, output: &Output) -> Result {
        let device = device(&args.device)?;
        let spec = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
        let mode = if args.train { Mode::Train } else { Mode::Infer };
        let batch = args.batch.unwrap_or(if args.train { spec.resolved().train.batch_size } else { 1 });
        let subject = Subject { backend: Backend::CUDA, ..Subject::new(mode, batch) };
        let plan = spec.compile(&subject)?.plan;

        present().map_err(failed)?;
        let target = Target::described(device).map_err(failed)?;
        let cache = Cache::in_folder(&args.output);
        let prepare =
            Prepare { target: &target, rules: Rules::taken(plan.deterministic), cache: Some(&cache) };
        let mut bar: Option<Progress> = None;
        let compiled = ahead::compile(&prepare, &plan, args.engines, &mut |done, of| {
            bar.get_or_insert_with(|| Progress::count(output, "compiling", of as u64)).set(done as u64);
        })?;
        drop(bar);
        output.result(&table(&compiled, output.page.columns))?;
        let made = compiled.iter().filter(|(_, compiled)| !compiled.plans.is_empty()).count();
        let (of, folder) = (compiled.len(), args.output.display());
        output.note(&format!("{made} of {of} have plans for {}, in {folder}", target.device().key()))
    }

    fn failed(fault: Fault) -> Failure {
        Failure::failed(resnetc_runtime::error::Error::from(fault))
    }

    /// The GPU that the command line names.
    fn device(name: &str) -> Result<Device> {
        let Some(gpu) = name.strip_prefix("cuda:") else {
            return Err(Failure::Usage(format!(
                "plans are made for GPUs: --device cuda:sm_90, not `{name}`"
            )));
        };
        let usage = |fault: Fault| Failure::Usage(fault.to_string());
        let path = Path::new(gpu);
        if path.extension().is_none() {
            return Device::named(gpu).map_err(usage);
        }
        let text = files::read_text(path, LARGEST);
        let text = text.map_err(|error| Failure::Usage(format!("cannot read `{gpu}`: {error}")))?;
        Device::parse(&text).map_err(|fault| Failure::Usage(format!("{gpu}: {fault}")))
    }

    fn table(compiled: &[(Job, Compiled)], columns: Option<usize>) -> String {
        let heads =
            [("work", Align::Left), ("types", Align::Left), ("sizes", Align::Left), ("engines", Align::Left)];
        let mut table = Table::new(&heads);
        for (job, compiled) in compiled {
            let engines: Vec<String> = compiled.plans.iter().map(|plan| plan.engine.to_string()).collect();
            let engines =
                if engines.is_empty() { format!("none: {}", compiled.why()) } else { engines.join("; ") };
            table.row([job.text(), job.types(), job.sizes(), engines]);
        }
        table.within(columns)
    }
}
