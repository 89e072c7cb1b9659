//! What is packed is read again, and nothing else is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use resnetc_compiler::spec::train::Reading;

use super::super::tests::bmp;
use super::super::{Rules, load};
use super::write::{Packed, Packing, pack};
use crate::data::source::{Dataset, Source};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn packing(shorter: Option<usize>, threads: usize) -> Packing<'static> {
    Packing { shorter, fail: false, threads, stop: &GO_ON }
}

fn rules() -> Rules {
    Rules::new(Reading::default(), 1)
}

/// A folder with four pictures of cats and three of dogs, of different sizes.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (class, count) in [("cat", 4), ("dog", 3)] {
        fs::create_dir_all(folder.path().join("set").join(class)).expect("made");
        for index in 0..count {
            let file = folder.path().join("set").join(class).join(format!("{index}.bmp"));
            fs::write(file, bmp(20 + index, 30, count + index)).expect("written");
        }
    }
    folder
}

fn loaded(folder: &Path) -> Dataset {
    load(&folder.join("set"), &rules()).expect("a set")
}

fn packed(folder: &Path, packing: &Packing<'_>) -> (PathBuf, Packed) {
    let path = folder.join("all.pack");
    let made = pack(&loaded(folder), &path, packing, &mut |_| ()).expect("written").expect("not stopped");
    (path, made)
}

fn contents(source: &dyn Source) -> Vec<(u32, [usize; 3], Vec<u8>)> {
    let content = |index| {
        let picture = source.picture(index).expect("readable");
        (source.label(index), picture.size(), picture.pixels().to_vec())
    };
    (0..source.len()).map(content).collect()
}

#[test]
fn packed_pictures_are_the_decoded_ones_in_their_parts() {
    let folder = pictures();
    let set = loaded(folder.path());
    let files = [1, 3].map(|threads| {
        let (path, made) = packed(folder.path(), &packing(None, threads));
        assert_eq!((made.train, made.test, made.left_out.len()), (5, 2, 0));
        assert_eq!(made.bytes, fs::metadata(&path).expect("there").len());
        let again = load(&path, &rules()).expect("packed");
        assert_eq!((again.classes(), &*again.name), (set.classes(), "all.pack"));
        assert!(again.train.any_size() && again.train.pixels().is_none());
        assert_eq!(contents(&*again.train), contents(&*set.train));
        assert_eq!(contents(&*again.test), contents(&*set.test));
        assert_ne!(again.train.fingerprint(), again.test.fingerprint());
        fs::read(&path).expect("there")
    });
    assert!(files[0] == files[1], "the number of threads changes nothing");
}

#[test]
fn pictures_get_the_shorter_side_asked_for_and_none_grows() {
    let folder = pictures();
    let (path, _) = packed(folder.path(), &packing(Some(21), 2));
    let set = load(&path, &rules()).expect("packed");
    let sizes =
        |source: &dyn Source| contents(source).into_iter().map(|(_, size, _)| size).collect::<Vec<_>>();
    let mut all = [sizes(&*set.train), sizes(&*set.test)].concat();
    // One of 20 columns stays; 21, 22 and 23 columns become 21.
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, [[27, 21, 3], [28, 21, 3], [30, 20, 3], [30, 21, 3]]);
}

#[test]
fn arrays_of_one_size_stay_at_hand() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/arrays/grey.npz");
    let set = load(&golden, &rules()).expect("a set");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grey");
    pack(&set, &path, &packing(None, 1), &mut |_| ()).expect("written").expect("not stopped");
    let again = load(&path, &rules()).expect("packed");
    let (size, pixels) = again.train.pixels().expect("side by side");
    assert_eq!((size, pixels.len()), ([6, 5, 3], 6 * 6 * 5 * 3));
    let grey = set.train.picture(2).expect("readable");
    let colours: Vec<u8> = grey.pixels().iter().flat_map(|&grey| [grey; 3]).collect();
    assert_eq!(again.train.picture(2).expect("readable").pixels(), colours);
}

#[test]
fn what_is_broken_is_left_out_or_an_error() {
    let folder = pictures();
    fs::write(folder.path().join("set/dog/0.bmp"), b"BM and no more").expect("written");
    let (path, made) = packed(folder.path(), &packing(None, 2));
    assert_eq!((made.train + made.test, made.left_out.len()), (6, 1));
    assert!(made.left_out[0].contains("0.bmp"), "{:?}", made.left_out);
    let before = fs::read(&path).expect("there");
    let strict = Packing { fail: true, ..packing(None, 2) };
    let error = pack(&loaded(folder.path()), &path, &strict, &mut |_| ()).expect_err("broken").to_string();
    assert!(error.contains("0.bmp"), "{error}");
    // Neither an error nor a stop changes what was there, and nothing is left beside it.
    let stop = AtomicBool::new(true);
    let stopped = Packing { stop: &stop, ..packing(None, 2) };
    assert_eq!(pack(&loaded(folder.path()), &path, &stopped, &mut |_| ()).expect("no fault"), None);
    assert!(fs::read(&path).expect("there") == before);
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
}

#[test]
fn a_full_disk_is_told_by_the_name_of_the_file() {
    let folder = pictures();
    let error = pack(&loaded(folder.path()), Path::new("/proc/all.pack"), &packing(None, 1), &mut |_| ());
    let error = error.expect_err("no place").to_string();
    assert!(error.starts_with("/proc/all.pack: "), "{error}");
}

#[test]
fn other_and_damaged_files_are_refused() {
    let folder = pictures();
    let (path, _) = packed(folder.path(), &packing(None, 1));
    let whole = fs::read(&path).expect("there");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        load(&path, &rules()).map(|_| ()).expect_err("refused").to_string()
    };
    for end in [8, 40, 71, 200, whole.len() - 1] {
        assert!(refused(&whole[..end]).contains("cut off"), "{end} bytes");
    }
    assert!(refused(&[&whole[..], b"x"].concat()).contains("not whole"));
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        refused(&bytes)
    };
    assert!(changed(8, 9).contains("version 9 of the format"));
    assert!(changed(0, b'X').ends_with("all.pack: it is no file of `resnetc data pack`"));
    // Every byte of head and index counts.
    let index = u64::from_le_bytes(whole[24..32].try_into().expect("eight bytes")) as usize;
    for at in (12..72).chain(index..whole.len()) {
        let reason = changed(at, whole[at] ^ 0x41);
        assert!(
            ["checksum", "outside", "cut off"].iter().any(|part| reason.contains(part)),
            "{at}: {reason}"
        );
    }
}
