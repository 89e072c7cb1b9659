//! Small messages over a connection: a length of four bytes, then JSON. Never a byte more is read than messages have, so the
//! connection can carry other bytes behind them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::poll::{Interest, wait};

/// More is no message: a stranger's first four bytes are mostly a larger number.
const MOST: usize = 1 << 20;
/// Longest wait at once; who waits looks at other things between.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A connection that does not block.
pub(super) struct Wire {
    stream: TcpStream,
    /// What has come of the next message, with its length.
    came: Vec<u8>,
}

impl Wire {
    /// Takes a connection.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream, came: Vec::new() })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection, for other bytes.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends a message, within so long.
    pub(super) fn send<T: Serialize>(&mut self, message: &T, limit: Duration) -> io::Result<()> {
        let text = serde_json::to_vec(message).map_err(io::Error::other)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let bytes = [&length.to_be_bytes()[..], &text].concat();
        let (mut sent, until) = (0, Instant::now() + limit);
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) if Instant::now() >= until => return Err(ErrorKind::TimedOut.into()),
                Err(_) => wait(&[Interest { stream: &self.stream, read: false, write: true }], TICK),
            }
        }
        Ok(())
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// Where the connection has ended, or carries no messages.
    pub(super) fn try_receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            let wanted = self.wanted()?;
            if self.came.len() >= 4 && wanted == self.came.len() {
                let message = serde_json::from_slice(&self.came[4..]);
                self.came.clear();
                return message.map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
            }
            let before = self.came.len();
            self.came.resize(wanted, 0);
            let read = self.stream.read(&mut self.came[before..]);
            self.came.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the next message, until then.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, until: Instant) -> io::Result<T> {
        loop {
            if let Some(message) = self.try_receive()? {
                return Ok(message);
            }
            if Instant::now() >= until {
                return Err(ErrorKind::TimedOut.into());
            }
            wait(&[Interest { stream: &self.stream, read: true, write: false }], TICK);
        }
    }

    /// How many bytes the message has with its length, as far as that is known.
    fn wanted(&self) -> io::Result<usize> {
        let Some(length) = self.came.first_chunk::<4>() else { return Ok(4) };
        match u32::from_be_bytes(*length) as usize {
            0 => Err(ErrorKind::InvalidData.into()),
            length if length > MOST => Err(ErrorKind::InvalidData.into()),
            length => Ok(4 + length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> [TcpStream; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let one = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        [one, listener.accept().expect("accepted").0]
    }

    #[test]
    fn messages_arrive_and_not_a_byte_behind_them_is_read() {
        let [one, other] = pair();
        let (mut one, mut other) = (Wire::new(one).expect("a wire"), Wire::new(other).expect("a wire"));
        one.send(&"hello", TICK).expect("sent");
        one.send(&7, TICK).expect("sent");
        one.stream().write_all(b"raw").expect("sent");
        let until = Instant::now() + Duration::from_secs(10);
        assert_eq!(other.receive::<String>(until).expect("a text"), "hello");
        assert_eq!(other.receive::<u32>(until).expect("a number"), 7);
        let (mut stream, mut rest) = (other.into_stream(), [0; 3]);
        stream.set_nonblocking(false).expect("a stream");
        stream.read_exact(&mut rest).expect("three bytes");
        assert_eq!(&rest, b"raw");
    }

    #[test]
    fn strangers_and_ends_are_errors() {
        let [mut one, other] = pair();
        let mut other = Wire::new(other).expect("a wire");
        let until = Instant::now() + Duration::from_millis(200);
        assert_eq!(other.receive::<u32>(until).expect_err("nothing").kind(), ErrorKind::TimedOut);
        one.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        let until = Instant::now() + Duration::from_secs(10);
        assert_eq!(other.receive::<u32>(until).expect_err("no message").kind(), ErrorKind::InvalidData);
        let [one, other] = pair();
        drop(one);
        let mut other = Wire::new(other).expect("a wire");
        assert_eq!(other.receive::<u32>(until).expect_err("the end").kind(), ErrorKind::UnexpectedEof);
    }
}
