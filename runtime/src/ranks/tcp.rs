//! Ranks that are connected pairwise by TCP: for launches without MPI, and across hosts whose network an MPI does not drive by itself.
//!
//! Sends and receives of a call go on at the same time over sockets that do not block, so no order of ranks can stop them. Each
//! message has a head that says which call it belongs to; ranks that are not in the same call are an error, no wrong sum.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::poll::{Interest, wait};
use super::transport::Transport;
use super::wire::TICK;
use crate::error::{Error, Result};

/// Number of the call and bytes of the message.
const HEAD: usize = 16;

/// The connection to another rank.
pub(super) struct Peer {
    pub rank: usize,
    pub host: String,
    pub stream: TcpStream,
}

/// All connections of a rank.
pub(super) struct Tcp {
    rank: usize,
    /// The others, by their numbers.
    peers: Vec<Peer>,
    fault: Arc<Fault>,
    /// Longest time in which nothing comes or goes.
    limit: Duration,
    /// How the ranks found each other, for reports.
    label: String,
    /// Calls until now.
    calls: u64,
    /// What failed; nothing goes on behind it.
    failed: Option<String>,
}

/// What a call has to send to a rank and to receive from it.
struct Exchange<'a> {
    peer: &'a mut Peer,
    head: [u8; HEAD],
    sent: &'a [u8],
    /// Of head and `sent`.
    gone: usize,
    head_received: [u8; HEAD],
    received: &'a mut [u8],
    /// Of head and `received`.
    come: usize,
    /// Whether anything is sent, and anything received.
    ways: [bool; 2],
}

impl Tcp {
    pub(super) fn new(rank: usize, peers: Vec<Peer>, fault: Arc<Fault>, limit: Duration) -> Self {
        Tcp { rank, peers, fault, limit, label: "TCP".to_owned(), calls: 0, failed: None }
    }

    /// The same among ranks that something else brought together.
    #[cfg(feature = "mpi")]
    pub(super) fn met_by(self, what: &str) -> Self {
        Tcp { label: format!("TCP, met by {what}"), ..self }
    }

    /// Sends and receives what a function gives for each peer: nothing, where a way is not used.
    fn exchange<'a>(
        &mut self,
        mut parts: impl FnMut(usize) -> (Option<&'a [u8]>, Option<&'a mut [u8]>),
    ) -> Result<()> {
        if let Some(failed) = &self.failed {
            return Err(Error::Ranks(failed.clone()));
        }
        self.calls += 1;
        let call = self.calls;
        let exchanges = self.peers.iter_mut().map(|peer| {
            let (sent, received) = parts(peer.rank);
            Exchange::new(peer, call, sent, received)
        });
        let mut exchanges: Vec<_> = exchanges.collect();
        let done = run(&mut exchanges, &self.fault, self.limit);
        done.inspect_err(|error| self.failed = Some(error.to_string()))
    }
}

/// Moves all bytes of a call.
fn run(exchanges: &mut [Exchange<'_>], fault: &Fault, limit: Duration) -> Result<()> {
    let mut moved = Instant::now();
    loop {
        let mut progress = false;
        for exchange in &mut *exchanges {
            progress |= exchange.step().map_err(|error| fault.explain(exchange.lost(&error)))?;
        }
        let left: Vec<&Exchange<'_>> = exchanges.iter().filter(|exchange| !exchange.done()).collect();
        if left.is_empty() {
            return Ok(());
        }
        fault.check()?;
        if progress {
            moved = Instant::now();
            continue;
        }
        if moved.elapsed() > limit {
            let ranks: Vec<String> = left.iter().map(|exchange| exchange.peer.name()).collect();
            let text = format!("nothing comes or goes for {} s: {}", limit.as_secs(), ranks.join(", "));
            return Err(fault.explain(text));
        }
        let interests: Vec<Interest<'_>> = left.iter().map(|exchange| exchange.interest()).collect();
        wait(&interests, TICK);
    }
}

impl Peer {
    fn name(&self) -> String {
        format!("rank {} on {}", self.rank, self.host)
    }
}

impl<'a> Exchange<'a> {
    fn new(peer: &'a mut Peer, call: u64, sent: Option<&'a [u8]>, received: Option<&'a mut [u8]>) -> Self {
        let ways = [sent.is_some(), received.is_some()];
        let (sent, received) = (sent.unwrap_or_default(), received.unwrap_or_default());
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&call.to_le_bytes());
        head[8..].copy_from_slice(&(sent.len() as u64).to_le_bytes());
        Exchange { peer, head, sent, gone: 0, head_received: [0; HEAD], received, come: 0, ways }
    }

    fn to_send(&self) -> bool {
        self.ways[0] && self.gone < HEAD + self.sent.len()
    }

    fn to_receive(&self) -> bool {
        self.ways[1] && self.come < HEAD + self.received.len()
    }

    fn done(&self) -> bool {
        !self.to_send() && !self.to_receive()
    }

    fn interest(&self) -> Interest<'_> {
        Interest { stream: &self.peer.stream, read: self.to_receive(), write: self.to_send() }
    }

    /// Moves what can be moved now; whether that was anything.
    fn step(&mut self) -> io::Result<bool> {
        let sent = if self.to_send() { unblocked(self.write())? } else { 0 };
        let received = if self.to_receive() { unblocked(self.read())? } else { 0 };
        Ok(sent + received > 0)
    }

    fn write(&mut self) -> io::Result<usize> {
        let head = &self.head[self.gone.min(HEAD)..];
        let rest = &self.sent[self.gone.saturating_sub(HEAD)..];
        let count = self.peer.stream.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)])?;
        self.gone += count;
        Ok(count)
    }

    /// Reads of this message alone: what stands behind it belongs to the next call.
    fn read(&mut self) -> io::Result<usize> {
        let into = match self.come.checked_sub(HEAD) {
            None => &mut self.head_received[self.come..],
            Some(come) => &mut self.received[come..],
        };
        let count = self.peer.stream.read(into)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.come += count;
        if self.come == HEAD {
            self.check_head()?;
        }
        Ok(count)
    }

    fn check_head(&self) -> io::Result<()> {
        let [call, len] = [&self.head_received[..8], &self.head_received[8..]]
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes are a number")));
        let expected = u64::from_le_bytes(self.head[..8].try_into().expect("eight bytes are a number"));
        if (call, len) == (expected, self.received.len() as u64) {
            return Ok(());
        }
        let text = format!(
            "it sends {len} bytes in call {call} where {} are expected in call {expected}: the ranks do not do the same",
            self.received.len()
        );
        Err(io::Error::new(ErrorKind::InvalidData, text))
    }

    /// What is said of a connection with this error.
    fn lost(&self, error: &io::Error) -> String {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                format!("{} has gone", self.peer.name())
            }
            _ => format!("{}: {error}", self.peer.name()),
        }
    }
}

/// Bytes that were moved: none where that would block.
fn unblocked(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        moved => moved,
    }
}

impl Transport for Tcp {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.peers.len() + 1
    }

    fn describe(&self) -> String {
        self.label.clone()
    }

    fn all_to_all(&mut self, sent: &[u8], received: &mut [u8]) -> Result<()> {
        let (rank, size) = (self.rank, self.size());
        let chunk = sent.len() / size;
        received[rank * chunk..][..chunk].copy_from_slice(&sent[rank * chunk..][..chunk]);
        let mut places = cut(received, chunk, size);
        self.exchange(|peer| (Some(&sent[peer * chunk..][..chunk]), places[peer].take()))
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        let (rank, size) = (self.rank, self.size());
        all[rank * own.len()..][..own.len()].copy_from_slice(own);
        let mut places = cut(all, own.len(), size);
        self.exchange(|peer| (Some(own), places[peer].take()))
    }

    fn broadcast(&mut self, bytes: &mut [u8]) -> Result<()> {
        if self.rank == 0 {
            let bytes: &[u8] = bytes;
            return self.exchange(|_| (Some(bytes), None));
        }
        let mut place = Some(bytes);
        self.exchange(|peer| (None, if peer == 0 { place.take() } else { None }))
    }
}

/// Chunks of one length, each to be taken once.
fn cut(bytes: &mut [u8], chunk: usize, size: usize) -> Vec<Option<&mut [u8]>> {
    let mut rest = bytes;
    let mut chunks = Vec::with_capacity(size);
    for _ in 0..size {
        let (first, others) = rest.split_at_mut(chunk);
        chunks.push(Some(first));
        rest = others;
    }
    chunks
}
