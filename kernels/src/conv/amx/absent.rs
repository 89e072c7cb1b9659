//! Stands in for AMX on processors that cannot have it: no algorithm, and nothing to measure.

/// Operations of a block.
pub const TILES_OPERATIONS: usize = 0;

/// Is not called where there is no AMX.
pub fn multiply_tiles(_: usize) {
    unreachable!("no tiles without AMX")
}
