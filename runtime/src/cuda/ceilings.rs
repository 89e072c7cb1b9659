//! What a GPU does at most: products by the engine that cuDNN has for a large one, and traffic to memory by the copying kernel.

use std::time::Duration;

use resnetc_compiler::ir::attrs::ConvAttrs;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::ConvGeometry;

use super::driver::{Driver, Fill};
use super::launch::{Call, Convolve, Direction, Task};
use super::lower::convert;
use crate::error::{Error, Result};
use crate::roofline::{Arithmetic, Roofline};

/// What profilers call the runs that are timed here.
const CEILING: &str = "a ceiling";

/// Each ceiling is the best of this many measurements: what disturbs only lowers them.
const ROUNDS: usize = 8;

/// Measures, for factors of a type; `side` is what makes a large product: `side^3` multiply-adds, and copies of `16 side^2` bytes.
pub(super) fn measure(driver: &dyn Driver, element: DType, tf32: bool, side: usize) -> Result<Roofline> {
    let gflops = products(driver, element, tf32, side)?;
    let gb_s = traffic(driver, side * side)?;
    Ok(Roofline { arithmetic: Arithmetic { gflops, how: "by cuDNN's engines", bf16: None }, gb_s })
}

fn best(driver: &dyn Driver, call: Call<u64>) -> Result<Duration> {
    let calls = [call];
    let mut least = driver.time(CEILING, &calls)?;
    for _ in 1..ROUNDS {
        least = least.min(driver.time(CEILING, &calls)?);
    }
    Ok(least)
}

fn per_second(operations: usize, time: Duration) -> f64 {
    operations as f64 / time.as_secs_f64().max(1e-9) / 1e9
}

/// A 1x1 convolution of `side` pixels with as many channels in and out: a product of two square matrices.
fn products(driver: &dyn Driver, element: DType, tf32: bool, side: usize) -> Result<f64> {
    let attrs = ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let (n, h, w) = (side / 16, 4, 4);
    let out = [h, w];
    let geometry = ConvGeometry { n, h, w, cin: side, cout: side, out, attrs, precision: element };
    let task = Task::plain(Direction::Forward, geometry, element);
    // Nobody looks at the result.
    let task = Task { tf32, deterministic: false, ..task };
    let nobody = || Error::Device("cuda: nobody computes a plain product".to_owned());
    let prepared = driver.prepare(&task)?.ok_or_else(nobody)?;
    let matrix = || driver.allocate(side * side * element.size(), Fill::Zeros);
    let (x, weight, y) = (matrix()?, matrix()?, matrix()?);
    let workspace = driver.allocate(prepared.workspace, Fill::Anything)?;
    let call = Call::Convolve(Convolve {
        id: prepared.id,
        x: x.address,
        weight: weight.address,
        y: y.address,
        bias: None,
        residual: None,
        sums: None,
        mask: None,
        workspace: workspace.address,
    });
    Ok(per_second(2 * side * side * side, best(driver, call)?))
}

/// Copies so many packs of 16 bytes: each is read and written.
fn traffic(driver: &dyn Driver, packs: usize) -> Result<f64> {
    let bytes = packs * 16;
    let (from, to) = (driver.allocate(bytes, Fill::Zeros)?, driver.allocate(bytes, Fill::Zeros)?);
    let call = Call::Launch(convert(from.address, to.address, bytes / size_of::<f32>(), DType::F32)?);
    Ok(per_second(2 * bytes, best(driver, call)?))
}
