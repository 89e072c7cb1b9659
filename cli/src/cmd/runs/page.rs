//! `resnetc runs compare --html`: one page about several trainings.

use resnetc_runtime::metrics::EpochRecord;

use super::figures::figures;
use super::settings::Setting;
use crate::chart::{self, Scale, Series, overlaid};
use crate::markup::escape;
use crate::page::{FOOT, PARTS, head};
use crate::runs::Run;

const STYLE: &str = ".key{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3em 1.4em}\
.key li{overflow-wrap:anywhere}.dot{display:inline-block;width:.75em;height:.75em;border-radius:50%;margin-right:.45em}\
th{font-weight:600;color:var(--faint)}tbody tr{border-top:1px solid var(--line)}\
.wide th,.wide td{padding:.3em .7em .3em 0;white-space:nowrap}.wide .setting td{white-space:normal;max-width:18em;overflow-wrap:anywhere}";

/// The page.
pub fn html(runs: &[Run], settings: &[Setting]) -> String {
    let title = format!("{} trainings compared", runs.len());
    let mut page = head(&title, &format!("{PARTS}{STYLE}{}", chart::STYLE));
    page += &format!("<h1>{title}</h1>\n<ul class=\"key\">\n");
    for (place, run) in runs.iter().enumerate() {
        let folder = escape(&run.folder.to_string_lossy());
        page += &format!("<li>{}{folder}</li>\n", dot(place));
    }
    page += &format!("</ul>\n<section class=\"curves\">\n{}</section>\n", curves(runs));
    page += "<h2>Figures</h2>\n";
    page += &table("", runs.len(), figures(runs).into_iter());
    page += "<h2>Settings that differ</h2>\n";
    page += &match settings.is_empty() {
        true => "<p>none</p>\n".to_owned(),
        false => {
            let rows = settings.iter().map(|setting| (setting.key.clone(), setting.values.clone()));
            table("setting", runs.len(), rows)
        }
    };
    page + FOOT
}

/// A training's colour.
fn dot(place: usize) -> String {
    format!("<i class=\"dot\" style=\"background:var(--s{})\"></i>", place)
}

/// A row for each name, a column for each training.
fn table(class: &str, runs: usize, rows: impl Iterator<Item = (String, Vec<String>)>) -> String {
    let heads: String = (0..runs).map(|place| format!("<th class=\"num\">{}", dot(place))).collect();
    let mut out =
        format!("<div class=\"wide\"><table class=\"{class}\"><thead><tr><th>{heads}</tr></thead><tbody>\n");
    for (name, values) in rows {
        out += &format!("<tr><th>{}", escape(&name));
        values.iter().for_each(|value| out += &format!("<td class=\"num\">{}", escape(value)));
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// Curves of all trainings over one another.
fn curves(runs: &[Run]) -> String {
    let series = |value: &dyn Fn(&EpochRecord) -> Option<f64>| -> Vec<Series<'static>> {
        let points = |run: &Run| {
            let points = run.epochs.iter().filter_map(|record| Some((record.epoch as f64, value(record)?)));
            points.collect()
        };
        runs.iter().map(|run| Series { name: "", points: points(run) }).collect()
    };
    let accuracy = |record: &EpochRecord| record.average_accuracy.or(record.test_accuracy);
    let pictures = [
        overlaid(
            "Accuracy of the test images, %",
            Scale::Linear,
            &series(&|record| Some(accuracy(record)? * 100.0)),
        ),
        overlaid(
            "Loss of the test images",
            Scale::Linear,
            &series(&|record| record.average_loss.or(record.test_loss)),
        ),
        overlaid("Loss of the training images", Scale::Linear, &series(&|record| Some(record.train_loss))),
        overlaid("Learning rate", Scale::Linear, &series(&|record| Some(f64::from(record.lr)))),
    ];
    pictures.into_iter().flatten().map(|picture| format!("<div>{picture}</div>\n")).collect()
}
