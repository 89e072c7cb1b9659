//! Files of parquet as `scripts/arrays-golden` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use resnetc_compiler::spec::train::Reading;

use super::super::{Rules, load};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/arrays").join(name)
}

fn rules() -> Rules {
    Rules::new(Reading::default(), 1)
}

fn error(path: &Path) -> String {
    load(path, &rules()).map(|_| ()).expect_err("refused").to_string()
}

/// Pixel `(row, column, channel)` of the script's picture.
fn pixels(picture: usize) -> Vec<u8> {
    let pixel = |at: usize| (7 * picture + 3 * (at / 15) + 5 * (at / 3 % 5) + 11 * (at % 3)) as u8;
    (0..6 * 5 * 3).map(pixel).collect()
}

#[test]
fn shards_of_the_hub_are_read_with_their_names() {
    for path in [golden("hub"), golden("hub/data")] {
        let set = load(&path, &rules()).expect("a set");
        assert_eq!(set.classes(), ["oak", "elm", "fir"], "in the order of the file");
        assert_eq!((set.train.len(), set.test.len()), (9, 3));
        let numbers = [(0, 9), (9, 3)];
        for (source, (first, count)) in [&set.train, &set.test].into_iter().zip(numbers) {
            // By class, in the order of the rows.
            for index in 0..count {
                let (class, turn) = (index / (count / 3), index % (count / 3));
                let number = first + 3 * turn + class;
                let picture = source.picture(index).expect("readable");
                assert_eq!((source.label(index) as usize, picture.size()), (class, [6, 5, 3]));
                assert_eq!(picture.pixels(), pixels(number), "{} {index}", source.called(index));
            }
        }
        assert!(
            set.train.called(0).starts_with("train-00000-of-00002, row 0 in "),
            "{}",
            set.train.called(0)
        );
    }
    // Without names of classes, uncompressed, to be split.
    let set = load(&golden("one.parquet"), &rules()).expect("a set");
    assert_eq!((set.classes(), set.train.len()), (&["0", "1", "2"].map(String::from)[..], 6));
}

#[test]
fn other_files_of_parquet_are_refused() {
    assert!(error(&golden("zstd.parquet")).contains("write it with compression `snappy`"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::copy(golden("hub/data/train-00001-of-00002.parquet"), path("train-00001-of-00002.parquet"))
        .expect("copied");
    assert!(
        error(folder.path()).contains("has 1 of the 2 files train-*-of-00002.parquet"),
        "{}",
        error(folder.path())
    );
    fs::write(path("cut.parquet"), b"PAR1 and no more").expect("written");
    assert!(error(&path("cut.parquet")).contains("cut.parquet: no parquet that can be read"));
    let whole = fs::read(golden("one.parquet")).expect("there");
    for end in (0..whole.len()).step_by(41) {
        fs::write(path("cut.parquet"), &whole[..end]).expect("written");
        assert!(error(&path("cut.parquet")).contains("cut.parquet"), "{end} bytes");
    }
}

/// Whatever bytes are changed, there is a data set or an error.
#[test]
fn no_changed_byte_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("changed.parquet");
    let whole = fs::read(golden("hub/data/validation-00000-of-00001.parquet")).expect("there");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] = bytes[at].wrapping_mul(3).wrapping_add(1);
        fs::write(&path, bytes).expect("written");
        if let Ok(set) = load(&path, &rules()) {
            (0..set.train.len()).for_each(|index| drop(set.train.picture(index)));
        }
    }
}
