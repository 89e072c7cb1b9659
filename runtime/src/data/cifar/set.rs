//! What the two data sets consist of.

use resnetc_compiler::datasets::{self, Facts};

use crate::data::archive::Member;
use crate::data::checksum::Checksum;
use crate::data::fetch::Remote;

/// Rows and columns.
pub(super) const SIDE: usize = datasets::CIFAR10.input[1];
/// Pixels of one channel.
pub(super) const PLANE: usize = SIDE * SIDE;
/// Bytes of one image.
pub(super) const IMAGE: usize = 3 * PLANE;
/// Most bytes of the file with the classes' names.
pub(super) const NAMES: u64 = 64 << 10;

/// A file of records.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub name: &'static str,
    pub records: usize,
}

/// One of the two data sets.
#[derive(Debug)]
pub struct Cifar {
    pub(super) facts: Facts,
    /// Folder inside the archive.
    pub(super) folder: &'static str,
    pub(super) train: &'static [File],
    pub(super) test: &'static [File],
    /// Names of the classes, one a line.
    pub(super) names: &'static str,
    /// Bytes before the pixels; the last of them is the class.
    pub(super) label_bytes: usize,
    pub(super) archive: Remote<'static>,
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
        checksum: Checksum::Md5("c32a1d4ab5d03f1284b67883e8d87530"),
        token: None,
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
        checksum: Checksum::Md5("03b5dce01913d631647c71ecec9e9cb8"),
        token: None,
    },
};

impl Cifar {
    /// Bytes of a record.
    pub(super) fn record(&self) -> usize {
        self.label_bytes + IMAGE
    }

    /// Bytes of a file.
    pub(super) fn size(&self, file: &File) -> u64 {
        (file.records * self.record()) as u64
    }

    /// The files of records.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static File> {
        self.train.iter().chain(self.test)
    }

    /// What the archive must hold, with the most bytes each may have.
    pub(super) fn members(&self) -> Vec<Member> {
        let names = Member { name: self.names, most: NAMES };
        let files = self.files().map(|file| Member { name: file.name, most: self.size(file) });
        files.chain([names]).collect()
    }
}
