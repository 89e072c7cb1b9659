//! The variants that keys and their values span.

use resnetc::Spec;
use resnetc_compiler::spec::sweep::Axis;

use crate::failure::{Failure, Result};
use crate::sweep::combinations;

/// The key that scales all stages' filters.
const WIDTH: &str = "width";
/// Between two widths of a range.
const STEP: f64 = 0.25;
/// Filters of a scaled stage are a multiple of it: vectors of all processors are whole then.
const MULTIPLE: f64 = 8.0;

/// Something that varies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Its key: `stages.0.depth`, `width`.
    pub name: String,
    /// Each value with the overrides that make it.
    pub choices: Vec<(String, Vec<String>)>,
}

/// A variant: a value of each dimension, and all overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// In the order of the dimensions.
    pub values: Vec<String>,
    /// As `--set` has them.
    pub sets: Vec<String>,
}

/// What varies of a network.
///
/// # Errors
/// Where a key is named twice, or `width` is no factor, or cannot be had of these stages.
pub fn dimensions(base: &Spec, over: &[Axis]) -> Result<Vec<Dimension>> {
    let mut dimensions: Vec<Dimension> = Vec::new();
    for axis in over {
        let more = match axis.key.as_str() {
            WIDTH => vec![width(base, &axis.values)?],
            key if key.contains(".*") => {
                let stages = 0..base.resolved().stages.len();
                stages.map(|stage| plain(&key.replacen('*', &stage.to_string(), 1), &axis.values)).collect()
            }
            key => vec![plain(key, &axis.values)],
        };
        for dimension in more {
            if dimensions.iter().any(|known| known.name == dimension.name) {
                return Err(Failure::Usage(format!("--over names `{}` twice", dimension.name)));
            }
            dimensions.push(dimension);
        }
    }
    Ok(dimensions)
}

fn plain(key: &str, values: &[String]) -> Dimension {
    let choices = values.iter().map(|value| (value.clone(), vec![format!("{key}={value}")])).collect();
    Dimension { name: key.to_owned(), choices }
}

/// Filters of all stages, times a factor.
fn width(base: &Spec, values: &[String]) -> Result<Dimension> {
    let mut filters = Vec::new();
    for (stage, spec) in base.resolved().stages.iter().enumerate() {
        let of = |unit: usize| spec.units.get(unit).and_then(|unit| unit.arg("f"));
        let first = of(0).filter(|&first| (0..spec.units.len()).all(|unit| of(unit) == Some(first)));
        let first = first.ok_or_else(|| {
            Failure::Usage(format!(
                "`width` scales stages whose units have the same filters: stage {} has not",
                stage + 1
            ))
        })?;
        filters.push(first);
    }
    let mut choices = Vec::new();
    for factor in factors(values)? {
        let scaled = |filters: f64| ((filters * factor / MULTIPLE).round() * MULTIPLE).max(MULTIPLE);
        let sets = filters.iter().enumerate();
        let sets = sets.map(|(stage, &filters)| format!("stages.{stage}.filters={}", scaled(filters)));
        choices.push((factor.to_string(), sets.collect()));
    }
    Ok(Dimension { name: WIDTH.to_owned(), choices })
}

/// Numbers above 0, and ranges of such.
fn factors(values: &[String]) -> Result<Vec<f64>> {
    let wrong =
        |text: &str| Failure::Usage(format!("`{text}` is no width: write factors as 0.5,1,2, or 0.5..2"));
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| (0.01..=100.0).contains(n));
    let mut factors = Vec::new();
    for text in values {
        match text.split_once("..") {
            Some((from, to)) => {
                let ends = number(from).zip(number(to)).filter(|(from, to)| from <= to);
                let (from, to) = ends.ok_or_else(|| wrong(text))?;
                let steps = ((to - from) / STEP + 1e-9).floor() as usize;
                factors.extend((0..=steps).map(|step| from + STEP * step as f64));
            }
            None => factors.push(number(text).ok_or_else(|| wrong(text))?),
        }
    }
    Ok(factors)
}

/// All combinations; the last dimension varies fastest.
///
/// # Errors
/// Where there are too many.
pub fn points(dimensions: &[Dimension]) -> Result<Vec<Point>> {
    let counts: Vec<usize> = dimensions.iter().map(|dimension| dimension.choices.len()).collect();
    let point = |places: Vec<usize>| {
        let chosen = dimensions.iter().zip(places).map(|(dimension, place)| &dimension.choices[place]);
        let (values, sets): (Vec<String>, Vec<Vec<String>>) = chosen.cloned().unzip();
        Point { values, sets: sets.concat() }
    };
    let combinations = combinations(&counts).map_err(Failure::Usage)?;
    Ok(combinations.into_iter().map(point).collect())
}

#[cfg(test)]
mod tests {
    use resnetc::SpecOptions;

    use super::*;

    fn axis(key: &str, values: &[&str]) -> Axis {
        Axis { key: key.to_owned(), values: values.iter().map(|&value| value.to_owned()).collect() }
    }

    #[test]
    fn a_star_is_each_stage_and_width_scales_filters() {
        let base = Spec::builtin("resnet20", &SpecOptions::default()).expect("compiled in");
        let over = [axis("stages.*.depth", &["1", "2"]), axis("width", &["0.5..1", "2"])];
        let dimensions = dimensions(&base, &over).expect("right");
        let names: Vec<&str> = dimensions.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["stages.0.depth", "stages.1.depth", "stages.2.depth", "width"]);
        let widths: Vec<&str> = dimensions[3].choices.iter().map(|(value, _)| value.as_str()).collect();
        assert_eq!(widths, ["0.5", "0.75", "1", "2"]);
        assert_eq!(
            dimensions[3].choices[1].1,
            ["stages.0.filters=16", "stages.1.filters=24", "stages.2.filters=48"]
        );
        let points = points(&dimensions).expect("few");
        assert_eq!(points.len(), 32);
        assert_eq!(points[1].values, ["1", "1", "1", "0.75"]);
        assert_eq!(points[0].sets.len(), 6);
    }

    #[test]
    fn what_spans_nothing_is_refused() {
        let base = Spec::builtin("resnet20", &SpecOptions::default()).expect("compiled in");
        for wrong in ["0", "2..1", "wide", "nan"] {
            assert!(dimensions(&base, &[axis("width", &[wrong])]).is_err(), "{wrong}");
        }
        assert!(dimensions(&base, &[axis("unit", &["basic"]), axis("unit", &["bottleneck"])]).is_err());
        let tapered = Spec::builtin("resnet20_tapered", &SpecOptions::default()).expect("compiled in");
        assert!(dimensions(&tapered, &[axis("width", &["1"])]).is_err());
        let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let many = |key: &str| plain(key, &many);
        assert!(super::points(&[many("a"), many("b")]).is_err());
    }
}
