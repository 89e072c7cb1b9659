//! What the machine can do at most, measured: multiply-adds in registers, products on AMX, and traffic to memory.
//! Steps of a plan are judged by these (Williams et al. 2009, "Roofline").

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cpu::conv;
use crate::cpu::memory::{Dst, Memory};
use crate::cpu::simd::{Isa, Simd, Vector, Work};
use crate::cpu::threads::{ThreadPool, chunk};
use crate::error::Result;
use crate::roofline::Multiplier;
use crate::roofline::{Arithmetic, Ceiling, Roofline};

/// Each ceiling is the best of this many measurements: what disturbs only lowers them.
const ROUNDS: usize = 5;

/// Multiply-adds of one measurement, per thread and accumulator.
const ITERATIONS: usize = 1 << 20;

/// Blocks of four products of tiles of one measurement, per thread: long enough for an AMX unit that was at rest.
const BLOCKS: usize = 1 << 17;

/// Independent sums: latency times throughput of a multiply-add, with room, and few enough for 16 registers.
const SUMS: usize = 12;

/// Floats of each of the two arrays that bandwidth is measured with: 256 MiB in all.
const FLOATS: usize = 32 << 20;

/// Measures; takes about half a second.
pub fn measure(threads: &ThreadPool, isa: Isa) -> Result<Roofline> {
    let count = threads.count();
    let arithmetic = arithmetic(threads, isa);
    let (mut from, mut to) = (Memory::floats(FLOATS)?, Memory::floats(FLOATS)?);
    let (from, to) = (from.view(), to.view());
    let traffic = best(|| threads.run(&|index| isa.dispatch(Scale { from, to, index, count })));
    // A store that misses the cache reads its line first.
    let bytes = 3 * FLOATS * size_of::<f32>();
    Ok(Roofline { arithmetic, gb_s: per_second(bytes, traffic) })
}

/// Measures arithmetic alone; takes some twenty milliseconds.
pub fn arithmetic(threads: &ThreadPool, isa: Isa) -> Arithmetic {
    let count = threads.count();
    let time = best(|| threads.run(&|_| isa.dispatch(MultiplyAdds(ITERATIONS))));
    let gflops = per_second(2 * SUMS * ITERATIONS * isa.lanes() * count, time);
    let bf16 = match isa {
        Isa::Amx => {
            let time = best(|| threads.run(&|_| conv::multiply_tiles(BLOCKS)));
            Some((Multiplier::AMX, BLOCKS * conv::TILES_OPERATIONS, time))
        }
        Isa::Avx512Bf16 => {
            let time = best(|| threads.run(&|_| isa.dispatch_bf16_dot(DotProducts(ITERATIONS))));
            Some((Multiplier::VDPBF16PS, 4 * SUMS * ITERATIONS * isa.lanes(), time))
        }
        Isa::Avx512 | Isa::Avx2 | Isa::Neon | Isa::Portable => None,
    };
    let bf16 = bf16.map(|(Multiplier { instructions, .. }, operations, time)| Ceiling {
        instructions,
        gflops: per_second(operations * count, time),
    });
    Arithmetic { gflops, how: "in registers", bf16 }
}

/// Operations of AMX per operation of vectors when nothing slows AMX down: what the cost models' constants mean.
const AMX_PER_VECTORS: f64 = 12.0;

/// Rounds of [`measure_amx`]. The worst but one counts: a unit that others slow down for some of them will be slow again,
/// and in `f32` vectors lose less than it does.
const SLOWNESS_ROUNDS: usize = 9;

/// How many times as long as usual products on AMX take, beside vectors, on so many threads: at least once. The first call takes some
/// milliseconds; what it finds holds for the process, so that two devices of one process choose, and round, alike.
///
/// # Errors
/// Where there are no threads.
pub fn amx_slowness(threads: usize) -> Result<f64> {
    static FOUND: Mutex<BTreeMap<usize, f64>> = Mutex::new(BTreeMap::new());
    first(&FOUND, threads, || Ok(measure_amx(&ThreadPool::new(threads)?)))
}

/// What the first call for a number of threads measured. The others wait for it: two measurements at once would slow each other down.
fn first(
    found: &Mutex<BTreeMap<usize, f64>>,
    threads: usize,
    measure: impl FnOnce() -> Result<f64>,
) -> Result<f64> {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&slowness) = found.get(&threads) {
        return Ok(slowness);
    }
    let slowness = measure()?;
    found.insert(threads, slowness);
    Ok(slowness)
}

fn measure_amx(threads: &ThreadPool) -> f64 {
    let (adds, blocks) = (ITERATIONS >> 6, BLOCKS >> 6);
    let mut ratios = [0.0; SLOWNESS_ROUNDS];
    // At rest, AMX takes a while to begin.
    threads.run(&|_| conv::multiply_tiles(blocks));
    for ratio in &mut ratios {
        let vectors = timed(|| threads.run(&|_| Isa::Amx.dispatch(MultiplyAdds(adds))));
        let amx = timed(|| threads.run(&|_| conv::multiply_tiles(blocks)));
        let vectors = per_second(2 * SUMS * adds * Isa::Amx.lanes(), vectors);
        *ratio = per_second(blocks * conv::TILES_OPERATIONS, amx) / vectors;
    }
    ratios.sort_by(f64::total_cmp);
    (AMX_PER_VECTORS / ratios[1]).max(1.0)
}

fn timed(mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64() / 1e9
}

fn best(mut run: impl FnMut()) -> Duration {
    (0..ROUNDS).map(|_| timed(&mut run)).min().unwrap_or_default()
}

/// So many multiply-adds in each of some independent chains.
struct MultiplyAdds(usize);

impl Work for MultiplyAdds {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let (factor, term) = (simd.splat(black_box(0.5)), simd.splat(black_box(1.0)));
        let mut sums = [term; SUMS];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, term);
            }
        }
        let total = sums.into_iter().skip(1).fold(sums[0], |a, b| a.add(b));
        black_box(total.sum());
    }
}

/// So many products of pairs added to each of some independent sums.
struct DotProducts(usize);

impl Work for DotProducts {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let factor = simd.splat(black_box(0.0));
        let mut sums = [simd.splat(black_box(1.0)); SUMS];
        for _ in 0..self.0 {
            for sum in &mut sums {
                // SAFETY: dispatched for such products.
                *sum = unsafe { factor.dot_bf16(factor, *sum) };
            }
        }
        let total = sums.into_iter().skip(1).fold(sums[0], |a, b| a.add(b));
        black_box(total.sum());
    }
}

/// `to = 2 * from`, each thread its part.
struct Scale<'a> {
    from: Dst<'a, f32>,
    to: Dst<'a, f32>,
    index: usize,
    count: usize,
}

impl Work for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let part = chunk(self.from.len(), 64, self.index, self.count);
        let two = simd.splat(2.0);
        for i in part.step_by(V::LANES) {
            // SAFETY: the arrays are as long as each other and a multiple of 64 floats, the longest vectors have 16, and
            // the threads' parts do not overlap.
            unsafe { simd.load(self.from.ptr().add(i)).mul(two).store(self.to.ptr().add(i)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn amx_has_a_ceiling_of_its_own() {
        if Isa::Amx.available() {
            let found = arithmetic(&ThreadPool::new(2).unwrap(), Isa::Amx);
            assert!(found.bf16.is_some_and(|amx| amx.gflops.is_finite() && amx.gflops > 0.0), "{found:?}");
        }
    }

    #[test]
    fn a_process_measures_amx_once_for_each_number_of_threads() {
        let found = Mutex::default();
        let measured = |threads, slowness: Result<f64>| first(&found, threads, || slowness).ok();
        assert_eq!(measured(1, Err(Error::Device("no threads".to_owned()))), None, "nothing is kept of that");
        assert_eq!((measured(1, Ok(3.0)), measured(2, Ok(1.0))), (Some(3.0), Some(1.0)));
        assert_eq!((measured(1, Ok(1.5)), measured(2, Ok(2.5))), (Some(3.0), Some(1.0)));
    }

    #[test]
    fn dot_products_have_a_ceiling_of_their_own() {
        if Isa::Avx512Bf16.available() {
            let found = arithmetic(&ThreadPool::new(1).unwrap(), Isa::Avx512Bf16);
            assert!(found.bf16.is_some_and(|dot| dot.gflops.is_finite() && dot.gflops > 0.0), "{found:?}");
        }
    }

    #[test]
    fn ceilings_are_finite_and_positive() {
        let threads = ThreadPool::new(1).unwrap();
        let found = measure(&threads, Isa::Portable).unwrap();
        let Arithmetic { gflops, bf16, .. } = found.arithmetic;
        assert!(gflops.is_finite() && gflops > 0.0, "{found:?}");
        assert!(bf16.is_none(), "{found:?}");
        assert!(found.gb_s.is_finite() && found.gb_s > 0.0, "{found:?}");
    }
}
