//! Folders of classes: what is found, how it is split, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_compiler::spec::preprocess::{Fit, Interpolation, Preprocess};
use resnetc_compiler::spec::train::{Augment, Normalize, Reading};
use resnetc_pictures::{Limits, Preparer, decode};

use super::*;
use crate::data::batch::{Batch, Form};
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, once, shuffled};
use crate::data::source::Source;
use crate::data::transform::Transform;

/// A BMP file of 24 bits, of pixels that follow from `seed`.
pub(super) fn bmp(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let stride = (width * 3).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    let word = |file: &mut Vec<u8>, value: usize| file.extend((value as u32).to_le_bytes());
    [54 + stride * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, stride * height, 2835, 2835, 0, 0]
        .into_iter()
        .for_each(|value| word(&mut file, value));
    for y in 0..height {
        let row = (0..stride).map(|x| if x < width * 3 { (x * 5 + y * 11 + seed * 37) as u8 } else { 0 });
        file.extend(row);
    }
    file
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, bytes).expect("writable");
}

/// So many pictures of each class in a folder, of different sizes.
fn fill(folder: &Path, classes: &[(&str, usize)]) {
    for (at, (class, count)) in classes.iter().enumerate() {
        fs::create_dir_all(folder.join(class)).expect("writable");
        for index in 0..*count {
            write(&folder.join(class).join(format!("{index:02}.bmp")), &bmp(6 + index, 9, at * 50 + index));
        }
    }
}

fn folder(splits: &[(&str, &[(&str, usize)])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    splits.iter().for_each(|(split, classes)| fill(&folder.path().join(split), classes));
    folder
}

fn rules() -> Rules {
    Rules::new(Reading::default(), 1)
}

fn error(path: &Path) -> String {
    let text = load(path, &rules()).map(|_| ()).expect_err("refused").to_string();
    text.replace(&path.display().to_string(), "DIR")
}

#[test]
fn folders_of_splits_are_found_by_any_of_their_names() {
    for (train, test) in [("train", "val"), ("train", "valid"), ("Training", "validation"), ("train", "test")]
    {
        let folder = folder(&[(train, &[("cat", 3), ("dog", 2)]), (test, &[("dog", 1), ("cat", 1)])]);
        write(&folder.path().join(train).join("cat/.DS_Store"), b"");
        write(&folder.path().join(train).join("dog/notes.txt"), b"");
        let set = load(folder.path(), &rules()).expect("a folder of classes");
        assert_eq!(set.classes(), ["cat", "dog"]);
        assert_eq!((set.train.len(), set.test.len()), (5, 2));
        let labels: Vec<u32> = (0..5).map(|index| set.train.label(index)).collect();
        assert_eq!(labels, [0, 0, 0, 1, 1]);
        assert_eq!(set.train.picture(1).expect("readable").size(), [9, 7, 3]);
        assert_eq!(set.name, folder.path().file_name().expect("a name").to_string_lossy());
        let told = format!(
            "files of {} passed over: 1 that are no pictures, 1 hidden",
            folder.path().join(train).display()
        );
        assert_eq!(set.told, [told]);
    }
    // `val` comes before `test`, which is then left alone.
    let both = folder(&[
        ("train", &[("cat", 3), ("dog", 2)]),
        ("val", &[("cat", 1), ("dog", 1)]),
        ("test", &[("cat", 4), ("dog", 4)]),
    ]);
    let set = load(both.path(), &rules()).expect("a folder of classes");
    assert_eq!((set.test.len(), set.told.len()), (2, 1));
    assert!(set.told[0].ends_with(": test"), "{:?}", set.told);
    // A class of that name has no folders in it.
    let vehicles = folder(&[("", &[("bus", 4), ("train", 4)])]);
    assert_eq!(load(vehicles.path(), &rules()).expect("classes").classes(), ["bus", "train"]);
}

#[test]
fn a_seed_gives_one_split_wherever_the_pictures_lie() {
    let [one, other] = [(); 2].map(|()| folder(&[("", &[("cat", 20), ("dog", 9)])]));
    let names = |folder: &Path, seed: u64, split: f32| {
        let found = find(folder).expect("classes");
        let rules = Rules { reading: Reading { split, fail: false }, seed, ..rules() };
        let set = gather::gather("x", found, &rules).expect("classes");
        let sizes = |source: &dyn Source| -> Vec<_> {
            let width = |index| source.picture(index).expect("readable").size()[1];
            (0..source.len()).map(|index| (source.label(index), width(index))).collect()
        };
        (sizes(&*set.train), sizes(&*set.test))
    };
    let (train, test) = names(one.path(), 7, 0.2);
    assert_eq!((train.len(), test.len()), (23, 6));
    assert_eq!(test.iter().filter(|(label, _)| *label == 0).count(), 4, "a fifth of each class");
    assert!(test.iter().all(|picture| !train.contains(picture)), "no picture is in both");
    assert_eq!((train.clone(), test.clone()), names(other.path(), 7, 0.2));
    assert_ne!(test, names(one.path(), 8, 0.2).1);
    let (_, more) = names(one.path(), 7, 0.4);
    assert!(test.iter().all(|picture| more.contains(picture)), "a larger share has the smaller one in it");
}

#[test]
fn what_is_no_folder_of_classes_is_told() {
    let missing = PathBuf::from("nowhere/pictures");
    assert!(error(&missing).starts_with("DIR does not exist"), "{}", error(&missing));
    let empty = folder(&[("", &[])]);
    assert!(error(empty.path()).starts_with("DIR has no pictures: none whose name ends with one of jpg"));
    write(&empty.path().join("a.bmp"), &bmp(3, 3, 0));
    assert_eq!(
        error(empty.path()),
        "a.bmp lies in DIR itself: pictures lie in a folder for each class, DIR/CLASS/a.bmp"
    );
    let one = folder(&[("", &[("cat", 3)])]);
    assert_eq!(error(one.path()), "DIR has one class only, cat: there is nothing to tell apart");
    let hollow = folder(&[("", &[("cat", 3), ("dog", 0), ("eel", 0)])]);
    assert_eq!(
        error(hollow.path()),
        "class dog of DIR has no pictures, nor have 1 more classes: remove what is none, or fill it"
    );
    let alike = folder(&[("", &[("Cat", 3), ("cat", 3), ("dog", 3)])]);
    assert_eq!(
        error(alike.path()),
        "the classes Cat and cat of DIR differ in capitals only: give them one name"
    );
    let few = folder(&[("", &[("cat", 3), ("dog", 1)])]);
    assert!(
        error(few.path()).starts_with("class dog of DIR has 1 pictures: too few"),
        "{}",
        error(few.path())
    );
    let deep = folder(&[("sets/animals", &[("cat", 3), ("dog", 3)])]);
    assert!(error(deep.path()).starts_with("DIR/sets/animals is a folder within the class sets"));
    let differ = folder(&[("train", &[("cat", 3), ("dog", 3)]), ("val", &[("cat", 3), ("eel", 3)])]);
    assert_eq!(error(differ.path()), "the classes must be the same: DIR/val lacks dog; DIR/train lacks eel");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_closed_folders_are_told() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let real = folder(&[("", &[("cat", 6), ("dog", 6)])]);
    let linked = tempfile::tempdir().expect("a folder");
    for class in ["cat", "dog"] {
        symlink(real.path().join(class), linked.path().join(class)).expect("writable");
    }
    assert_eq!(load(linked.path(), &rules()).expect("classes").train.len(), 10);
    let closed = real.path().join("dog");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("ours");
    // Whoever may do everything is not kept out.
    if fs::read_dir(&closed).is_err() {
        assert!(error(real.path()).starts_with("DIR/dog: Permission denied"));
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_broken_picture_gives_way_to_the_next_of_its_class() {
    let folder = folder(&[("train", &[("cat", 3), ("dog", 4)]), ("val", &[("cat", 1), ("dog", 1)])]);
    let path = |name: &str| folder.path().join("train/dog").join(name);
    write(&path("01.bmp"), b"no picture");
    write(&path("03.bmp"), &bmp(5, 5, 0)[..60]);
    let set = load(folder.path(), &rules()).expect("headers are not looked at");
    let width = |index| set.train.picture(index).map(|picture| picture.size()[1]);
    // 3 to 6 are dogs of 6 to 9 columns: behind 01 comes 02, behind 03 the first.
    assert_eq!([3, 4, 5, 6].map(|index| width(index).expect("others stand in")), [6, 8, 8, 6]);
    let faults = set.train.take_faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let of =
        |name: &str| faults.iter().any(|fault| fault.starts_with(&format!("{}: ", path(name).display())));
    assert!(of("01.bmp") && of("03.bmp"), "{faults:?}");
    width(4).expect("another stands in");
    assert!(set.train.take_faults().is_empty(), "each is told once");
    let reading = Reading { fail: true, ..Reading::default() };
    let strict = load(folder.path(), &Rules { reading, ..rules() }).expect("headers are not looked at");
    let error = strict.train.picture(4).expect_err("broken").to_string();
    assert!(error.contains("01.bmp: not a picture in a known format"), "{error}");
    for name in ["00.bmp", "02.bmp"] {
        write(&path(name), b"");
    }
    let none = load(folder.path(), &rules()).expect("headers are not looked at");
    let error = none.train.picture(3).expect_err("all are broken").to_string();
    assert!(error.starts_with("no picture of class dog of "), "{error}");
}

fn batches(set: &Dataset, workers: usize, first_step: usize) -> Vec<Batch> {
    let normalize = Normalize { mean: vec![0.4; 3], std: vec![0.2; 3] };
    let crop = Augment::RandomResizedCrop { scale: [0.08, 1.0], ratio: [0.75, 1.5] };
    let augment = [crop, Augment::Flip { probability: 0.5 }, Augment::Cutout { size: 2 }];
    let transform = Transform::new([8, 7, 3], &normalize, &augment, 5).expect("three channels");
    let order = once(shuffled(set.train.len(), 5, 3, Rank::ONLY));
    let epoch = Epoch { epoch: 3, order, batch_size: 4, first_step, form: Form::Floats };
    let mut loader =
        Loader::start(Arc::clone(&set.train), Arc::new(transform), epoch, workers).expect("threads");
    let mut batches = Vec::new();
    while let Some((step, batch)) = loader.next_batch().expect("others stand in") {
        batches.push(batch.clone());
        loader.recycle(step, batch);
    }
    batches
}

/// Broken pictures, a cache that has room for some pictures alone, and whatever was asked for before, change nothing.
#[test]
fn batches_do_not_depend_on_workers_resuming_or_the_cache() {
    let folder = folder(&[("train", &[("cat", 9), ("dog", 8)]), ("val", &[("cat", 1), ("dog", 1)])]);
    for name in ["cat/02.bmp", "cat/03.bmp", "dog/07.bmp"] {
        write(&folder.path().join("train").join(name), b"BM");
    }
    let set = |cache| load(folder.path(), &Rules { cache, ..rules() }).expect("classes");
    let whole = batches(&set(0), 1, 0);
    assert_eq!(whole.iter().map(|batch| batch.labels.len()).collect::<Vec<_>>(), [4, 4, 4, 4, 1]);
    let some = set(1500);
    for workers in [1, 2, 3, 7] {
        for first in 0..5 {
            assert_eq!(whole[first..], batches(&set(0), workers, first), "{workers} from {first}");
            assert_eq!(whole[first..], batches(&some, workers, first), "{workers} from {first}");
        }
    }
}

/// What `--predict` makes of a picture, bit for bit, in the order of the device's memory.
#[test]
fn evaluation_sees_what_predictions_see() {
    let folder = folder(&[("train", &[("cat", 2), ("dog", 2)]), ("val", &[("cat", 5), ("dog", 5)])]);
    let set = load(folder.path(), &rules()).expect("classes");
    let normalize = Normalize { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 0.6, 0.7] };
    for fit in [Fit::Squash, Fit::Center { resize: 8 }] {
        let preprocess =
            Preprocess { fit, interpolation: Interpolation::Bicubic, normalize: normalize.clone() };
        let transform = Transform::new([6, 7, 3], &normalize, &[], 0).expect("three").fitting(&preprocess);
        let mut preparer = Preparer::new([3, 6, 7], &preprocess, &Limits::default()).expect("colours");
        for index in 0..10 {
            let mut found = vec![0.0; 126];
            transform.apply(&*set.test, index, 0, &mut Default::default(), &mut found).expect("readable");
            let class = ["cat", "dog"][index / 5];
            let path = folder.path().join("val").join(class).join(format!("{:02}.bmp", index % 5));
            let picture = decode(&fs::read(path).expect("there"), &Limits::default()).expect("a picture");
            let mut planes = vec![0.0; 126];
            let seen = preparer.fit(&picture).expect("small");
            preparer.normalize(&seen, &mut planes);
            let expected: Vec<f32> = (0..126).map(|at| planes[at % 3 * 42 + at / 3]).collect();
            assert_eq!(found, expected, "{fit:?} {index}");
        }
    }
}

/// Sizes and labels of both parts.
fn contents(path: &Path) -> [Vec<(u32, usize)>; 2] {
    let set = load(path, &rules()).expect("a source");
    [&set.train, &set.test].map(|source| {
        let width = |index| source.picture(index).expect("readable").size()[1];
        (0..source.len()).map(|index| (source.label(index), width(index))).collect()
    })
}

#[test]
fn tables_name_paths_labels_and_parts() {
    let folder = folder(&[("all", &[("cat", 3), ("dog", 3)])]);
    let csv = folder.path().join("list.csv");
    let lines = "\u{feff}Label,path,split,note\n10,all/dog/00.bmp,train,\"a, b\"\n2, all/cat/01.bmp ,train,\n\
                 10,all/dog/01.bmp,train,\n2,all/cat/02.bmp,val,\n10,all/dog/02.bmp,val,\n";
    fs::write(&csv, lines).expect("writable");
    // 2 comes before 10: they are numbers.
    let expected = [vec![(0, 7), (1, 6), (1, 7)], vec![(0, 8), (1, 8)]];
    assert_eq!(contents(&csv), expected);
    assert_eq!(load(&csv, &rules()).expect("a table").classes(), ["2", "10"]);
    let json = folder.path().join("list.jsonl");
    let lines = "{\"file\": \"all/dog/00.bmp\", \"label\": 10, \"split\": \"train\"}\n\n\
                 {\"file\": \"all/cat/01.bmp\", \"label\": 2, \"split\": \"train\"}\n\
                 {\"file\": \"all/dog/01.bmp\", \"label\": 10, \"split\": \"train\"}\n\
                 {\"file\": \"all/cat/02.bmp\", \"label\": 2, \"split\": \"val\"}\n\
                 {\"file\": \"all/dog/02.bmp\", \"label\": \"10\", \"split\": \"val\"}\n";
    fs::write(&json, lines).expect("writable");
    assert_eq!(contents(&json), expected);
}

#[test]
fn wrong_tables_are_told_with_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("writable");
        error(&path)
    };
    assert!(
        refused("a.csv", "name,label\n")
            .starts_with("DIR: its first line names no column of paths: one of path, ")
    );
    assert!(refused("a.csv", "path,label\na.jpg,cat\nb.jpg,\n").starts_with("DIR, line 3: it has no label"));
    assert!(refused("a.csv", "path,label\na.jpg\n").contains("line: 2"), "too few fields");
    assert!(
        refused("a.jsonl", "{\"path\": \"a.jpg\", \"label\": 1}\n[]\n")
            .starts_with("DIR, line 2: no JSON object")
    );
    assert_eq!(
        refused("a.csv", "path,label,split\na.jpg,cat,one\nb.jpg,cat,two\n"),
        "DIR has the parts one, two: `train` and `val` are needed, or none"
    );
    assert!(refused("a.txt", "").starts_with("DIR is no source of pictures"));
}

/// An archive of these files.
fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

#[test]
fn archives_hold_folders_or_shards_of_samples() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let pictures: Vec<_> = ["train/cat/0", "train/dog/1", "train/dog/2", "val/cat/3", "val/dog/4"]
        .into_iter()
        .enumerate()
        .map(|(at, name)| (format!("./sets/{name}.bmp"), bmp(5 + at, 4, at)))
        .collect();
    let files: Vec<_> = pictures.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let plain = folder.path().join("set.tar");
    fs::write(&plain, archive(&files)).expect("writable");
    let expected = [vec![(0, 5), (1, 6), (1, 7)], vec![(0, 8), (1, 9)]];
    assert_eq!(contents(&plain), expected);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive(&files)).expect("in memory");
    let path = folder.path().join("set.tar.gz");
    fs::write(&path, packed.finish().expect("in memory")).expect("writable");
    assert_eq!(contents(&path), expected);

    // WebDataset: the label beside the picture, before or behind it; other files of the sample are passed over.
    for shard in 0..3 {
        let files: Vec<(String, Vec<u8>)> = (0..4)
            .flat_map(|at| {
                let label = (format!("{shard}{at}.cls"), format!("{}\n", at % 2).into_bytes());
                let picture = (format!("{shard}{at}.bmp"), bmp(3 + shard, 3 + at, at));
                let other = (format!("{shard}{at}.json"), b"{}".to_vec());
                if at < 2 { [label, picture, other] } else { [picture, other, label] }
            })
            .collect();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        fs::write(folder.path().join(format!("w-{shard:03}.tar")), archive(&files)).expect("writable");
    }
    let set = load(&folder.path().join("w-{000..002}.tar"), &rules()).expect("shards");
    assert_eq!(
        (set.classes(), set.train.len() + set.test.len()),
        (&["0".to_owned(), "1".to_owned()][..], 12)
    );
    let heights = |label: u32| {
        let of = |index: usize| set.train.picture(index).expect("readable").size()[0];
        (0..set.train.len()).filter(|&index| set.train.label(index) == label).map(of).collect::<Vec<_>>()
    };
    assert!(heights(0).iter().all(|height| [3, 5].contains(height)), "{:?}", heights(0));
    assert!(heights(1).iter().all(|height| [4, 6].contains(height)), "{:?}", heights(1));

    let bare = folder.path().join("bare.tar");
    fs::write(&bare, archive(&[("a.bmp", bmp(3, 3, 0))])).expect("writable");
    assert!(error(&bare).starts_with("a.bmp in DIR has no class"), "{}", error(&bare));
    fs::write(&bare, &archive(&files)[..700]).expect("writable");
    assert!(error(&bare).starts_with("DIR: a damaged archive"), "{}", error(&bare));
}
