//! The comparison of one layer's algorithms: what was measured, and what follows from it.

use std::collections::BTreeMap;

use resnetc_runtime::cpu::tune::{Layer, Measurement};

/// Part of the time of the model's algorithm that another has to save to be taken: less is noise.
const WORTHWHILE: f64 = 0.03;

/// A layer whose algorithms are compared.
pub struct Contest {
    /// What is decided.
    pub layer: Layer,
    /// The steps of the plan that are such.
    pub steps: Vec<usize>,
    /// Those that may be the fastest: what the cost model takes, then the others.
    pub algorithms: Vec<&'static str>,
    /// Seconds that one such step took on average, by algorithm, run by run.
    pub times: BTreeMap<&'static str, Vec<f64>>,
}

impl Contest {
    /// Seconds of a step: the lower quartile, as whatever disturbs a run makes it longer.
    pub fn seconds(&self, algorithm: &str) -> Option<f64> {
        let mut times = self.times.get(algorithm)?.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 4).copied()
    }

    /// What the cost model takes.
    pub fn expected(&self) -> &'static str {
        self.algorithms[0]
    }

    /// What took the least time, by enough to be believed; else what the model takes.
    pub fn fastest(&self) -> &'static str {
        let expected = self.seconds(self.expected()).unwrap_or(0.0);
        let times = self.algorithms.iter().filter_map(|&name| Some((name, self.seconds(name)?)));
        let best = times.min_by(|a, b| a.1.total_cmp(&b.1));
        let faster = best.filter(|(_, seconds)| *seconds < expected * (1.0 - WORTHWHILE));
        faster.map_or(self.expected(), |(name, _)| name)
    }

    /// What is kept: nothing where the model is right.
    pub fn verdict(&self) -> Option<(Layer, Measurement)> {
        let fastest = self.fastest();
        let microseconds = self.algorithms.iter().filter_map(|&name| {
            let seconds = self.seconds(name)?;
            Some((name.to_owned(), (seconds * 1e7).round() / 10.0))
        });
        let found = Measurement { fastest: fastest.to_owned(), microseconds: microseconds.collect() };
        (fastest != self.expected()).then_some((self.layer, found))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use resnetc_compiler::ir::op::ConvAttrs;
    use resnetc_compiler::ir::types::DType;
    use resnetc_compiler::plan::ConvGeometry;
    use resnetc_runtime::cpu::tune::Pass;

    /// A layer with these seconds by algorithm.
    pub fn contest(times: &[(&'static str, &[f64])]) -> Contest {
        let attrs =
            ConvAttrs { kernel: [3; 2], stride: [1; 2], padding: [1; 2], dilation: [1; 2], groups: 1 };
        let (n, h, w, out) = (1, 14, 14, [14; 2]);
        let geometry = ConvGeometry { n, h, w, cin: 64, cout: 64, out, attrs, precision: DType::F32 };
        Contest {
            layer: Layer { pass: Pass::Forward, geometry },
            steps: vec![0],
            algorithms: times.iter().map(|(name, _)| *name).collect(),
            times: times.iter().map(|&(name, times)| (name, times.to_vec())).collect(),
        }
    }

    #[test]
    fn what_is_faster_by_enough_wins() {
        let faster = contest(&[("direct", &[5e-4, 4e-4, 9e-4]), ("winograd", &[3e-4, 8e-4, 3.1e-4])]);
        assert_eq!(faster.fastest(), "winograd");
        let (_, found) = faster.verdict().unwrap();
        assert_eq!(found.fastest, "winograd");
        assert_eq!(found.microseconds["direct"], 400.0);

        let noise = contest(&[("direct", &[4e-4]), ("winograd", &[3.9e-4])]);
        assert_eq!(noise.fastest(), "direct");
        assert_eq!(noise.verdict(), None);

        let unmeasured = contest(&[("direct", &[4e-4]), ("winograd", &[])]);
        assert_eq!(unmeasured.fastest(), "direct");
    }
}
