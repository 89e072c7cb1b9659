//! Downloads from a server on the loopback interface.

use std::net::TcpListener;
use std::sync::mpsc::Receiver;

use super::*;
use crate::data::loopback::{Answer, content, serve};

const MD5: &str = "28cb595c158e9b74e34ae9e8da710fff";

struct Attempt {
    dir: tempfile::TempDir,
    requests: Receiver<usize>,
    url: String,
}

impl Attempt {
    fn new(answers: Vec<Answer>) -> Self {
        let (url, requests) = serve(answers);
        Attempt { dir: tempfile::tempdir().expect("temp folder"), requests, url }
    }

    fn fetch(&self) -> Result<()> {
        let remote = Remote { url: &self.url, size: 100_000, checksum: Checksum::Md5(MD5), token: None };
        fetch(&remote, &self.dir.path().join("set.bin"), &mut |_| ())
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join(name)).ok()
    }
}

#[test]
fn fetches_whole_and_reports_progress() {
    let attempt = Attempt::new(vec![Answer::Whole(content())]);
    let remote = Remote { url: &attempt.url, size: 100_000, checksum: Checksum::Md5(MD5), token: None };
    let mut seen = Vec::new();
    fetch(&remote, &attempt.dir.path().join("set.bin"), &mut |p| seen.push(p)).expect("served");
    assert_eq!(attempt.file("set.bin"), Some(content()));
    assert_eq!(attempt.file("set.bin.part"), None);
    assert_eq!(seen.first(), Some(&Progress { done: 0, total: 100_000 }));
    assert_eq!(seen.last(), Some(&Progress { done: 100_000, total: 100_000 }));
    assert!(seen.windows(2).all(|w| w[0].done < w[1].done));
    // A whole file is not fetched again: the server answers once only.
    attempt.fetch().expect("already there");
}

#[test]
fn resumes_where_it_was_cut() {
    let ranges = Answer::Ranges { most: 40_000 };
    let attempt = Attempt::new(vec![ranges.clone(), ranges.clone(), ranges]);
    attempt.fetch().expect("three connections carry it");
    assert_eq!(attempt.file("set.bin"), Some(content()));
    assert_eq!(attempt.requests.iter().collect::<Vec<_>>(), [0, 40_000, 80_000]);
}

#[test]
fn resumes_in_a_later_run_and_from_a_server_without_ranges() {
    let whole = Answer::Whole(content());
    let attempt = Attempt::new(vec![whole]);
    fs::write(attempt.dir.path().join("set.bin.part"), &content()[..1234]).expect("writable");
    attempt.fetch().expect("served");
    assert_eq!(attempt.requests.iter().collect::<Vec<_>>(), [1234]);
    assert_eq!(attempt.file("set.bin"), Some(content()));
}

#[test]
fn says_when_it_stays_cut_and_keeps_what_came() {
    let short = Answer::Ranges { most: 10_000 };
    let attempt = Attempt::new(vec![short.clone(), short.clone(), short]);
    let message = attempt.fetch().expect_err("70,000 bytes are missing").to_string();
    assert!(message.contains(&attempt.url) && message.contains("cut off after 30000 of 100000"), "{message}");
    assert_eq!(attempt.file("set.bin.part").map(|f| f.len()), Some(30_000));
    assert_eq!(attempt.file("set.bin"), None);
}

#[test]
fn refuses_a_wrong_checksum_and_forgets_the_bytes() {
    let mut wrong = content();
    wrong[5] ^= 1;
    let attempt = Attempt::new(vec![Answer::Whole(wrong)]);
    let message = attempt.fetch().expect_err("one bit differs").to_string();
    assert!(message.contains("MD5") && message.contains(MD5), "{message}");
    assert_eq!((attempt.file("set.bin"), attempt.file("set.bin.part")), (None, None));
}

#[test]
fn refuses_more_than_the_size() {
    let attempt = Attempt::new(vec![Answer::Whole(vec![0; 100_001])]);
    let message = attempt.fetch().expect_err("a byte too many").to_string();
    assert!(message.contains("more than the 100000 bytes"), "{message}");
    assert_eq!(attempt.file("set.bin"), None);
}

#[test]
fn names_the_servers_status() {
    let attempt = Attempt::new(vec![Answer::Status(404)]);
    assert!(attempt.fetch().expect_err("not found").to_string().contains("answers 404"));
}

#[test]
fn says_that_there_is_no_network() {
    // A port that was just free and has no listener any more.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/set.bin", listener.local_addr().expect("bound"));
    drop(listener);
    let dir = tempfile::tempdir().expect("temp folder");
    let remote = Remote { url: &url, size: 1, checksum: Checksum::Md5(MD5), token: None };
    let error = fetch(&remote, &dir.path().join("set.bin"), &mut |_| ()).expect_err("nobody listens");
    assert!(error.to_string().starts_with(&format!("cannot fetch {url}: ")), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_written_to() {
    for name in ["set.bin", "set.bin.part"] {
        let attempt = Attempt::new(vec![Answer::Whole(content())]);
        let pipe = attempt.dir.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
        assert!(made.success());
        let message = attempt.fetch().expect_err("a pipe").to_string();
        assert!(message.ends_with(&format!("{name}: it is a named pipe, no regular file")), "{message}");
    }
}

#[test]
fn processes_wait_for_the_one_that_fetches() {
    let attempt = Attempt::new(vec![Answer::Whole(content())]);
    let target = attempt.dir.path().join("new/set.bin");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let remote =
                    Remote { url: &attempt.url, size: 100_000, checksum: Checksum::Md5(MD5), token: None };
                fetch_once(&remote, &target, &mut |_| ()).expect("the server answers once");
            });
        }
    });
    assert_eq!(attempt.file("new/set.bin"), Some(content()));
    assert_eq!(fs::read_dir(attempt.dir.path().join("new")).expect("made").count(), 1);
}
