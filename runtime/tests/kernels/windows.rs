//! Pooling, channels put together and taken apart, and option A's shortcut.

use resnetc_compiler::ir::op::PoolAttrs;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{BlurGeometry, Kernel, PadGeometry, PoolGeometry};
use resnetc_runtime::cpu::naive;
use resnetc_runtime::device::RunArgs;

use crate::harness::{Case, Output, Random, Tensor, check, rounding};

fn case(kernel: Kernel, inputs: Vec<Tensor>, outputs: Vec<Output>) -> Case {
    let args = RunArgs::default();
    Case { kernel, args, inputs, outputs, updated: Vec::new(), aliases: Vec::new() }
}

/// PyTorch's output size: a last window that would start in the far border does not count.
fn pool_out(size: usize, kernel: usize, stride: usize, padding: usize, ceil: bool) -> usize {
    let room = size + 2 * padding - kernel;
    let out = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
    if ceil && (out - 1) * stride >= size + padding { out - 1 } else { out }
}

/// Windows that overlap, touch, leave gaps; with borders, of one pixel, of the whole image; images of one pixel.
fn geometries() -> Vec<PoolGeometry> {
    let mut all = Vec::new();
    let windows = [
        ([3, 3], [2, 2], [1, 1]),
        ([2, 2], [2, 2], [0, 0]),
        ([3, 2], [1, 3], [1, 0]),
        ([1, 1], [2, 1], [0, 0]),
        ([4, 5], [3, 1], [2, 2]),
        ([1, 3], [1, 1], [0, 1]),
    ];
    for (n, h, w, c) in
        [(1, 1, 1, 1), (2, 5, 7, 3), (1, 8, 6, 16), (3, 9, 4, 33), (2, 16, 17, 24), (1, 6, 6, 129)]
    {
        for (kernel, stride, padding) in windows {
            for (ceil, count_padding) in [(false, true), (true, false), (true, true)] {
                let attrs = PoolAttrs { kernel, stride, padding, ceil, count_padding };
                if h + 2 * padding[0] < kernel[0] || w + 2 * padding[1] < kernel[1] {
                    continue;
                }
                let out = [0, 1].map(|d| pool_out([h, w][d], kernel[d], stride[d], padding[d], ceil));
                all.push(PoolGeometry { n, h, w, c, out, attrs });
            }
        }
    }
    all
}

fn lens(g: &PoolGeometry) -> [usize; 2] {
    [g.n * g.h * g.w * g.c, g.n * g.out[0] * g.out[1] * g.c]
}

#[test]
fn max_pool() {
    for geometry in geometries() {
        let [input, output] = lens(&geometry);
        // Few different values: most windows have equal maxima, of which the first counts. Nothing rounds.
        let mut x = Random(11).whole(DType::F32, input, 4);
        for nan in [false, true] {
            if nan {
                x.values.iter_mut().step_by(7).for_each(|v| *v = f64::NAN);
            }
            let y = Output { dtype: DType::F32, len: output, tolerance: 0.0 };
            let at = Output { dtype: DType::U8, ..y };
            check(&case(Kernel::MaxPool { geometry, positions: false }, vec![x.clone()], vec![y]));
            check(&case(Kernel::MaxPool { geometry, positions: true }, vec![x.clone()], vec![y, at]));
        }
    }
}

#[test]
fn max_pool_of_minus_infinity_takes_the_first_pixel() {
    let attrs =
        PoolAttrs { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ceil: false, count_padding: true };
    let geometry = PoolGeometry { n: 1, h: 4, w: 4, c: 1, out: [2, 2], attrs };
    let x = Tensor { dtype: DType::F32, values: vec![f64::NEG_INFINITY; 16] };
    let y = Output { dtype: DType::F32, len: 4, tolerance: 0.0 };
    let c = case(
        Kernel::MaxPool { geometry, positions: true },
        vec![x],
        vec![y, Output { dtype: DType::U8, ..y }],
    );
    let isa = resnetc_runtime::cpu::simd::Isa::Portable;
    let found = crate::harness::run(&c, isa, 1, &[None, None]);
    // The border is no pixel: the first window's first pixel is at its row 1, column 1.
    assert_eq!(found[1], [4.0, 3.0, 1.0, 0.0]);
    check(&c);
}

#[test]
fn max_pool_backward() {
    for geometry in geometries() {
        let [input, output] = lens(&geometry);
        let x = Random(12).whole(DType::F32, input, 4);
        let [_, positions] = naive::pooling::max_pool(&geometry, &x.values);
        let positions = Tensor { dtype: DType::U8, values: positions };
        let dy = Random(13).floats(output, -2.0, 2.0);
        // A pixel lies in at most 20 windows (4 x 5, stride 1 at worst).
        let tolerance = rounding(20, 20.0 * 2.0);
        let dx = Output { dtype: DType::F32, len: input, tolerance };
        check(&case(Kernel::MaxPoolBackward { geometry }, vec![dy, positions], vec![dx]));
    }
}

#[test]
fn avg_pool_and_its_gradient() {
    for geometry in geometries() {
        let [input, output] = lens(&geometry);
        let x = Random(14).floats(input, -2.0, 2.0);
        // At most 20 additions of values up to 2, one division by as many: relative to 20 * 2 / 20 at worst.
        let y = Output { dtype: DType::F32, len: output, tolerance: rounding(21, 2.0 * 20.0) };
        check(&case(Kernel::AvgPool { geometry }, vec![x], vec![y]));
        let dy = Random(15).floats(output, -2.0, 2.0);
        // A reciprocal, a product, an addition for each of at most 20 windows.
        let dx = Output { dtype: DType::F32, len: input, tolerance: rounding(3 * 20, 2.0) };
        check(&case(Kernel::AvgPoolBackward { geometry }, vec![dy], vec![dx]));
    }
}

#[test]
fn global_avg_pool_and_its_gradient() {
    for [images, pixels, channels] in
        [[1, 1, 1], [2, 49, 64], [3, 5, 33], [1, 3000, 7], [5, 64, 10], [1, 16, 2048], [40, 9, 100]]
    {
        let x = Random(16).floats(images * pixels * channels, -2.0, 2.0);
        // 64 additions in a block, the blocks', the division; no partial sum exceeds `2 * pixels`.
        let tolerance = rounding(64 + pixels.div_ceil(64) + 1, 2.0);
        let y = Output { dtype: DType::F32, len: images * channels, tolerance };
        check(&case(Kernel::GlobalAvgPool { images, pixels, channels }, vec![x], vec![y]));
        let dy = Random(17).floats(images * channels, -2.0, 2.0);
        let len = images * pixels * channels;
        let dx = Output { dtype: DType::F32, len, tolerance: rounding(1, 2.0 / pixels as f64) };
        check(&case(Kernel::GlobalAvgPoolBackward { images, pixels, channels }, vec![dy], vec![dx]));
    }
}

#[test]
fn pad_shortcut_and_its_gradient() {
    for (n, h, w, cin, cout, stride) in [
        (1, 1usize, 1usize, 1, 1, [1, 1]),
        (2, 7, 5, 3, 8, [2, 2]),
        (1, 8, 8, 16, 32, [2, 2]),
        (3, 4, 9, 5, 6, [1, 3]),
        (2, 32, 32, 16, 32, [2, 2]),
    ] {
        let out = [h.div_ceil(stride[0]), w.div_ceil(stride[1])];
        let g = PadGeometry { n, h, w, cin, cout, before: (cout - cin) / 2, stride, out };
        let (input, output) = (n * h * w * cin, n * out[0] * out[1] * cout);
        let exact = |len| Output { dtype: DType::F32, len, tolerance: 0.0 };
        let x = Random(18).floats(input, -2.0, 2.0);
        check(&case(Kernel::PadShortcut(g), vec![x], vec![exact(output)]));
        let dy = Random(19).floats(output, -2.0, 2.0);
        check(&case(Kernel::PadShortcutBackward(g), vec![dy], vec![exact(input)]));
    }
}

#[test]
fn concat_and_its_gradient() {
    let exact = |len| Output { dtype: DType::F32, len, tolerance: 0.0 };
    for (rows, channels) in
        [(1usize, vec![1usize, 1]), (7, vec![3, 16, 5]), (300, vec![24, 12]), (49, vec![64; 4]), (5, vec![9])]
    {
        let inputs = channels.iter().map(|&c| Random(31).floats(rows * c, -2.0, 2.0)).collect();
        let all: usize = channels.iter().sum();
        check(&case(Kernel::Concat { rows, channels: channels.clone() }, inputs, vec![exact(rows * all)]));
        let mut start = 0;
        for taken in channels {
            let dy = Random(32).floats(rows * all, -2.0, 2.0);
            let kernel = Kernel::ChannelSlice { rows, channels: all, start, taken };
            check(&case(kernel, vec![dy], vec![exact(rows * taken)]));
            start += taken;
        }
    }
}

#[test]
fn global_max_pool_and_its_gradient() {
    for [images, pixels, channels] in [[1, 1, 1], [2, 49, 64], [3, 5, 33], [1, 3000, 7], [5, 64, 10]] {
        // Few different values: most maxima are there several times, and the first counts. Nothing rounds.
        let mut x = Random(33).whole(DType::F32, images * pixels * channels, 4);
        let y = Output { dtype: DType::F32, len: images * channels, tolerance: 0.0 };
        for nan in [false, true] {
            if nan {
                x.values.iter_mut().step_by(11).for_each(|v| *v = f64::NAN);
            }
            let kernel = |positions| Kernel::GlobalMaxPool { images, pixels, channels, positions };
            check(&case(kernel(false), vec![x.clone()], vec![y]));
            check(&case(kernel(true), vec![x.clone()], vec![y, Output { dtype: DType::U32, ..y }]));
        }
        let dy = Random(34).floats(images * channels, -2.0, 2.0);
        let positions = Random(35).whole(DType::U32, images * channels, pixels);
        let dx = Output { len: images * pixels * channels, ..y };
        let kernel = Kernel::GlobalMaxPoolBackward { images, pixels, channels };
        check(&case(kernel, vec![dy, positions], vec![dx]));
    }
}

#[test]
fn blur_pool_and_its_gradient() {
    for (n, h, w, c, stride) in [
        (1, 2usize, 2usize, 1, [1, 1]),
        (1, 2, 3, 5, [2, 2]),
        (2, 7, 5, 3, [2, 2]),
        (1, 8, 8, 16, [2, 2]),
        (3, 4, 9, 33, [1, 3]),
        (1, 16, 16, 64, [1, 1]),
    ] {
        let g = BlurGeometry { n, h, w, c, stride, out: [h.div_ceil(stride[0]), w.div_ceil(stride[1])] };
        let (input, output) = (n * h * w * c, n * g.out[0] * g.out[1] * c);
        let x = Random(36).floats(input, -2.0, 2.0);
        // Weights and their products are exact; nine products, nine additions of values up to 2.
        let y = Output { dtype: DType::F32, len: output, tolerance: rounding(18, 2.0) };
        check(&case(Kernel::BlurPool(g), vec![x], vec![y]));
        let dy = Random(37).floats(output, -2.0, 2.0);
        // A pixel is in nine windows at most, with weights that add up to 2.25 at most (a corner's neighbour).
        let dx = Output { dtype: DType::F32, len: input, tolerance: rounding(18, 4.5) };
        check(&case(Kernel::BlurPoolBackward(g), vec![dy], vec![dx]));
    }
}
