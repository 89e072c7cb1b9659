//! Fetches an archive over HTTP: resumed where it was cut, its size and checksum verified.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checksum::Checksum;
use crate::error::{Error, Result};
use crate::files;
use crate::lock::Lock;

/// A file on a server.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// Its address.
    pub url: &'a str,
    /// Bytes.
    pub size: u64,
    /// What the publisher names.
    pub checksum: Checksum<'a>,
    /// What proves to the server who asks. It goes to no other server that this one sends on to.
    pub token: Option<&'a str>,
}

impl<'a> Remote<'a> {
    /// Last part of the address.
    pub fn file_name(&self) -> &'a str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Fetch { url: self.url.to_string(), reason: reason.into() }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// Connections tried before giving up; each goes on where the one before was cut.
const ATTEMPTS: usize = 3;
/// Addresses that one connection may be sent on to.
const REDIRECTS: u32 = 10;

/// Where what has come so far is kept.
pub(super) fn part_of(target: &Path) -> PathBuf {
    beside(target, ".part")
}

fn beside(target: &Path, end: &str) -> PathBuf {
    let mut path = target.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// As [`fetch`], where other processes may fetch into the same target: one does, the others wait for it.
///
/// # Errors
/// See [`fetch`].
pub fn fetch_once(remote: &Remote<'_>, target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    if let Some(dir) = target.parent() {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
    }
    let (path, part) = (beside(target, ".lock"), part_of(target));
    let mut others = || {
        let done = fs::metadata(&part).map_or(0, |part| part.len());
        progress(Progress { done, total: remote.size });
    };
    let _lock = Lock::take(&path, &mut others).map_err(Error::io(&path))?;
    fetch(remote, target, progress)
}

/// Fetches into `target`, unless it is there and whole. What has come so far is kept in `target` + `.part`. One process at a
/// time may fetch into a target.
///
/// # Errors
/// [`Error::Fetch`] with the reason: no network, the server's status, a wrong size or checksum (the part file is then
/// removed, so that the next try starts anew). [`Error::Io`] where the disk fails, or one of the two is no regular file.
pub fn fetch(remote: &Remote<'_>, target: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    if files::size(target).map_err(Error::io(target))?.is_some() && check(remote, target)?.is_none() {
        return Ok(());
    }
    if let Some(dir) = target.parent() {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
    }
    let part = part_of(target);
    download(remote, &part, progress)?;
    if let Some(reason) = check(remote, &part)? {
        fs::remove_file(&part).map_err(Error::io(&part))?;
        return Err(remote.error(reason));
    }
    fs::rename(part, target).map_err(Error::io(target))
}

/// Brings the part file to its full size.
fn download(remote: &Remote<'_>, part: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let agent = agent(REDIRECTS);
    let mut fault = None;
    for _ in 0..ATTEMPTS {
        match attempt(&agent, remote, part, progress) {
            Ok(()) => return Ok(()),
            Err(Stop::Cut(reason)) => fault = Some(reason),
            Err(Stop::Final(e)) => return Err(e),
        }
    }
    Err(remote.error(fault.unwrap_or_default()))
}

/// What asks servers, and follows so many redirections.
pub(super) fn agent(redirects: u32) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .max_redirects(redirects)
        .build()
        .into()
}

/// Why one connection ended early.
enum Stop {
    /// Worth another try.
    Cut(String),
    /// Not.
    Final(Error),
}

/// One connection: asks for the bytes that the part file lacks and appends them.
fn attempt(
    agent: &ureq::Agent,
    remote: &Remote<'_>,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> std::result::Result<(), Stop> {
    let part_size = files::size(part).map_err(|e| Stop::Final(Error::io(part)(e)))?;
    let mut have = part_size.unwrap_or(0);
    if have > remote.size {
        have = 0;
    }
    if have == remote.size {
        return Ok(());
    }
    let mut request = agent.get(remote.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    if let Some(token) = remote.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let response = request.call().map_err(|e| Stop::Cut(e.to_string()))?;
    match response.status().as_u16() {
        206 if range_starts_at(response.headers().get("content-range"), have) => (),
        // The server knows no ranges and sends everything.
        200 => have = 0,
        206 => return Err(Stop::Final(remote.error("the server sent another range than the one asked for"))),
        status @ 500..=599 => return Err(Stop::Cut(format!("the server answers {status}"))),
        status => return Err(Stop::Final(remote.error(format!("the server answers {status}")))),
    }
    let file = open_at(part, have).map_err(|e| Stop::Final(Error::io(part)(e)))?;
    receive(response.into_body().into_reader(), file, have, remote, part, progress)
}

/// Whether a `Content-Range: bytes FIRST-LAST/SIZE` begins where we stopped.
fn range_starts_at(header: Option<&ureq::http::HeaderValue>, have: u64) -> bool {
    header
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.strip_prefix("bytes "))
        .and_then(|text| text.split('-').next())
        .is_some_and(|first| first.parse() == Ok(have))
}

/// Opens for appending after the first `have` bytes.
fn open_at(part: &Path, have: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(part)?;
    file.set_len(have)?;
    Ok(file)
}

/// Appends what comes until the file has its size; more than that is never written.
fn receive(
    mut body: impl Read,
    mut file: File,
    have: u64,
    remote: &Remote<'_>,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> std::result::Result<(), Stop> {
    let mut done = have;
    let mut buffer = vec![0u8; 1 << 16];
    progress(Progress { done, total: remote.size });
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) if done == remote.size => return Ok(()),
            Ok(0) => return Err(Stop::Cut(format!("cut off after {done} of {} bytes", remote.size))),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => {
                return Err(Stop::Cut(format!("cut off after {done} of {} bytes: {e}", remote.size)));
            }
        };
        if done + n as u64 > remote.size {
            let reason = format!("the server sends more than the {} bytes expected", remote.size);
            return Err(Stop::Final(remote.error(reason)));
        }
        file.write_all(&buffer[..n]).map_err(|e| Stop::Final(Error::io(part)(e)))?;
        done += n as u64;
        progress(Progress { done, total: remote.size });
    }
}

/// Compares size and checksum; what is wrong with the file, if anything is.
pub(super) fn check(remote: &Remote<'_>, path: &Path) -> Result<Option<String>> {
    let (mut file, size) = files::open(path).map_err(Error::io(path))?;
    if size != remote.size {
        return Ok(Some(format!("it has {size} bytes, {} were expected", remote.size)));
    }
    remote.checksum.fault(&mut file).map_err(Error::io(path))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
