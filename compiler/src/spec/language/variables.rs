//! The variables that texts of the unit language may use. Each stands in one table; the checker, the builder and the
//! reference read them there.

/// A name with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// What texts call it.
    pub name: &'static str,
    /// What it stands for, one line.
    pub about: &'static str,
}

const fn of(name: &'static str, about: &'static str) -> Variable {
    Variable { name, about }
}

/// The place of a unit in its network, in the order of [`super::place::Place`]. Numbers.
pub const PLACE: &[Variable; 5] = &[
    of("unit", "index of the unit in its stage, from 0"),
    of("units", "number of units in the stage"),
    of("stage", "number of the stage, from 1"),
    of("index", "index of the unit in the network, from 0"),
    of("depth", "number of units in the network"),
];

/// What a unit has beside its parameters: two feature maps and a number.
pub const UNIT: &[Variable; 3] = &[
    of("x", "the unit's input, a feature map"),
    of(
        "shortcut",
        "`x` after the rule under the key `shortcut`; it stands in a sum, whose other terms give it its shape",
    ),
    of("channels", "channels of `x`"),
];

/// Numbers that stem, transition and head have.
pub const LAYERS: &[Variable; 2] =
    &[of("classes", "the spec's `classes`"), of("channels", "channels of what the first layer reads")];

/// Numbers that the layers of a shortcut rule have, beside the unit's place.
pub const SHORTCUT: &[Variable; 3] = &[
    of("channels", "channels of the unit's input"),
    of("out", "channels of the main branch"),
    of("stride", "step between the pixels that the main branch has taken"),
];

/// Numbers with one value everywhere.
pub const CONSTANTS: &[Variable; 2] = &[of("true", "1, for flags"), of("false", "0, for flags")];

/// What distributions count.
pub const FANS: &[Variable; 2] = &[
    of("fan_in", "how many products are summed up for one output"),
    of("fan_out", "how many outputs one input takes part in"),
];

/// The names of some variables.
pub fn names<const N: usize>(variables: &[Variable; N]) -> [&'static str; N] {
    std::array::from_fn(|i| variables[i].name)
}
