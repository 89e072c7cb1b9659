//! Data sets as `scripts/arrays-golden` writes them: pixels, classes and splits; and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use resnetc_compiler::spec::train::Reading;

use super::super::{Rules, load};
use crate::data::source::{Dataset, Source};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/arrays").join(name)
}

fn rules() -> Rules {
    Rules::new(Reading::default(), 1)
}

fn loaded(name: &str) -> Dataset {
    load(&golden(name), &rules()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The picture of that number, by the formula of the script.
fn pixels(picture: usize, [height, width, channels]: [usize; 3]) -> Vec<u8> {
    let mut pixels = Vec::new();
    for row in 0..height {
        for column in 0..width {
            pixels.extend((0..channels).map(|c| (7 * picture + 3 * row + 5 * column + 11 * c) as u8));
        }
    }
    pixels
}

/// Pictures `first..` of the formula, in their order.
fn check(source: &dyn Source, size: [usize; 3], first: usize, classes: usize) {
    for index in 0..source.len() {
        let picture = source.picture(index).expect("readable");
        assert_eq!(picture.size(), size);
        assert_eq!(picture.pixels(), pixels(first + index, size), "{} {index}", source.name());
        assert_eq!(source.label(index) as usize, (first + index) % classes, "{} {index}", source.name());
    }
    assert!(!source.any_size());
}

#[test]
fn cifar_is_read_from_pickles_and_archives() {
    for name in ["cifar-10-batches-py", "cifar-10-python.tar.gz"] {
        let set = loaded(name);
        assert_eq!(set.classes(), ["ant", "bee", "cat", "dog"], "{name}");
        assert_eq!((set.train.len(), set.test.len()), (10, 2), "{name}");
        check(&*set.train, [32, 32, 3], 0, 4);
        check(&*set.test, [32, 32, 3], 10, 4);
    }
    let set = loaded("cifar-100-python");
    assert_eq!((set.classes(), set.train.len()), (&["elm", "fir", "oak"].map(String::from)[..], 9));
    check(&*set.test, [32, 32, 3], 9, 3);
    // The folder around it.
    let outer = tempfile::tempdir().expect("a folder");
    copy(&golden("cifar-10-batches-py"), &outer.path().join("cifar-10-batches-py"));
    assert_eq!(load(outer.path(), &rules()).expect("inside").train.len(), 10);
}

#[test]
fn files_of_mnist_are_read_packed_or_not() {
    for name in ["mnist", "kmnist"] {
        let set = loaded(name);
        assert_eq!((set.classes(), set.train.len()), (&["0", "1", "2"].map(String::from)[..], 6), "{name}");
        check(&*set.train, [28, 28, 1], 0, 3);
        check(&*set.test, [28, 28, 1], 6, 3);
        assert_eq!(set.train.pixels().expect("side by side").1.len(), 6 * 28 * 28);
    }
    // As EMNIST names them, in the folder that torchvision makes, and without files to evaluate on.
    let outer = tempfile::tempdir().expect("a folder");
    let raw = outer.path().join("raw");
    copy(&golden("mnist"), &raw);
    for file in ["images-idx3-ubyte", "labels-idx1-ubyte"] {
        fs::rename(raw.join(format!("train-{file}")), raw.join(format!("emnist-digits-train-{file}")))
            .expect("moved");
        fs::remove_file(raw.join(format!("t10k-{file}"))).expect("there");
    }
    let set = load(outer.path(), &rules()).expect("a set");
    assert_eq!((set.train.len(), set.test.len(), set.told.len()), (3, 3, 1));
    assert!(set.told[0].contains("split by seed 1: 3 to train on, 3 to test on"), "{:?}", set.told);
}

#[test]
fn arrays_of_numpy_are_read_under_their_usual_names() {
    let set = loaded("keras.npz");
    assert_eq!((set.train.len(), set.test.len(), set.classes().len()), (6, 3, 3));
    check(&*set.train, [6, 5, 3], 0, 3);
    check(&*set.test, [6, 5, 3], 6, 3);
    let set = loaded("medmnist.npz");
    check(&*set.train, [6, 5, 3], 0, 3);
    check(&*set.test, [6, 5, 3], 3, 3);
    assert!(set.told[0].ends_with("medmnist.npz: test_images"), "{:?}", set.told);
    for (name, size) in [("planes.npz", [6, 5, 3]), ("grey.npz", [6, 5, 1])] {
        let set = loaded(name);
        assert_eq!((set.train.len(), set.test.len()), (6, 3), "{name}");
        let mut found: Vec<Vec<u8>> = Vec::new();
        for source in [&set.train, &set.test] {
            found.extend((0..source.len()).map(|i| source.picture(i).expect("readable").pixels().to_vec()));
        }
        found.sort();
        let mut all: Vec<_> = (0..9).map(|picture| pixels(picture, size)).collect();
        all.sort();
        assert_eq!(found, all, "{name}: each picture is in one part");
    }
}

#[test]
fn a_seed_gives_one_split_of_arrays() {
    let labels = |seed: u64| {
        let set = load(&golden("planes.npz"), &Rules { seed, ..rules() }).expect("a set");
        (0..set.test.len()).map(|i| set.test.picture(i).expect("readable").pixels()[0]).collect::<Vec<_>>()
    };
    assert_eq!(labels(3), labels(3));
    assert!((0..20).any(|seed| labels(seed) != labels(3)));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

/// Why a set is refused whose file has been changed.
fn refused(name: &str, file: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = golden(name);
    let set = folder.path().join(name);
    match whole.is_dir() {
        true => copy(&whole, &set),
        false => drop(fs::copy(&whole, &set).expect("copied")),
    }
    let path = if whole.is_dir() { set.join(file) } else { set.clone() };
    let mut bytes = fs::read(&path).expect("there");
    change(&mut bytes);
    fs::write(&path, bytes).expect("written");
    let error = load(&set, &rules()).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains(if whole.is_dir() { file } else { name }), "it names the file: {error}");
    error
}

#[test]
fn damaged_pickles_are_refused_by_name() {
    let cut = refused("cifar-10-batches-py", "data_batch_3", |bytes| bytes.truncate(3000));
    assert!(cut.contains("ends within its pickle"), "{cut}");
    let hostile = refused("cifar-10-batches-py", "test_batch", |bytes| {
        *bytes = b"\x80\x02cposix\nsystem\nU\x02id\x85R.".to_vec();
    });
    assert!(
        hostile.contains("`posix.system`, which is not on the list of what arrays of pictures need"),
        "{hostile}"
    );
    let few = refused("cifar-10-batches-py", "data_batch_1", |bytes| {
        replace(bytes, b"K\x00K\x01eU", b"K\x00K\x09eU")
    });
    assert!(few.contains("class 9, there are 4 classes"), "{few}");
    let sizes = refused("cifar-10-batches-py", "data_batch_1", |bytes| {
        replace(bytes, b"K\x02M\x00\x0c", b"K\x01M\x00\x18")
    });
    assert!(sizes.contains("`data` has the sizes [1, 6144], 2 pictures have [2, 3072]"), "{sizes}");
    let huge = refused("cifar-10-batches-py", "data_batch_1", |bytes| {
        replace(bytes, b"T\x00\x18\0\0", b"T\xff\xff\xff\x7f")
    });
    assert!(huge.contains("ends within its pickle"), "{huge}");
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden("cifar-10-batches-py"), folder.path());
    fs::remove_file(folder.path().join("data_batch_4")).expect("there");
    assert!(load(folder.path(), &rules()).expect_err("missing").to_string().contains("data_batch_4"));
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|part| part == from).expect("it is there");
    bytes[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn damaged_files_of_mnist_are_refused_by_name() {
    let images = "train-images-idx3-ubyte";
    let cut = refused("mnist", images, |bytes| bytes.truncate(bytes.len() - 1));
    assert!(cut.contains("says sizes of [6, 28, 28] and has 4703 bytes: cut off"), "{cut}");
    assert!(refused("mnist", images, |bytes| bytes.truncate(9)).contains("ends within its first sizes"));
    let magic = refused("mnist", images, |bytes| bytes[2] = 13);
    assert!(magic.contains("begins with [00, 00, 0d, 03]"), "{magic}");
    let huge = refused("mnist", images, |bytes| bytes[4..16].fill(255));
    assert!(huge.contains("4294967295, 4294967295"), "{huge}");
    let labels = refused("mnist", images, |bytes| {
        bytes[7] = 5;
        bytes.truncate(16 + 5 * 784);
    });
    assert!(labels.contains("5 pictures, but 6 labels"), "{labels}");
    assert!(refused("kmnist", "t10k-images-idx3-ubyte.gz", |bytes| bytes.truncate(40)).contains("ubyte.gz"));
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden("mnist"), folder.path());
    fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).expect("there");
    let missing = load(folder.path(), &rules()).expect_err("missing").to_string();
    assert!(missing.ends_with("train-labels-idx1-ubyte: it is missing"), "{missing}");
}

#[test]
fn damaged_arrays_of_numpy_are_refused_by_name() {
    let part = |change: fn(&mut Vec<u8>), expected: &str| {
        let reason = refused("keras.npz", "", change);
        assert!(reason.contains(expected), "{reason}");
    };
    part(|bytes| bytes.truncate(700), "no archive of NumPy");
    part(|bytes| replace(bytes, b"'|u1'", b"'<f4'"), "array x_train");
    part(|bytes| replace(bytes, b"(6, 6, 5, 3)", b"(9, 9, 9, 9)"), "but 540 bytes follow");
    part(|bytes| replace(bytes, b"(6, 6, 5, 3)", b"(6,5,6,3,1) "), "pictures are [n, height, width]");
    part(|bytes| replace(bytes, b"'fortran_order': False", b"'fortran_order': True "), "Fortran's order");
    part(
        |bytes| bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(u8::from(*byte == b'x'))),
        "no array of pictures",
    );
    let cut = refused("medmnist.npz", "", |bytes| {
        let at = bytes.len() / 4;
        bytes[at..at + 40].fill(7);
    });
    assert!(cut.contains("array"), "{cut}");
}

/// Whatever bytes are changed, there is a data set or an error.
#[test]
fn no_changed_byte_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["keras.npz", "medmnist.npz", "grey.npz"] {
        let whole = fs::read(golden(name)).expect("there");
        let path = folder.path().join(name);
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] = bytes[at].wrapping_mul(3).wrapping_add(1);
            fs::write(&path, bytes).expect("written");
            if let Ok(set) = load(&path, &rules()) {
                (0..set.train.len()).for_each(|index| drop(set.train.picture(index)));
            }
        }
    }
}
