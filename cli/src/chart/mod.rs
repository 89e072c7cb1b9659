//! A curve, for a terminal and as a picture.

mod canvas;
mod frame;
mod lines;
mod overlay;
mod scale;
mod spark;
mod svg;
mod terminal;

pub use lines::{COLOURS, STYLE, Series, lines, overlaid};
pub use overlay::{Curve, overlay};
pub use scale::{Scale, text};
pub use spark::Spark;
pub use svg::svg;
pub use terminal::terminal;

/// One curve with its axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Points from left to right; what is not finite has no place and is left out.
    pub points: Vec<(f64, f64)>,
    /// Points beside the curve, each by itself.
    pub beside: Vec<(f64, f64)>,
    /// A point that is pointed out, with what it is.
    pub mark: Option<((f64, f64), String)>,
}

/// What is measured along one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it is.
    pub label: String,
    /// How values are spread.
    pub scale: Scale,
}

impl Chart {
    /// The points of the curve that have a place on both axes.
    fn drawn(&self) -> Vec<(f64, f64)> {
        self.with_place(&self.points)
    }

    fn with_place(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let fits = |&&(x, y): &&(f64, f64)| self.x.scale.has(x) && self.y.scale.has(y);
        points.iter().filter(fits).copied().collect()
    }

    /// The least and the most of each axis; `None` where nothing can be drawn.
    fn bounds(&self) -> Option<[(f64, f64); 2]> {
        let points = [self.drawn(), self.with_place(&self.beside)].concat();
        let of = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(None, |bounds: Option<(f64, f64)>, value| {
                Some(bounds.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
            })
        };
        let x = of(&mut points.iter().map(|&(x, _)| x))?;
        let y = of(&mut points.iter().map(|&(_, y)| y))?;
        Some([self.x.scale.widen(x, false), self.y.scale.widen(y, true)])
    }
}
