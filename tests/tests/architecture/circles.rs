//! Circles among the rooms of a folder.
//!
//! A folder's rooms are its files and folders. A room stands on a floor above all rooms that it has arrows to: that is
//! possible, and no arrow runs back up, exactly where no rooms have arrows to each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::arrows::Arrows;

/// Rooms of one folder, each of which reaches all others.
#[derive(Debug)]
pub struct Circle {
    /// The folder, from the workspace's root.
    pub folder: String,
    /// Names of its files and folders.
    pub rooms: BTreeSet<String>,
    /// The arrows between their files, with the names that draw them.
    ties: Vec<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms: Vec<&str> = self.rooms.iter().map(String::as_str).collect();
        write!(f, "{}: {}", self.folder, rooms.join(", "))?;
        self.ties.iter().try_for_each(|tie| write!(f, "\n    {tie}"))
    }
}

/// All circles, at every level from the workspace's root down.
pub fn circles(arrows: &Arrows) -> Vec<Circle> {
    let files: BTreeSet<&str> = arrows.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    let folders: BTreeSet<String> = files.iter().flat_map(|file| above(file)).collect();
    let homes: BTreeMap<&str, String> = files.iter().map(|file| (*file, home(file, &folders))).collect();
    let levels: BTreeSet<String> = homes.values().flat_map(|file| above(file)).collect();
    levels.iter().flat_map(|folder| circles_of(folder, arrows, &homes)).collect()
}

/// All folders that a file is in, the root first.
fn above(file: &str) -> Vec<String> {
    let ends = file.match_indices('/').map(|(at, _)| file[..at].to_owned());
    std::iter::once(String::new()).chain(ends).collect()
}

/// The path that a file is drawn at: `a.rs` is the face of the folder `a`, if there is one, and stands in it.
fn home(file: &str, folders: &BTreeSet<String>) -> String {
    let folder = file.strip_suffix(".rs").unwrap_or(file);
    if !folders.contains(folder) {
        return file.to_owned();
    }
    let name = file.rsplit('/').next().expect("a path has a last part");
    format!("{folder}/{name}")
}

/// The room of a folder that a file is in.
fn room<'a>(folder: &str, file: &'a str) -> Option<&'a str> {
    let inside = if folder.is_empty() { file } else { file.strip_prefix(folder)?.strip_prefix('/')? };
    inside.split('/').next()
}

fn circles_of(folder: &str, arrows: &Arrows, homes: &BTreeMap<&str, String>) -> Vec<Circle> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let ends = |(from, to): &(String, String)| {
        let rooms = (room(folder, &homes[from.as_str()])?, room(folder, &homes[to.as_str()])?);
        (rooms.0 != rooms.1).then_some(rooms)
    };
    for (from, to) in arrows.keys().filter_map(ends) {
        next.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|&start| (start, reachable(start, &next))).collect();
    let mut rings: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (start, reach) in reached.iter().filter(|(start, reach)| reach.contains(*start)) {
        let back = |room: &&str| reached.get(room).is_some_and(|reach| reach.contains(start));
        rings.insert(reach.iter().copied().filter(back).collect());
    }
    let tie = |((from, to), names): (&(String, String), &BTreeSet<String>)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("{from} -> {to}: {}", names.join(", "))
    };
    let circle = |rooms: BTreeSet<&str>| {
        let inside = |key| ends(key).is_some_and(|(from, to)| rooms.contains(from) && rooms.contains(to));
        let ties = arrows.iter().filter(|(key, _)| inside(key)).map(tie).collect();
        Circle {
            folder: folder.to_owned(),
            rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
            ties,
        }
    };
    rings.into_iter().map(circle).collect()
}

/// All rooms at the end of arrows from one; itself only by way of others.
fn reachable<'a>(start: &'a str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(room) = open.pop() {
        for &to in next.get(room).into_iter().flatten() {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arrows: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        let key = |(from, to): &(&str, &str)| (((*from).to_owned(), (*to).to_owned()), BTreeSet::new());
        let circle = |circle: Circle| (circle.folder, circle.rooms.into_iter().collect());
        circles(&arrows.iter().map(key).collect()).into_iter().map(circle).collect()
    }

    fn circle(folder: &str, rooms: &[&str]) -> (String, Vec<String>) {
        (folder.to_owned(), rooms.iter().map(|room| (*room).to_owned()).collect())
    }

    #[test]
    fn arrows_that_run_down_are_no_circle() {
        assert!(found(&[("s/a.rs", "s/b.rs"), ("s/a.rs", "s/c.rs"), ("s/b.rs", "s/c.rs")]).is_empty());
        assert!(found(&[("s/a/x.rs", "s/b.rs"), ("s/b.rs", "s/c/x.rs")]).is_empty());
    }

    #[test]
    fn two_files_and_longer_rings_are_circles() {
        let two = [("s/a.rs", "s/b.rs"), ("s/b.rs", "s/a.rs"), ("s/c.rs", "s/a.rs")];
        assert_eq!(found(&two), [circle("s", &["a.rs", "b.rs"])]);
        let three = [("s/a.rs", "s/b.rs"), ("s/b.rs", "s/c.rs"), ("s/c.rs", "s/a.rs"), ("s/c.rs", "s/d.rs")];
        assert_eq!(found(&three), [circle("s", &["a.rs", "b.rs", "c.rs"])]);
        let apart = [("s/a.rs", "s/b.rs"), ("s/b.rs", "s/a.rs"), ("s/c.rs", "s/d.rs"), ("s/d.rs", "s/c.rs")];
        assert_eq!(found(&apart), [circle("s", &["a.rs", "b.rs"]), circle("s", &["c.rs", "d.rs"])]);
    }

    #[test]
    fn folders_are_rooms() {
        // No two files are in a circle, their folders are.
        let folders = [("s/a/x.rs", "s/b/x.rs"), ("s/b/y.rs", "s/a/y.rs")];
        assert_eq!(found(&folders), [circle("s", &["a", "b"])]);
        let crates = [("a/src/x.rs", "b/src/x.rs"), ("b/src/y.rs", "a/src/y.rs")];
        assert_eq!(found(&crates), [circle("", &["a", "b"])]);
    }

    #[test]
    fn a_folders_face_is_one_of_its_rooms() {
        let face = [("s/a.rs", "s/a/x.rs"), ("s/a/x.rs", "s/a.rs"), ("s/b.rs", "s/a.rs")];
        assert_eq!(found(&face), [circle("s/a", &["a.rs", "x.rs"])]);
        let module = [("s/a/mod.rs", "s/a/x.rs"), ("s/a/x.rs", "s/a/mod.rs")];
        assert_eq!(found(&module), [circle("s/a", &["mod.rs", "x.rs"])]);
    }

    #[test]
    fn a_circle_says_what_ties_it() {
        let key = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let arrows = Arrows::from([
            (key("s/a.rs", "s/b.rs"), names("super::b::B")),
            (key("s/b.rs", "s/a.rs"), names("super::a::A")),
        ]);
        let said: Vec<String> = circles(&arrows).iter().map(Circle::to_string).collect();
        let expected = "s: a.rs, b.rs\n    s/a.rs -> s/b.rs: super::b::B\n    s/b.rs -> s/a.rs: super::a::A";
        assert_eq!(said, [expected]);
    }
}
