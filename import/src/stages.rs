//! Units to stages: where the image shrinks or the filters change for good, a stage begins.

use crate::units::{Kind, Unit};

/// Like units after one another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    /// The unit with what is passed to it.
    pub(crate) call: String,
    /// Filters of each unit.
    pub(crate) filters: Vec<usize>,
    /// Whether the unit reads its filters.
    pub(crate) reads_filters: bool,
    /// Stride of the first.
    pub(crate) stride: usize,
    /// Dilation of all.
    pub(crate) dilation: usize,
}

/// Groups of one stage.
pub(crate) type Stage = Vec<Group>;

/// Sorts units into stages; where it is known, `starts` are the units that begin one, beside the first.
pub(crate) fn group(units: &[Unit], kinds: &[Kind], starts: Option<&[usize]>) -> Vec<Stage> {
    let calls = calls(units.len(), kinds);
    let mut stages: Vec<Stage> = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        let begins = match starts {
            Some(starts) => starts.contains(&index),
            None => begins(units, index),
        };
        if index == 0 || begins {
            stages.push(Vec::new());
        }
        let stage = stages.last_mut().expect("the first unit began one");
        let (call, reads_filters) = calls[index].clone();
        let like =
            |group: &&mut Group| group.call == call && group.dilation == unit.dilation && unit.stride == 1;
        match stage.last_mut().filter(like) {
            Some(group) => group.filters.push(unit.filters),
            None => stage.push(Group {
                call,
                filters: vec![unit.filters],
                reads_filters,
                stride: unit.stride,
                dilation: unit.dilation,
            }),
        }
    }
    stages
}

/// Whether a unit begins a stage: it has a stride, or its filters are others, and stay.
fn begins(units: &[Unit], index: usize) -> bool {
    let unit = &units[index];
    let before = index.checked_sub(1).map(|before| units[before].filters);
    let behind = units.get(index + 1).map(|behind| behind.filters);
    let changes = before.is_some_and(|before| before != unit.filters);
    unit.stride > 1 || changes && behind.is_none_or(|behind| behind == unit.filters)
}

/// How each unit is called, and whether it reads its filters.
fn calls(count: usize, kinds: &[Kind]) -> Vec<(String, bool)> {
    let mut calls = vec![(String::new(), true); count];
    for kind in kinds {
        let reads = kind
            .own
            .as_ref()
            .is_none_or(|(signature, _)| signature.contains("(f)") || signature.contains("(f,"));
        for (&member, args) in kind.members.iter().zip(&kind.args) {
            let args: Vec<String> = args.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let brackets = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
            calls[member] = (format!("{}{brackets}", kind.name), reads);
        }
    }
    calls
}
