//! What all calls share, and how they say how far they are.

use std::io::Write;
use std::path::PathBuf;

use crate::rows::Row;

/// What all calls share.
#[derive(Debug)]
pub struct Args {
    /// The peers' program.
    pub peers: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    /// Our program.
    pub resnetc: PathBuf,
    /// Peers to consider; all when empty.
    pub against: Vec<String>,
    /// Calls of each side.
    pub rounds: u16,
    /// Timed runs of each call; by row where none is given.
    pub runs: Option<u16>,
    /// Threads of both sides.
    pub threads: u16,
}

/// Progress.
pub fn say(row: &Row, text: &str) {
    tell(&format!("{}: {text}", row.name));
}

/// A line on standard error; where nobody can read it there is nobody to tell so.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
