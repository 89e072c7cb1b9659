//! What a convolution of the emulated GPU does behind its product that no kernel of a plan does: the sums of its result, and a mask.

use half::{bf16, f16};
use resnetc_compiler::ir::types::DType;

use super::memory::{bytes, bytes_mut};
use crate::error::{Error, Result};

/// Pixels that a block of a GPU sums before it adds its share.
const TILE: usize = 128;

/// Adds the sums by channel of a map `[pixels][channels]`, and those of its squares, to what lies at two addresses: of elements as they
/// are stored, in `f32`, as cuDNN's kernels do.
pub(super) fn add_sums(map: &[u8], element: DType, channels: usize, [sum, squares]: [u64; 2]) -> Result<()> {
    let values = floats(map, element)?;
    for (address, power) in [(sum, 1), (squares, 2)] {
        let memory = bytes_mut(address, channels * DType::F32.size());
        let mut totals = floats(bytes(address, memory.len()), DType::F32)?;
        for tile in values.chunks(TILE * channels) {
            let mut parts = vec![0.0f32; channels];
            for pixel in tile.chunks(channels) {
                parts.iter_mut().zip(pixel).for_each(|(part, value)| *part += value.powi(power));
            }
            totals.iter_mut().zip(&parts).for_each(|(total, part)| *total += part);
        }
        let totals: Vec<u8> = totals.iter().flat_map(|total| total.to_ne_bytes()).collect();
        memory.copy_from_slice(&totals);
    }
    Ok(())
}

/// Makes a map zero where another one is not positive.
pub(super) fn mask(map: &mut [u8], by: &[u8], element: DType) -> Result<()> {
    let by = floats(by, element)?;
    for (value, by) in map.chunks_mut(element.size()).zip(by) {
        // NaN is not.
        if by <= 0.0 || by.is_nan() {
            value.fill(0);
        }
    }
    Ok(())
}

fn floats(bytes: &[u8], element: DType) -> Result<Vec<f32>> {
    let halves = |wide: fn(u16) -> f32| {
        let (pairs, _) = bytes.as_chunks::<2>();
        pairs.iter().map(|&pair| wide(u16::from_ne_bytes(pair))).collect()
    };
    match element {
        DType::F32 => {
            let (fours, _) = bytes.as_chunks::<4>();
            Ok(fours.iter().map(|&four| f32::from_ne_bytes(four)).collect())
        }
        DType::Bf16 => Ok(halves(|bits| bf16::from_bits(bits).to_f32())),
        DType::F16 => Ok(halves(|bits| f16::from_bits(bits).to_f32())),
        DType::U8 | DType::U32 | DType::U64 => {
            Err(Error::Device(format!("cuda emulated: a convolution has no result of {element}")))
        }
    }
}
