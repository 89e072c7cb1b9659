//! What was found in a data set, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use resnetc_runtime::data::survey::Survey;
use resnetc_runtime::data::{Dataset, Source};
use serde::Serialize;

use crate::report::table::{Align, Table};
use crate::report::units::grouped;

/// Lines of one kind that are printed; JSON has all.
const SHOWN: usize = 10;

/// Both splits, and what stands in both.
#[derive(Debug, Serialize)]
pub struct Report {
    name: String,
    /// Remarks of the loader.
    told: Vec<String>,
    train: Split,
    test: Split,
    /// Pictures with the same pixels: one of each split.
    in_both: Vec<[String; 2]>,
}

#[derive(Debug, Serialize)]
struct Split {
    images: usize,
    classes: Vec<Class>,
    /// Heights and widths: least, median and most, each by itself.
    height: [usize; 3],
    width: [usize; 3],
    /// Different sizes.
    sizes: usize,
    mean: Vec<f64>,
    std: Vec<f64>,
    broken: Vec<String>,
    /// Pictures with the same pixels.
    duplicates: Vec<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Class {
    name: String,
    images: usize,
}

impl Split {
    fn new(source: &dyn Source, survey: &Survey) -> Self {
        let classes = source.classes().iter().zip(&survey.counts);
        let names = |group: &Vec<usize>| group.iter().map(|&index| source.called(index)).collect();
        Split {
            images: source.len(),
            classes: classes.map(|(name, &images)| Class { name: name.clone(), images }).collect(),
            height: spread(survey, 0),
            width: spread(survey, 1),
            sizes: survey.sizes.len(),
            mean: survey.mean.clone(),
            std: survey.std.clone(),
            broken: survey.broken.clone(),
            duplicates: survey.content.alike().iter().map(names).collect(),
        }
    }
}

/// Least, median and most of a side.
fn spread(survey: &Survey, side: usize) -> [usize; 3] {
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    survey.sizes.iter().for_each(|(size, count)| *lengths.entry(size[side]).or_default() += count);
    let total: usize = lengths.values().sum();
    let at = |place: usize| {
        let mut before = 0;
        let found = lengths.iter().find(|(_, count)| {
            before += **count;
            before > place
        });
        found.map_or(0, |(length, _)| *length)
    };
    [at(0), at(total / 2), at(total.saturating_sub(1))]
}

impl Report {
    /// Of both sources' surveys: what is trained on, what is tested on.
    pub fn new(dataset: &Dataset, [train, test]: &[Survey; 2]) -> Self {
        let shared = train.content.shared(&test.content).into_iter();
        let shared = shared.map(|(a, b)| [dataset.train.called(a), dataset.test.called(b)]);
        Report {
            name: dataset.name.clone(),
            told: dataset.told.clone(),
            in_both: shared.collect(),
            train: Split::new(&*dataset.train, train),
            test: Split::new(&*dataset.test, test),
        }
    }

    /// Whether all pictures can be read, and none stands in both splits.
    pub fn is_sound(&self) -> bool {
        self.in_both.is_empty() && self.train.broken.is_empty() && self.test.broken.is_empty()
    }

    /// For people.
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut text = self.classes(columns);
        text += "\n";
        text += &self.figures(columns);
        for (what, split) in [("train", &self.train), ("test", &self.test)] {
            lines(&mut text, &format!("broken in {what}"), &split.broken);
            let groups: Vec<String> = split.duplicates.iter().map(|group| group.join(" = ")).collect();
            lines(&mut text, &format!("the same picture in {what}"), &groups);
        }
        let both: Vec<String> = self.in_both.iter().map(|pair| pair.join(" = ")).collect();
        lines(&mut text, "in both splits", &both);
        text
    }

    fn classes(&self, columns: Option<usize>) -> String {
        let mut table =
            Table::new(&[("class", Align::Left), ("train", Align::Right), ("test", Align::Right)]);
        for (train, test) in self.train.classes.iter().zip(&self.test.classes) {
            table.row([train.name.clone(), grouped(train.images as u64), grouped(test.images as u64)]);
        }
        table.row([
            format!("{} classes", self.train.classes.len()),
            grouped(self.train.images as u64),
            grouped(self.test.images as u64),
        ]);
        table.within(columns)
    }

    fn figures(&self, columns: Option<usize>) -> String {
        let mut table = Table::new(&[
            ("split", Align::Left),
            ("sizes", Align::Right),
            ("height", Align::Right),
            ("width", Align::Right),
            ("mean", Align::Left),
            ("std", Align::Left),
            ("broken", Align::Right),
        ]);
        for (name, split) in [("train", &self.train), ("test", &self.test)] {
            let side = |[least, median, most]: [usize; 3]| format!("{least} {median} {most}");
            let channels = |values: &[f64]| {
                values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ")
            };
            table.row([
                name.into(),
                grouped(split.sizes as u64),
                side(split.height),
                side(split.width),
                channels(&split.mean),
                channels(&split.std),
                grouped(split.broken.len() as u64),
            ]);
        }
        table.within(columns) + "\nheight and width: least, median, most\n"
    }
}

fn lines(text: &mut String, what: &str, all: &[String]) {
    if all.is_empty() {
        return;
    }
    writeln!(text, "\n{what}: {}", grouped(all.len() as u64)).expect("a string takes all that is written");
    for line in all.iter().take(SHOWN) {
        writeln!(text, "  {line}").expect("a string takes all that is written");
    }
    if all.len() > SHOWN {
        writeln!(text, "  and {} more", all.len() - SHOWN).expect("a string takes all that is written");
    }
}
