//! CIFAR-10 and CIFAR-100 in their official binary form (<https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A file is a sequence of records: label bytes (CIFAR-10: the class; CIFAR-100: the coarse, then the fine class),
//! then 3072 bytes of pixels, `[channel][row][column]`. In memory the channels come last.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_compiler::datasets::{self, Facts};

use super::archive::{Member, unpack};
use super::fetch::{Progress, Remote, fetch};
use super::memory::InMemory;
use super::places::Places;
use super::source::Dataset;
use crate::error::{Error, Result};

/// Rows and columns.
const SIDE: usize = datasets::CIFAR10.input[1];
/// Pixels of one channel.
const PLANE: usize = SIDE * SIDE;
/// Bytes of one image.
const IMAGE: usize = 3 * PLANE;

/// A file of records.
#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    records: usize,
}

/// One of the two data sets.
#[derive(Debug)]
pub struct Cifar {
    facts: Facts,
    /// Folder inside the archive.
    folder: &'static str,
    train: &'static [File],
    test: &'static [File],
    /// Names of the classes, one a line.
    names: &'static str,
    /// Bytes before the pixels; the last of them is the class.
    label_bytes: usize,
    archive: Remote<'static>,
}

/// 50,000 + 10,000 images in 10 classes.
pub const CIFAR10: Cifar = Cifar {
    facts: datasets::CIFAR10,
    folder: "cifar-10-batches-bin",
    train: &[
        File { name: "data_batch_1.bin", records: 10_000 },
        File { name: "data_batch_2.bin", records: 10_000 },
        File { name: "data_batch_3.bin", records: 10_000 },
        File { name: "data_batch_4.bin", records: 10_000 },
        File { name: "data_batch_5.bin", records: 10_000 },
    ],
    test: &[File { name: "test_batch.bin", records: 10_000 }],
    names: "batches.meta.txt",
    label_bytes: 1,
    archive: Remote {
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        size: 170_052_171,
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
    },
};

/// 50,000 + 10,000 images in 100 classes.
pub const CIFAR100: Cifar = Cifar {
    facts: datasets::CIFAR100,
    folder: "cifar-100-binary",
    train: &[File { name: "train.bin", records: 50_000 }],
    test: &[File { name: "test.bin", records: 10_000 }],
    names: "fine_label_names.txt",
    label_bytes: 2,
    archive: Remote {
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        size: 168_513_733,
        md5: "03b5dce01913d631647c71ecec9e9cb8",
    },
};

impl Cifar {
    fn record(&self) -> usize {
        self.label_bytes + IMAGE
    }

    fn files(&self) -> impl Iterator<Item = &File> {
        self.train.iter().chain(self.test)
    }

    /// What the archive must hold, with the most bytes each may have.
    fn members(&self) -> Vec<Member> {
        let names = Member { name: self.names, most: 64 * 1024 };
        self.files()
            .map(|f| Member { name: f.name, most: (f.records * self.record()) as u64 })
            .chain([names])
            .collect()
    }

    /// The folder with the files: the one given, or the archive's folder inside it.
    fn find(&self, root: &Path) -> Option<PathBuf> {
        let complete = |dir: &Path| self.files().all(|f| dir.join(f.name).is_file());
        [root.to_path_buf(), root.join(self.folder)].into_iter().find(|dir| complete(dir))
    }
}

/// Finds the files, or downloads them, and reads them.
pub(super) fn load(
    set: &'static Cifar,
    places: &Places,
    progress: &mut dyn FnMut(Progress),
) -> Result<Dataset> {
    let root = places.folder()?;
    if let Some(dir) = set.find(root) {
        return read(set, &dir);
    }
    let instead = format!(
        "put {} into {}, unpacked ({}/{}, ...)",
        set.archive.file_name(),
        root.display(),
        set.folder,
        set.train[0].name
    );
    if !places.download {
        return Err(Error::Data(format!(
            "{} is not in {}; get {} and {instead}",
            set.facts.name,
            root.display(),
            set.archive.url
        )));
    }
    let archive = root.join(set.archive.file_name());
    fetch(&set.archive, &archive, progress).map_err(|e| match e {
        Error::Fetch { url, reason } => Error::Fetch { url, reason: format!("{reason}; or {instead}") },
        other => other,
    })?;
    unpack(&archive, set.folder, &set.members(), root)?;
    fs::remove_file(&archive).map_err(Error::io(&archive))?;
    read(set, &root.join(set.folder))
}

/// Reads the files of a folder.
///
/// # Errors
/// [`Error::Io`] or [`Error::Data`] naming the file that is missing, has a wrong size or a label out of range.
pub fn read(set: &'static Cifar, dir: &Path) -> Result<Dataset> {
    let classes: Arc<[String]> = class_names(set, &dir.join(set.names))?.into();
    let read = |part, files| read_files(set, part, Arc::clone(&classes), dir, files).map(Arc::new);
    Dataset::new(set.facts.name, read("train", set.train)?, read("test", set.test)?)
}

/// The names, or numbers where the file of names is missing: some mirrors leave it out.
fn class_names(set: &Cifar, path: &Path) -> Result<Vec<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok((0..set.facts.classes).map(|i| i.to_string()).collect());
        }
        Err(e) => return Err(Error::io(path)(e)),
    };
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    if names.len() != set.facts.classes {
        return Err(Error::Data(format!(
            "{}: {} class names, expected {}",
            path.display(),
            names.len(),
            set.facts.classes
        )));
    }
    Ok(names)
}

fn read_files(
    set: &Cifar,
    part: &str,
    classes: Arc<[String]>,
    dir: &Path,
    files: &[File],
) -> Result<InMemory> {
    let records: usize = files.iter().map(|f| f.records).sum();
    let mut pixels = vec![0u8; records * IMAGE];
    let mut labels = Vec::with_capacity(records);
    for file in files {
        let path = dir.join(file.name);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let first = labels.len();
        let part = &mut pixels[first * IMAGE..(first + file.records) * IMAGE];
        decode(set, file.records, &bytes, part, &mut labels)
            .map_err(|reason| Error::Data(format!("{}: {reason}", path.display())))?;
    }
    InMemory::new(format!("{}/{part}", set.facts.name), classes, [SIDE, SIDE, 3], pixels, labels)
}

/// Splits records into labels and pixels, `[channel][row][column]` to `[row][column][channel]`.
fn decode(
    set: &Cifar,
    records: usize,
    bytes: &[u8],
    pixels: &mut [u8],
    labels: &mut Vec<u32>,
) -> std::result::Result<(), String> {
    let expected = records * set.record();
    if bytes.len() != expected {
        return Err(format!(
            "{} bytes, expected {expected} ({records} records of {}): cut off, or not the binary version",
            bytes.len(),
            set.record()
        ));
    }
    for (i, (record, out)) in bytes.chunks_exact(set.record()).zip(pixels.chunks_exact_mut(IMAGE)).enumerate()
    {
        let (label, planes) = record.split_at(set.label_bytes);
        let class = label[set.label_bytes - 1];
        if usize::from(class) >= set.facts.classes {
            return Err(format!("record {i} has class {class}, there are {} classes", set.facts.classes));
        }
        labels.push(u32::from(class));
        for (p, pixel) in out.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[planes[p], planes[PLANE + p], planes[2 * PLANE + p]]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for file in set.files() {
            fs::write(dir.join(file.name), records(set, file.records)).expect("temp folder is writable");
        }
    }

    #[test]
    fn decodes_labels_and_transposes_channels() {
        for set in [&CIFAR10, &CIFAR100] {
            let bytes = records(set, 12);
            let (mut pixels, mut labels) = (vec![0; 12 * IMAGE], Vec::new());
            decode(set, 12, &bytes, &mut pixels, &mut labels).expect("valid");
            assert_eq!(labels[11], (11 % set.facts.classes) as u32);
            let at = |y: usize, x: usize, c: usize| pixels[IMAGE * 11 + (y * SIDE + x) * 3 + c];
            assert_eq!([at(5, 9, 0), at(5, 9, 1), at(31, 0, 2)], [5, 55, 131]);
        }
    }

    #[test]
    fn refuses_wrong_sizes_and_labels() {
        let mut bytes = records(&CIFAR10, 3);
        let mut pixels = vec![0; 3 * IMAGE];
        let short = decode(&CIFAR10, 3, &bytes[..bytes.len() - 1], &mut pixels, &mut Vec::new());
        assert!(short.expect_err("cut off").contains("9218 bytes, expected 9219"));
        bytes[3073] = 10;
        let label = decode(&CIFAR10, 3, &bytes, &mut pixels, &mut Vec::new());
        assert_eq!(label.expect_err("label out of range"), "record 1 has class 10, there are 10 classes");
    }

    #[test]
    fn finds_the_folder_itself_and_its_parent_and_names_what_is_missing() {
        let parent = tempfile::tempdir().expect("temp folder");
        let places = Places { data_dir: Some(parent.path().to_path_buf()), ..Places::default() };
        let missing = load(&CIFAR100, &places, &mut |_| ()).expect_err("nothing there").to_string();
        assert!(
            missing.contains("cifar-100-binary.tar.gz") && missing.contains("cifar-100-binary/train.bin")
        );

        let dir = parent.path().join(CIFAR100.folder);
        fs::create_dir(&dir).expect("temp folder is writable");
        write_all(&CIFAR100, &dir);
        assert_eq!(
            [parent.path(), &dir].map(|root| CIFAR100.find(root)),
            [Some(dir.clone()), Some(dir.clone())]
        );
        let set = load(&CIFAR100, &places, &mut |_| ()).expect("complete");
        assert_eq!((set.train.len(), set.test.len(), set.classes().len()), (50_000, 10_000, 100));
        fs::write(dir.join(CIFAR100.names), "apple\nbaby\n").expect("temp folder is writable");
        let names = read(&CIFAR100, &dir).expect_err("98 names missing").to_string();
        assert!(names.contains("2 class names, expected 100"), "{names}");
    }
}
