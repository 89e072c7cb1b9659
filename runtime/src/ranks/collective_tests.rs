//! Sums, gathers and messages between ranks that are threads.

use half::bf16;

use super::*;
use crate::ranks::local;

/// Runs a function on each of so many ranks; what each of them gives.
fn on<T: Send>(size: usize, work: impl Fn(&Collective) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let ranks = local(size).into_iter().map(|transport| {
            let work = &work;
            scope.spawn(move || work(&Collective::new(transport, Arc::default()).expect("a thread")))
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank")).collect()
    })
}

/// Element `i` of rank `r`.
fn value(rank: usize, index: usize) -> f32 {
    (rank * 31 + index * 7) as f32 * 0.37 - 3.0
}

#[test]
fn a_sum_is_that_of_all_ranks_in_their_order() {
    for (size, len) in [(1, 5), (2, 7), (3, 64), (4, 1), (4, 0)] {
        let shares: Vec<f32> = (0..size).map(|rank| 0.1 + 0.2 * rank as f32).collect();
        let expected: Vec<f32> =
            (0..len).map(|i| (0..size).fold(0.0, |sum, rank| sum + shares[rank] * value(rank, i))).collect();
        let found = on(size, |ranks| {
            let mut grad: Vec<f32> = (0..len).map(|i| value(ranks.rank(), i)).collect();
            ranks.begin_sum(0, &grad, shares[ranks.rank()], DType::F32);
            ranks.finish_sum(0, &mut grad, DType::F32);
            ranks.check().expect("all ranks are there");
            grad
        });
        assert!(found.iter().all(|grad| *grad == expected), "{size} ranks: {found:?}");
    }
}

#[test]
fn narrow_sums_are_rounded_where_they_are_sent_and_the_same_everywhere() {
    let found = on(3, |ranks| {
        let mut grad: Vec<f32> = (0..10).map(|i| value(ranks.rank(), i)).collect();
        ranks.begin_sum(4, &grad, 1.0, DType::Bf16);
        ranks.finish_sum(4, &mut grad, DType::Bf16);
        grad
    });
    for (i, &sum) in found[0].iter().enumerate() {
        let round = |value: f32| bf16::from_f32(value).to_f32();
        assert_eq!(sum, round((0..3).fold(0.0, |sum, rank| sum + round(value(rank, i)))));
    }
    assert!(found.iter().all(|grad| *grad == found[0]));
}

#[test]
fn buckets_may_be_waited_for_in_any_order_and_messages_go_between() {
    let found = on(2, |ranks| {
        let own = ranks.rank() as f32 + 1.0;
        ranks.begin_sum(0, &[own], 1.0, DType::F32);
        ranks.begin_sum(1, &[own * 10.0, own], 1.0, DType::F32);
        let mut all = [0.0; 2];
        ranks.gather_floats(&[own], &mut all);
        let (mut one, mut two) = ([0.0], [0.0; 2]);
        ranks.finish_sum(1, &mut two, DType::F32);
        ranks.finish_sum(0, &mut one, DType::F32);
        let told = ranks.broadcast(if ranks.rank() == 0 { b"hello".to_vec() } else { Vec::new() });
        let texts = ranks.gather_texts(&"x".repeat(ranks.rank()));
        (one, two, all, told.expect("both are there"), texts.expect("both are there"))
    });
    let expected = ([3.0], [30.0, 3.0], [1.0, 2.0], b"hello".to_vec(), vec![String::new(), "x".to_owned()]);
    assert!(found.iter().all(|rank| *rank == expected), "{found:?}");
}

#[test]
fn a_span_is_what_each_rank_has_of_it() {
    // The last parts overlap where they do not fill the span.
    for (size, len, part) in [(1, 5, 5), (2, 8, 4), (3, 64, 32), (4, 10, 3), (4, 16, 16), (2, 0, 0)] {
        let found = on(size, |ranks| {
            let spans = [0, 1, 2].map(|bucket| {
                let mut span = vec![f32::NAN; len];
                let start = part_start(ranks.rank(), part, len);
                span[start..][..part].iter_mut().zip(start..).for_each(|(x, i)| *x = value(bucket, i));
                ranks.begin_gather(bucket, part, &span);
                span
            });
            let mut sum = [1.0];
            ranks.begin_sum(0, &sum, 1.0, DType::F32);
            let spans = [2, 0, 1].map(|bucket| {
                let mut span = spans[bucket].clone();
                ranks.finish_gather(bucket, part, &mut span);
                (bucket, span)
            });
            ranks.finish_sum(0, &mut sum, DType::F32);
            ranks.check().expect("all ranks are there");
            (spans, sum)
        });
        for (spans, sum) in found {
            assert_eq!(sum, [size as f32]);
            for (bucket, span) in spans {
                let expected: Vec<f32> = (0..len).map(|i| value(bucket, i)).collect();
                assert_eq!(span, expected, "{size} ranks, parts of {part} of {len}");
            }
        }
    }
}

#[test]
fn a_rank_that_has_gone_is_told_and_nothing_hangs() {
    let found = on(2, |ranks| {
        if ranks.rank() == 1 {
            return String::new();
        }
        let mut grad = [1.0];
        while ranks.check().is_ok() {
            ranks.begin_sum(0, &grad, 1.0, DType::F32);
            ranks.finish_sum(0, &mut grad, DType::F32);
        }
        ranks.gather(&[1]).expect_err("rank 1 has gone").to_string()
    });
    assert_eq!(found[0], "rank 1 has gone");
}
