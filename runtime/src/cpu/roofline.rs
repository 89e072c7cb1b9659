//! What the machine can do at most, measured: multiply-adds in registers, and traffic to memory. Steps of a plan are
//! judged by these two (Williams et al. 2009, "Roofline").

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::isa::{Isa, Work};
use super::memory::{Dst, Memory};
use super::pool::{Pool, share};
use super::vector::Vector;
use crate::error::Result;

/// Ceilings of this machine with the given threads and instructions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofline {
    /// `f32` multiply-adds, counted as two operations, in 10^9 per second.
    pub gflops: f64,
    /// Bytes read and written far beyond any cache of a core, in 10^9 per second.
    pub gb_s: f64,
}

/// Each ceiling is the best of this many measurements: what disturbs only lowers them.
const ROUNDS: usize = 5;

/// Multiply-adds of one measurement, per thread and accumulator.
const ITERATIONS: usize = 1 << 20;

/// Independent sums: latency times throughput of a multiply-add, with room, and few enough for 16 registers.
const SUMS: usize = 12;

/// Floats of each of the two arrays that bandwidth is measured with: 256 MiB in all.
const FLOATS: usize = 32 << 20;

/// Measures; takes about half a second.
pub fn measure(pool: &Pool, isa: Isa) -> Result<Roofline> {
    let threads = pool.threads();
    let arithmetic = best(|| pool.run(&|_| isa.dispatch(MultiplyAdds)));
    let operations = 2 * SUMS * ITERATIONS * isa.lanes() * threads;

    let (mut from, mut to) = (Memory::floats(FLOATS)?, Memory::floats(FLOATS)?);
    let (from, to) = (from.view(), to.view());
    let traffic = best(|| pool.run(&|index| isa.dispatch(Scale { from, to, index, threads })));
    // A store that misses the cache reads its line first.
    let bytes = 3 * FLOATS * size_of::<f32>();
    let per_second = |count: usize, time: Duration| count as f64 / time.as_secs_f64() / 1e9;
    Ok(Roofline { gflops: per_second(operations, arithmetic), gb_s: per_second(bytes, traffic) })
}

fn best(mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

/// Independent chains of multiply-adds.
struct MultiplyAdds;

impl Work for MultiplyAdds {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: dispatched to the instruction set of `V`; no memory is touched.
        unsafe {
            let (factor, term) = (V::splat(black_box(0.5)), V::splat(black_box(1.0)));
            let mut sums = [term; SUMS];
            for _ in 0..ITERATIONS {
                for sum in &mut sums {
                    *sum = sum.mul_add(factor, term);
                }
            }
            let total = sums.into_iter().skip(1).fold(sums[0], |a, b| a.add(b));
            black_box(total.sum());
        }
    }
}

/// `to = 2 * from`, each thread its part.
struct Scale<'a> {
    from: Dst<'a, f32>,
    to: Dst<'a, f32>,
    index: usize,
    threads: usize,
}

impl Work for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let part = share(self.from.len(), 64, self.index, self.threads);
        // SAFETY: dispatched to the instruction set of `V`; the arrays are as long as each other and a multiple of 64
        // floats, the longest vectors have 16, and the threads' parts do not overlap.
        unsafe {
            let two = V::splat(2.0);
            for i in part.step_by(V::LANES) {
                V::load(self.from.ptr().add(i)).mul(two).store(self.to.ptr().add(i));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_finite_and_positive() {
        let pool = Pool::new(1).unwrap();
        let found = measure(&pool, Isa::Portable).unwrap();
        assert!(found.gflops.is_finite() && found.gflops > 0.0, "{found:?}");
        assert!(found.gb_s.is_finite() && found.gb_s > 0.0, "{found:?}");
    }
}
