//! What register tiles add to their sums, unrolled.

// Loops over constant ranges stay index loops: LLVM unrolls those early enough to keep the sums in registers, while
// iterators over the same arrays leave them in memory (measured: ResNet-50 64 ms instead of 40).

use crate::simd::Vector;

/// Repeats a block with a constant index below `$n <= 24`. LLVM declines to unroll bodies of this size, and sums that are
/// indexed by a variable live in memory, not in registers.
macro_rules! unroll {
    ($i:ident < $n:ident; $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23)
    };
    (@ $i:ident, $n:ident, $body:block, $($k:literal)*) => {
        $(if $k < $n {
            let $i: usize = $k;
            $body
        })*
    };
}

/// Adds to the sums of a tile, `$sums`, the products of `$step` channels, the first of row `$i` being at `$row`, with their
/// weights at `$weights`. Where vectors are few, a row's are all multiplied at once, whose pointer is then looked up once;
/// where they are many, one channel after another, so that weights take few registers. `$ordered` is [`before_later_loads`]'s, `$dot`
/// [`multiply_add`]'s. No function: a closure would not be compiled for the caller's instructions.
macro_rules! add_products {
    (
        $V:ident, $sums:ident[$size:ident][$vectors:ident], $step:ident, $weights:expr, $ordered:literal, $dot:tt,
        |$i:ident| $row:expr
    ) => {
        let simd = $sums[0][0].simd();
        if const { one_by_one(<$V as Vector>::REGISTERS, $vectors) } {
            unroll!(@ j, $step, {
                let mut weights = [simd.zero(); $vectors];
                for v in 0..$vectors {
                    weights[v] = simd.load($weights.add((j * $vectors + v) * $V::LANES));
                }
                unroll!($i < $size; {
                    let x = simd.splat(*$row.add(j));
                    for v in 0..$vectors {
                        $sums[$i][v] = before_later_loads::<$V, $ordered>(multiply_add::<$V, $dot>(x, weights[v], $sums[$i][v]));
                    }
                });
            }, 0 1 2 3);
        } else {
            let mut weights = [[simd.zero(); $vectors]; $step];
            for j in 0..$step {
                for v in 0..$vectors {
                    weights[j][v] = simd.load($weights.add((j * $vectors + v) * $V::LANES));
                }
            }
            unroll!($i < $size; {
                let row = $row;
                for j in 0..$step {
                    let x = simd.splat(*row.add(j));
                    for v in 0..$vectors {
                        $sums[$i][v] = before_later_loads::<$V, $ordered>(multiply_add::<$V, $dot>(x, weights[j][v], $sums[$i][v]));
                    }
                }
            });
        }
    };
}

pub(in crate::conv) use {add_products, unroll};

/// See [`Vector::before_later_loads`]: what it is for is needed where registers are few. Where they are not, it is `ORDERED` that says
/// whether it gains, which differs from loop to loop.
#[inline(always)]
pub(in crate::conv) fn before_later_loads<V: Vector, const ORDERED: bool>(sum: V) -> V {
    if ORDERED || V::REGISTERS < 32 { sum.before_later_loads() } else { sum }
}

/// `x * weight + sum`, of floats or of pairs of bf16.
///
/// # Safety
/// As [`Vector::dot_bf16`], where `BF16_DOT`.
#[inline(always)]
pub(in crate::conv) unsafe fn multiply_add<V: Vector, const BF16_DOT: bool>(x: V, weight: V, sum: V) -> V {
    // SAFETY: the caller's promise.
    if BF16_DOT { unsafe { x.dot_bf16(weight, sum) } } else { x.mul_add(weight, sum) }
}
