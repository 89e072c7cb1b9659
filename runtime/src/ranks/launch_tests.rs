//! What started a process, by the variables that launchers set.

use super::*;

/// Reads `NAME=value NAME=value`.
fn read(variables: &str) -> Result<Launch> {
    let pairs: Vec<(&str, &str)> =
        variables.split_whitespace().map(|pair| pair.split_once('=').expect("NAME=value")).collect();
    Launch::read(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

fn at(host: &str, port: u16) -> Option<Rendezvous> {
    Some(Rendezvous { host: host.to_owned(), port })
}

const TORCH: &str = "RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=node0 MASTER_PORT=29500";

#[test]
fn launchers_are_known_by_their_variables() {
    use Launcher::{Alone, OpenMpi, Pmi, Srun, Torchrun};
    // As Open MPI 4.1's mpirun, MPICH 4's, srun of Slurm 22 and torchrun 2 set them.
    let table = [
        ("", Alone, [0, 1], [None, None]),
        ("MASTER_ADDR=node0 LOCAL_RANK=3", Alone, [0, 1], [None, None]),
        (
            "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_RANK=2",
            OpenMpi,
            [2, 4],
            [Some(0), Some(2)],
        ),
        ("PMI_RANK=0 PMI_SIZE=3 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=3", Pmi, [0, 3], [Some(0), Some(3)]),
        (
            "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_STEP_TASKS_PER_NODE=4(x2) PMIX_RANK=5",
            Srun,
            [5, 8],
            [Some(1), None],
        ),
        // `srun --mpi=pmi2` sets both.
        (
            "SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=1 PMI_RANK=1 PMI_SIZE=2",
            Pmi,
            [1, 2],
            [None, None],
        ),
        // mpirun within a job of Slurm: its daemons are tasks of a step.
        (
            "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2",
            OpenMpi,
            [3, 4],
            [None, None],
        ),
        // A batch script is one process, whatever the job has.
        ("SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0", Alone, [0, 1], [None, None]),
        (TORCH, Torchrun, [1, 2], [Some(0), Some(1)]),
        ("RANK=0 WORLD_SIZE=1", Torchrun, [0, 1], [None, None]),
    ];
    for (variables, launcher, [rank, size], [local_rank, local_size]) in table {
        let launch = read(variables).expect(variables);
        assert_eq!(
            (launch.launcher, launch.rank, launch.size, launch.local_rank, launch.local_size),
            (launcher, rank, size, local_rank, local_size),
            "{variables}"
        );
    }
}

#[test]
fn ranks_meet_where_torchrun_says_but_beside_its_own_store() {
    assert_eq!(read(TORCH).expect("whole").rendezvous, at("node0", 29500));
    let agent = read(&format!("{TORCH} TORCHELASTIC_USE_AGENT_STORE=True")).expect("whole");
    assert_eq!(agent.rendezvous, at("node0", 29501));
    // Static rendezvous of old launchers: rank 0 itself has the port.
    let free = read(&format!("{TORCH} TORCHELASTIC_USE_AGENT_STORE=False")).expect("whole");
    assert_eq!(free.rendezvous, at("node0", 29500));
}

#[test]
fn what_moves_the_bytes_follows_from_launcher_and_build() {
    let mpirun = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2";
    let via = |variables: &str, mpi| read(variables).expect(variables).via(mpi, Carrier::Auto);
    let tcp = Via::Tcp(at("node0", 29500).expect("a place"));
    assert_eq!(via("", false).expect("alone"), Via::Nothing);
    assert_eq!(via("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", false).expect("alone"), Via::Nothing);
    assert_eq!(via("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1", true).expect("alone"), Via::Nothing);
    assert_eq!(via(mpirun, true).expect("MPI"), Via::Mpi);
    assert_eq!(via(TORCH, true).expect("TCP"), tcp);
    let both = format!("{mpirun} {TORCH}");
    assert_eq!(via(&both, true).expect("MPI"), Via::Mpi);
    assert_eq!(via(&both, false).expect("TCP"), tcp);
    let error = via(mpirun, false).expect_err("no way").to_string();
    for part in ["Open MPI's mpirun started 2 ranks", "cargo build --release --features mpi", "MASTER_ADDR"] {
        assert!(error.contains(part), "{error}");
    }
}

/// What Slurm's `srun` sets for the first of two tasks, with what tells an MPI its ranks or without.
#[test]
fn ranks_of_srun_do_without_mpi_where_none_is_told_of_them() {
    let step = "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=node[07-08] SLURM_JOB_ID=3 SLURM_STEP_ID=1";
    let pmix = format!("{step} PMIX_RANK=0");
    let pmi = format!("{step} PMI_RANK=0 PMI_SIZE=2");
    let via =
        |variables: &str, mpi, carrier| read(variables).expect(variables).via(mpi, carrier).expect(variables);
    let tcp = Via::Tcp(at("node07", 20_049).expect("a place"));
    for variables in [step, &pmix, &pmi] {
        let by_mpi = if variables == step { &tcp } else { &Via::Mpi };
        assert_eq!(&via(variables, true, Carrier::Auto), by_mpi, "{variables}");
        assert_eq!(via(variables, false, Carrier::Auto), tcp, "{variables}");
        assert_eq!(via(variables, true, Carrier::Tcp), tcp, "{variables}");
    }
    let named = format!("{step} MASTER_ADDR=other MASTER_PORT=5");
    assert_eq!(via(&named, true, Carrier::Auto), Via::Tcp(at("other", 5).expect("a place")));
    // A rank of mpirun's among the tasks of a step that are its daemons.
    let daemons = "PMI_RANK=3 PMI_SIZE=4 SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=a SLURM_JOB_ID=3 SLURM_STEP_ID=1";
    assert_eq!(read(daemons).expect("a rank").rendezvous, None);
}

#[test]
fn what_is_half_set_or_contradicts_is_an_error_that_says_which() {
    let table = [
        ("RANK=1", "RANK is set, WORLD_SIZE is not"),
        ("WORLD_SIZE=2", "WORLD_SIZE is set, RANK is not"),
        ("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_SIZE is set, OMPI_COMM_WORLD_RANK is not"),
        ("PMI_RANK=0", "PMI_RANK is set, PMI_SIZE is not"),
        ("PMIX_RANK=0", "PMIX_RANK is 0, and nothing says how many ranks there are"),
        ("RANK=0 WORLD_SIZE=2", "nothing where they meet: set MASTER_ADDR"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_ADDR is set, MASTER_PORT is not"),
        ("RANK=0 WORLD_SIZE=2 MASTER_PORT=1", "MASTER_PORT is set, MASTER_ADDR is not"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=0", "MASTER_PORT is `0`"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=http", "MASTER_PORT is `http`"),
        (
            "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=65535 TORCHELASTIC_USE_AGENT_STORE=True",
            "give torchrun another --master-port",
        ),
        ("RANK=2 WORLD_SIZE=2", "RANK is 2, WORLD_SIZE is 2: ranks are counted from 0"),
        ("RANK=-1 WORLD_SIZE=2", "RANK is `-1`: it has to be a whole number"),
        (
            "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1",
            "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE say rank 0 of 2, RANK and WORLD_SIZE say rank 1 of 2",
        ),
    ];
    for (variables, part) in table {
        let error = read(variables).expect_err(variables).to_string();
        assert!(error.contains(part), "{variables}: {error}");
    }
}
