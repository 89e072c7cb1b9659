//! Shapes of results, by checked arithmetic: sizes come from foreign files.

use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

use crate::op::Op;

/// The largest size of anything: channels, as specs bound them.
const MOST: usize = 1 << 20;

type Shape = [usize; 3];

/// The shape of an operator's result for one image, from its operands' shapes.
pub(crate) fn infer(op: &Op, maps: &[Shape]) -> Result<Shape, String> {
    match op {
        Op::Input => Err("the image is no layer".to_owned()),
        Op::Add | Op::Mul | Op::Concat => joined(op, maps),
        _ => match maps {
            [map] => one(op, *map),
            _ => Err(format!("one input is wanted, not {}", maps.len())),
        },
    }
}

fn one(op: &Op, map: Shape) -> Result<Shape, String> {
    let [c, h, w] = map;
    match op {
        Op::Conv { out, attrs, .. } => conv(*out, attrs, map),
        Op::MaxPool(attrs) | Op::AvgPool(attrs) => pool(attrs, map),
        Op::GlobalAvgPool | Op::GlobalMaxPool => Ok([c, 1, 1]),
        Op::PadChannels { out, before } if before.saturating_add(c) <= *out && *out <= MOST => {
            Ok([*out, h, w])
        }
        Op::PadChannels { out, .. } => Err(format!("{c} channels cannot be padded to {out}")),
        Op::Linear { out, .. } if [h, w] == [1, 1] && (1..=MOST).contains(out) => Ok([*out, 1, 1]),
        Op::Linear { .. } => Err(format!(
            "a linear layer of a map of {h} x {w} pixels: specs have linear layers behind a global pooling only"
        )),
        Op::Norm { .. } | Op::Activate(_) => Ok(map),
        Op::Input | Op::Add | Op::Mul | Op::Concat => unreachable!("told apart before"),
    }
}

fn conv(out: usize, attrs: &ConvAttrs, [c, h, w]: Shape) -> Result<Shape, String> {
    let ConvAttrs { kernel, stride, padding, dilation, groups } = *attrs;
    if groups == 0 || !c.is_multiple_of(groups) || !out.is_multiple_of(groups) || !(1..=MOST).contains(&out) {
        return Err(format!("{c} channels to {out} in {groups} groups"));
    }
    square(stride, "stride")?;
    square(dilation, "dilation")?;
    let side = |i: usize, size: usize| {
        let window = dilation[i].checked_mul(kernel[i].checked_sub(1)?)?.checked_add(1)?;
        let padded = size.checked_add(padding[i].checked_mul(2)?)?;
        Some(padded.checked_sub(window)? / stride[i] + 1)
    };
    let sides = side(0, h).zip(side(1, w)).filter(|_| kernel.iter().all(|&k| k <= 256));
    let (h, w) = sides.ok_or_else(|| format!("a window of {kernel:?} does not fit into {h} x {w} pixels"))?;
    Ok([out, h, w])
}

fn pool(attrs: &PoolAttrs, [c, h, w]: Shape) -> Result<Shape, String> {
    let PoolAttrs { kernel, stride, padding, ceil, .. } = *attrs;
    square(stride, "stride")?;
    square(padding, "padding")?;
    let side = |i: usize, size: usize| {
        let spare = size.checked_add(padding[i].checked_mul(2)?)?.checked_sub(kernel[i])?;
        let mut count = if ceil { spare.div_ceil(stride[i]) } else { spare / stride[i] } + 1;
        // No window begins behind the image.
        if ceil && (count - 1) * stride[i] >= size + padding[i] {
            count -= 1;
        }
        Some(count)
    };
    let sides = side(0, h).zip(side(1, w)).filter(|_| kernel.iter().all(|&k| (1..=256).contains(&k)));
    let (h, w) = sides.ok_or_else(|| format!("a window of {kernel:?} does not fit into {h} x {w} pixels"))?;
    Ok([c, h, w])
}

/// Specs have one number for both directions.
fn square(pair: [usize; 2], what: &str) -> Result<(), String> {
    let [a, b] = pair;
    match what {
        _ if a != b => Err(format!("a {what} of {a} and {b}: specs have one for both directions")),
        "padding" if a <= 256 => Ok(()),
        _ if (1..=256).contains(&a) => Ok(()),
        _ => Err(format!("a {what} of {a}")),
    }
}

fn joined(op: &Op, maps: &[Shape]) -> Result<Shape, String> {
    let [first, rest @ ..] = maps else { return Err("no inputs".to_owned()) };
    let text = |[c, h, w]: Shape| format!("{c} x {h} x {w}");
    let apart = |other: &Shape| format!("maps of {} and {} do not fit together", text(*first), text(*other));
    match op {
        Op::Concat => rest.iter().try_fold(*first, |[c, h, w], other| {
            let sum = c.checked_add(other[0]).filter(|&sum| sum <= MOST && other[1..] == [h, w]);
            sum.map(|sum| [sum, h, w]).ok_or_else(|| apart(other))
        }),
        Op::Mul => match rest {
            [other] if first == other || other[..] == [first[0], 1, 1] => Ok(*first),
            [other] if first[..] == [other[0], 1, 1] => Ok(*other),
            [other] => Err(apart(other)),
            _ => Err(format!("a product of {} maps", maps.len())),
        },
        _ => match rest {
            [other] if first == other => Ok(*first),
            [other] => Err(apart(other)),
            _ => Err(format!("a sum of {} maps", maps.len())),
        },
    }
}
