//! The ten outlines, as signed distances: negative inside. Unit size: all fit into the unit disc.

use resnetc_compiler::datasets::SHAPES10;

/// A point, `[x, y]`.
pub type Point = [f32; 2];

/// How many there are. Their names, in the same order, are those of the data set's classes.
pub const COUNT: usize = SHAPES10.classes;

const SQUARE: [Point; 4] = [[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]];
/// Corners at 0, 120 and 240 degrees.
const TRIANGLE: [Point; 3] = [[0.0, -1.0], [0.866, 0.5], [-0.866, 0.5]];
/// Every 36 degrees, at radius 1 and 0.42 in turn.
const STAR: [Point; 10] = [
    [0.0, -1.0],
    [0.2469, -0.3398],
    [0.9511, -0.309],
    [0.3994, 0.1298],
    [0.5878, 0.809],
    [0.0, 0.42],
    [-0.5878, 0.809],
    [-0.3994, 0.1298],
    [-0.9511, -0.309],
    [-0.2469, -0.3398],
];
const CROSS: [Point; 12] = [
    [-0.3, -0.95],
    [0.3, -0.95],
    [0.3, -0.3],
    [0.95, -0.3],
    [0.95, 0.3],
    [0.3, 0.3],
    [0.3, 0.95],
    [-0.3, 0.95],
    [-0.3, 0.3],
    [-0.95, 0.3],
    [-0.95, -0.3],
    [-0.3, -0.3],
];
const ARROW: [Point; 7] =
    [[0.0, -1.0], [0.8, -0.1], [0.28, -0.1], [0.28, 0.95], [-0.28, 0.95], [-0.28, -0.1], [-0.8, -0.1]];
const HOURGLASS: [Point; 6] =
    [[-0.75, -0.65], [0.75, -0.65], [0.15, 0.0], [0.75, 0.65], [-0.75, 0.65], [-0.15, 0.0]];

/// Signed distance of a point from the outline of a class.
///
/// # Panics
/// If `class` is not below [`COUNT`].
pub fn distance(class: usize, p: Point) -> f32 {
    let disc = |centre: Point, radius: f32| length([p[0] - centre[0], p[1] - centre[1]]) - radius;
    match class {
        0 => disc([0.0, 0.0], 0.9),
        1 => disc([0.0, 0.0], 0.75).abs() - 0.2,
        2 => disc([0.0, 0.0], 0.95).max(-disc([0.45, 0.0], 0.75)),
        3 => disc([-0.4, 0.0], 0.95).max(-0.4 - p[0]),
        4 => polygon(&SQUARE, p),
        5 => polygon(&TRIANGLE, p),
        6 => polygon(&STAR, p),
        7 => polygon(&CROSS, p),
        8 => polygon(&ARROW, p),
        9 => polygon(&HOURGLASS, p),
        _ => panic!("there are {COUNT} outlines, not {class}"),
    }
}

fn length(v: Point) -> f32 {
    (v[0] * v[0] + v[1] * v[1]).sqrt()
}

/// Distance to the nearest edge; inside where a ray to the right crosses an odd number of edges.
fn polygon(corners: &[Point], p: Point) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        let edge = [to[0] - from[0], to[1] - from[1]];
        let offset = [p[0] - from[0], p[1] - from[1]];
        let square = edge[0] * edge[0] + edge[1] * edge[1];
        let along = ((offset[0] * edge[0] + offset[1] * edge[1]) / square).clamp(0.0, 1.0);
        let gap = [offset[0] - along * edge[0], offset[1] - along * edge[1]];
        nearest = nearest.min(gap[0] * gap[0] + gap[1] * gap[1]);
        if (from[1] > p[1]) != (to[1] > p[1]) && offset[0] < edge[0] * offset[1] / edge[1] {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(class: usize) -> &'static str {
        SHAPES10.labels().nth(class).expect("ten classes")
    }

    #[test]
    fn distances_of_known_points() {
        let close = |class, p, expected: f32| {
            let d = distance(class, p);
            assert!((d - expected).abs() < 1e-3, "{} at {p:?}: {d}, expected {expected}", name(class));
        };
        close(0, [0.0, 0.0], -0.9);
        close(1, [0.0, 0.0], 0.55);
        close(1, [0.75, 0.0], -0.2);
        close(2, [0.45, 0.0], 0.75);
        close(2, [-0.6, 0.0], -0.3);
        close(3, [-0.5, 0.0], 0.1);
        close(4, [0.0, 0.0], -0.7);
        close(4, [1.7, 0.0], 1.0);
        close(5, [0.0, -1.5], 0.5);
        close(6, [0.0, -1.0], 0.0);
        close(7, [0.6, 0.0], -0.3);
        close(8, [0.0, 0.5], -0.28);
        close(9, [0.75, 0.0], 0.4409);
    }

    #[test]
    fn every_outline_fills_a_good_part_of_the_unit_disc_and_nothing_beyond() {
        for (class, name) in SHAPES10.labels().enumerate() {
            let mut area = 0;
            for i in 0..100 * 100 {
                let p = [(i % 100) as f32 * 0.03 - 1.5, (i / 100) as f32 * 0.03 - 1.5];
                if distance(class, p) < 0.0 {
                    area += 1;
                    assert!(length(p) < 1.07, "{name} reaches {p:?}");
                }
            }
            let area = area as f32 * 0.03 * 0.03;
            assert!((0.8..2.6).contains(&area), "{name} covers {area}");
        }
    }
}
