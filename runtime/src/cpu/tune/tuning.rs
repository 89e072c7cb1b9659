//! Measured instead of expected: the fastest algorithm of convolutions, kept in one file per processor, instruction set and
//! number of threads. Without any, and for what it does not name, the cost models decide.

use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use resnetc_compiler::plan::{ConvGeometry, Kernel};
use serde::{Deserialize, Serialize};

use crate::cpu::simd::Isa;
use crate::error::{Error, Result};
use crate::files;
use crate::weights::file::write_atomic;

/// Most bytes of the file: some hundred a layer.
const LARGEST: u64 = 64 << 20;

/// Which of a layer's convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// `x, weight -> y`
    Forward,
    /// `dy, weight -> dx`
    BackwardData,
    /// `x, dy -> dw`
    BackwardFilter,
}

/// What is decided once, however many steps of a plan have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layer {
    /// Its convolution.
    pub pass: Pass,
    /// Its sizes.
    pub geometry: ConvGeometry,
}

impl Layer {
    /// That of a kernel with several algorithms.
    pub fn of(kernel: &Kernel) -> Option<Self> {
        match *kernel {
            Kernel::Conv(Conv { geometry, .. }) => Some(Layer { pass: Pass::Forward, geometry }),
            Kernel::ConvBackwardData(ConvBackwardData { geometry, .. }) => {
                Some(Layer { pass: Pass::BackwardData, geometry })
            }
            Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry }) => {
                Some(Layer { pass: Pass::BackwardFilter, geometry })
            }
            _ => None,
        }
    }
}

/// What was measured of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The algorithm to take.
    pub fastest: String,
    /// Microseconds that a step of such a layer took, by algorithm.
    pub microseconds: BTreeMap<String, f64>,
}

/// The fastest algorithms of layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    layers: HashMap<Layer, Measurement>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Of resnetc: another's kernels have other times.
    version: String,
    cpu: String,
    isa: String,
    threads: usize,
    layers: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    layer: Layer,
    #[serde(flatten)]
    measurement: Measurement,
}

impl Tuning {
    /// The measured algorithm of a kernel.
    pub fn fastest(&self, kernel: &Kernel) -> Option<&str> {
        Some(&self.layers.get(&Layer::of(kernel)?)?.fastest)
    }

    /// Layers with a measurement.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Notes, or replaces, what was measured.
    pub fn insert(&mut self, layer: Layer, measurement: Measurement) {
        self.layers.insert(layer, measurement);
    }

    /// Leaves a layer to the cost model.
    pub fn remove(&mut self, layer: &Layer) {
        self.layers.remove(layer);
    }
}

/// Where measurements of this machine are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    path: PathBuf,
    cpu: String,
    isa: Isa,
    threads: usize,
}

impl Cache {
    /// In a given folder, the file of a device of these instructions and threads.
    pub fn in_folder(folder: &Path, isa: Isa, threads: usize) -> Self {
        let cpu = processor();
        let words = cpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("-");
        let path = folder.join(format!("{name}-{}-{threads}.json", isa.name()));
        Cache { path, cpu, isa, threads }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was measured; nothing where there is no file, or one of another version.
    ///
    /// # Errors
    /// Where the file cannot be read or is no such file.
    pub fn load(&self) -> Result<Tuning> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let text = match files::read_text(&self.path, LARGEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Tuning::default()),
            read => read.map_err(io)?,
        };
        let stored: Stored = serde_json::from_str(&text).map_err(|error| io(error.into()))?;
        let mine = stored.version == env!("CARGO_PKG_VERSION")
            && (&*stored.cpu, &*stored.isa, stored.threads) == (&*self.cpu, self.isa.name(), self.threads);
        let entries = if mine { stored.layers } else { Vec::new() };
        Ok(Tuning { layers: entries.into_iter().map(|entry| (entry.layer, entry.measurement)).collect() })
    }

    /// Writes it whole; its folder is made.
    ///
    /// # Errors
    /// Where it cannot be written; an older file is then as it was.
    pub fn save(&self, tuning: &Tuning) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let entry = |(layer, measurement): (&Layer, &Measurement)| Entry {
            layer: *layer,
            measurement: measurement.clone(),
        };
        let mut layers: Vec<_> = tuning.layers.iter().map(entry).collect();
        layers.sort_by_cached_key(|entry| format!("{:?}", entry.layer));
        let stored = Stored {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cpu: self.cpu.clone(),
            isa: self.isa.name().to_owned(),
            threads: self.threads,
            layers,
        };
        let text = serde_json::to_string_pretty(&stored)
            .map_err(|error| Error::Io { path: self.path.clone(), source: error.into() })?;
        write_atomic(&self.path, text.as_bytes())
    }
}

/// What the processor calls itself.
pub fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        if __cpuid(0x8000_0000).eax >= 0x8000_0004 {
            let registers = (0x8000_0002..=0x8000_0004).map(__cpuid);
            let words = registers.flat_map(|r| [r.eax, r.ebx, r.ecx, r.edx]);
            let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).take_while(|&byte| byte != 0).collect();
            return String::from_utf8_lossy(&bytes).trim().to_owned();
        }
    }
    // Linux tells of ARM processors in numbers.
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let parts: Vec<_> = ["CPU implementer", "CPU part"].into_iter().filter_map(value).collect();
    format!("{} {}", std::env::consts::ARCH, parts.join(" ")).trim().to_owned()
}
