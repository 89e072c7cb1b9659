//! What is checked out in a folder, read from git's files: no git is called.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

/// More than each of git's files that are read has.
const LARGEST: u64 = 1 << 24;

/// What is checked out in a folder. Whether files were changed since, it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit's digest.
    pub commit: String,
    /// The branch; `None` where a commit itself is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

impl Git {
    /// Of the working tree that the folder, which is absolute, lies in. `None` where there is none, or no commit in it, or its files
    /// cannot be read.
    pub fn of(folder: &Path) -> Option<Git> {
        let own = folder.ancestors().find_map(|above| git_folder(&above.join(".git")))?;
        let head = text(&own.join("HEAD"))?;
        let Some(name) = head.strip_prefix("ref: ") else {
            return is_digest(&head).then(|| Git { commit: head.clone(), branch: None });
        };
        // A further working tree has a HEAD of its own, and branches elsewhere.
        let shared = text(&own.join("commondir")).map_or(own.clone(), |path| own.join(path));
        let commit = text(&shared.join(name)).or_else(|| packed(&shared, name))?;
        let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
        is_digest(&commit).then_some(Git { commit, branch })
    }
}

/// What `.git` is: a folder, or a file that names one.
fn git_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let named = text(path)?;
    Some(path.parent()?.join(named.strip_prefix("gitdir: ")?))
}

fn packed(shared: &Path, name: &str) -> Option<String> {
    let refs = text(&shared.join("packed-refs"))?;
    let mut pairs = refs.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
}

fn text(path: &Path) -> Option<String> {
    files::read_text(path, LARGEST).ok().map(|text| text.trim().to_owned())
}

/// Of SHA-1 or SHA-256.
fn is_digest(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn branches_are_loose_packed_or_of_another_tree() {
        let folder = tempfile::tempdir().expect("temp folder");
        let at = |path: &str| folder.path().join(path);
        let write = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().expect("a folder")).expect("writable");
            fs::write(at(path), text).expect("writable");
        };
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let git = |commit: &str, branch: Option<&str>| {
            Some(Git { commit: commit.to_owned(), branch: branch.map(str::to_owned) })
        };
        write("a/.git/HEAD", "ref: refs/heads/main\n");
        fs::create_dir(at("a/sub")).expect("writable");
        assert_eq!(Git::of(&at("a/sub")), None, "no commit yet");
        write("a/.git/packed-refs", &format!("# pack-refs with: peeled\n{one} refs/heads/main\n"));
        assert_eq!(Git::of(&at("a/sub")), git(&one, Some("main")));
        write("a/.git/refs/heads/main", &format!("{two}\n"));
        assert_eq!(Git::of(&at("a")), git(&two, Some("main")));
        write("b/.git", "gitdir: ../a/.git/worktrees/b\n");
        write("a/.git/worktrees/b/HEAD", "ref: refs/heads/x/y\n");
        write("a/.git/worktrees/b/commondir", "../..\n");
        write("a/.git/refs/heads/x/y", &one);
        assert_eq!(Git::of(&at("b")), git(&one, Some("x/y")));
        write("a/.git/HEAD", &one);
        assert_eq!(Git::of(&at("a")), git(&one, None));
    }
}
