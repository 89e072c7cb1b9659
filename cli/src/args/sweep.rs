//! Arguments of sweeps.

use clap::{ArgAction, Args};
use resnetc_compiler::spec::sweep::Axis;

use super::overrides::{number, positive};

/// `resnetc run SPEC --train DATASET --sweep KEY=VALUES`
#[derive(Debug, Clone, Default, Args)]
pub struct SweepArgs {
    /// Train once for each of these values, all in turn, each into a folder of its own under --out, and compare at the end. KEY as for
    /// --set, or lr, seed, epochs, batch_size, dtype; VALUES are a list, as 0.05,0.1,0.2, or whole numbers from the first to the last,
    /// as 0..4. May be given several times. The same command goes on where it stopped.
    #[arg(long, value_name = "KEY=VALUES", action = ArgAction::Append, value_parser = axis, requires = "train")]
    #[arg(conflicts_with_all = ["find_lr", "overwrite"], help_heading = "Sweeps")]
    pub sweep: Vec<Axis>,
    /// Successive halving: train all for a few epochs, then one in N for N times as many, and so on, to the last epoch.
    #[arg(long, value_name = "N", requires = "train", value_parser = halving, allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["find_lr", "overwrite"], help_heading = "Sweeps")]
    pub halving: Option<usize>,
    /// Epochs of the first round of halving [default: so few that the last round has one point].
    #[arg(long, value_name = "N", requires = "train", value_parser = positive, allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["find_lr", "overwrite"], help_heading = "Sweeps")]
    pub min_epochs: Option<usize>,
}

fn halving(text: &str) -> Result<usize, String> {
    number(text, 2, 100).map(|n| n as usize)
}

/// `KEY=VALUES`
pub fn axis(text: &str) -> Result<Axis, String> {
    let form = || "the form is KEY=VALUES, as lr=0.05,0.1 or seed=0..4".to_owned();
    let (key, values) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(form)?;
    Axis::new(key.trim(), &items(values))
}

/// The parts between commas that no bracket and no quote encloses.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut depth, mut quote) = (vec![String::new()], 0_usize, None);
    for c in text.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                items.push(String::new());
                continue;
            }
            (None | Some(_), _) => {}
        }
        items.last_mut().expect("there is one from the start").push(c);
    }
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_where_no_bracket_is_open() {
        let values = |text: &str| axis(text).map(|axis| axis.values);
        assert_eq!(values("lr=0.05,0.1"), Ok(vec!["0.05".into(), "0.1".into()]));
        assert_eq!(
            values("train.optimizer=sgd, {adamw: {lr: 1, weight_decay: 2}}"),
            Ok(vec!["sgd".into(), "{adamw: {lr: 1, weight_decay: 2}}".into()])
        );
        assert_eq!(
            values("stem=conv3x3(8, 2) -> bn,'a,b'"),
            Ok(vec!["conv3x3(8, 2) -> bn".into(), "'a,b'".into()])
        );
        assert_eq!(values("seed=0..2,9").map(|values| values.len()), Ok(4));
        for wrong in ["lr", "=1", "lr=", "lr=,", "seed=3..1", "lr=1,1"] {
            assert!(axis(wrong).is_err(), "{wrong}");
        }
    }
}
