//! For tests: a server on the loopback interface that answers as each test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// 100,000 bytes that repeat every 251.
pub(super) fn content() -> Vec<u8> {
    (0..100_000).map(|i| (i % 251) as u8).collect()
}

/// How the server answers one connection.
#[derive(Clone)]
pub(super) enum Answer {
    /// Honours ranges, sends at most that many bytes, then hangs up.
    Ranges { most: usize },
    /// Always the whole content, as status 200.
    Whole(Vec<u8>),
    /// That status, nothing else.
    Status(u16),
    /// That status and headers, each with its line's end.
    Head(u16, String),
}

/// Serves one connection per answer; reports the first byte of each request's range.
pub(super) fn serve(answers: Vec<Answer>) -> (String, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/set.bin", listener.local_addr().expect("bound"));
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut socket, _)) = listener.accept() else { return };
            let mut from = 0;
            for line in BufReader::new(&socket).lines() {
                let Ok(line) = line else { break };
                let lower = line.to_ascii_lowercase();
                if let Some(range) = lower.strip_prefix("range: bytes=") {
                    from = range.trim_end_matches('-').parse().expect("our own client's range");
                }
                if line.is_empty() {
                    break;
                }
            }
            let _ = sender.send(from);
            // The client may hang up early: then there is nobody to answer.
            let _ = socket.write_all(&respond(answer, from));
        }
    });
    (url, requests)
}

fn respond(answer: Answer, from: usize) -> Vec<u8> {
    let (status, extra, length, body) = match answer {
        Answer::Ranges { most } => {
            let all = content();
            let end = all.len().min(from + most);
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let range = format!("Content-Range: bytes {from}-{}/{}\r\n", all.len() - 1, all.len());
            (status.to_string(), range, all.len() - from, all[from..end].to_vec())
        }
        Answer::Whole(body) => ("200 OK".to_string(), String::new(), body.len(), body),
        Answer::Status(code) => (format!("{code} No"), String::new(), 0, Vec::new()),
        Answer::Head(code, headers) => (format!("{code} So"), headers, 0, Vec::new()),
    };
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{extra}\r\n")
            .into_bytes();
    bytes.extend(body);
    bytes
}
