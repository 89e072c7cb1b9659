//! Whether a fused work is faster than its parts: measured once, and kept with its plan.

use super::cache::{Cache, Compared, Found, Kept, Key};
use super::choose::Budget;
use super::engine::Rules;
use crate::error::Result;

/// Times of a fused work, which has a plan, and of its parts: as they are kept, or measured where there is time for it.
///
/// # Errors
/// Those of `measure`.
pub(super) fn compared(
    cache: Option<&Cache>,
    key: &Key,
    rules: &Rules,
    budget: &mut Budget,
    measure: impl FnOnce() -> Result<Compared>,
) -> Result<Option<Compared>> {
    let kept = kept(cache, key, rules);
    if let Some(known) = kept.as_ref().and_then(|kept| kept.compared) {
        return Ok(Some(known));
    }
    if budget.left().is_zero() {
        return Ok(None);
    }
    let compared = budget.spend(measure)?;
    if let (Some(cache), Some(kept)) = (cache, kept) {
        // That it cannot be kept costs time, no more.
        let _ = cache.save(key, &Kept { compared: Some(compared), ..kept });
    }
    Ok(Some(compared))
}

/// Those that are kept.
pub(super) fn known(cache: Option<&Cache>, key: &Key, rules: &Rules) -> Option<Compared> {
    kept(cache, key, rules).and_then(|kept| kept.compared)
}

fn kept(cache: Option<&Cache>, key: &Key, rules: &Rules) -> Option<Kept> {
    match cache.map(|cache| cache.load(key, rules)) {
        Some(Found::Plans(kept)) => Some(kept),
        Some(Found::Nothing | Found::Ignored(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use resnetc_compiler::ir::op::ConvAttrs;

    use super::*;
    use crate::cuda::cudnn::engine::{Engine, Source};
    use crate::cuda::cudnn::plan::Stored;
    use crate::cuda::cudnn::tensor::{Element, Place};
    use crate::cuda::cudnn::work::{Math, Pattern, Sizes, Work};
    use crate::error::Error;

    fn key() -> Key {
        let attrs =
            ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
        let (x, y) = (Place::whole(8), Place::whole(8));
        let sizes = Sizes { n: 1, h: 4, w: 4, cin: 8, cout: 8, out: [4, 4], attrs, x, y };
        let work = Work::new(Pattern::ForwardStats, sizes, Element::Bf16, Math::Full).into();
        Key { device: "sm_90".into(), cudnn: 92800, deterministic: false, work }
    }

    #[test]
    fn two_ways_are_measured_once_and_not_without_time() {
        let folder = tempfile::tempdir().expect("temp folder");
        let cache = Cache::in_folder(folder.path());
        let rules = Rules { deterministic: false, workspace: 0 };
        let engine = Engine { source: Source::Graph(3), knobs: Vec::new(), notes: Vec::new() };
        let stored = Stored { engine, workspace: 0, seconds: None, json: Some("{}".into()) };
        cache.save(&key(), &Kept { plans: vec![stored], ..Kept::default() }).expect("writable");
        let times = Compared { fused: 1e-4, parts: 2e-4 };
        let compared = |seconds: u64, measured: Option<Compared>| {
            let mut budget = Budget::new(Duration::from_secs(seconds), 1);
            let measure = || measured.ok_or_else(|| Error::Device("measured again".into()));
            super::compared(Some(&cache), &key(), &rules, &mut budget, measure)
                .map_err(|error| error.to_string())
        };
        assert_eq!(compared(0, Some(times)), Ok(None));
        assert_eq!(compared(9, Some(times)), Ok(Some(times)));
        assert_eq!(compared(9, None), Ok(Some(times)), "from the file");
        assert_eq!(compared(0, None), Ok(Some(times)), "which takes no time");
        assert_eq!(known(Some(&cache), &key(), &rules), Some(times));
        assert_eq!(known(None, &key(), &rules), None);
    }
}
