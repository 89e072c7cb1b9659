//! What a command does where a launcher started it several times: `mpirun -n 4 resnetc ...`.

use resnetc_runtime::ranks::{Carrier, HAS_MPI};

use crate::args::Command;
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// What several processes with the same command do.
enum Several {
    /// They train one network.
    Train,
    /// The first says it once for all.
    First,
    /// Each would do the same work, and write the same files.
    Nothing,
}

/// Whether this process has to do the command: of several that would say the same, one does.
///
/// # Errors
/// Where several processes cannot do it together; what to do instead.
pub fn admit(command: &Command, environment: &Environment) -> Result<bool> {
    let several = several(command);
    let launch = match (environment.launch(), &several) {
        (Ok(launch), _) => launch,
        (Err(error), Several::Train) => return Err(error),
        // A variable of somebody else's is no reason not to list networks.
        (Err(_), Several::First | Several::Nothing) => return Ok(true),
    };
    match several {
        _ if launch.size == 1 => Ok(true),
        Several::Train => launch
            .via(HAS_MPI, Carrier::Auto)
            .map(|_| true)
            .map_err(|error| Failure::Usage(error.to_string())),
        Several::First => Ok(launch.rank == 0),
        Several::Nothing => Err(Failure::Usage(format!(
            "{} started {} processes, and only `resnetc run --train` shares its work among them: start this command alone",
            launch.launcher.name(),
            launch.size
        ))),
    }
}

fn several(command: &Command) -> Several {
    match command {
        Command::Run(args) if args.train.is_some() => Several::Train,
        Command::Build(_)
        | Command::Runs(_)
        | Command::Check(_)
        | Command::Verify(_)
        | Command::Explain(_)
        | Command::Diff(_)
        | Command::Lint(_)
        | Command::Schedule(_)
        | Command::List(_)
        | Command::Devices(_)
        | Command::Schema(_) => Several::First,
        Command::Run(_)
        | Command::Bench(_)
        | Command::Reproduce(_)
        | Command::Tune(_)
        | Command::Compile(_)
        | Command::Export(_)
        | Command::Weights(_)
        | Command::Data(_)
        | Command::Import(_)
        | Command::Design(_)
        | Command::New(_) => Several::Nothing,
    }
}
