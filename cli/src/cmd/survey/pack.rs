//! `resnetc data pack`: all pictures, decoded, in one file.

use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::data::pictures::packed::{self, Packed, Packing};

use super::open::load;
use crate::args::DataPackArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::report::units::grouped;
use crate::signals::Signals;

/// Runs the command.
pub fn pack(args: &DataPackArgs, environment: &Environment, output: &Output) -> Result {
    let (spec, dataset) = load(&args.from, environment, output)?;
    let signals = Signals::catch("stopping; nothing is written")?;
    let packing = Packing {
        shorter: args.size,
        fail: spec.resolved().train.reading.fail,
        threads: args.from.threads.unwrap_or_else(available_threads),
        stop: &signals.stop,
    };
    let pictures = dataset.train.len() + dataset.test.len();
    let bar = Progress::count(output, &format!("packing {}", dataset.name), pictures as u64);
    let made = packed::pack(&dataset, &args.output, &packing, &mut |done| bar.set(done as u64))?;
    drop(bar);
    let Some(Packed { train, test, bytes, left_out }) = made else {
        let status = signals.status();
        return Err(status.map_or_else(|| Failure::Failed("it was stopped".into()), Failure::Signal));
    };
    left_out.iter().for_each(|line| output.warn(&format!("warning: {line}; it is left out")));
    output.result(&format!(
        "wrote {}: {} pictures, {} to test on, {} bytes",
        args.output.display(),
        grouped(train as u64),
        grouped(test as u64),
        grouped(bytes)
    ))
}
