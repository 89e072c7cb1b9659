//! Plans on the disk: a file for each work on a kind of GPU, by a version of cuDNN. To compile a plan takes seconds, to load one a
//! millisecond. What cuDNN offered and could not make lies there too, so that it is not tried at each start.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::engine::Rules;
use super::job::Job;
use super::plan::Stored;
use crate::error::{Error, Result};
use crate::files;
use crate::hex::hex;
use crate::weights::file::write_atomic;

/// Of the file. Others are ignored.
const FORMAT: u32 = 2;
/// Bytes of the largest file: some hundred plans with their kernels.
const LARGEST: u64 = 64 << 20;

/// A folder of plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

/// What plans were made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The GPU, by what plans of it have in common: `Device::key`.
    pub device: String,
    /// Version of cuDNN: 92800.
    pub cudnn: usize,
    /// Whether only deterministic engines were asked.
    pub deterministic: bool,
    /// What is done.
    pub work: Job,
}

/// Plans of one work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    /// The first is the one to take.
    pub plans: Vec<Stored>,
    /// Whether nothing is left to find out: the first was the fastest of all on such a GPU, or is the only one there can be.
    pub settled: bool,
    /// What could not be made.
    pub failed: Failed,
    /// Of a work that is fused from several: how long the first plan takes, and how long the parts.
    pub compared: Option<Compared>,
}

/// Measured times of the two ways to the same results.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Seconds of the fused convolution and of what is left to do behind it.
    pub fused: f64,
    /// Seconds of the convolution alone and of what is left to do behind that.
    pub parts: f64,
}

impl Compared {
    /// Whether the fused way is the faster one.
    pub fn fused_is_faster(&self) -> bool {
        self.fused < self.parts
    }
}

/// Engines that were offered and could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Failed {
    /// Who tried: `resnetc 0.1.0, driver 13000`. Another version may describe the work otherwise, another driver take more.
    pub by: String,
    /// The engines, by their texts, and why.
    pub engines: BTreeMap<String, String>,
    /// Where there was none left: why nothing computes the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// Whether the GPU was at hand: without it the older calls cannot be asked.
    pub at_hand: bool,
}

impl Failed {
    /// Nothing yet.
    pub fn by(by: String) -> Self {
        Failed { by, ..Failed::default() }
    }

    /// The same, if it is by the one who tries now; else nothing has failed yet.
    #[must_use]
    pub fn tried_by(self, by: String) -> Self {
        if self.by == by { self } else { Failed::by(by) }
    }

    /// Why nothing computes the work. What was found without a GPU does not hold where one is at hand.
    pub fn all(&self, at_hand: bool) -> Option<&str> {
        self.all.as_deref().filter(|_| self.at_hand || !at_hand)
    }

    /// Whether nothing has failed.
    pub fn is_empty(&self) -> bool {
        self.engines.is_empty() && self.all.is_none()
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Plans that the rules allow; none where what was tried has failed.
    Plans(Kept),
    /// No file, or nothing in it that the rules allow.
    Nothing,
    /// A file that cannot be used; it says why. It will be overwritten.
    Ignored(String),
}

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    #[serde(flatten)]
    key: Key,
    settled: bool,
    /// Checksum of the plans and of what failed: a kernel with one wrong bit must not run.
    sha256: String,
    plans: Vec<Stored>,
    #[serde(default, skip_serializing_if = "Failed::is_empty")]
    failed: Failed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

impl Cache {
    /// In a folder, which is made when the first plan is kept.
    pub fn in_folder(folder: &Path) -> Self {
        Cache { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a key: what it is for people, and a checksum of all of it.
    pub fn path(&self, key: &Key) -> PathBuf {
        let text = format!("{key}");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join("-");
        self.folder.join(format!("{words}-{}.json", &digest(key)[..16]))
    }

    /// The plans that are kept for a key, those that the rules allow. A file that cannot be used is no error, for all in it can be
    /// made anew.
    pub fn load(&self, key: &Key, rules: &Rules) -> Found {
        let path = self.path(key);
        let text = match files::read_text(&path, LARGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
            Err(error) => return Found::Ignored(format!("{}: {error}", path.display())),
        };
        let file = match read(&text, key) {
            Ok(file) => file,
            Err(reason) => return Found::Ignored(format!("{}: {reason}", path.display())),
        };
        let mut plans = file.plans;
        let first = plans.first().map(|plan| plan.engine.clone());
        plans.retain(|plan| {
            plan.engine.objection(&key.work, rules).is_none() && plan.workspace <= rules.workspace
        });
        if plans.is_empty() && file.failed.is_empty() {
            return Found::Nothing;
        }
        // Where the fastest is forbidden, the next one is not known to be the fastest of the rest.
        let settled = file.settled && plans.first().map(|plan| &plan.engine) == first.as_ref();
        let compared = file.compared.filter(|_| plans.first().map(|plan| &plan.engine) == first.as_ref());
        Found::Plans(Kept { plans, settled, failed: file.failed, compared })
    }

    /// Keeps plans in the place of those that were.
    ///
    /// # Errors
    /// Where the file cannot be written; an older one is then as it was.
    pub fn save(&self, key: &Key, kept: &Kept) -> Result<()> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| Error::Io { path: self.folder.clone(), source })?;
        let Kept { plans, settled, failed, compared } = kept.clone();
        let sha256 = digest(&(&plans, &failed));
        let file = File { format: FORMAT, key: key.clone(), settled, sha256, plans, failed, compared };
        let path = self.path(key);
        let text = serde_json::to_string(&file)
            .map_err(|error| Error::Io { path: path.clone(), source: error.into() })?;
        write_atomic(&path, text.as_bytes())
    }
}

fn read(text: &str, key: &Key) -> Result<File, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let broken = |error: serde_json::Error| format!("no file of plans: {error}");
    let Format { format } = serde_json::from_str(text).map_err(broken)?;
    if format != FORMAT {
        return Err(format!("its format is {format}, not {FORMAT}"));
    }
    let file: File = serde_json::from_str(text).map_err(broken)?;
    if file.key != *key {
        return Err(format!("it is of {}", file.key));
    }
    if file.sha256 != digest(&(&file.plans, &file.failed)) {
        return Err("its checksum is wrong".into());
    }
    Ok(file)
}

/// Checksum of a value's JSON, in hexadecimal digits.
fn digest(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("plain data");
    hex(Sha256::digest(text))
}

/// `forward + stats bf16 3x3 64x56x56 -> 64x56x56, n 256 (sm_90, 132 processors, 5120 bit, driver 13, cuDNN 92800)`
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { device, cudnn, deterministic, work } = self;
        let deterministic = if *deterministic { " deterministic" } else { "" };
        let (pattern, types, sizes) = (work.text(), work.types(), work.sizes());
        write!(f, "{pattern} {types}{deterministic} {sizes} ({device}, cuDNN {cudnn})")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use resnetc_compiler::ir::op::ConvAttrs;

    use super::*;
    use crate::cuda::cudnn::engine::{Engine, Note, Source};
    use crate::cuda::cudnn::tensor::{Element, Place};
    use crate::cuda::cudnn::work::{Math, Pattern, Sizes, Work};

    const FREE: Rules = Rules { deterministic: false, workspace: 1 << 20 };

    fn key() -> Key {
        let attrs =
            ConvAttrs { kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
        let (x, y) = (Place::whole(8), Place::whole(16));
        let sizes = Sizes { n: 2, h: 4, w: 4, cin: 8, cout: 16, out: [4, 4], attrs, x, y };
        let work = Job::from(Work::new(Pattern::ForwardStats, sizes, Element::Bf16, Math::Full));
        Key { device: "sm_90, 132 processors".into(), cudnn: 92800, deterministic: false, work }
    }

    fn stored(index: i64, notes: &[Note], workspace: u64) -> Stored {
        let engine = Engine { source: Source::Graph(index), knobs: Vec::new(), notes: notes.to_vec() };
        Stored { engine, workspace, seconds: Some(1e-4), json: Some(format!("{{\"plan\": {index}}}")) }
    }

    fn kept() -> Kept {
        let plans = vec![stored(7, &[Note::Nondeterministic], 4096), stored(4, &[Note::NativeGraph], 0)];
        Kept { plans, settled: true, ..Kept::default() }
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("temp folder");
        let cache = Cache::in_folder(&folder.path().join("plans"));
        (folder, cache)
    }

    #[test]
    fn times_of_both_ways_come_back_with_the_plan_that_they_are_of() {
        let (_folder, cache) = cache();
        let compared = Some(Compared { fused: 2e-4, parts: 3e-4 });
        cache.save(&key(), &Kept { compared, ..kept() }).expect("writable");
        let times = |rules| match cache.load(&key(), &rules) {
            Found::Plans(kept) => kept.compared,
            other => panic!("{other:?}"),
        };
        assert_eq!(times(FREE), compared);
        // The first plan is not taken, and the times are not those of the other.
        assert_eq!(times(Rules { workspace: 0, ..FREE }), None);
        assert!(Compared { fused: 2e-4, parts: 3e-4 }.fused_is_faster());
        assert!(!Compared { fused: 3e-4, parts: 3e-4 }.fused_is_faster());
    }

    #[test]
    fn plans_come_back() {
        let (_folder, cache) = cache();
        assert_eq!(cache.load(&key(), &FREE), Found::Nothing);
        cache.save(&key(), &kept()).expect("writable");
        assert_eq!(cache.load(&key(), &FREE), Found::Plans(kept()));
        let name = cache.path(&key()).file_name().expect("a file").to_string_lossy().into_owned();
        assert!(
            name.starts_with("forward-stats-bf16-3x3-8x4x4-16x4x4-n-2-sm-90-132-processors-cuDNN-92800-")
        );
        let left: Vec<_> = fs::read_dir(cache.folder()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "no temporary file is left");
    }

    #[test]
    fn another_gpu_version_or_work_has_other_plans() {
        let (_folder, cache) = cache();
        cache.save(&key(), &kept()).expect("writable");
        let Job::Convolution(work) = key().work else { panic!("it is a convolution's") };
        let work = Work { output: Element::F32, ..work }.into();
        for other in [
            Key { device: "sm_80, 108 processors".into(), ..key() },
            Key { cudnn: 92900, ..key() },
            Key { deterministic: true, ..key() },
            Key { work, ..key() },
        ] {
            assert_eq!(cache.load(&other, &FREE), Found::Nothing, "{other}");
        }
    }

    #[test]
    fn rules_hold_for_what_was_kept() {
        let (_folder, cache) = cache();
        cache.save(&key(), &kept()).expect("writable");
        let second = Found::Plans(Kept { plans: kept().plans[1..].to_vec(), ..Kept::default() });
        assert_eq!(cache.load(&key(), &Rules { deterministic: true, ..FREE }), second);
        assert_eq!(cache.load(&key(), &Rules { workspace: 100, ..FREE }), second);
        cache.save(&key(), &Kept { plans: kept().plans[..1].to_vec(), ..kept() }).expect("writable");
        assert_eq!(cache.load(&key(), &Rules { workspace: 100, ..FREE }), Found::Nothing);
    }

    #[test]
    fn files_that_are_broken_or_foreign_are_ignored_with_a_word() {
        let (_folder, cache) = cache();
        cache.save(&key(), &kept()).expect("writable");
        let path = cache.path(&key());
        let text = fs::read_to_string(&path).expect("readable");
        let foreign = Cache::path(&cache, &Key { cudnn: 1, ..key() });
        fs::copy(&path, &foreign).expect("writable");
        for (broken, word) in [
            (text[..text.len() / 2].to_owned(), "EOF"),
            (text.replacen("\"format\":2", "\"format\":1", 1), "its format is 1, not 2"),
            (text.replace("\\\"plan\\\": 7", "\\\"plan\\\": 8"), "its checksum is wrong"),
            (text.replace("92800", "92801"), "it is of forward + stats bf16"),
            ("[]".into(), "no file of plans"),
            (String::new(), "no file of plans"),
        ] {
            assert_ne!(broken, text, "{word}");
            fs::write(&path, &broken).expect("writable");
            match cache.load(&key(), &FREE) {
                Found::Ignored(reason) => assert!(reason.contains(word), "{reason:?} lacks {word:?}"),
                found => panic!("{found:?} instead of {word:?}"),
            }
        }
        cache.save(&key(), &kept()).expect("overwritten");
        assert_eq!(cache.load(&key(), &FREE), Found::Plans(kept()));
        let moved = cache.load(&Key { cudnn: 1, ..key() }, &FREE);
        assert!(matches!(&moved, Found::Ignored(reason) if reason.contains("cuDNN 92800")), "{moved:?}");
    }

    #[test]
    fn what_failed_is_kept_with_the_plans_and_without_any() {
        let (_folder, cache) = cache();
        let engines = BTreeMap::from([("engine 9".to_owned(), "CUDNN_STATUS_NOT_SUPPORTED".to_owned())]);
        let failed = Failed { engines, ..Failed::by("resnetc 0.1.0, driver 13000".to_owned()) };
        let beside = Kept { failed: failed.clone(), ..kept() };
        cache.save(&key(), &beside).expect("writable");
        assert_eq!(cache.load(&key(), &FREE), Found::Plans(beside));
        let all = Some("the heuristics offer nothing".to_owned());
        let nothing = Kept { failed: Failed { all, at_hand: true, ..failed }, ..Kept::default() };
        cache.save(&key(), &nothing).expect("writable");
        assert_eq!(cache.load(&key(), &FREE), Found::Plans(nothing));
        let path = cache.path(&key());
        let text = fs::read_to_string(&path).expect("readable").replace("offer nothing", "offer something");
        fs::write(&path, text).expect("writable");
        let found = cache.load(&key(), &FREE);
        assert!(matches!(&found, Found::Ignored(why) if why.contains("its checksum is wrong")), "{found:?}");
    }

    #[test]
    fn failures_hold_for_who_tried_and_with_what() {
        let engines = BTreeMap::from([("engine 9".to_owned(), "it does not compile".to_owned())]);
        let failed =
            Failed { engines, all: Some("none is left".into()), ..Failed::by("resnetc 0.1.0".into()) };
        assert_eq!(failed.clone().tried_by("resnetc 0.1.0".into()), failed);
        assert_eq!(failed.clone().tried_by("resnetc 0.2.0".into()), Failed::by("resnetc 0.2.0".into()));
        assert_eq!((failed.all(false), failed.all(true)), (Some("none is left"), None));
        assert_eq!(Failed { at_hand: true, ..failed }.all(true), Some("none is left"));
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_ignored_and_cannot_be_overwritten() {
        let (_folder, cache) = cache();
        fs::create_dir_all(cache.path(&key())).expect("writable");
        let found = cache.load(&key(), &FREE);
        assert!(matches!(&found, Found::Ignored(reason) if reason.contains("a folder")), "{found:?}");
        cache.save(&key(), &kept()).expect_err("a folder is there");
    }
}
