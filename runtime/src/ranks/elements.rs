//! Gradients as the bytes that ranks send each other: `f32`, or bf16 in half as many. Sums of them are formed in `f32`.

use half::bf16;
use resnetc_compiler::ir::types::DType;

/// `share * values` as bytes, filled up with zeros to `len` elements.
pub(super) fn encode(values: &[f32], share: f32, wire: DType, len: usize, bytes: &mut Vec<u8>) {
    bytes.resize(len * wire.size(), 0);
    let (filled, rest) = bytes.split_at_mut(values.len() * wire.size());
    rest.fill(0);
    match wire {
        DType::Bf16 => filled.chunks_exact_mut(2).zip(values).for_each(|(to, value)| {
            to.copy_from_slice(&bf16::from_f32(share * value).to_ne_bytes());
        }),
        _ => filled.chunks_exact_mut(4).zip(values).for_each(|(to, value)| {
            to.copy_from_slice(&(share * value).to_ne_bytes());
        }),
    }
}

/// The values that bytes begin with.
pub(super) fn decode(bytes: &[u8], wire: DType, values: &mut [f32]) {
    match wire {
        DType::Bf16 => {
            values.iter_mut().zip(bytes.chunks_exact(2)).for_each(|(value, from)| *value = narrow(from))
        }
        _ => values.iter_mut().zip(bytes.chunks_exact(4)).for_each(|(value, from)| *value = whole(from)),
    }
}

/// Adds values to sums.
pub(super) fn add(bytes: &[u8], wire: DType, sums: &mut [f32]) {
    match wire {
        DType::Bf16 => {
            sums.iter_mut().zip(bytes.chunks_exact(2)).for_each(|(sum, from)| *sum += narrow(from))
        }
        _ => sums.iter_mut().zip(bytes.chunks_exact(4)).for_each(|(sum, from)| *sum += whole(from)),
    }
}

fn narrow(bytes: &[u8]) -> f32 {
    bf16::from_ne_bytes([bytes[0], bytes[1]]).to_f32()
}

fn whole(bytes: &[u8]) -> f32 {
    f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
