//! Versions of ONNX's set of operators, and of the format that each came with (`VERSIONS.md` of ONNX).

/// The first set that models are written for.
pub const FIRST: i64 = 17;
/// The last one.
pub const LAST: i64 = 28;
/// The one where nobody names another: every runtime of the last years takes it.
pub const DEFAULT: i64 = FIRST;

/// The format that came with a set; `None` for sets that models are not written for.
pub fn ir_version(opset: i64) -> Option<i64> {
    match opset {
        17 | 18 => Some(8),
        19 | 20 => Some(9),
        21 | 22 => Some(10),
        23 => Some(11),
        24 => Some(12),
        25..=27 => Some(13),
        28 => Some(14),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_its_format() {
        for opset in FIRST..=LAST {
            assert!(ir_version(opset).is_some(), "{opset}");
        }
        assert_eq!((ir_version(FIRST - 1), ir_version(LAST + 1)), (None, None));
        assert!((FIRST..=LAST).contains(&DEFAULT));
    }
}
