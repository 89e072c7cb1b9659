//! The hue by Pillow's `HSV`, whose three numbers are bytes.

/// Adds a part of the circle to each pixel's hue. Pictures without colours stay as they are.
pub(super) fn turn([_, _, channels]: [usize; 3], pixels: &mut [u8], turn: f32) {
    if channels != 3 {
        return;
    }
    let turn = (f64::from(turn) * 255.0) as i32 as u8;
    for pixel in pixels.chunks_exact_mut(3) {
        let [hue, saturation, value] = hsv([pixel[0], pixel[1], pixel[2]]);
        pixel.copy_from_slice(&rgb([hue.wrapping_add(turn), saturation, value]));
    }
}

fn hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0, 0, max];
    }
    let range = f32::from(max - min);
    let [rc, gc, bc] = [r, g, b].map(|v| f32::from(max - v) / range);
    let hue = match max {
        _ if r == max => bc - gc,
        _ if g == max => (2.0 + f64::from(rc) - f64::from(bc)) as f32,
        _ => (4.0 + f64::from(gc) - f64::from(rc)) as f32,
    };
    let hue = ((f64::from(hue) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(max);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, max]
}

fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let hue = (f64::from(hue) * 6.0 / 255.0) as f32;
    let fraction = f64::from((f64::from(hue) - f64::from(hue.floor())) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let part = |rest: f64| (f64::from(value) * rest).round() as u8;
    let (p, q, t) = (
        part(1.0 - saturation),
        part(1.0 - saturation * fraction),
        part(1.0 - saturation * (1.0 - fraction)),
    );
    match hue as u32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
