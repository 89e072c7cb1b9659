//! How the pictures under a path are read.

use resnetc_compiler::spec::train::Reading;
use resnetc_pictures::Limits;

/// How a path is read.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Which part is kept for evaluation, and what becomes of what cannot be read.
    pub reading: Reading,
    /// Seed of the split.
    pub seed: u64,
    /// How large a picture may be.
    pub limits: Limits,
    /// Bytes of decoded pictures that are kept in memory, of all splits together.
    pub cache: u64,
}

impl Rules {
    /// Half a gibibyte of decoded pictures is kept.
    pub const CACHE: u64 = 512 << 20;

    /// Those of a spec, with the usual limits.
    pub fn new(reading: Reading, seed: u64) -> Self {
        Rules { reading, seed, limits: Limits::default(), cache: Self::CACHE }
    }
}
