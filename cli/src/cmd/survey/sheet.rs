//! A page of pictures: as they are, as they are evaluated, and as training changes them. It loads nothing.

use std::fmt::Write;

use resnetc::Spec;
use resnetc_pictures::Picture;
use resnetc_runtime::data::transform::{Transform, Workspace};
use resnetc_runtime::data::{Dataset, Source};

use super::report::Report;
use crate::failure::{Failure, Result};
use crate::markup::escape;
use crate::page::{FOOT, head, image, thumbnail};

/// Pictures of each class.
const EACH: usize = 4;
/// Classes that are shown.
const CLASSES: usize = 50;
/// Epochs whose changes are shown.
const EPOCHS: usize = 3;

/// The page: the report, then a table for each class.
pub fn html(spec: &Spec, dataset: &Dataset, report: &Report) -> Result<String> {
    let sheet = Sheet::new(spec, dataset)?;
    let name = escape(&dataset.name);
    let mut page = format!(
        "{}<h1>{name}</h1>\n<pre>{}</pre>\n<p>Prepared for {}.</p>\n",
        head(&dataset.name, ""),
        escape(&report.text(None)),
        escape(spec.name()),
    );
    for class in 0..dataset.classes().len().min(CLASSES) {
        page += &sheet.class(class as u32)?;
    }
    Ok(page + FOOT)
}

struct Sheet<'d> {
    source: &'d dyn Source,
    /// `[height, width]` of the input.
    size: [usize; 2],
    /// As in training, and as in evaluation.
    changed: Transform,
    plain: Transform,
}

impl<'d> Sheet<'d> {
    fn new(spec: &Spec, dataset: &'d Dataset) -> Result<Self> {
        let resolved = spec.resolved();
        let [channels, height, width] = resolved.input.value;
        if channels != Picture::CHANNELS {
            return Err(Failure::Usage("--html shows pictures for networks of three channels".into()));
        }
        let (source, train) = (&*dataset.train, &resolved.train);
        let transform = |changes| {
            let made = Transform::new([height, width, channels], &train.normalize, changes, train.seed)?;
            Ok::<_, Failure>(match source.any_size() {
                true => made.fitting(&resolved.preprocess),
                false => made,
            })
        };
        Ok(Sheet {
            source,
            size: [height, width],
            changed: transform(&train.augment)?,
            plain: transform(&[])?,
        })
    }

    fn class(&self, class: u32) -> Result<String> {
        let mut indices = (0..self.source.len()).filter(|&index| self.source.label(index) == class);
        let name = escape(&self.source.classes()[class as usize]);
        let mut rows = format!("<h2>{name}</h2>\n<table><tr><th>picture<th>evaluated");
        (1..=EPOCHS).for_each(|epoch| put(&mut rows, format_args!("<th>epoch {epoch}")));
        rows += "</tr>\n";
        for index in indices.by_ref().take(EACH) {
            rows += &self.row(index)?;
        }
        Ok(rows + "</table>\n")
    }

    fn row(&self, index: usize) -> Result<String> {
        let called = escape(&self.source.called(index));
        let Ok(picture) = self.source.original(index) else {
            return Ok(format!(
                "<tr><td colspan=\"{}\"><small>{called} cannot be read</small></tr>\n",
                2 + EPOCHS
            ));
        };
        let [height, width, _] = picture.size();
        let small = thumbnail(&Picture::new(width, height, picture.pixels().to_vec()))?;
        let mut row = format!("<tr><td>{small}<small>{called}<br>{width}x{height}</small>");
        let mut workspace = Workspace::default();
        let columns =
            std::iter::once((&self.plain, 0)).chain((0..EPOCHS).map(|epoch| (&self.changed, epoch)));
        for (transform, epoch) in columns {
            let pixels = transform.shown(self.source, index, epoch, &mut workspace)?;
            put(&mut row, format_args!("<td>{}", image(&Picture::new(self.size[1], self.size[0], pixels))?));
        }
        Ok(row + "</tr>\n")
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all that is written");
}
