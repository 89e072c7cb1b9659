//! Small sets in the form of CIFAR, and its real sizes where only those will do.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use md5::{Digest, Md5};

use super::records::{check_size, decode};
use super::set::{File, IMAGE, SIDE};
use super::*;
use crate::data::checksum::Checksum;
use crate::data::fetch::Remote;
use crate::data::loopback::{Answer, serve};

/// Records as the format tells, with pixel value `channel * 50 + row` and class `index % classes`.
fn records(set: &Cifar, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..count {
        bytes.extend(std::iter::repeat_n(0u8, set.label_bytes - 1));
        bytes.push((i % set.facts.classes) as u8);
        for c in 0..3 {
            for row in 0..SIDE {
                bytes.extend(std::iter::repeat_n((c * 50 + row) as u8, SIDE));
            }
        }
    }
    bytes
}

fn write_all(set: &Cifar, dir: &Path) {
    fs::create_dir_all(dir).expect("writable");
    for file in set.files() {
        fs::write(dir.join(file.name), records(set, file.records)).expect("writable");
    }
}

/// CIFAR-10 of a few pictures.
const FEW: Cifar = Cifar {
    train: &[File { name: "one.bin", records: 2 }, File { name: "two.bin", records: 3 }],
    test: &[File { name: "test.bin", records: 1 }],
    ..CIFAR10
};

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut append = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{}/{name}", FEW.folder), content).expect("in memory");
    };
    FEW.files().for_each(|file| append(file.name, &records(&FEW, file.records)));
    append(FEW.names, CLASSES.as_bytes());
    archive.into_inner().and_then(GzEncoder::finish).expect("in memory")
}

const CLASSES: &str = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";

/// [`FEW`], its archive on a server that answers so often.
fn served(times: usize) -> (&'static Cifar, Receiver<usize>) {
    let archive = archive();
    let md5 = crate::hex::hex(Md5::digest(&archive));
    let size = archive.len() as u64;
    let (url, requests) = serve(vec![Answer::Whole(archive); times]);
    let archive = Remote { url: url.leak(), size, checksum: Checksum::Md5(md5.leak()), token: None };
    (Box::leak(Box::new(Cifar { archive, ..FEW })), requests)
}

/// A folder that a user named.
fn named(dir: &Path) -> Places {
    Places { data_dir: Some(dir.to_path_buf()), cache: None, download: true }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("readable").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn refused(set: &'static Cifar, places: &Places) -> String {
    load(set, places, &mut |_| ()).expect_err("refused").to_string()
}

#[test]
fn decodes_labels_and_transposes_channels() {
    for set in [&CIFAR10, &CIFAR100] {
        let bytes = records(set, 12);
        let (mut pixels, mut labels) = (vec![0; 12 * IMAGE], Vec::new());
        decode(set, &bytes[..], &mut pixels, &mut labels).expect("valid");
        assert_eq!(labels[11], (11 % set.facts.classes) as u32);
        let at = |y: usize, x: usize, c: usize| pixels[IMAGE * 11 + (y * SIDE + x) * 3 + c];
        assert_eq!([at(5, 9, 0), at(5, 9, 1), at(31, 0, 2)], [5, 55, 131]);
    }
}

#[test]
fn refuses_wrong_sizes_and_labels() {
    let mut bytes = records(&CIFAR10, 3);
    let mut pixels = vec![0; 3 * IMAGE];
    let short = check_size(&CIFAR10, &File { name: "x", records: 3 }, 9218).expect_err("cut off");
    assert!(short.starts_with("9218 bytes, expected 9219 (3 records of 3073)"), "{short}");
    // Cut off behind the look at its size.
    let short = decode(&CIFAR10, &bytes[..bytes.len() - 1], &mut pixels, &mut Vec::new());
    assert!(short.expect_err("cut off").starts_with("record 2: "));
    bytes[3073] = 10;
    let label = decode(&CIFAR10, &bytes[..], &mut pixels, &mut Vec::new());
    assert_eq!(label.expect_err("label out of range"), "record 1 has class 10, there are 10 classes");
}

#[test]
fn finds_the_folder_itself_and_its_parent_and_names_what_is_missing() {
    let parent = tempfile::tempdir().expect("temp folder");
    let places = Places { download: false, ..named(parent.path()) };
    let missing = refused(&CIFAR100, &places);
    assert!(missing.contains("cifar-100-binary.tar.gz") && missing.contains("cifar-100-binary/train.bin"));

    let dir = parent.path().join(CIFAR100.folder);
    write_all(&CIFAR100, &dir);
    let complete = || Found::Complete(dir.clone());
    let found = [parent.path(), &dir].map(|root| find(&CIFAR100, root).expect("readable"));
    assert_eq!(found, [complete(), complete()]);
    let set = load(&CIFAR100, &places, &mut |_| ()).expect("complete");
    assert_eq!((set.train.len(), set.test.len(), set.classes().len()), (50_000, 10_000, 100));
    fs::write(dir.join(CIFAR100.names), "apple\nbaby\n").expect("temp folder is writable");
    let names = read(&CIFAR100, &dir).expect_err("98 names missing").to_string();
    assert!(names.contains("2 class names, expected 100"), "{names}");
}

#[test]
fn an_incomplete_folder_names_what_is_missing_and_downloads_nothing() {
    for inside in ["", FEW.folder] {
        let root = tempfile::tempdir().expect("temp folder");
        let (set, requests) = served(1);
        let dir = if inside.is_empty() { root.path().to_owned() } else { root.path().join(inside) };
        write_all(set, &dir);
        fs::remove_file(dir.join("two.bin")).expect("there");
        let one = refused(set, &named(root.path()));
        let expected =
            format!("cifar10 is incomplete: two.bin is missing from {}; put it there", dir.display());
        assert!(one.starts_with(&expected), "{one}");
        fs::remove_file(dir.join("test.bin")).expect("there");
        let two = refused(set, &named(root.path()));
        assert!(two.contains("two.bin, test.bin are missing"), "{two}");
        assert!(requests.try_recv().is_err(), "nobody asked the server");
    }
}

#[test]
fn a_cache_that_lacks_files_is_completed() {
    let cache = tempfile::tempdir().expect("temp folder");
    let places = Places { data_dir: None, cache: Some(cache.path().join("new")), download: true };
    let (set, requests) = served(2);
    load(set, &places, &mut |_| ()).expect("downloaded");
    let dir = cache.path().join("new").join(set.folder);
    fs::remove_file(dir.join("two.bin")).expect("there");
    load(set, &places, &mut |_| ()).expect("downloaded again");
    assert_eq!(requests.try_iter().count(), 2);
    assert_eq!(names(&cache.path().join("new")), [set.folder], "nothing else is left");
}

#[test]
fn two_at_once_download_once() {
    let root = tempfile::tempdir().expect("temp folder");
    // A third request would find nobody.
    let (set, requests) = served(1);
    std::thread::scope(|scope| {
        let load = || load(set, &named(root.path()), &mut |_| ()).map(|set| set.train.len());
        let both = [scope.spawn(load), scope.spawn(load)];
        for one in both {
            assert_eq!(one.join().expect("no panic").expect("there for both"), 5);
        }
    });
    assert_eq!(requests.try_iter().count(), 1);
    assert_eq!(names(root.path()), [set.folder]);
}

#[test]
fn who_waits_sees_how_far_the_other_is() {
    let root = tempfile::tempdir().expect("temp folder");
    let (set, _requests) = served(1);
    let lock = Lock::try_take(&temporary(set, root.path(), LOCK)).expect("writable").expect("free");
    fs::write(part_of(&temporary(set, root.path(), "tar.gz")), [0; 77]).expect("writable");
    let other = std::thread::spawn({
        let dir = root.path().join(set.folder);
        move || {
            std::thread::sleep(Duration::from_millis(300));
            write_all(set, &dir);
            drop(lock);
        }
    });
    let mut seen = Vec::new();
    load(set, &named(root.path()), &mut |progress| seen.push(progress.done)).expect("the other brings it");
    other.join().expect("no panic");
    assert!(!seen.is_empty() && seen.iter().all(|&done| done == 77), "{seen:?}");
    assert_eq!(names(root.path()), [set.folder]);
}

#[test]
fn a_users_own_archive_is_unpacked_and_stays() {
    let root = tempfile::tempdir().expect("temp folder");
    let (set, requests) = served(1);
    let own = root.path().join(set.archive.file_name());
    fs::write(&own, archive()).expect("writable");
    let places = Places { download: false, ..named(root.path()) };
    assert_eq!(load(set, &places, &mut |_| ()).expect("from the archive").test.len(), 1);
    assert_eq!(fs::read(&own).expect("still there"), archive());
    assert!(requests.try_recv().is_err(), "nobody asked the server");
}

#[test]
fn a_users_damaged_archive_is_told_and_stays() {
    let root = tempfile::tempdir().expect("temp folder");
    let (set, requests) = served(1);
    let own = root.path().join(set.archive.file_name());
    fs::write(&own, "cut off").expect("writable");
    let message = refused(set, &named(root.path()));
    assert!(message.contains("set.bin: it has 7 bytes, "), "{message}");
    assert!(message.ends_with("were expected; remove it, and it is downloaded"), "{message}");
    assert_eq!(fs::read(&own).expect("still there"), b"cut off");
    assert!(requests.try_recv().is_err(), "nobody asked the server");
    assert_eq!(names(root.path()), [set.archive.file_name()]);
}

#[test]
fn what_killed_processes_left_is_removed() {
    let root = tempfile::tempdir().expect("temp folder");
    let (set, _requests) = served(1);
    let leave = || {
        fs::create_dir(temporary(set, root.path(), "a1B2c3")).expect("writable");
        fs::write(temporary(set, root.path(), "a1B2c3").join("one.bin"), "half").expect("writable");
        fs::write(temporary(set, root.path(), LOCK), "").expect("writable");
    };
    leave();
    load(set, &named(root.path()), &mut |_| ()).expect("downloaded");
    assert_eq!(names(root.path()), [set.folder]);
    // And beside a set that is complete, as long as nobody is at work there.
    leave();
    fs::write(temporary(set, root.path(), "tar.gz.part"), "half").expect("writable");
    let lock = Lock::try_take(&temporary(set, root.path(), LOCK)).expect("writable").expect("free");
    load(set, &named(root.path()), &mut |_| ()).expect("complete");
    assert_eq!(names(root.path()).len(), 4, "somebody may be at work");
    drop(lock);
    load(set, &named(root.path()), &mut |_| ()).expect("complete");
    assert_eq!(names(root.path()), [set.folder]);
}

#[test]
fn what_is_no_file_of_the_right_size_is_refused_unread() {
    let root = tempfile::tempdir().expect("temp folder");
    let dir = root.path().join(FEW.folder);
    let (set, _requests) = served(0);
    write_all(set, &dir);
    let path = dir.join("two.bin");
    // A hole: it takes no room, but to read it would.
    fs::File::create(&path).and_then(|file| file.set_len(1 << 42)).expect("a hole");
    let huge = refused(set, &named(root.path()));
    assert!(huge.contains("two.bin: 4398046511104 bytes, expected 9219 (3 records of 3073)"), "{huge}");
    fs::remove_file(&path).and_then(|()| fs::create_dir(&path)).expect("writable");
    let folder = refused(set, &named(root.path()));
    assert!(folder.ends_with("two.bin: it is a folder, no regular file"), "{folder}");
    #[cfg(unix)]
    {
        fs::remove_dir(&path).expect("there");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("writable");
        let device = refused(set, &named(root.path()));
        assert!(device.ends_with("two.bin: it is a device, no regular file"), "{device}");
    }
}
