//! Offsets in the arena: buffers whose lifetimes overlap get disjoint memory, others may share it.
//!
//! Greedy best fit: buffers are placed one by one, largest first, each into the smallest gap that fits between the
//! already placed ones that live at the same time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
//! Net Inference", 2020, call it greedy by size). Where that misses the lower bound, other orders are tried and the
//! lowest peak wins.

use std::cmp::Reverse;

/// Memory wanted from the first to the last step, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Size; need not be a multiple of the alignment.
    pub bytes: usize,
    /// First and last step.
    pub live: (usize, usize),
}

impl Request {
    fn meets(&self, other: &Request) -> bool {
        self.live.0 <= other.live.1 && other.live.0 <= self.live.1
    }

    fn length(&self) -> usize {
        self.live.1 - self.live.0
    }
}

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Offset of each request, a multiple of the alignment.
    pub offsets: Vec<usize>,
    /// Size of the arena.
    pub peak: usize,
}

/// Places all requests.
pub fn place(requests: &[Request], alignment: usize) -> Placement {
    let bound = lower_bound(requests, alignment);
    let mut best = place_in_order(requests, &sorted(requests, |r| (Reverse(r.bytes), r.live.0)), alignment);
    if best.peak > bound {
        let others = [
            sorted(requests, |r| (Reverse(r.length()), Reverse(r.bytes))),
            sorted(requests, |r| (Reverse(r.bytes * (r.length() + 1)), Reverse(r.bytes))),
            sorted(requests, |r| (r.live.0, Reverse(r.bytes))),
        ];
        for order in others {
            let placement = place_in_order(requests, &order, alignment);
            if placement.peak < best.peak {
                best = placement;
            }
        }
    }
    best
}

/// Bytes alive at the fullest step: no placement needs less.
pub fn lower_bound(requests: &[Request], alignment: usize) -> usize {
    let steps = requests.iter().map(|r| r.live.1 + 2).max().unwrap_or(0);
    let mut change = vec![0i64; steps];
    for request in requests {
        let bytes = align(request.bytes, alignment) as i64;
        change[request.live.0] += bytes;
        change[request.live.1 + 1] -= bytes;
    }
    let mut alive = 0;
    change.iter().fold(0, |most, change| {
        alive += change;
        most.max(alive)
    }) as usize
}

/// Rounded up to an alignment.
pub fn align(bytes: usize, to: usize) -> usize {
    bytes.next_multiple_of(to)
}

fn sorted<K: Ord>(requests: &[Request], key: impl Fn(&Request) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| (key(&requests[i]), i));
    order
}

fn place_in_order(requests: &[Request], order: &[usize], alignment: usize) -> Placement {
    let mut offsets = vec![0; requests.len()];
    // Placed requests by ascending offset.
    let mut placed: Vec<(usize, Request)> = Vec::with_capacity(requests.len());
    let mut peak = 0;
    for &i in order {
        let request = requests[i];
        let offset = best_gap(&placed, &request, alignment);
        let position = placed.partition_point(|&(other, _)| other <= offset);
        placed.insert(position, (offset, request));
        offsets[i] = offset;
        peak = peak.max(offset + align(request.bytes, alignment));
    }
    Placement { offsets, peak }
}

/// Start of the smallest gap that fits, or the end of what lives at the same time.
fn best_gap(placed: &[(usize, Request)], request: &Request, alignment: usize) -> usize {
    let bytes = align(request.bytes, alignment);
    let mut free_from = 0;
    let mut best: Option<(usize, usize)> = None;
    for (offset, other) in placed.iter().filter(|(_, other)| request.meets(other)) {
        if *offset >= free_from + bytes {
            let gap = offset - free_from;
            if best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, free_from));
            }
        }
        free_from = free_from.max(offset + align(other.bytes, alignment));
    }
    best.map_or(free_from, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use proptest::collection;
    use proptest::prelude::*;

    use super::*;
    use crate::backend::CACHE_LINE as ALIGN;

    fn requests() -> impl Strategy<Value = Vec<Request>> {
        let request = (1usize..=5000, 0usize..40, 0usize..12);
        let request =
            request.prop_map(|(bytes, first, steps)| Request { bytes, live: (first, first + steps) });
        collection::vec(request, 1..=60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn live_requests_never_overlap(requests in requests()) {
            let placement = place(&requests, ALIGN);
            for (i, a) in requests.iter().enumerate() {
                prop_assert_eq!(placement.offsets[i] % ALIGN, 0);
                prop_assert!(placement.offsets[i] + a.bytes <= placement.peak);
                for (j, b) in requests.iter().enumerate().skip(i + 1).filter(|(_, b)| a.meets(b)) {
                    let (x, y) = (placement.offsets[i], placement.offsets[j]);
                    prop_assert!(x + a.bytes <= y || y + b.bytes <= x, "{} and {} overlap", i, j);
                }
            }
            prop_assert!(placement.peak >= lower_bound(&requests, ALIGN));
            prop_assert!(placement.peak <= requests.iter().map(|r| align(r.bytes, ALIGN)).sum());
        }
    }

    #[test]
    fn memory_is_reused() {
        let chain: Vec<Request> = (0..10).map(|i| Request { bytes: 640, live: (i, i + 1) }).collect();
        assert_eq!(place(&chain, ALIGN).peak, 2 * 640);
    }

    #[test]
    fn a_gap_of_the_right_size_is_preferred() {
        let placed = [
            (0, Request { bytes: 64, live: (0, 9) }),
            (256, Request { bytes: 64, live: (0, 9) }),
            (384, Request { bytes: 64, live: (0, 9) }),
        ];
        assert_eq!(best_gap(&placed, &Request { bytes: 64, live: (3, 4) }, ALIGN), 320);
        assert_eq!(best_gap(&placed, &Request { bytes: 128, live: (3, 4) }, ALIGN), 64);
        assert_eq!(best_gap(&placed, &Request { bytes: 256, live: (3, 4) }, ALIGN), 448);
        assert_eq!(best_gap(&placed, &Request { bytes: 256, live: (10, 11) }, ALIGN), 0);
    }

    #[test]
    fn nothing_needs_nothing() {
        assert_eq!(place(&[], ALIGN), Placement { offsets: vec![], peak: 0 });
    }
}
