//! How fast bytes go between the ranks of a launch, and what happens when one of them goes.
//!
//! Usage, started by mpirun, srun or with torchrun's variables, the same for all ranks:
//!
//!     ranks speed [BYTES]                  who is there; latency, and bandwidth of an all-to-all up to chunks of so many bytes
//!     ranks steps N [MODE RANK STEP]       N steps of 50 ms, each with a gather; in that step the rank does what MODE says:
//!                                          `fail` with an error, `hang`, or `die` without a word

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc_runtime::error::{Error, Result};
use resnetc_runtime::ranks::{Launch, Options, Pulse, Transport, connect};

const STEP: Duration = Duration::from_millis(50);
/// Times of one size, of which the median counts.
const ROUNDS: usize = 21;

fn main() -> ExitCode {
    match work(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says an error; nobody may be there to read it.
fn tell(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Says a result.
fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(Error::io("standard output"))
}

fn work(args: Vec<String>) -> Result<()> {
    let usage = || Error::Data("ranks speed [BYTES] | ranks steps N [fail|hang|die RANK STEP]".to_owned());
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<u64>().ok());
    let launch = Launch::read(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    let pulse = Arc::new(Pulse::default());
    // The main thread tells errors as well: what the watch told is not told twice.
    let options = Options::new(|text| tell(&format!("watch: {text}")), || std::process::exit(1));
    let (mut transport, watch) = connect(&launch, options, Arc::clone(&pulse))?;
    let done = match (args.first().map(String::as_str), number(1)) {
        (Some("speed"), bytes) => speed(&mut *transport, bytes.unwrap_or(8 << 20) as usize),
        (Some("steps"), Some(steps)) => {
            let mode = args.get(2).map(String::as_str).zip(number(3)).zip(number(4));
            let mode = mode.filter(|((_, rank), _)| *rank == launch.rank as u64);
            train(&mut *transport, &pulse, steps, mode.map(|((mode, _), step)| (mode, step)))
        }
        _ => Err(usage()),
    };
    drop(transport);
    match done {
        Ok(()) => watch.end(),
        Err(error) => {
            let told = watch.fault().is_set();
            watch.fail(&error.to_string());
            // The text is the watch's then.
            if told { Err(Error::Ranks("stopped".to_owned())) } else { Err(error) }
        }
    }
}

/// Gathers the hosts, then times messages.
fn speed(transport: &mut dyn Transport, most: usize) -> Result<()> {
    let size = transport.size();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut own = [b' '; 64];
    host.trim().bytes().zip(&mut own).for_each(|(byte, to)| *to = byte);
    let mut all = vec![0; own.len() * size];
    transport.all_gather(&own, &mut all)?;
    let first = transport.rank() == 0;
    if first {
        say(&format!("{} ranks by {}", size, transport.describe()))?;
        for (rank, host) in all.chunks(own.len()).enumerate() {
            say(&format!("  rank {rank}: {}", String::from_utf8_lossy(host).trim()))?;
        }
        say(&format!("{:>10} {:>12} {:>12}", "bytes", "median", "sent"))?;
    }
    let mut chunk = 1;
    while chunk <= most {
        let (sent, mut received) = (vec![transport.rank() as u8; chunk * size], vec![0; chunk * size]);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            transport.all_to_all(&sent, &mut received)?;
            times.push(begun.elapsed());
        }
        times.sort();
        let median = times[ROUNDS / 2];
        if first {
            let rate = (chunk * (size - 1)) as f64 / median.as_secs_f64() / 1e6;
            say(&format!("{chunk:>10} {:>9.1} us {rate:>7.1} MB/s", median.as_secs_f64() * 1e6))?;
        }
        chunk *= 8;
    }
    Ok(())
}

/// Steps as a training has them.
fn train(transport: &mut dyn Transport, pulse: &Pulse, steps: u64, mode: Option<(&str, u64)>) -> Result<()> {
    let mut all = vec![0; transport.size() * 8];
    for step in 1..=steps {
        pulse.step(step);
        std::thread::sleep(STEP);
        match mode {
            Some(("fail", at)) if at == step => {
                return Err(Error::Data("picture.png: cut off after 12 bytes".to_owned()));
            }
            Some(("hang", at)) if at == step => std::thread::sleep(Duration::from_secs(3600)),
            Some(("die", at)) if at == step => std::process::abort(),
            _ => {}
        }
        pulse.waits(true);
        let gathered = transport.all_gather(&step.to_le_bytes(), &mut all);
        pulse.waits(false);
        gathered?;
        assert!(all.chunks(8).all(|theirs| theirs == step.to_le_bytes()), "all ranks are in step {step}");
    }
    if transport.rank() == 0 {
        say(&format!("{steps} steps done"))?;
    }
    Ok(())
}
