//! Where a node comes from: which part of the network it belongs to, and why it is there.

use std::fmt;

/// A part of the network. Stages count from 1, units in a stage from 0, as names do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Part {
    /// None in particular: the images, the labels, the loss.
    #[default]
    Network,
    /// What stands before the stages.
    Stem,
    /// What stands before the units of a stage.
    Transition {
        /// Which.
        stage: usize,
    },
    /// A unit.
    Unit {
        /// Its stage.
        stage: usize,
        /// Its number there.
        unit: usize,
    },
    /// What stands behind the stages.
    Head,
}

impl Part {
    /// The stage that it belongs to.
    pub fn stage(self) -> Option<usize> {
        match self {
            Part::Transition { stage } | Part::Unit { stage, .. } => Some(stage),
            Part::Network | Part::Stem | Part::Head => None,
        }
    }

    /// Whether it is a unit.
    pub fn is_unit(self) -> bool {
        matches!(self, Part::Unit { .. })
    }

    /// What is left of a node's name behind its part's; the whole name of what belongs to none.
    pub fn local(self, name: &str) -> &str {
        if self == Part::Network {
            return name;
        }
        let rest = name.strip_prefix(&self.to_string()).and_then(|rest| rest.strip_prefix('.'));
        rest.unwrap_or(name)
    }
}

/// `stage1.unit0`, as names begin; nothing for [`Part::Network`].
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Network => Ok(()),
            Part::Stem => f.write_str("stem"),
            Part::Transition { stage } => write!(f, "stage{stage}.transition"),
            Part::Unit { stage, unit } => write!(f, "stage{stage}.unit{unit}"),
            Part::Head => f.write_str("head"),
        }
    }
}

/// Why a node is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// The spec says so, or a pass that decides what the spec means.
    #[default]
    Forward,
    /// It is the gradient of a node's first result, or a part of it. Named `grad.<of>`.
    Gradient {
        /// Name of that node.
        of: String,
        /// The user of the result that this part comes from, where several contribute.
        via: Option<String>,
    },
    /// It computes a forward node once more, for the backward pass, whose result was let go. Named `again.<of>`.
    Again {
        /// Name of that node.
        of: String,
    },
    /// It updates a parameter. Named `update.<of>`.
    Update {
        /// Name of the parameter.
        of: String,
    },
}

impl Origin {
    /// The forward node that this one serves; none for forward nodes.
    pub fn of(&self) -> Option<&str> {
        match self {
            Origin::Forward => None,
            Origin::Gradient { of, .. } | Origin::Again { of } | Origin::Update { of } => Some(of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_called_as_names_begin() {
        let unit = Part::Unit { stage: 3, unit: 0 };
        assert_eq!(unit.to_string(), "stage3.unit0");
        assert_eq!(unit.local("stage3.unit0.shortcut.conv"), "shortcut.conv");
        assert_eq!(Part::Transition { stage: 2 }.local("stage2.transition.conv"), "conv");
        assert_eq!(Part::Stem.local("stem.conv"), "conv");
        assert_eq!(Part::Network.local("input"), "input");
        assert_eq!((unit.stage(), Part::Head.stage()), (Some(3), None));
    }
}
