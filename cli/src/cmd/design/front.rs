//! Which variants no other one beats.

use crate::args::Metric;

/// What counts of a variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Seconds of a run.
    pub seconds: f64,
    /// What is to be had for it; more is better.
    pub value: f64,
}

impl Metric {
    /// What a variant has to offer; more is better.
    pub fn value(self, params: u64, macs: u64, bytes: usize) -> f64 {
        match self {
            Metric::Params => params as f64,
            Metric::Macs => macs as f64,
            Metric::Memory => -(bytes as f64),
        }
    }
}

/// The variants that no other one beats by more than a margin: one that takes a share `1 - margin` of the time and offers as much. From
/// the fastest to the slowest; of those that are equal, the first.
pub fn front(variants: &[Worth], margin: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..variants.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&variants[a], &variants[b]);
        a.seconds.total_cmp(&b.seconds).then(b.value.total_cmp(&a.value))
    });
    let beaten = |place: usize| {
        let own = &variants[order[place]];
        order[..place].iter().any(|&other| {
            let other = &variants[other];
            other.value >= own.value && (margin == 0.0 || other.seconds <= own.seconds * (1.0 - margin))
        })
    };
    (0..order.len()).filter(|&place| !beaten(place)).map(|place| order[place]).collect()
}

/// At most that many of a list, evenly spread, first and last among them.
pub fn spread(list: &[usize], most: usize) -> Vec<usize> {
    match (list.len(), most) {
        (len, most) if len <= most => list.to_vec(),
        (len, 1) => vec![list[len - 1]],
        (len, most) => (0..most).map(|i| list[i * (len - 1) / (most - 1)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(list: &[(f64, f64)]) -> Vec<Worth> {
        list.iter().map(|&(seconds, value)| Worth { seconds, value }).collect()
    }

    #[test]
    fn who_is_beaten_is_not_on_the_front() {
        let variants = worth(&[(3.0, 5.0), (1.0, 1.0), (2.0, 5.0), (1.5, 0.5), (1.0, 1.0)]);
        assert_eq!(front(&variants, 0.0), [1, 2]);
        assert_eq!(front(&[], 0.0), Vec::<usize>::new());
    }

    #[test]
    fn a_margin_leaves_those_that_are_nearly_as_good() {
        let variants = worth(&[(1.0, 1.0), (1.05, 1.0), (1.3, 1.0)]);
        assert_eq!(front(&variants, 0.1), [0, 1]);
    }

    #[test]
    fn a_few_stand_for_many() {
        let list: Vec<usize> = (10..20).collect();
        assert_eq!(spread(&list, 4), [10, 13, 16, 19]);
        assert_eq!((spread(&list, 1), spread(&list, 100)), (vec![19], list.clone()));
    }
}
