//! Which outputs of a step may lie on which of its inputs.

use super::{BufferId, Operands, Step};

impl Step {
    /// `(output, input)` buffers where the output may lie exactly on the input; preferred ones first. A buffer that is
    /// two operands at once is left alone: a kernel that may overwrite one of them may need the other one whole.
    pub(super) fn in_place<'s>(
        &'s self,
        operands: &'s Operands,
    ) -> impl Iterator<Item = (BufferId, BufferId)> + 's {
        let pairs = operands.in_place.iter();
        let pairs = pairs.filter_map(|&(o, i)| Some((*self.outputs.get(o)?, *self.inputs.get(i)?)));
        pairs.filter(|(_, input)| self.inputs.iter().filter(|other| *other == input).count() == 1)
    }
}
