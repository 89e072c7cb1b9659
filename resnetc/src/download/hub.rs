//! Files of repositories on Hugging Face's hub, in the cache that its own programs use: what one has fetched, the other finds.
//!
//! `models--OWNER--NAME/` has `refs/REVISION` with a commit's number, `blobs/ETAG` with contents, and `snapshots/COMMIT/FILE`, links
//! to these. The requests are few, so that they are made here: the crate `hf-hub` would bring an asynchronous runtime, a second HTTP
//! client and a storage protocol along.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use resnetc_runtime::data::ask::{Asked, Refusal, ask};
use resnetc_runtime::data::checksum::Checksum;
use resnetc_runtime::data::fetch::{Progress, Remote, fetch_once};
use resnetc_runtime::files;
use resnetc_runtime::weights::file::write_atomic;

use super::failure::{failed, reason};
use crate::error::{Error, Result};

/// Where the hub is, unless another one is named.
const ENDPOINT: &str = "https://huggingface.co";
/// What weights are called, in the order in which they are asked for.
const FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// How the hub is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hub {
    /// The folder of its cache; `None` where no folder is known.
    pub cache: Option<PathBuf>,
    /// Its address; `None` for the public one.
    pub endpoint: Option<String>,
    /// What proves who asks, for repositories that not all may read.
    pub token: Option<Token>,
    /// Whether nothing is asked, and the cache alone counts.
    pub offline: bool,
}

/// A secret: it is not shown where options are.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A repository and which state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    owner: String,
    name: String,
    revision: String,
}

impl Repository {
    /// Of `owner/name` or `owner/name@revision`; `None` where that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = id.split_once('/')?;
        // These become names of files: nothing that leads elsewhere.
        let is_word = |word: &str| {
            let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            !word.is_empty() && !word.starts_with('.') && !word.contains("..") && word.bytes().all(known)
        };
        let right = is_word(owner) && is_word(name) && revision.split('/').all(is_word);
        right.then(|| Repository { owner: owner.into(), name: name.into(), revision: revision.into() })
    }

    fn url(&self, endpoint: &str, file: &str) -> String {
        let (Repository { owner, name, .. }, revision) = (self, self.revision.replace('/', "%2F"));
        format!("{}/{owner}/{name}/resolve/{revision}/{file}", endpoint.trim_end_matches('/'))
    }

    fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}--{}", self.owner, self.name))
    }
}

impl Hub {
    /// The weights of a repository: from the cache where it has those that the hub has now, or the hub does not answer.
    ///
    /// # Errors
    /// [`Error::Download`] where they are in neither; it says where to put them.
    pub(super) fn weights(&self, from: &Repository, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        let cache = self.cache.as_deref().ok_or_else(|| {
            let reason = "no folder is known to keep files of the hub in: set HF_HUB_CACHE, HF_HOME or HOME";
            Error::Download(reason.to_owned())
        })?;
        let folder = from.folder(cache);
        // Why nobody is asked: wanted so, or nobody answered before.
        let offline = || format!("HF_HUB_OFFLINE is set, and {} does not have it", folder.display());
        let mut silent = self.offline.then(offline);
        let mut first = None;
        for file in FILES {
            let answer = match &silent {
                Some(why) => Err(Refusal::Unreachable(why.clone())),
                None => ask(&from.url(self.endpoint(), file), self.token()),
            };
            let refusal = match answer {
                Ok(asked) => return self.bring(from, &folder, file, &asked, progress),
                Err(refusal) => refusal,
            };
            // What is here already does not need an answer.
            if let Some(path) = cached(from, &folder, file) {
                return Ok(path);
            }
            if let Refusal::Unreachable(why) = &refusal {
                silent = Some(why.clone());
            }
            let _ = first.get_or_insert(refusal.to_string());
        }
        let by_hand = folder.join("snapshots").join(&from.revision);
        let url = from.url(self.endpoint(), FILES[0]);
        Err(failed(&url, &first.unwrap_or_default(), FILES[0], &by_hand))
    }

    fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.0.as_str())
    }

    fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(ENDPOINT)
    }

    /// Fetches a file into the cache, unless it is there.
    fn bring(
        &self,
        from: &Repository,
        folder: &Path,
        file: &str,
        asked: &Asked,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let url = from.url(self.endpoint(), file);
        let hex = |text: &&str| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let known = |text: &'_ Option<String>| text.as_deref().filter(hex).map(str::to_owned);
        let (Some(commit), Some(etag)) = (known(&asked.commit), known(&asked.etag)) else {
            let text = format!("{url}: the server names no commit or no content, as Hugging Face's hub does");
            return Err(Error::Download(text));
        };
        let snapshots = folder.join("snapshots");
        let target = snapshots.join(&commit).join(file);
        if !is_file(&target) {
            // Of small files the hub names Git's number instead.
            let checksum = if etag.len() == 64 { Checksum::Sha256(&etag) } else { Checksum::Unknown };
            let remote = Remote { url: &url, size: asked.size, checksum, token: self.token() };
            let blob = folder.join("blobs").join(&etag);
            fetch_once(&remote, &blob, progress)
                .map_err(|error| failed(&url, &reason(error), file, &snapshots.join(&from.revision)))?;
            let failed = |error: io::Error| Error::Download(format!("{}: {error}", target.display()));
            fs::create_dir_all(snapshots.join(&commit)).map_err(failed)?;
            link(&blob, &Path::new("../../blobs").join(&etag), &target).map_err(failed)?;
        }
        self.remember(from, folder, &commit)?;
        Ok(target)
    }

    /// Notes which commit a revision is, for when the hub does not answer.
    fn remember(&self, from: &Repository, folder: &Path, commit: &str) -> Result<()> {
        if from.revision == commit {
            return Ok(());
        }
        let reference = folder.join("refs").join(&from.revision);
        if let Some(parent) = reference.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::Download(format!("{}: {e}", parent.display())))?;
        }
        Ok(write_atomic(&reference, commit.as_bytes())?)
    }
}

fn is_file(path: &Path) -> bool {
    matches!(files::size(path), Ok(Some(_)))
}

/// What the cache has: of the commit that the revision was, or under the revision's own name.
fn cached(from: &Repository, folder: &Path, file: &str) -> Option<PathBuf> {
    let commit = files::read_text(&folder.join("refs").join(&from.revision), 1000).ok();
    let is_word = |commit: &&str| !commit.is_empty() && commit.bytes().all(|b| b.is_ascii_hexdigit());
    let commit = commit.as_deref().map(str::trim).filter(is_word);
    let states = commit.into_iter().chain([from.revision.as_str()]);
    states.map(|state| folder.join("snapshots").join(state).join(file)).find(|path| is_file(path))
}

/// A link to a content; where there are no links, the content itself.
fn link(blob: &Path, relative: &Path, target: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(relative, target);
    #[cfg(not(unix))]
    let linked = Err::<(), _>(io::Error::from(io::ErrorKind::Unsupported));
    let _ = relative;
    match linked {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(_) if is_file(target) => Ok(()),
        Err(_) => fs::rename(blob, target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_an_owner_and_a_name() {
        let parsed = Repository::parse("timm/resnet50.a1_in1k").expect("right");
        assert_eq!(parsed.url(ENDPOINT, "f"), "https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/f");
        assert_eq!(parsed.folder(Path::new("c")), Path::new("c/models--timm--resnet50.a1_in1k"));
        let parsed = Repository::parse("a/b@refs/pr/1").expect("right");
        assert_eq!(parsed.url("http://x/", "f"), "http://x/a/b/resolve/refs%2Fpr%2F1/f");
        for wrong in
            ["a", "a/", "/b", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b@/x", "a b/c", "a/b@x@y"]
        {
            assert_eq!(Repository::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let hub = Hub { token: Some(Token("hf_secret".into())), ..Hub::default() };
        assert!(!format!("{hub:?}").contains("secret"));
    }
}
