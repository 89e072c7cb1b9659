//! What a server says of a file before it is fetched.

use ureq::http::HeaderMap;

use super::fetch::agent;

/// Addresses that are gone through from one to the next.
const REDIRECTS: usize = 5;

/// What is known of a file on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Bytes.
    pub size: u64,
    /// Of Hugging Face's hub: the commit that the file is of.
    pub commit: Option<String>,
    /// Which content it is: of large files on Hugging Face's hub, their SHA-256.
    pub etag: Option<String>,
}

/// Why nothing is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No server answers.
    Unreachable(String),
    /// The server's status.
    Status(u16),
    /// The server says too little.
    Incomplete(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Unreachable(why) | Refusal::Incomplete(why) => f.write_str(why),
            Refusal::Status(401 | 403) => {
                f.write_str("the server wants to know who asks (HF_TOKEN), or does not let you")
            }
            Refusal::Status(status) => write!(f, "the server answers {status}"),
        }
    }
}

/// Asks for a file's size and what the server calls its content, without fetching it. A token goes to the server of that address
/// alone. The hub's own headers count where it sends on to where the content lies.
///
/// # Errors
/// See [`Refusal`].
pub fn ask(url: &str, token: Option<&str>) -> Result<Asked, Refusal> {
    let agent = agent(0);
    let (mut address, mut asked) = (url.to_owned(), Known::default());
    for _ in 0..=REDIRECTS {
        let mut request = agent.head(&address);
        if let Some(token) = token.filter(|_| origin(&address) == origin(url)) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|e| Refusal::Unreachable(e.to_string()))?;
        let (status, headers) = (response.status().as_u16(), response.headers());
        asked.read(headers, status);
        match status {
            200..=299 => return asked.complete(),
            // Where the content lies does not matter any more.
            300..=399 if asked.linked => return asked.complete(),
            301 | 302 | 303 | 307 | 308 => address = next(&address, headers)?,
            status => return Err(Refusal::Status(status)),
        }
    }
    Err(Refusal::Incomplete("the server sends from one address to the next without end".into()))
}

/// What the headers so far have said.
#[derive(Default)]
struct Known {
    size: Option<u64>,
    commit: Option<String>,
    etag: Option<String>,
    /// Whether the size is that of the content elsewhere.
    linked: bool,
}

impl Known {
    fn read(&mut self, headers: &HeaderMap, status: u16) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let tag = |text: &str| text.trim_start_matches("W/").trim_matches('"').to_owned();
        if let Some(size) = text("x-linked-size").and_then(|size| size.parse().ok()) {
            (self.size, self.linked) = (Some(size), true);
        }
        if (200..300).contains(&status) && self.size.is_none() {
            self.size = text("content-length").and_then(|size| size.parse().ok());
        }
        self.commit = self.commit.take().or_else(|| text("x-repo-commit").map(str::to_owned));
        let etag = text("x-linked-etag").or_else(|| text("etag").filter(|_| !self.linked));
        self.etag = etag.map(tag).or_else(|| self.etag.take());
    }

    fn complete(self) -> Result<Asked, Refusal> {
        let Known { size, commit, etag, .. } = self;
        let size =
            size.ok_or_else(|| Refusal::Incomplete("the server does not say how long the file is".into()))?;
        Ok(Asked { size, commit, etag })
    }
}

/// Scheme and server of an address.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    &url[..end]
}

/// Where a redirection leads.
fn next(address: &str, headers: &HeaderMap) -> Result<String, Refusal> {
    let location = headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match location {
        absolute if absolute.starts_with("https://") || absolute.starts_with("http://") => {
            Ok(absolute.to_owned())
        }
        path if path.starts_with('/') && !path.starts_with("//") => Ok(format!("{}{path}", origin(address))),
        other => Err(Refusal::Incomplete(format!("the server sends on to `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loopback::{Answer, serve};

    fn heads(heads: &[(u16, &str)]) -> (String, std::sync::mpsc::Receiver<usize>) {
        serve(heads.iter().map(|(status, headers)| Answer::Head(*status, (*headers).to_owned())).collect())
    }

    #[test]
    fn the_hub_says_what_lies_elsewhere() {
        let headers = "X-Linked-Size: 102\r\nX-Linked-Etag: \"abc\"\r\nETag: \"other\"\r\nX-Repo-Commit: 0f\r\n\
                       Location: https://elsewhere.invalid/x\r\n";
        let (url, _requests) = heads(&[(302, headers)]);
        let asked = ask(&url, None).expect("it says enough");
        assert_eq!(asked, Asked { size: 102, commit: Some("0f".into()), etag: Some("abc".into()) });
    }

    #[test]
    fn sizes_are_found_behind_redirections() {
        let (url, _requests) = heads(&[(307, "Location: /renamed\r\n"), (200, "ETag: W/\"d\"\r\n")]);
        // The loopback server's own length.
        assert_eq!(ask(&url, Some("t")), Ok(Asked { size: 0, commit: None, etag: Some("d".into()) }));
        let (url, _requests) = heads(&[(302, "Location: /a\r\n"); 6]);
        assert!(matches!(ask(&url, None), Err(Refusal::Incomplete(why)) if why.contains("without end")));
        let (url, _requests) = heads(&[(302, "Location: file:///etc/passwd\r\n")]);
        assert!(matches!(ask(&url, None), Err(Refusal::Incomplete(_))));
    }

    #[test]
    fn refusals_are_told_apart() {
        let (url, _requests) = heads(&[(404, ""), (401, "")]);
        assert_eq!(ask(&url, None), Err(Refusal::Status(404)));
        assert!(ask(&url, None).expect_err("no token").to_string().contains("HF_TOKEN"));
        assert!(matches!(ask("http://127.0.0.1:1/x", None), Err(Refusal::Unreachable(_))));
    }

    #[test]
    fn origins_are_servers() {
        assert_eq!(origin("https://a.b:1/c/d"), "https://a.b:1");
        assert_eq!(origin("http://a"), "http://a");
    }
}
