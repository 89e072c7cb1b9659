//! Ranks that are threads of one process: what moves bytes in tests.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::transport::Transport;
use crate::error::{Error, Result};

/// A rank with a channel to and from each of the others.
struct Local {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// So many ranks, each for a thread of its own. One that is dropped fails the others' next call.
pub fn local(size: usize) -> Vec<Box<dyn Transport>> {
    let mut to: Vec<Vec<Sender<_>>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Receiver<_>>> = (0..size).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receiver in &mut from {
            let (send, receive) = channel();
            sender.push(send);
            receiver.push(receive);
        }
    }
    let ranks = to.into_iter().zip(from).enumerate();
    ranks.map(|(rank, (to, from))| Box::new(Local { rank, to, from }) as Box<dyn Transport>).collect()
}

impl Local {
    fn send(&self, to: usize, bytes: &[u8]) -> Result<()> {
        self.to[to].send(bytes.to_vec()).map_err(|_| gone(to))
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.from[from].recv().map_err(|_| gone(from))?);
        Ok(())
    }
}

fn gone(rank: usize) -> Error {
    Error::Ranks(format!("rank {rank} has gone"))
}

impl Transport for Local {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn describe(&self) -> String {
        "threads".to_owned()
    }

    fn all_to_all(&mut self, sent: &[u8], received: &mut [u8]) -> Result<()> {
        let chunk = sent.len() / self.size();
        for rank in 0..self.size() {
            self.send(rank, &sent[rank * chunk..][..chunk])?;
        }
        (0..self.size()).try_for_each(|rank| self.receive(rank, &mut received[rank * chunk..][..chunk]))
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        (0..self.size()).try_for_each(|rank| self.send(rank, own))?;
        let len = own.len();
        (0..self.size()).try_for_each(|rank| self.receive(rank, &mut all[rank * len..][..len]))
    }

    fn broadcast(&mut self, bytes: &mut [u8]) -> Result<()> {
        if self.rank == 0 {
            return (1..self.size()).try_for_each(|rank| self.send(rank, bytes));
        }
        self.receive(0, bytes)
    }
}
