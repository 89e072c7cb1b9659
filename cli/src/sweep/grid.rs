//! All combinations of the values that are swept over.

use std::collections::BTreeMap;

use resnetc_compiler::spec::sweep::Axis;

use super::short::{key, short};

/// Most combinations.
const MOST: usize = 10_000;
/// Most letters of a folder's name that values make; file systems take 255 bytes.
const LONGEST: usize = 120;
/// What seeds are set by.
const SEED: &str = "train.seed";

/// The combinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Whole keys with their values; the last one varies fastest.
    pub axes: Vec<Axis>,
    /// In the order in which they are trained.
    pub variants: Vec<Variant>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The name of its folder, which no other has: `lr=0.1,seed=2`.
    pub name: String,
    /// A value for each key.
    pub values: Vec<String>,
}

/// The keys of a spec's sweep and of the command line, where the latter has the last word; short names become keys.
///
/// # Errors
/// A key that one of them names twice.
pub fn joined(spec: &[Axis], flags: &[Axis]) -> Result<Vec<Axis>, String> {
    let mut axes: Vec<Axis> = Vec::new();
    for (place, of) in [spec, flags].into_iter().enumerate() {
        for (index, axis) in of.iter().enumerate() {
            let whole = Axis { key: key(&axis.key).to_owned(), values: axis.values.clone() };
            if of[..index].iter().any(|other| key(&other.key) == whole.key) {
                let place = if place == 0 { "the spec's `sweep`" } else { "--sweep" };
                return Err(format!("{place} names `{}` twice", whole.key));
            }
            match axes.iter_mut().find(|other| other.key == whole.key) {
                Some(other) => *other = whole,
                None => axes.push(whole),
            }
        }
    }
    Ok(axes)
}

impl Grid {
    /// All combinations of the axes' values.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn new(axes: Vec<Axis>) -> Result<Self, String> {
        let counts: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
        let combinations = combinations(&counts)?;
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let variants = combinations.into_iter().map(|places| {
            let values: Vec<String> =
                axes.iter().zip(places).map(|(axis, place)| axis.values[place].clone()).collect();
            let name = folder_name(&axes, &values);
            let times = taken.entry(name.clone()).and_modify(|times| *times += 1).or_insert(1);
            Variant { name: if *times == 1 { name } else { format!("{name}~{times}") }, values }
        });
        let variants = variants.collect();
        Ok(Grid { axes, variants })
    }

    /// What a variant is, for people: `lr=0.1 seed=2`.
    pub fn told(&self, variant: &Variant) -> String {
        let parts = self.axes.iter().zip(&variant.values);
        parts.map(|(axis, value)| format!("{}={value}", short(&axis.key))).collect::<Vec<_>>().join(" ")
    }

    /// The overrides that make a variant of the spec.
    pub fn sets(&self, variant: &Variant) -> Vec<String> {
        let parts = self.axes.iter().zip(&variant.values);
        parts.map(|(axis, value)| format!("{}={value}", axis.key)).collect()
    }

    /// The variants of each point, by their numbers: those that differ in nothing but the seed.
    pub fn points(&self) -> Vec<Vec<usize>> {
        let mut points: Vec<(Vec<&str>, Vec<usize>)> = Vec::new();
        for (number, variant) in self.variants.iter().enumerate() {
            let values: Vec<&str> = self.seedless(variant).map(|(_, value)| value).collect();
            match points.iter_mut().find(|(known, _)| *known == values) {
                Some((_, members)) => members.push(number),
                None => points.push((values, vec![number])),
            }
        }
        points.into_iter().map(|(_, members)| members).collect()
    }

    /// The keys and values of a variant but for the seed.
    pub fn seedless<'g>(&'g self, variant: &'g Variant) -> impl Iterator<Item = (&'g str, &'g str)> {
        let parts = self.axes.iter().zip(&variant.values).filter(|(axis, _)| axis.key != SEED);
        parts.map(|(axis, value)| (axis.key.as_str(), value.as_str()))
    }
}

/// All combinations of so many values each, by their places; the last one varies fastest.
///
/// # Errors
/// Where there are too many.
pub fn combinations(counts: &[usize]) -> Result<Vec<Vec<usize>>, String> {
    let all = counts.iter().try_fold(1_usize, |all, &count| all.checked_mul(count));
    if all.is_none_or(|all| all > MOST) {
        return Err(format!("there are more than {MOST} combinations"));
    }
    let none = vec![Vec::new()];
    let with = |before: Vec<Vec<usize>>, &count: &usize| {
        let longer = |places: &Vec<usize>| {
            let places = places.clone();
            (0..count).map(move |place| [&places[..], &[place]].concat())
        };
        before.iter().flat_map(longer).collect()
    };
    Ok(counts.iter().fold(none, with))
}

/// `lr=0.1,seed=2`, of letters that no shell and no file system takes amiss.
fn folder_name(axes: &[Axis], values: &[String]) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' }).collect()
    };
    let part = |(axis, value): (&Axis, &String)| format!("{}={}", plain(short(&axis.key)), plain(value));
    let mut name = axes.iter().zip(values).map(part).collect::<Vec<_>>().join(",");
    name.truncate(LONGEST);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &str, values: &[&str]) -> Axis {
        Axis { key: key.to_owned(), values: values.iter().map(|&value| value.to_owned()).collect() }
    }

    #[test]
    fn the_last_key_varies_fastest_and_seeds_make_no_point() {
        let axes = joined(
            &[axis("lr", &["9"]), axis("stages.0.depth", &["1"])],
            &[axis("lr", &["0.1", "0.2"]), axis("seed", &["0", "1"])],
        );
        let grid = Grid::new(axes.expect("no key twice")).expect("few");
        let names: Vec<&str> = grid.variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "lr=0.1,stages.0.depth=1,seed=0",
                "lr=0.1,stages.0.depth=1,seed=1",
                "lr=0.2,stages.0.depth=1,seed=0",
                "lr=0.2,stages.0.depth=1,seed=1",
            ]
        );
        assert_eq!(grid.points(), [[0, 1], [2, 3]]);
        assert_eq!(grid.told(&grid.variants[2]), "lr=0.2 stages.0.depth=1 seed=0");
        assert_eq!(grid.sets(&grid.variants[1])[..2], ["train.optimizer.lr=0.1", "stages.0.depth=1"]);
    }

    #[test]
    fn names_stay_apart_and_short() {
        let long = "x".repeat(400);
        let grid = Grid::new(vec![axis("stem", &["a b", "a(b", &long])]).expect("few");
        let names: Vec<&str> = grid.variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names[..2], ["stem=a-b", "stem=a-b~2"]);
        assert_eq!(names[2].len(), LONGEST);
    }

    #[test]
    fn too_many_and_twice_are_refused() {
        let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let many = |key: &str| Axis { key: key.to_owned(), values: values.clone() };
        assert!(Grid::new(vec![many("a"), many("b"), many("c")]).is_err());
        assert!(joined(&[], &[axis("lr", &["1"]), axis("train.optimizer.lr", &["2"])]).is_err());
    }
}
