//! Which pictures are kept for evaluation, where a source does not say so itself.

use sha2::{Digest, Sha256};

use super::rules::Rules;
use crate::error::{Error, Result};

/// Whether each picture of a class is kept: a share of them, one at least, those whose names' digests with the seed are least. So a seed
/// gives the same split in whatever order and under whatever path the pictures lie, and a new picture moves no other but one.
///
/// # Errors
/// [`Error::Data`] where none would be left to train on.
pub(super) fn kept(of: &str, class: &str, names: &[String], rules: &Rules) -> Result<Vec<bool>> {
    let share = rules.reading.split;
    let count = ((names.len() as f64 * f64::from(share)).round() as usize).max(1);
    if count >= names.len() {
        return Err(Error::Data(format!(
            "class {class} of {of} has {} pictures: too few to keep a share of {share} for evaluation; lower `train.split`, or add pictures",
            names.len(),
        )));
    }
    let digest = |name: &str| -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(rules.seed.to_le_bytes());
        hash.update(class.as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        hash.finalize().into()
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_cached_key(|&index| digest(&names[index]));
    let mut kept = vec![false; names.len()];
    order.iter().take(count).for_each(|&index| kept[index] = true);
    Ok(kept)
}

/// What is told of a split.
pub(super) fn told(of: &str, rules: &Rules, [train, test]: [usize; 2]) -> String {
    format!("{of} split by seed {}: {train} to train on, {test} to test on", rules.seed)
}

/// One class alone is nothing to tell apart.
///
/// # Errors
/// [`Error::Data`] with its name.
pub(super) fn check_several(of: &str, classes: &[String]) -> Result<()> {
    match classes {
        [only] => {
            Err(Error::Data(format!("{of} has one class only, {only}: there is nothing to tell apart")))
        }
        _ => Ok(()),
    }
}
