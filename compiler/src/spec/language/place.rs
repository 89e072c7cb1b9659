//! The place of a unit in its network: numbers that its formulas may use.

use super::variables;

/// Place of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// `unit`: index in its stage, from 0.
    pub unit: usize,
    /// `units`: how many the stage has.
    pub units: usize,
    /// `stage`: number of the stage, from 1, as in `stage1.unit0`.
    pub stage: usize,
    /// `index`: index in the network, from 0.
    pub index: usize,
    /// `depth`: how many units the network has.
    pub depth: usize,
}

impl Place {
    /// Names, those of [`variables::PLACE`], with their values.
    pub fn values(&self) -> [(&'static str, f64); 5] {
        let values = [self.unit, self.units, self.stage, self.index, self.depth];
        std::array::from_fn(|i| (variables::PLACE[i].name, values[i] as f64))
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values().into_iter().find(|&(known, _)| known == name).map(|(_, value)| value)
    }
}
