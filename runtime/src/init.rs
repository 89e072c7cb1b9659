//! First values of a network's tensors.
//!
//! Every tensor has a random stream of its own, keyed by the seed and the tensor's name, so its values depend neither
//! on the order of initialisation nor on the rest of the network.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use resnetc_compiler::ir::op::{Init, Recipe};
use resnetc_compiler::plan::Plan;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::weights::ParamStore;

/// The first values of all persistent tensors of a plan's network: of a training plan, since one for inference has folded
/// tensors, which have no distribution.
pub fn initial(plan: &Plan, seed: u64) -> Result<ParamStore> {
    let mut store = ParamStore::new();
    for slot in plan.slots.iter().filter(|slot| slot.role.of_network()) {
        let buffer = plan.buffer(slot.buffer);
        if slot.recipe != Recipe::Own {
            return Err(Error::Incompatible(format!(
                "`{}` is folded from other tensors; initialise the training plan of `{}`",
                buffer.name, plan.name
            )));
        }
        let len = buffer.shape.numel().unwrap_or(0);
        store.insert(&buffer.name, buffer.shape.clone(), values(slot.init, len, seed, &buffer.name));
    }
    Ok(store)
}

/// `len` values of a distribution, out of the stream of a seed and a name.
pub fn values(init: Init, len: usize, seed: u64, name: &str) -> Vec<f32> {
    let mut stream = Stream::new(seed, name);
    match init {
        Init::Constant(value) => vec![value; len],
        Init::Normal { std } => (0..len).map(|_| (stream.normal() * f64::from(std)) as f32).collect(),
        Init::TruncatedNormal { std } => {
            (0..len).map(|_| (stream.truncated_normal() * f64::from(std)) as f32).collect()
        }
        Init::Uniform { bound } => {
            (0..len).map(|_| ((2.0 * stream.uniform() - 1.0) * f64::from(bound)) as f32).collect()
        }
    }
}

struct Stream {
    rng: ChaCha8Rng,
    /// Second number of a Box-Muller pair.
    spare: Option<f64>,
}

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        let key = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
        Stream { rng: ChaCha8Rng::from_seed(key.into()), spare: None }
    }

    /// From `[0, 1)`, with 53 random bits.
    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, after Box and Muller (1958).
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // From `(0, 1]`, so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Standard normal within two standard deviations, by rejection.
    fn truncated_normal(&mut self) -> f64 {
        loop {
            let value = self.normal();
            if value.abs() <= 2.0 {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 200_000;

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    fn check(init: Init, std: f64) -> Vec<f32> {
        let values = values(init, COUNT, 7, "conv.weight");
        let (mean, found) = moments(&values);
        assert!(mean.abs() < 5.0 * std / (COUNT as f64).sqrt(), "{init:?}: mean {mean}");
        assert!((found / std - 1.0).abs() < 0.01, "{init:?}: standard deviation {found}, not {std}");
        values
    }

    #[test]
    fn normal_has_its_moments() {
        let values = check(Init::Normal { std: 0.5 }, 0.5);
        let within_one = values.iter().filter(|v| v.abs() < 0.5).count() as f64 / COUNT as f64;
        assert!((within_one - 0.6827).abs() < 0.005, "{within_one}");
    }

    #[test]
    fn truncated_normal_stays_within_two_deviations() {
        // Standard deviation of a normal cut at +-2: sqrt(1 - 4 * phi(2) / (2 * Phi(2) - 1)) = 0.87963.
        let values = check(Init::TruncatedNormal { std: 0.5 }, 0.5 * 0.87963);
        assert!(values.iter().all(|v| v.abs() <= 1.0));
    }

    #[test]
    fn uniform_fills_its_interval() {
        let values = check(Init::Uniform { bound: 0.3 }, 0.3 / 3f64.sqrt());
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(largest <= 0.3 && largest > 0.2999, "{largest}");
    }

    #[test]
    fn constant_is_constant() {
        assert_eq!(values(Init::Constant(1.5), 3, 0, "x"), [1.5; 3]);
    }

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let init = Init::Normal { std: 1.0 };
        let draw = |seed, name| values(init, 16, seed, name);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_eq!(draw(1, "a")[..8], values(init, 8, 1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }
}
