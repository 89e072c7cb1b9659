//! The thread of a [`super::Watch`]: what it hears, what it concludes.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Control, Options, Wish};
use super::message::Message;
use super::poll::{Interest, wait};
use super::wire::{TICK, Wire};

/// How often a rank says how far it is.
const BEAT: Duration = Duration::from_secs(1);
/// Longest wait for a connection that takes no more.
const SEND: Duration = Duration::from_secs(1);
/// How long last words are left time to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is known of a rank.
#[derive(Debug, Clone)]
struct Seen {
    step: u64,
    beats: u64,
    /// When anything came of it.
    heard: Instant,
    /// When it last did something, or waited for others.
    moved: Instant,
}

/// The connection to a rank that is watched: for rank 0 all others, for those rank 0.
pub(super) struct Link {
    rank: usize,
    host: String,
    wire: Wire,
    seen: Seen,
    /// It has said goodbye.
    left: bool,
}

/// All that the thread has.
pub(super) struct Watcher {
    rank: usize,
    size: usize,
    host: String,
    links: Vec<Link>,
    own: Seen,
    control: Arc<Control>,
    options: Options,
}

impl Seen {
    fn new() -> Self {
        let now = Instant::now();
        Seen { step: 0, beats: 0, heard: now, moved: now }
    }

    fn beat(&mut self, step: u64, beats: u64, waits: bool) {
        let now = Instant::now();
        self.heard = now;
        if waits || beats != self.beats {
            self.moved = now;
        }
        (self.step, self.beats) = (step, beats);
    }

    /// Its step, which it told up to [`BEAT`] ago, and what is said of it.
    fn says(&self, what: &str) -> String {
        format!("last heard in step {}, {what}", self.step)
    }

    /// Why it is at fault, if it is. One that has not begun to beat may take long: it makes its data ready.
    fn fault(&self, silence: Duration) -> Option<String> {
        let seconds = silence.as_secs_f64();
        if self.heard.elapsed() > silence {
            return Some(format!(
                "is not heard for {seconds} s: it is stopped, or its host or network is down"
            ));
        }
        let hangs = self.beats > 0 && self.moved.elapsed() > silence;
        hangs.then(|| format!("does nothing for {seconds} s and waits for no other rank: it hangs"))
    }
}

impl Link {
    pub(super) fn new(rank: usize, host: String, wire: Wire) -> Self {
        Link { rank, host, wire, seen: Seen::new(), left: false }
    }

    /// Where the other rank is, as this one reaches it.
    #[cfg(feature = "mpi")]
    pub(super) fn address(&self) -> io::Result<std::net::IpAddr> {
        Ok(self.wire.stream().peer_addr()?.ip().to_canonical())
    }

    /// Takes in what has come; what is at fault, if anything is.
    fn listen(&mut self, size: usize) -> Option<String> {
        loop {
            match self.wire.try_receive() {
                Ok(None) => return None,
                Ok(Some(Message::Beat { step, beats, waits })) => self.seen.beat(step, beats, waits),
                Ok(Some(Message::Failed { step, text })) => {
                    let what = format!("in step {step}, failed: {text}");
                    return Some(finding(self.rank, size, &self.host, &what));
                }
                Ok(Some(Message::Fault { text })) => return Some(text),
                Ok(Some(Message::Bye)) => {
                    self.left = true;
                    return None;
                }
                Ok(Some(Message::Hello { .. })) => {}
                Err(error) => return Some(self.says(size, &ended(&error))),
            }
        }
    }

    fn says(&self, size: usize, what: &str) -> String {
        finding(self.rank, size, &self.host, &self.seen.says(what))
    }
}

/// What is said of a rank whose connection ended.
fn ended(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "has ended without a word: it was killed, perhaps for lack of memory".to_owned()
        }
        _ => format!("is out of reach: {error}"),
    }
}

/// The error that all ranks tell.
fn finding(rank: usize, size: usize, host: &str, what: &str) -> String {
    format!(
        "rank {rank} of {size} on {host}, {what}\nAll ranks stop. The same command with `--resume` goes on from the last checkpoint."
    )
}

impl Watcher {
    pub(super) fn new(
        [rank, size]: [usize; 2],
        host: String,
        links: Vec<Link>,
        control: Control,
        options: Options,
    ) -> Self {
        control.fault.watch();
        Watcher { rank, size, host, links, own: Seen::new(), control: Arc::new(control), options }
    }

    pub(super) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// Watches until the training ends, here or elsewhere.
    pub(super) fn run(mut self) {
        let (mut beat, mut awake) = (Instant::now(), Instant::now());
        loop {
            match self.control.wish() {
                Wish::Watch => {}
                Wish::Fail(text) => return self.fail(&text),
                Wish::End if self.ended() => return last_words(self.links),
                Wish::End => {}
                Wish::Leave => return,
            }
            if awake.elapsed() > self.options.silence / 2 {
                self.sleeping_is_no_silence();
            }
            awake = Instant::now();
            let mut found = self.listen();
            if Instant::now() >= beat {
                beat = Instant::now() + BEAT;
                self.beat();
                found = found.or_else(|| self.judge());
            }
            if let Some(text) = found {
                return self.conclude(&text);
            }
        }
    }

    /// Hears the other side for a moment.
    fn listen(&mut self) -> Option<String> {
        let here = self.links.iter().filter(|link| !link.left);
        let interests: Vec<_> =
            here.map(|link| Interest { stream: link.wire.stream(), read: true, write: false }).collect();
        if interests.is_empty() {
            std::thread::sleep(TICK);
        } else {
            wait(&interests, TICK);
        }
        let size = self.size;
        self.links.iter_mut().filter(|link| !link.left).find_map(|link| link.listen(size))
    }

    /// Tells how far this rank is. A connection that takes nothing more is found when it is read.
    fn beat(&mut self) {
        let (step, beats, waits) = self.control.pulse.read();
        self.own.beat(step, beats, waits);
        self.send(|| Message::Beat { step, beats, waits });
    }

    fn send(&mut self, message: impl Fn() -> Message) {
        for link in self.links.iter_mut().filter(|link| !link.left) {
            let _ = link.wire.send(&message(), SEND);
        }
    }

    /// The first rank at fault. Rank 0 looks at itself, too; the others are looked at by it.
    fn judge(&self) -> Option<String> {
        let silence = self.options.silence;
        let own = self.own.fault(silence).filter(|_| self.rank == 0);
        let own = own.map(|what| finding(0, self.size, &self.host, &self.own.says(&what)));
        let mut here = self.links.iter().filter(|link| !link.left);
        own.or_else(|| here.find_map(|link| Some(link.says(self.size, &link.seen.fault(silence)?))))
    }

    /// This process was stopped for a while: what it did not hear then is no fault.
    fn sleeping_is_no_silence(&mut self) {
        let now = Instant::now();
        let seen = self.links.iter_mut().map(|link| &mut link.seen).chain([&mut self.own]);
        seen.for_each(|seen| (seen.heard, seen.moved) = (now, now));
    }

    /// A rank is at fault: tells all, and sees to it that this process ends.
    fn conclude(mut self, text: &str) {
        let first = self.control.fault.set(text);
        self.send(|| Message::Fault { text: text.to_owned() });
        let Options { tell, exit, grace, .. } = self.options;
        if first {
            tell(text);
        }
        let until = Instant::now() + grace;
        while self.control.wish() == Wish::Watch {
            if Instant::now() >= until {
                return exit();
            }
            std::thread::sleep(TICK / 2);
        }
        last_words(self.links);
    }

    /// This rank fails by itself: whoever calls tells the error, the others hear it.
    fn fail(mut self, text: &str) {
        let (step, ..) = self.control.pulse.read();
        if self.rank == 0 {
            let text = finding(0, self.size, &self.host, &format!("in step {step}, failed: {text}"));
            self.control.fault.set(&text);
            self.send(|| Message::Fault { text: text.clone() });
        } else {
            self.send(|| Message::Failed { step, text: text.to_owned() });
        }
        last_words(self.links);
    }

    /// All is done here. Rank 0 waits for the others, so that they do not take its end for a death.
    fn ended(&mut self) -> bool {
        if self.rank == 0 && !self.links.iter().all(|link| link.left) {
            return false;
        }
        self.send(|| Message::Bye);
        true
    }
}

/// Lets what was sent arrive: a connection that is closed with something unread loses what the other side has not read yet.
fn last_words(mut links: Vec<Link>) {
    let until = Instant::now() + LAST_WORDS;
    for link in &links {
        // It may be closed by the other side already.
        let _ = link.wire.stream().shutdown(Shutdown::Write);
    }
    while !links.is_empty() && Instant::now() < until {
        let interests: Vec<_> = links
            .iter()
            .map(|link| Interest { stream: link.wire.stream(), read: true, write: false })
            .collect();
        wait(&interests, TICK);
        links.retain_mut(|link| {
            loop {
                match link.wire.try_receive::<Message>() {
                    Ok(Some(_)) => {}
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        });
    }
}
