//! What is known of each data set before one of its files is read. A data set is an entry of this table and a loader of the
//! same name in the runtime; default normalisation, help, lists and messages derive from the table.

use serde::Serialize;

/// Facts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Facts {
    /// What specs and the command line call it.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// `[channels, height, width]` of every picture.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Number of training pictures.
    pub images: usize,
    /// Mean of each channel over the training pictures (from `0..1`).
    pub mean: &'static [f32],
    /// Standard deviation likewise.
    pub std: &'static [f32],
    /// Names of the classes, one a line, in the order of their numbers.
    #[serde(skip)]
    labels: &'static str,
}

impl Facts {
    /// Names of the classes, in the order of their numbers.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.labels.lines().collect::<Vec<_>>().into_iter()
    }
}

/// CIFAR-10 (Krizhevsky 2009).
pub const CIFAR10: Facts = Facts {
    name: "cifar10",
    about: "photographs of animals and vehicles (Krizhevsky 2009)",
    input: [3, 32, 32],
    classes: 10,
    images: 50_000,
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    labels: include_str!("datasets/cifar10.txt"),
};

/// CIFAR-100 with its fine classes (Krizhevsky 2009).
pub const CIFAR100: Facts = Facts {
    name: "cifar100",
    about: "photographs of animals, plants and things (Krizhevsky 2009)",
    input: [3, 32, 32],
    classes: 100,
    images: 50_000,
    mean: &[0.5071, 0.4865, 0.4409],
    std: &[0.2673, 0.2564, 0.2762],
    labels: include_str!("datasets/cifar100.txt"),
};

/// Pictures that the program draws. Their statistics are rounded: a test of the loader holds them against the pictures.
pub const SHAPES10: Facts = Facts {
    name: "shapes10",
    about: "shapes on patterned grounds, drawn by the program: needs no files",
    input: [3, 32, 32],
    classes: 10,
    images: 20_000,
    mean: &[0.5, 0.5, 0.5],
    std: &[0.25, 0.25, 0.25],
    labels: include_str!("datasets/shapes10.txt"),
};

/// The data set of the ILSVRC 2012 (Russakovsky et al. 2015), which most published weights were trained on. It is in no list, since
/// nothing here loads it.
pub const IMAGENET: Facts = Facts {
    name: "imagenet",
    about: "photographs of the ILSVRC 2012 (Russakovsky et al. 2015)",
    input: [3, 224, 224],
    classes: 1000,
    images: 1_281_167,
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    labels: include_str!("datasets/imagenet.txt"),
};

/// All data sets, in the order in which lists name them.
pub const DATASETS: [Facts; 3] = [CIFAR10, CIFAR100, SHAPES10];

/// What is trained on where neither the command line nor the spec names a data set: it needs no files.
pub const DEFAULT: Facts = SHAPES10;

/// The names of [`DATASETS`].
pub const NAMES: [&str; DATASETS.len()] = {
    let mut names = [""; DATASETS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = DATASETS[i].name;
        i += 1;
    }
    names
};

/// Endings of files that hold data sets, in small letters.
pub const ENDINGS: [&str; 6] = [".csv", ".jsonl", ".npz", ".pack", ".parquet", ".tar"];

/// Whether a value of `train.dataset` is a path and no name: it has a separator in it, is `.` or `..`, or ends as a file of pictures.
/// What lies there, the runtime finds out.
pub fn is_path(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    value.contains(['/', '\\'])
        || matches!(value, "." | "..")
        || ENDINGS.iter().any(|end| plain.ends_with(end))
}

/// [`is_path`] as a regular expression of JSON schemas.
pub const PATH_PATTERN: &str = r"[/\\]|^\.\.?$|\.([cC][sS][vV]|[jJ][sS][oO][nN][lL]|[nN][pP][zZ]|[pP][aA][cC][kK]|[pP][aA][rR][qQ][uU][eE][tT]|[tT][aA][rR])(\.[gG][zZ])?$";

/// The data set of that name.
pub fn find(name: &str) -> Option<&'static Facts> {
    const ALL: &[Facts] = &DATASETS;
    ALL.iter().find(|facts| facts.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_is_found_by_its_own_name_and_is_complete() {
        for facts in DATASETS {
            assert_eq!(find(facts.name), Some(&facts));
        }
        for facts in DATASETS.into_iter().chain([IMAGENET]) {
            assert_eq!(facts.labels().len(), facts.classes, "{}", facts.name);
            assert!(facts.labels().all(|label| !label.is_empty() && label.trim() == label), "{}", facts.name);
            let channels = facts.input[0];
            assert_eq!([facts.mean.len(), facts.std.len()], [channels; 2], "{}", facts.name);
            assert!(facts.std.iter().all(|&std| std > 0.0), "{}", facts.name);
            assert!(facts.classes > 1 && !facts.about.is_empty(), "{}", facts.name);
        }
        assert_eq!(find("cifar11"), None);
        assert!(NAMES.iter().all(|name| !is_path(name)));
        assert!(NAMES.contains(&DEFAULT.name));
    }

    #[test]
    fn paths_are_told_from_names() {
        for path in [
            "./pictures",
            "pictures/",
            r"C:\pictures",
            ".",
            "..",
            "list.csv",
            "a-{00..11}.tar.gz",
            "x.TAR",
            "mnist.npz",
        ] {
            assert!(is_path(path), "{path}");
        }
        for name in ["pictures", "cifar10", "a.csv.txt", "...", "tar"] {
            assert!(!is_path(name), "{name}");
        }
    }
}
