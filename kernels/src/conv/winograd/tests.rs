//! All three against their definitions, on every instruction set that this machine has.

use proptest::prelude::*;
use resnetc_compiler::ir::op::{Activation, ConvAttrs};

use super::size::Size;
use crate::conv::epilogue::Epilogue;
use crate::conv::naive;
use crate::conv::naive::Sum;
use crate::conv::tests::{Case, geometry, numbers, square, vector_isas};

fn close(found: &[f32], expected: &[Sum], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (&f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(f) - e.value).abs();
        let bound = 1e-5 * (e.magnitude + 1.0);
        assert!(error <= bound, "{what}[{i}] = {f}, expected {}, error {error:e} > {bound:e}", e.value);
    }
}

/// The gradient of the weights on all instruction sets and thread counts.
fn check_filter(case: &Case) {
    let dw = naive::backward_filter(&case.g, &case.x, &case.dy);
    for isa in vector_isas() {
        for threads in [1, 2, 3] {
            let what = format!("dw ({isa:?}, {threads} threads, {:?})", case.g);
            close(&case.winograd_filter(isa, threads), &dw, &what);
        }
    }
}

/// Fewer multiplications cost accuracy: the transforms add up numbers several times larger than the result. Channels of
/// every instruction set's vectors; patches that lie whole and in part on the map; one block of them and several.
#[test]
fn winograd_is_accurate_to_a_part_in_a_hundred_thousand() {
    let cases = [
        (1, [8, 8], [16, 16], 1),
        (2, [7, 9], [32, 48], 1),
        (3, [5, 6], [48, 16], 0),
        (2, [3, 1], [16, 32], 2),
        (1, [4, 4], [96, 64], 1),
        (2, [26, 27], [64, 64], 1),
    ];
    for (n, size, channels, padding) in cases {
        let case = Case::new(geometry(n, size, channels, square(3, 1, padding, 1)).unwrap());
        let (bias, residual) = (numbers(case.g.cout, 4), numbers(case.dy.len(), 5));
        let mut y = naive::forward(&case.g, &case.x, &case.w);
        for (i, sum) in y.iter_mut().enumerate() {
            sum.value = (sum.value + f64::from(bias[i % case.g.cout]) + f64::from(residual[i])).max(0.0);
        }
        let dx = naive::backward_data(&case.g, &case.dy, &case.w);
        for isa in vector_isas() {
            for threads in [1, 2, 3] {
                let epilogue = Epilogue {
                    bias: Some(bias.as_slice().into()),
                    residual: Some(residual.as_slice().into()),
                    act: Some(Activation::Relu),
                    gap: 0,
                };
                let what = |name: &str| format!("{name} ({isa:?}, {threads} threads, {:?})", case.g);
                for size in [Size::Four, Size::Two] {
                    let run = |backward, epilogue| case.winograd(size, backward, isa, threads, epilogue);
                    close(&run(false, &epilogue), &y, &what("y"));
                    close(&run(true, &Epilogue::default()), &dx, &what("dx"));
                }
            }
        }
        check_filter(&case);
    }
}

/// One cell of channels and several, also of different sizes; threads that share them, and threads that share patches, more
/// threads than patches among them.
#[test]
fn cells_of_a_filter_gradient() {
    let cases = [
        (1, [1, 1], [16, 16]),
        (2, [1, 9], [112, 16]),
        (1, [6, 5], [80, 144]),
        (3, [2, 7], [128, 128]),
        (1, [3, 3], [192, 64]),
    ];
    for (n, size, channels) in cases {
        check_filter(&Case::new(geometry(n, size, channels, square(3, 1, 1, 1)).unwrap()));
    }
}

#[test]
fn a_filter_gradient_has_the_same_bits_every_time() {
    let case = Case::new(geometry(5, [9, 9], [32, 48], square(3, 1, 1, 1)).unwrap());
    let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for isa in vector_isas() {
        for threads in [1, 3] {
            let run = || bits(case.winograd_filter(isa, threads));
            assert_eq!(run(), run());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_filter_gradient(
        n in prop_oneof![3 => 1usize..4, 1 => 30usize..70],
        size in [1usize..12, 1usize..12],
        vectors in [1usize..6, 1usize..6],
        padding in [0usize..3, 0usize..3],
    ) {
        let attrs = ConvAttrs { kernel: [3; 2], stride: [1; 2], padding, dilation: [1; 2], groups: 1 };
        if let Some(g) = geometry(n, size, vectors.map(|v| 16 * v), attrs) {
            check_filter(&Case::new(g));
        }
    }
}
