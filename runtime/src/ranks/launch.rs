//! What started this process as one of several, by the environment variables that it set.
//!
//! - Open MPI's `mpirun`: `OMPI_COMM_WORLD_RANK`, `_SIZE`, `_LOCAL_RANK`, `_LOCAL_SIZE`.
//! - MPICH's and Intel's `mpirun`, `srun --mpi=pmi2`: `PMI_RANK`, `PMI_SIZE`; `MPI_LOCALRANKID`, `MPI_LOCALNRANKS`.
//! - `srun`: `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`, `SLURM_LOCALID`. A batch script has some of Slurm's variables and is one
//!   process, so it is the step's size that counts. Where nothing tells an MPI its ranks (`PMIX_RANK`, `PMI_RANK`), as with `--mpi=none`,
//!   they do without.
//! - `torchrun`, or who sets the same: `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`.

use super::control::Carrier;
use super::slurm;
use crate::error::{Error, Result};

/// What started the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// Nothing that starts several.
    Alone,
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `mpirun` of MPICH or Intel, or another with their process manager's interface.
    Pmi,
    /// Slurm.
    Srun,
    /// `torchrun`, or variables of the same names that somebody set.
    Torchrun,
}

/// Where ranks without MPI meet: rank 0 listens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// A host's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Which of how many ranks this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What started it.
    pub launcher: Launcher,
    /// From 0.
    pub rank: usize,
    /// Number of ranks.
    pub size: usize,
    /// Its number among those of this host, where that is told.
    pub local_rank: Option<usize>,
    /// Number of ranks on this host, where that is told.
    pub local_size: Option<usize>,
    /// Where the ranks meet without MPI.
    pub rendezvous: Option<Rendezvous>,
    /// Whether an MPI is told its ranks.
    pub starts_mpi: bool,
}

/// What moves bytes between the ranks of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// There is one rank alone.
    Nothing,
    /// MPI.
    Mpi,
    /// Connections of our own, made where rank 0 listens.
    Tcp(Rendezvous),
}

/// The variables of one launcher: rank, size, rank and size on the host. The first that is set of each list counts.
struct Names {
    launcher: Launcher,
    rank: &'static str,
    size: &'static str,
    local_rank: &'static str,
    local_size: &'static str,
}

/// In the order in which they count: `mpirun` within a job of Slurm leaves Slurm's variables to its ranks.
const LAUNCHERS: [Names; 4] = [
    Names {
        launcher: Launcher::OpenMpi,
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    Names {
        launcher: Launcher::Pmi,
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_size: "MPI_LOCALNRANKS",
    },
    Names {
        launcher: Launcher::Srun,
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        local_rank: "SLURM_LOCALID",
        local_size: "SLURM_STEP_TASKS_PER_NODE",
    },
    TORCHRUN,
];

const TORCHRUN: Names = Names {
    launcher: Launcher::Torchrun,
    rank: "RANK",
    size: "WORLD_SIZE",
    local_rank: "LOCAL_RANK",
    local_size: "LOCAL_WORLD_SIZE",
};

/// Set to `True` by `torchrun`: its own store listens at `MASTER_PORT`.
const AGENT_STORE: &str = "TORCHELASTIC_USE_AGENT_STORE";

impl Launcher {
    /// As it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Launcher::Alone => "nothing",
            Launcher::OpenMpi => "Open MPI's mpirun",
            Launcher::Pmi => "mpirun (PMI)",
            Launcher::Srun => "srun",
            Launcher::Torchrun => "torchrun (RANK, WORLD_SIZE)",
        }
    }
}

impl Launch {
    /// A process that is alone.
    pub const ALONE: Launch = Launch {
        launcher: Launcher::Alone,
        rank: 0,
        size: 1,
        local_rank: None,
        local_size: None,
        rendezvous: None,
        starts_mpi: false,
    };

    /// Reads the variables by that function, which gives none for those that are set to nothing.
    ///
    /// # Errors
    /// Which variables are missing, no numbers, or contradict each other.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut found: Option<(Launch, &Names)> = None;
        for names in &LAUNCHERS {
            let Some(launch) = names.read(variable)? else { continue };
            match &found {
                None => found = Some((launch, names)),
                // Variables of `torchrun` that a script set under `mpirun` say where to meet; they have to say the same.
                Some((first, theirs)) if names.launcher == Launcher::Torchrun => {
                    if (first.rank, first.size) != (launch.rank, launch.size) {
                        return Err(contradiction(first, theirs, &launch, names));
                    }
                }
                Some(_) => {}
            }
        }
        let Some((mut launch, _)) = found else { return without_size(variable) };
        launch.starts_mpi = match launch.launcher {
            Launcher::Alone | Launcher::Torchrun => false,
            Launcher::OpenMpi | Launcher::Pmi => true,
            Launcher::Srun => variable("PMIX_RANK").is_some(),
        };
        if launch.size > 1 {
            launch.rendezvous = rendezvous(variable, &launch)?;
        }
        Ok(launch)
    }

    /// What moves the bytes, in a build that has MPI or has it not. Who asks for TCP, and has a place to meet, needs no MPI.
    ///
    /// # Errors
    /// Where this build has no way between the ranks; it says how to get one.
    pub fn via(&self, mpi: bool, carrier: Carrier) -> Result<Via> {
        let needs_none = carrier == Carrier::Tcp && self.rendezvous.is_some();
        let by_mpi = mpi && self.starts_mpi && !needs_none;
        match &self.rendezvous {
            _ if self.size == 1 => Ok(Via::Nothing),
            _ if by_mpi => Ok(Via::Mpi),
            Some(rendezvous) => Ok(Via::Tcp(rendezvous.clone())),
            None => Err(Error::Ranks(format!(
                "{} started {} ranks, and this build has no MPI: each would train alone.\nBuild with MPI (`cargo build --release --features mpi`), \
                 or let the ranks meet without it: set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each, as torchrun does.",
                self.launcher.name(),
                self.size
            ))),
        }
    }
}

impl Names {
    /// What this launcher says; none where it did not start the process.
    fn read(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Launch>> {
        let (rank, size) = (variable(self.rank), variable(self.size));
        let (rank, size) = match (rank, size) {
            (None, None) => return Ok(None),
            // Slurm sets the rank for its batch scripts, too.
            (_, None) if self.launcher == Launcher::Srun => return Ok(None),
            (Some(rank), Some(size)) => (number(self.rank, &rank)?, number(self.size, &size)?),
            (Some(_), None) => return Err(half(self.rank, self.size)),
            (None, Some(_)) => return Err(half(self.size, self.rank)),
        };
        if rank >= size {
            return Err(Error::Ranks(format!(
                "{} is {rank}, {} is {size}: ranks are counted from 0, so {rank} is none of {size}",
                self.rank, self.size
            )));
        }
        let local = |name: &str| variable(name).and_then(|value| value.trim().parse().ok());
        Ok(Some(Launch {
            launcher: self.launcher,
            rank,
            size,
            local_rank: local(self.local_rank),
            local_size: local(self.local_size),
            rendezvous: None,
            starts_mpi: false,
        }))
    }
}

/// A process that no launcher's size names: alone, unless it is a rank of something.
fn without_size(variable: &dyn Fn(&str) -> Option<String>) -> Result<Launch> {
    match variable("PMIX_RANK") {
        None => Ok(Launch::ALONE),
        Some(rank) => Err(Error::Ranks(format!(
            "PMIX_RANK is {rank}, and nothing says how many ranks there are: start by Open MPI's mpirun or by srun, \
             which set OMPI_COMM_WORLD_SIZE or SLURM_STEP_NUM_TASKS, or unset PMIX_RANK to train alone"
        ))),
    }
}

/// Where the ranks meet, if that is said: for ranks of `torchrun` it has to be.
fn rendezvous(variable: &dyn Fn(&str) -> Option<String>, launch: &Launch) -> Result<Option<Rendezvous>> {
    let (host, port) = (variable("MASTER_ADDR"), variable("MASTER_PORT"));
    let (host, port) = match (host, port) {
        (Some(host), Some(port)) => (host, port),
        (None, None) if matches!(launch.launcher, Launcher::Srun | Launcher::Pmi) => {
            let place = slurm::meeting_place(variable, [launch.rank, launch.size]);
            return Ok(place.map(|(host, port)| Rendezvous { host, port }));
        }
        (None, None) if launch.launcher != Launcher::Torchrun => return Ok(None),
        (None, Some(_)) => return Err(half("MASTER_PORT", "MASTER_ADDR")),
        (Some(_), None) => return Err(half("MASTER_ADDR", "MASTER_PORT")),
        (None, None) => {
            return Err(Error::Ranks(
                "WORLD_SIZE says that there are several ranks, and nothing where they meet: set MASTER_ADDR to rank 0's host and \
                 MASTER_PORT to a free port there, or unset RANK and WORLD_SIZE to train alone"
                    .to_owned(),
            ));
        }
    };
    let wrong = || Error::Ranks(format!("MASTER_PORT is `{port}`: a port is a number from 1 to 65535"));
    let port: u16 = port.trim().parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?;
    let agent = variable(AGENT_STORE).is_some_and(|value| value == "True");
    let port = if agent { port.checked_add(1) } else { Some(port) };
    let port = port.ok_or_else(|| {
        Error::Ranks("torchrun's store listens at MASTER_PORT 65535, and ranks meet at the next port, which there is none: \
                      give torchrun another --master-port"
            .to_owned())
    })?;
    Ok(Some(Rendezvous { host, port }))
}

fn number(name: &str, value: &str) -> Result<usize> {
    value
        .trim()
        .parse()
        .map_err(|_| Error::Ranks(format!("{name} is `{value}`: it has to be a whole number")))
}

fn half(there: &str, missing: &str) -> Error {
    Error::Ranks(format!(
        "{there} is set, {missing} is not: set both to train as one of several ranks, or unset {there} to train alone"
    ))
}

fn contradiction(first: &Launch, theirs: &Names, second: &Launch, names: &Names) -> Error {
    Error::Ranks(format!(
        "{} and {} say rank {} of {}, {} and {} say rank {} of {}: unset those that do not hold",
        theirs.rank, theirs.size, first.rank, first.size, names.rank, names.size, second.rank, second.size
    ))
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
