//! Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"): of all points,
//! trained for a few epochs, one in `eta` goes on for `eta` times as many, until the last ones come to the end.

use std::cmp::Ordering;

/// What decides which points go on: the mean over a point's seeds at the end of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The share of test images classified right; more is better.
    pub accuracy: f64,
    /// The mean loss of test images, where accuracies are equal; less is better.
    pub loss: f64,
}

/// How many epochs a training has at the end of each round; the last has them all. Of `min_epochs` that nobody gives, the fewest with which
/// the last round has less than `eta` points.
pub fn rounds(points: usize, eta: usize, min_epochs: Option<usize>, epochs: usize) -> Vec<usize> {
    let (mut left, mut share) = (points, 1_usize);
    while left >= eta {
        left /= eta;
        share = share.saturating_mul(eta);
    }
    let mut done = min_epochs.unwrap_or(epochs / share).max(1);
    let (mut left, mut rounds) = (points, Vec::new());
    while left > 1 && done < epochs {
        rounds.push(done);
        done = done.saturating_mul(eta);
        left = (left / eta).max(1);
    }
    rounds.push(epochs);
    rounds
}

/// The places of the points that go on, in their order; those without a score do not. The earlier one of equals does.
pub fn survivors(scores: &[Option<Score>], eta: usize) -> Vec<usize> {
    let mut ranked: Vec<(usize, Score)> =
        scores.iter().enumerate().filter_map(|(place, score)| Some((place, (*score)?))).collect();
    ranked.sort_by(|(_, a), (_, b)| better(a, b));
    let mut kept: Vec<usize> =
        ranked.into_iter().take((scores.len() / eta).max(1)).map(|(place, _)| place).collect();
    kept.sort_unstable();
    kept
}

fn better(a: &Score, b: &Score) -> Ordering {
    b.accuracy.total_cmp(&a.accuracy).then(a.loss.total_cmp(&b.loss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_those_of_the_paper() {
        // n = 9, eta = 3, R = 27: 9 points for 3 epochs, 3 for 9, 1 for 27.
        assert_eq!(rounds(9, 3, None, 27), [3, 9, 27]);
        assert_eq!(rounds(27, 3, Some(1), 27), [1, 3, 9, 27]);
        assert_eq!(rounds(15, 3, None, 20), [2, 6, 20]);
        assert_eq!(rounds(2, 3, None, 20), [20], "too few to leave any out");
        assert_eq!(rounds(4, 2, Some(30), 20), [20]);
        assert_eq!(rounds(100, 2, None, 3), [1, 2, 3], "no epoch is shared");
        assert_eq!(rounds(1, 2, Some(1), 8), [8]);
    }

    #[test]
    fn the_best_go_on() {
        let score = |accuracy, loss| Some(Score { accuracy, loss });
        let scores =
            [score(0.5, 1.0), None, score(0.7, 3.0), score(0.7, 2.0), score(0.9, 9.0), score(0.5, 1.0)];
        assert_eq!(survivors(&scores, 2), [2, 3, 4]);
        assert_eq!(survivors(&scores, 3), [3, 4]);
        assert_eq!(survivors(&scores, 100), [4]);
        assert_eq!(survivors(&[score(0.5, 1.0), score(0.5, 1.0)], 2), [0], "the earlier of equals");
        assert_eq!(survivors(&[None, None], 2), Vec::<usize>::new());
    }
}
