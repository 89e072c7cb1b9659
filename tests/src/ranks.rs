//! What every way between ranks has to do, whatever moves the bytes: the suite of [`Transport`].

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use resnetc_compiler::ir::types::DType;
use resnetc_runtime::error::Result;
use resnetc_runtime::ranks::{
    Carrier, Collective, Launch, Launcher, Options, Pulse, Rendezvous, Transport, Watch, connect,
};

/// Lengths of chunks: nothing, one byte, odd ones, several pieces of a message.
const LENS: [usize; 6] = [0, 1, 7, 4096, 65_537, 8 << 20];
/// Elements of the summed bucket: no multiple of a number of ranks.
const SUMMED: usize = 1031;

/// What rank `from` sends to rank `to`: bytes that repeat after a prime number of them, which is no length of pieces.
fn message(from: usize, to: usize, len: usize) -> Vec<u8> {
    const PERIOD: usize = 4099;
    let byte = |index: usize| (from * 83 + to * 29 + index * 7 + index / 251) as u8;
    let period: Vec<u8> = (0..PERIOD.min(len)).map(byte).collect();
    let mut bytes = Vec::with_capacity(len + PERIOD);
    while bytes.len() < len {
        bytes.extend_from_slice(&period);
    }
    bytes.truncate(len);
    bytes
}

/// Runs all functions of a transport on this rank; the other ranks do the same.
///
/// # Panics
/// Where a byte is wrong.
pub fn suite(mut transport: Box<dyn Transport>) {
    assert!(transport.rank() < transport.size() && !transport.describe().is_empty());
    for len in LENS {
        moves(&mut *transport, len);
    }
    // Calls follow each other at once: none may take another's bytes.
    for round in 0..200 {
        moves(&mut *transport, round % 5);
    }
    sums(transport);
}

/// All functions, with chunks of one length.
fn moves(transport: &mut dyn Transport, len: usize) {
    let (rank, size) = (transport.rank(), transport.size());
    let who = format!("rank {rank} of {size}, {len} bytes");
    let sent: Vec<u8> = (0..size).flat_map(|to| message(rank, to, len)).collect();
    let mut received = vec![0xAA; size * len];
    transport.all_to_all(&sent, &mut received).expect(&who);
    let expected: Vec<u8> = (0..size).flat_map(|from| message(from, rank, len)).collect();
    assert!(received == expected, "all to all: {who}");
    received.fill(0xAA);
    transport.all_gather(&message(rank, 0, len), &mut received).expect(&who);
    let expected: Vec<u8> = (0..size).flat_map(|from| message(from, 0, len)).collect();
    assert!(received == expected, "gathered: {who}");
    let mut told = if rank == 0 { message(0, size, len) } else { vec![0xAA; len] };
    transport.broadcast(&mut told).expect(&who);
    assert!(told == message(0, size, len), "broadcast: {who}");
}

/// Sums over the transport are those in the order of the ranks, bit for bit.
fn sums(transport: Box<dyn Transport>) {
    let (rank, size) = (transport.rank(), transport.size());
    let value =
        |rank: usize, index: usize| ((rank * 31 + index * 7) as f32).sin() * 1e3_f32.powi(rank as i32);
    let share = |rank: usize| 1.0 / (rank + 2) as f32;
    let ranks = Collective::new(transport, Arc::default()).expect("a thread");
    let mut grad: Vec<f32> = (0..SUMMED).map(|index| value(rank, index)).collect();
    ranks.begin_sum(0, &grad, share(rank), DType::F32);
    ranks.finish_sum(0, &mut grad, DType::F32);
    ranks.check().expect("all ranks are there");
    for (index, sum) in grad.iter().enumerate() {
        let expected = (0..size).fold(0.0, |sum, rank| sum + share(rank) * value(rank, index));
        assert_eq!(sum.to_bits(), f32::to_bits(expected), "element {index} on rank {rank} of {size}");
    }
}

/// A rank that was connected as a launch connects it.
pub struct Connected {
    /// Its ways.
    pub transport: Box<dyn Transport>,
    /// Its watch.
    pub watch: Watch,
    /// What it shows of itself.
    pub pulse: Arc<Pulse>,
    /// Gets what the watch tells.
    pub told: Receiver<String>,
    /// Gets a word where the watch would end the process.
    pub exited: Receiver<()>,
}

/// Where ranks can meet on this machine.
///
/// # Panics
/// Where no port is free.
pub fn free_place() -> Rendezvous {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    Rendezvous { host: "127.0.0.1".to_owned(), port }
}

/// A launch by torchrun's variables.
pub fn launch(rank: usize, size: usize, at: &Rendezvous) -> Launch {
    let launcher = Launcher::Torchrun;
    let rendezvous = Some(at.clone());
    Launch { launcher, rank, size, local_rank: None, local_size: None, rendezvous, starts_mpi: false }
}

/// Connects a rank; its times are short.
///
/// # Errors
/// Those of [`connect`].
pub fn connected(launch: &Launch, silence: Duration) -> Result<Connected> {
    connected_by(Carrier::Auto, launch, silence)
}

/// The same, with what moves the bytes where MPI started it.
///
/// # Errors
/// Those of [`connect`].
pub fn connected_by(carrier: Carrier, launch: &Launch, silence: Duration) -> Result<Connected> {
    let pulse = Arc::new(Pulse::default());
    let ((tell, told), (exit, exited)) = (channel(), channel());
    // Nobody may listen any more.
    let tell = move |text: &str| tell.send(text.to_owned()).unwrap_or_default();
    let exit = move || exit.send(()).unwrap_or_default();
    let (meet, grace) = (Duration::from_secs(20), Duration::from_secs(1));
    let options = Options { carrier, meet, silence, grace, ..Options::new(tell, exit) };
    let (transport, watch) = connect(launch, options, Arc::clone(&pulse))?;
    Ok(Connected { transport, watch, pulse, told, exited })
}

/// Runs a function on so many ranks, which are threads that TCP connects; what each gives.
///
/// # Panics
/// Where ranks do not connect, or one panics.
pub fn on_tcp<T: Send>(
    size: usize,
    silence: Duration,
    work: impl Fn(usize, Connected) -> T + Sync,
) -> Vec<T> {
    let place = free_place();
    std::thread::scope(|scope| {
        let start = |rank| {
            let (place, work) = (&place, &work);
            scope.spawn(move || {
                work(rank, connected(&launch(rank, size, place), silence).expect("ranks meet"))
            })
        };
        let ranks: Vec<_> = (0..size).map(start).collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect()
    })
}

/// What started this process, for ranks that are processes.
///
/// # Panics
/// Where launchers' variables contradict each other.
pub fn own_launch() -> Launch {
    Launch::read(&|name| std::env::var(name).ok()).expect("a launcher")
}

/// A rank that makes steps until another is at fault; what it was told. In step 7 it says its process on standard output, as
/// `rank 1 is process 4711`, and those who started it may end it.
///
/// # Panics
/// Where nothing is told in time.
pub fn steps_until_a_fault(mut rank: Connected, launch: &Launch) -> String {
    let mut all = vec![0; launch.size * 8];
    for step in 1_u64.. {
        rank.pulse.step(step.min(7));
        std::thread::sleep(Duration::from_millis(10));
        // The watch has told the others of step 7 by then.
        if step == 120 {
            say(&format!("rank {} is process {}", launch.rank, std::process::id()));
        }
        rank.pulse.waits(true);
        let gathered = rank.transport.all_gather(&step.to_le_bytes(), &mut all);
        rank.pulse.waits(false);
        if let Err(error) = gathered {
            let told = rank.told.recv_timeout(Duration::from_secs(10)).expect("the watch tells");
            assert_eq!(told, error.to_string(), "the transport has the watch's words");
            rank.watch.fail(&told);
            return told;
        }
    }
    unreachable!("nobody makes so many steps")
}

/// A line on standard output, where the test framework does not catch it.
///
/// # Panics
/// Where nobody reads it.
pub fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout();
    out.write_all(format!("\n{text}\n").as_bytes()).and_then(|()| out.flush()).expect("somebody reads");
}

/// Sends a signal to a process: `KILL`, `STOP`.
///
/// # Panics
/// Where there is no such process.
pub fn signal(name: &str, process: u32) {
    let sent = std::process::Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.expect("kill runs").success(), "no process {process}");
}
