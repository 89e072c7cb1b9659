//! Waits until one of several connections has something, without keeping a core busy.

use std::net::TcpStream;
use std::time::Duration;

/// A connection, and what it is waited for.
pub(super) struct Interest<'a> {
    pub stream: &'a TcpStream,
    /// Until it can be read, or has ended.
    pub read: bool,
    /// Until it can be written.
    pub write: bool,
}

/// Waits until one of them is ready, but no longer than that. It may return earlier for no reason: the caller tries all.
#[cfg(target_os = "linux")]
pub(super) fn wait(interests: &[Interest<'_>], limit: Duration) {
    use std::os::fd::AsRawFd;

    let mut polled: Vec<libc::pollfd> = interests
        .iter()
        .map(|interest| {
            let read = if interest.read { libc::POLLIN } else { 0 };
            let write = if interest.write { libc::POLLOUT } else { 0 };
            libc::pollfd { fd: interest.stream.as_raw_fd(), events: read | write, revents: 0 }
        })
        .collect();
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is to so many entries, which outlive the call, and the streams keep their descriptors open. What it
    // returns does not matter: an interrupted call is one that came back early.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit) };
}

/// Waits a moment. What is ready is found by trying.
#[cfg(not(target_os = "linux"))]
pub(super) fn wait(_interests: &[Interest<'_>], limit: Duration) {
    std::thread::sleep(limit.min(Duration::from_millis(1)));
}
