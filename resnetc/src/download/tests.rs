//! Published weights from a server on the loopback interface.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// `abc`, whose SHA-256 is known from FIPS 180-2.
const CONTENT: &str = "abc";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server that has some answers by path, and keeps what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Status, headers, content.
type Answer = (u16, String, &'static str);

impl Server {
    fn new(answers: BTreeMap<String, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let lines = BufReader::new(&socket).lines().map_while(Result::ok);
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let Some((method, rest)) = lines.first().and_then(|line| line.split_once(' ')) else {
                    continue;
                };
                let path = rest.split(' ').next().unwrap_or_default();
                let secret = lines.iter().find(|line| line.to_lowercase().starts_with("authorization"));
                let said = secret.and_then(|line| line.split(": ").nth(1)).unwrap_or("nobody");
                kept.lock().expect("nobody panics").push(format!("{method} {path} {said}"));
                let (status, headers, content) =
                    answers.get(path).cloned().unwrap_or((404, String::new(), ""));
                let body = if method == "HEAD" { "" } else { content };
                let length = content.len();
                let head = format!(
                    "HTTP/1.1 {status} So\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
                );
                let _ = socket.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Server { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panics"))
    }
}

/// One that has a repository `a/b` as the hub answers: what lies elsewhere is sent on to.
fn hub(file: &str) -> Server {
    let headers = format!(
        "X-Repo-Commit: {COMMIT}\r\nX-Linked-Size: 3\r\nX-Linked-Etag: \"{SHA256}\"\r\nLocation: /content\r\n"
    );
    let answers = [
        (format!("/a/b/resolve/main/{file}"), (302, headers, "")),
        ("/content".into(), (200, String::new(), CONTENT)),
    ];
    Server::new(answers.into())
}

fn downloads(folder: &Path, url: &str, offline: bool) -> Downloads {
    let (cache, endpoint) = (Some(folder.join("hub")), Some(url.to_owned()));
    let hub = Hub { cache, endpoint, token: Some(Token("hf_x".into())), offline };
    Downloads { folder: Some(folder.join("weights")), mirror: Some(url.to_owned()), hub }
}

fn find(network: &str, name: &str, downloads: &Downloads) -> Result<PathBuf> {
    locate(&[network], Path::new(name), downloads, &mut |_| ())
}

fn message(network: &str, name: &str, downloads: &Downloads) -> String {
    find(network, name, downloads).expect_err("not there").to_string()
}

#[test]
fn what_is_no_name_is_a_path() {
    for path in ["x.pth", "./timm", "hf", "hf/x", "C:\\x", "a/torchvision"] {
        assert!(!is_published(Path::new(path)), "{path}");
        assert_eq!(find("resnet18", path, &Downloads::default()).expect("itself"), Path::new(path));
    }
}

#[test]
fn networks_have_their_published_files() {
    let file = |version| published(&["resnet50"], version).expect("published").file;
    assert_eq!(file(None), "resnet50-11ad3fa6.pth");
    assert_eq!(file(Some("V1")), "resnet50-0676ba61.pth");
    assert_eq!(file(Some("IMAGENET1K_V2")), file(Some("DEFAULT")));
    // A spec of one's own has those of what it extends.
    let mine = published(&["mine", "resnet50", "resnet18"], None).expect("published");
    assert_eq!(mine.file, file(None));
    let error = message("resnet18", "torchvision:V2", &Downloads::default());
    assert_eq!(error, "torchvision has no V2 of resnet18; it has torchvision:V1");
    let error = message("resnet20", "timm", &Downloads::default());
    assert!(
        error.contains("timm has published no weights for `resnet20`") && error.contains("seresnet50"),
        "{error}"
    );
    let error = message("resnet20", "torchvision", &Downloads::default());
    assert!(error.contains("they are for resnet18, resnet34, resnet50, resnet101"), "{error}");
    let error = message("resnet20", "hf:nobody", &Downloads::default());
    assert!(error.contains("`nobody` is no repository: write hf:OWNER/NAME"), "{error}");
}

#[test]
fn files_of_torchvision_are_fetched_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::new([("/t-ba7816bf.pth".into(), (200, String::new(), CONTENT))].into());
    let from = downloads(folder.path(), &server.url, false);
    let of = Published { network: "t", version: "V1", file: "t-ba7816bf.pth" };
    for _ in 0..2 {
        let path = torchvision(&of, &from, &mut |_| ()).expect("served");
        assert_eq!(files::read_text(&path, 9).expect("there"), CONTENT);
    }
    // No token for a server that is not the hub.
    assert_eq!(server.asked(), ["HEAD /t-ba7816bf.pth nobody", "GET /t-ba7816bf.pth nobody"]);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::new([("/resnet18-f37072fd.pth".into(), (200, String::new(), CONTENT))].into());
    let error = message("resnet18", "torchvision", &downloads(folder.path(), &server.url, false));
    assert!(error.contains("its SHA-256 is ba7816bf") && error.contains("f37072fd was expected"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("weights")).expect("made").count(), 0);
}

#[test]
fn the_hub_is_asked_and_kept_as_its_own_programs_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = hub("model.safetensors");
    let from = downloads(folder.path(), &server.url, false);
    let path = find("any", "hf:a/b", &from).expect("served");
    let cache = folder.path().join("hub/models--a--b");
    assert_eq!(path, cache.join("snapshots").join(COMMIT).join("model.safetensors"));
    assert_eq!(files::read_text(&path, 9).expect("there"), CONTENT);
    assert_eq!(files::read_text(&cache.join("refs/main"), 99).expect("there"), COMMIT);
    #[cfg(unix)]
    assert_eq!(fs::read_link(&path).expect("a link"), Path::new("../../blobs").join(SHA256));
    let file = "/a/b/resolve/main/model.safetensors";
    let [head, get] = ["HEAD", "GET"].map(|method| format!("{method} {file} Bearer hf_x"));
    let asked = server.asked();
    assert_eq!(asked[..2], [head.clone(), get]);
    // It is asked whether there is a newer one, and nothing is fetched.
    assert_eq!(find("any", "hf:a/b", &from).expect("the same"), path);
    assert_eq!(server.asked(), [head]);
    // Without a network, or where none is wanted, what is there counts.
    for (url, offline) in [("http://127.0.0.1:1", false), (server.url.as_str(), true)] {
        assert_eq!(find("any", "hf:a/b", &downloads(folder.path(), url, offline)).expect("kept"), path);
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn the_older_name_is_asked_for_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = hub("pytorch_model.bin");
    let path = find("any", "hf:a/b", &downloads(folder.path(), &server.url, false)).expect("served");
    assert!(path.ends_with("pytorch_model.bin"), "{}", path.display());
}

/// The message says what would be fetched from where, and where a person can put it; then it is found there.
#[test]
fn without_a_network_files_are_put_there_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = downloads(folder.path(), "http://127.0.0.1:1", false);
    let cases = [
        ("torchvision:V1", "http://127.0.0.1:1/resnet50-0676ba61.pth", "weights/resnet50-0676ba61.pth"),
        (
            "timm",
            "http://127.0.0.1:1/timm/resnet50.a1_in1k/resolve/main/model.safetensors",
            "hub/models--timm--resnet50.a1_in1k/snapshots/main/model.safetensors",
        ),
        (
            "hf:a/b@v1",
            "http://127.0.0.1:1/a/b/resolve/v1/model.safetensors",
            "hub/models--a--b/snapshots/v1/model.safetensors",
        ),
    ];
    for (name, url, place) in cases {
        let (error, place) = (message("resnet50", name, &from), folder.path().join(place));
        let parent = place.parent().expect("a folder").to_owned();
        for part in [format!("cannot fetch {url}: "), format!("into {} by hand", parent.display())] {
            assert!(error.contains(&part), "{error}\n{part}");
        }
        fs::create_dir_all(parent).and_then(|()| fs::write(&place, CONTENT)).expect("writable");
        assert_eq!(find("resnet50", name, &from).expect("by hand"), place);
    }
    let offline = downloads(folder.path(), "http://127.0.0.1:1", true);
    assert!(message("any", "hf:c/d", &offline).contains("HF_HUB_OFFLINE is set, and "));
}

#[test]
fn servers_that_are_no_hub_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for headers in [String::new(), format!("X-Repo-Commit: ../../x\r\nETag: \"{SHA256}\"\r\n")] {
        let server =
            Server::new([("/a/b/resolve/main/model.safetensors".into(), (200, headers, CONTENT))].into());
        let error = message("any", "hf:a/b", &downloads(folder.path(), &server.url, false));
        assert!(error.contains("names no commit or no content"), "{error}");
    }
}
