//! What each kernel expects of its buffers. A plan that fails here is refused at load, so that no kernel touches memory
//! outside of its buffers, whatever a plan says that was read from a file.

use std::ops::Range;

use resnetc_compiler::ir::op::DropPart;
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{
    ALIGN, BlurGeometry, Buffer, ConvGeometry, GroupGeometry, Kernel, Operand, PadGeometry, Plan,
    PoolGeometry, Region, Slice, Step,
};

use crate::error::{Error, Result};

/// Element types and counts of a kernel's operands.
struct Signature {
    inputs: Vec<(DType, usize)>,
    outputs: Vec<(DType, usize)>,
    /// Inputs that an output of the same size may lie on exactly.
    in_place: Range<usize>,
}

impl Signature {
    fn f32<const I: usize, const O: usize>(inputs: [usize; I], outputs: [usize; O]) -> Self {
        let operands = |lens: &[usize]| lens.iter().map(|&len| (DType::F32, len)).collect();
        Signature { inputs: operands(&inputs), outputs: operands(&outputs), in_place: 0..0 }
    }

    fn in_place(mut self) -> Self {
        self.in_place = 0..self.inputs.len();
        self
    }

    /// Appends an `f32` residual where the flag says so; the output may lie on it alone.
    fn residual(mut self, optional: bool, len: usize) -> Self {
        self = self.and(optional, len);
        let end = self.inputs.len();
        self.in_place = end - usize::from(optional)..end;
        self
    }

    /// Appends `f32` inputs where the flag says so.
    fn and(mut self, optional: bool, len: usize) -> Self {
        self.inputs.extend(optional.then_some((DType::F32, len)));
        self
    }
}

/// Checks every buffer against its region and every step against its buffers.
pub fn plan(plan: &Plan, region_len: impl Fn(Region) -> usize) -> Result<()> {
    for buffer in &plan.buffers {
        if let Some(slice) = buffer.slice {
            check_slice(plan, buffer, slice)?;
            continue;
        }
        let end = buffer.offset.checked_add(buffer.bytes);
        if !buffer.offset.is_multiple_of(ALIGN) || end.is_none_or(|end| end > region_len(buffer.region)) {
            let Buffer { name, region, offset, bytes, .. } = buffer;
            return Err(Error::Device(format!(
                "buffer {name}: {bytes} bytes at {offset} of {region:?} are misaligned or outside of it"
            )));
        }
    }
    plan.steps.iter().try_for_each(|step| {
        check_step(plan, step).map_err(|why| Error::Device(format!("step {}: {why}", step.name)))
    })
}

/// A slice lies at its channels of a map that is none, and has its pixels.
fn check_slice(plan: &Plan, buffer: &Buffer, Slice { of, start }: Slice) -> Result<()> {
    let fits = |whole: &Buffer| {
        let ([n, c, h, w], [own_n, own_c, own_h, own_w]) = (whole.shape.nchw()?, buffer.shape.nchw()?);
        let size = buffer.dtype.size();
        let like = |b: &Buffer| (b.region, b.dtype, b.layout);
        let sound = [n, h, w] == [own_n, own_h, own_w]
            && start.checked_add(own_c)? <= c
            && whole.slice.is_none()
            && like(whole) == (buffer.region, buffer.dtype, Layout::Nhwc)
            && like(buffer) == like(whole)
            && whole.bytes == product([n, c, h, w])?.checked_mul(size)?
            && buffer.bytes == product([n, own_c, h, w])?.checked_mul(size)?
            && buffer.offset == whole.offset.checked_add(start.checked_mul(size)?)?;
        Some(sound)
    };
    if plan.buffers.get(of.0 as usize).and_then(fits) == Some(true) {
        return Ok(());
    }
    Err(Error::Device(format!("buffer {}: it is no slice of another one", buffer.name)))
}

fn check_step(plan: &Plan, step: &Step) -> Result<(), String> {
    let signature = signature(&step.kernel).ok_or("sizes that contradict each other or overflow")?;
    for (what, ids, expected) in
        [("inputs", &step.inputs, &signature.inputs), ("outputs", &step.outputs, &signature.outputs)]
    {
        if ids.len() != expected.len() {
            return Err(format!("{} {what}, expected {}", ids.len(), expected.len()));
        }
        for (i, (id, &(dtype, len))) in ids.iter().zip(expected).enumerate() {
            let buffer = plan.buffers.get(id.0 as usize).ok_or("an operand that is no buffer")?;
            let gaps =
                if what == "inputs" { step.kernel.reads_slices(i) } else { step.kernel.writes_slices(i) };
            if buffer.slice.is_some() && !gaps {
                return Err(format!("{what}: the kernel cannot step over the gaps of {}", buffer.name));
            }
            let operand = if what == "inputs" { Operand::Input(i) } else { Operand::Output(i) };
            let dtype = stored_type(plan, step, operand, dtype);
            if buffer.dtype != dtype || Some(buffer.bytes) != len.checked_mul(dtype.size()) {
                let Buffer { name, dtype: found, bytes, .. } = buffer;
                return Err(format!(
                    "{what}: {name} is {bytes} bytes of {found}, expected {len} elements of {dtype}"
                ));
            }
        }
    }
    check_overlap(plan, step, &signature.in_place)
}

/// What an operand of type `dtype` is stored as: bf16 where all of its group are.
fn stored_type(plan: &Plan, step: &Step, operand: Operand, dtype: DType) -> DType {
    let group = step.kernel.stored_alike().iter().find(|group| group.contains(&operand));
    let stored = |&other: &Operand| step.operand(other).and_then(|id| plan.buffers.get(id.0 as usize));
    match group {
        Some(group) if group.iter().all(|other| stored(other).is_some_and(|b| b.dtype == DType::Bf16)) => {
            DType::Bf16
        }
        _ => dtype,
    }
}

/// Outputs overlap nothing, but may be exactly an input where the kernel allows it. Slices of one map overlap where their
/// channels do; to anything else a slice is its whole map.
fn check_overlap(plan: &Plan, step: &Step, in_place: &Range<usize>) -> Result<(), String> {
    for (i, &output) in step.outputs.iter().enumerate() {
        let o = plan.buffer(output);
        let others = step.inputs.iter().enumerate().map(|(i, &id)| (id, in_place.contains(&i)));
        for (other, may_coincide) in others.chain(step.outputs[i + 1..].iter().map(|&id| (id, false))) {
            let b = plan.buffer(other);
            let (one, two) = (extent(plan, o), extent(plan, b));
            let apart = o.region != b.region || one.end <= two.start || two.end <= one.start;
            let coincide =
                o.offset == b.offset && o.bytes == b.bytes && o.slice.is_none() && b.slice.is_none();
            let apart = apart || are_apart(o, b);
            let allowed = apart || (coincide && may_coincide);
            if !allowed {
                return Err(format!("output {} overlaps {}", o.name, b.name));
            }
        }
    }
    Ok(())
}

/// Bytes of a buffer in its region; of a slice those of its map.
fn extent(plan: &Plan, buffer: &Buffer) -> Range<usize> {
    let whole = buffer.slice.map_or(buffer, |slice| plan.buffer(slice.of));
    whole.offset..whole.offset + whole.bytes
}

/// Whether two buffers are slices of one map without a common channel.
fn are_apart(a: &Buffer, b: &Buffer) -> bool {
    let (Some(one), Some(two)) = (a.slice, b.slice) else { return false };
    one.of == two.of && (one.start + a.shape.0[1] <= two.start || two.start + b.shape.0[1] <= one.start)
}

/// Operands of a kernel; `None` where its sizes contradict each other or overflow.
fn signature(kernel: &Kernel) -> Option<Signature> {
    Some(match kernel {
        Kernel::Conv { geometry, bias, epilogue } => {
            let [x, w, y] = conv(geometry)?;
            Signature::f32([x, w], [y]).and(*bias, geometry.cout).residual(epilogue.residual, y)
        }
        Kernel::ConvBackwardData { geometry, residual } => {
            let [x, w, y] = conv(geometry)?;
            Signature::f32([y, w], [x]).residual(*residual, x)
        }
        Kernel::ConvBackwardFilter { geometry } => {
            let [x, w, y] = conv(geometry)?;
            Signature::f32([x, y], [w])
        }
        &Kernel::ChannelSum { rows, channels } => Signature::f32([product([rows, channels])?], [channels]),
        &Kernel::BnStats { rows, channels: c, .. } => Signature::f32([product([rows, c])?, c, c], [c, c]),
        &Kernel::BnApply { rows, channels: c, epilogue } => {
            let len = product([rows, c])?;
            Signature::f32([len, c, c, c, c], [len]).and(epilogue.residual, len).in_place()
        }
        &Kernel::BnBackwardReduce { rows, channels: c, epilogue } => {
            let (len, signs) = (product([rows, c])?, epilogue.recomputes_sign());
            let s = Signature::f32([len, len, c, c], [c, c]);
            s.and(signs, c).and(epilogue.act.is_some(), if signs { c } else { len })
        }
        &Kernel::BnBackwardApply { rows, channels: c, epilogue } => {
            let len = product([rows, c])?;
            let masks = if epilogue.recomputes_sign() { c } else { len };
            let s = Signature::f32([len, len, c, c, c, c, c], [len]);
            let mut s = s.and(epilogue.act.is_some(), masks).in_place();
            s.outputs.extend(epilogue.residual.then_some((DType::F32, len)));
            s
        }
        Kernel::GroupStats { geometry, .. } => {
            let [map, _, statistics] = groups(geometry)?;
            Signature::f32([map], [statistics, statistics])
        }
        Kernel::GroupApply { geometry, epilogue } => {
            let [map, c, statistics] = groups(geometry)?;
            let inputs = [map, statistics, statistics, c, c];
            Signature::f32(inputs, [map]).and(epilogue.residual, map).in_place()
        }
        Kernel::GroupBackwardReduce { geometry, act } => {
            let [map, c, statistics] = groups(geometry)?;
            let inputs = [map, map, statistics, statistics, c];
            Signature::f32(inputs, [c, c, statistics, statistics]).and(act.is_some(), map)
        }
        Kernel::GroupBackwardApply { geometry, epilogue } => {
            let [map, c, statistics] = groups(geometry)?;
            let inputs = [map, map, statistics, statistics, c, statistics, statistics];
            let mut s = Signature::f32(inputs, [map]).and(epilogue.act.is_some(), map).in_place();
            s.outputs.extend(epilogue.residual.then_some((DType::F32, map)));
            s
        }
        &Kernel::Affine { rows, channels: c, epilogue } => {
            let len = product([rows, c])?;
            Signature::f32([len, c, c], [len]).and(epilogue.residual, len).in_place()
        }
        &Kernel::Activate { len, .. } => Signature::f32([len], [len]).in_place(),
        &Kernel::ActivateBackward { len, .. } | &Kernel::Add { len, .. } => {
            Signature::f32([len, len], [len]).in_place()
        }
        &Kernel::Mul { images, pixels, channels, gate, epilogue } => {
            let (map, second) = factors(images, pixels, channels, gate)?;
            Signature::f32([map, second], [map]).and(epilogue.residual, map).in_place()
        }
        &Kernel::MulBackward { images, pixels, channels, gate, epilogue } => {
            let (map, second) = factors(images, pixels, channels, gate)?;
            let mut s =
                Signature::f32([map, map, second], [map, second]).and(epilogue.act.is_some(), map).in_place();
            s.outputs.extend(epilogue.residual.then_some((DType::F32, map)));
            s
        }
        &Kernel::Drop { geometry: g, part, rate, .. } => {
            let len = product([g.n, g.h, g.w, g.c])?;
            let block = !matches!(part, DropPart::Block { size: 0 });
            if len == 0 || !block || !(0.0..1.0).contains(&rate) {
                return None;
            }
            Signature::f32([len], [len]).in_place()
        }
        &Kernel::ScaleShift { len, .. } => Signature::f32([len], [len]).in_place(),
        Kernel::MaxPool { geometry, positions } => {
            let [x, y] = max_pool(geometry)?;
            let mut s = Signature::f32([x], [y]);
            s.outputs.extend(positions.then_some((DType::U8, y)));
            s
        }
        Kernel::MaxPoolBackward { geometry } => {
            let [x, y] = max_pool(geometry)?;
            let mut s = Signature::f32([y], [x]);
            s.inputs.push((DType::U8, y));
            s
        }
        Kernel::AvgPool { geometry } => {
            let [x, y] = pool(geometry)?;
            Signature::f32([x], [y])
        }
        Kernel::AvgPoolBackward { geometry } => {
            let [x, y] = pool(geometry)?;
            Signature::f32([y], [x])
        }
        &Kernel::GlobalAvgPool { images, pixels, channels } => {
            Signature::f32([product([images, pixels, channels])?], [product([images, channels])?])
        }
        &Kernel::GlobalAvgPoolBackward { images, pixels, channels } => {
            Signature::f32([product([images, channels])?], [product([images, pixels, channels])?])
        }
        &Kernel::GlobalMaxPool { images, pixels, channels, positions } => {
            let y = product([images, channels])?;
            let mut s = Signature::f32([product([images, pixels, channels])?], [y]);
            s.outputs.extend(positions.then_some((DType::U32, y)));
            s
        }
        &Kernel::GlobalMaxPoolBackward { images, pixels, channels } => {
            let y = product([images, channels])?;
            let mut s = Signature::f32([y], [product([images, pixels, channels])?]);
            s.inputs.push((DType::U32, y));
            s
        }
        Kernel::BlurPool(geometry) => {
            let [x, y] = blur(geometry)?;
            Signature::f32([x], [y])
        }
        Kernel::BlurPoolBackward(geometry) => {
            let [x, y] = blur(geometry)?;
            Signature::f32([y], [x])
        }
        Kernel::Concat { rows, channels } => {
            let mut s = Signature::f32([], [product([*rows, channels.iter().sum()])?]);
            for &c in channels {
                s.inputs.push((DType::F32, product([*rows, c])?));
            }
            s
        }
        &Kernel::ChannelSlice { rows, channels, start, taken } => {
            if start.checked_add(taken)? > channels {
                return None;
            }
            Signature::f32([product([rows, channels])?], [product([rows, taken])?])
        }
        Kernel::PadShortcut(geometry) => {
            let [x, y] = pad(geometry)?;
            Signature::f32([x], [y])
        }
        Kernel::PadShortcutBackward(geometry) => {
            let [x, y] = pad(geometry)?;
            Signature::f32([y], [x])
        }
        &Kernel::Softmax { rows, classes } => {
            let len = product([rows, classes])?;
            Signature::f32([len], [len])
        }
        &Kernel::CrossEntropy { rows, classes, .. } => {
            let mut s = Signature::f32([product([rows, classes])?], [1, 1]);
            s.inputs.push((DType::U32, rows));
            s
        }
        &Kernel::CrossEntropyBackward { rows, classes, .. } => {
            let len = product([rows, classes])?;
            let mut s = Signature::f32([len], [len]);
            s.inputs.push((DType::U32, rows));
            s
        }
        &Kernel::SgdUpdate { len, .. } => Signature::f32([len, len, len], []),
    })
}

fn product<const N: usize>(sizes: [usize; N]) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

/// Elements of a product's map and of its second factor. A gate is smaller than its map, so no result that is a map can
/// lie on it.
fn factors(images: usize, pixels: usize, channels: usize, gate: bool) -> Option<(usize, usize)> {
    let map = product([images, pixels, channels])?;
    if map == 0 || (gate && pixels == 1) {
        return None;
    }
    Some((map, if gate { images * channels } else { map }))
}

/// Output size of one dimension of a convolution.
fn conv_out(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<usize> {
    let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    let room = padding.checked_mul(2)?.checked_add(size)?.checked_sub(reach)?;
    Some(room.checked_div(stride)? + 1)
}

/// Elements of `[x, weight, y]`.
fn conv(g: &ConvGeometry) -> Option<[usize; 3]> {
    let a = &g.attrs;
    let out = |i: usize, size| conv_out(size, a.kernel[i], a.stride[i], a.padding[i], a.dilation[i]);
    let fits = a.groups > 0
        && g.cin.is_multiple_of(a.groups)
        && g.cout.is_multiple_of(a.groups)
        && a.dilation.iter().all(|&d| d > 0)
        && [out(0, g.h)?, out(1, g.w)?] == g.out;
    if !fits || product([g.n, g.h, g.w, g.cin, g.out[0], g.out[1], g.cout]) == Some(0) {
        return None;
    }
    Some([
        product([g.n, g.h, g.w, g.cin])?,
        product([a.kernel[0], a.kernel[1], g.cin / a.groups, g.cout])?,
        product([g.n, g.out[0], g.out[1], g.cout])?,
    ])
}

/// Elements of `[x, y]`. Positions of the maxima fit a byte.
fn max_pool(g: &PoolGeometry) -> Option<[usize; 2]> {
    if product(g.attrs.kernel)? <= 256 { pool(g) } else { None }
}

/// Elements of `[x, y]`. Every window touches the image.
fn pool(g: &PoolGeometry) -> Option<[usize; 2]> {
    let a = &g.attrs;
    for (i, size) in [(0, g.h), (1, g.w)] {
        let last = g.out[i].checked_sub(1)?.checked_mul(a.stride[i])?;
        if a.kernel[i] == 0
            || a.stride[i] == 0
            || a.padding[i] >= a.kernel[i]
            || last >= size.checked_add(a.padding[i])?
        {
            return None;
        }
    }
    Some([product([g.n, g.h, g.w, g.c])?, product([g.n, g.out[0], g.out[1], g.c])?])
}

/// Elements of `[x, y]`.
fn pad(g: &PadGeometry) -> Option<[usize; 2]> {
    let fits = g.stride.iter().all(|&s| s > 0)
        && g.out == [g.h.div_ceil(g.stride[0]), g.w.div_ceil(g.stride[1])]
        && g.before.checked_add(g.cin)? <= g.cout;
    fits.then_some([product([g.n, g.h, g.w, g.cin])?, product([g.n, g.out[0], g.out[1], g.cout])?])
}

/// Elements of a map, channels, and elements of a statistic. A group has elements.
fn groups(g: &GroupGeometry) -> Option<[usize; 3]> {
    let map = product([g.images, g.pixels, g.channels])?;
    let fits = g.groups > 0 && g.channels.is_multiple_of(g.groups) && map > 0;
    fits.then_some([map, g.channels, product([g.images, g.groups])?])
}

/// Elements of `[x, y]`. The image can be mirrored at its border.
fn blur(g: &BlurGeometry) -> Option<[usize; 2]> {
    let fits = g.stride.iter().all(|&s| s > 0)
        && g.h >= 2
        && g.w >= 2
        && g.out == [g.h.div_ceil(g.stride[0]), g.w.div_ceil(g.stride[1])];
    fits.then_some([product([g.n, g.h, g.w, g.c])?, product([g.n, g.out[0], g.out[1], g.c])?])
}
