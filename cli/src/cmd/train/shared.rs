//! A training that a launcher started as several processes: they meet, and each does its part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use resnetc_compiler::spec::train::TrainConfig;
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::data::order::Rank;
use resnetc_runtime::ranks::{Carrier, Collective, Launch, Options, Pulse, connect, own_host};

use super::super::setup::Setup;
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// How often a process that gets ready shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// Trains as one of the ranks of a launch, between which `carrier` moves bytes: `work` gets the ways to the others. Whoever fails tells
/// them why, and all end.
pub fn shared(
    launch: &Launch,
    carrier: Carrier,
    output: &Output,
    work: impl FnOnce(&Arc<Collective>) -> Result,
) -> Result {
    let pulse = Arc::new(Pulse::default());
    let teller = output.clone();
    let tell = move |fault: &str| teller.error(fault);
    let options = Options { carrier, ..Options::new(tell, || std::process::exit(1)) };
    let (transport, watch) = connect(launch, options, Arc::clone(&pulse))?;
    let ranks = Arc::new(Collective::new(transport, pulse)?.watched(watch.fault()));
    let done = work(&ranks);
    // The transport goes with its last owner, before the watch ends.
    drop(ranks);
    match done {
        Ok(()) => Ok(watch.end()?),
        // All ranks stop at the same step: that is no fault.
        Err(failure @ Failure::Signal(_)) => watch.end().map_err(Failure::from).and(Err(failure)),
        Err(failure) => {
            let told = watch.fault().is_set();
            watch.fail(&text(&failure));
            Err(if told { Failure::Found } else { failure })
        }
    }
}

/// What other ranks are told of a failure.
fn text(failure: &Failure) -> String {
    match failure {
        Failure::Spec(_) | Failure::Unreadable => "its spec cannot be trained".to_owned(),
        Failure::Usage(text) | Failure::Failed(text) => text.clone(),
        Failure::Found | Failure::Signal(_) => "it was stopped".to_owned(),
    }
}

/// What a process that shares its host with others of the training takes of the cores, where nobody says it.
pub fn share_cores(setup: &mut Setup, launch: &Launch) {
    let here = launch.local_size.unwrap_or(1);
    if setup.device.threads.is_none() && here > 1 {
        setup.device.threads = Some((available_threads() / here).max(1));
    }
}

/// Refuses what several processes do not do together.
pub fn check(args: &RunArgs, sweeps: bool, auto_batch: bool) -> Result {
    let refused = if sweeps {
        "a sweep trains one network after the other: start it as one process"
    } else if args.rate.find_lr.is_some() {
        "--find-lr is one process's work: start it alone"
    } else if auto_batch {
        "`batch_size: auto` follows the memory of one process: give a number, which is each process's own"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(refused.to_owned()))
}

/// `ranks     4 by MPI (Open MPI 4.1.4): 2 on node0, 2 on node1`
pub fn heading(ranks: &Collective) -> Result<String> {
    let hosts = ranks.gather_texts(&own_host())?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    hosts.iter().for_each(|host| *counts.entry(host).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(host, count)| format!("{count} on {host}")).collect();
    Ok(format!("ranks     {} by {}: {}", ranks.size(), ranks.describe(), counts.join(", ")))
}

/// `sync      weights become the mean behind every 4 updates, 3 times an epoch`: how often, of an epoch of so many images; nothing where
/// gradients are summed.
pub fn synchronised(config: &TrainConfig, ranks: usize, images: usize) -> Option<String> {
    let every = config.parallel.sync_every;
    let updates = config.updates(Rank::new(0, ranks).share_of(images));
    (every > 1).then(|| match updates.div_ceil(every) {
        1 if updates < every => format!(
            "sync      weights become the mean once an epoch: it has {updates} updates, fewer than `sync_every: {every}`"
        ),
        times => format!("sync      weights become the mean behind every {every} updates, {times} times an epoch"),
    })
}

/// Shows others that this process gets ready, which may take long: pictures are fetched and read, plans compiled.
pub struct GetsReady {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GetsReady {
    /// Until it is dropped.
    pub fn new(ranks: &Arc<Collective>) -> Self {
        let (done, ranks) = (Arc::new(AtomicBool::new(false)), Arc::downgrade(ranks));
        let ends = Arc::clone(&done);
        let beat = move || {
            while !ends.load(Ordering::Relaxed) {
                match ranks.upgrade() {
                    Some(ranks) => ranks.pulse().beat(),
                    None => return,
                }
                std::thread::park_timeout(BEAT);
            }
        };
        // Without the thread, what takes long counts as a hang.
        let thread = std::thread::Builder::new().name("ready".into()).spawn(beat).ok();
        GetsReady { done, thread }
    }
}

impl Drop for GetsReady {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
