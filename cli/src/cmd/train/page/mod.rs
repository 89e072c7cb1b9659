//! `report.html`: one page about a training, written anew after each evaluation.

mod classes;
mod curves;
mod mistakes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resnetc_runtime::data::Source;
use resnetc_runtime::evaluation::Evaluation;
use resnetc_runtime::metrics::{EpochRecord, Metrics};
use resnetc_runtime::train::{REPORT, RUN, RunFile};
use resnetc_runtime::weights::file::write_atomic;

use crate::chart;
use crate::failure::Result;
use crate::markup::escape;
use crate::page::{FOOT, PARTS, head};
use crate::report;
use crate::report::training::percent;
use crate::report::units::{duration, grouped, rate};
use crate::runs::{self, Figures};

const STYLE: &str = "header p{margin:.1em 0;color:var(--faint)}\
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5em,1fr));gap:.7em;margin:1em 0;padding:0}\
.facts div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6em .8em}\
.facts dt{color:var(--faint);font-size:.85em}.facts dd{margin:0;font-size:1.25em;font-weight:600}\
.heat td{min-width:2em;text-align:right;border:1px solid var(--page);font-size:.85em}\
.heat th{font-weight:400;color:var(--faint);font-size:.85em;white-space:nowrap}.heat thead th{text-align:right}\
.heat .zero{color:var(--faint);opacity:.5}.heat .strong{color:#fff}\
.bars{width:100%;max-width:40em}.bars td{vertical-align:middle}.bars td:nth-child(2){width:60%}\
.bar{background:var(--line);height:.6em;border-radius:3px;overflow:hidden}.bar i{display:block;height:100%;background:var(--s0)}\
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5em,1fr));gap:.8em;padding:0;margin:0}\
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5em;overflow-wrap:anywhere}\
figure img{width:100%;max-width:none;aspect-ratio:1;object-fit:contain;image-rendering:auto}\
figcaption{font-size:.85em;margin-top:.3em}figcaption b{color:var(--s1)}\
.spec{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8em;font-size:.85em}";

/// What the page is made of besides the training's files.
pub struct Page {
    out: PathBuf,
    test: Arc<dyn Source>,
    /// The answers of the last evaluation.
    evaluation: Option<Evaluation>,
}

impl Page {
    /// Of the training in a folder, evaluated on these pictures.
    pub fn new(out: &Path, test: Arc<dyn Source>) -> Self {
        Page { out: out.to_owned(), test, evaluation: None }
    }

    /// The training's folder.
    pub fn folder(&self) -> &Path {
        &self.out
    }

    /// The test images have been classified.
    pub fn evaluated(&mut self, evaluation: &Evaluation) {
        self.evaluation = Some(evaluation.clone());
    }

    /// Writes the page where there is a new evaluation. Its epoch is in the log.
    pub fn write(&mut self) -> Result {
        let Some(evaluation) = self.evaluation.take() else { return Ok(()) };
        let run = RunFile::load(&self.out.join(RUN));
        let (records, spec) = (runs::epochs(&self.out), runs::spec(&self.out));
        let page = html(run.as_ref(), &records, &evaluation, &*self.test, &spec);
        Ok(write_atomic(&self.out.join(REPORT), page.as_bytes())?)
    }
}

fn html(
    run: Option<&RunFile>,
    records: &[EpochRecord],
    evaluation: &Evaluation,
    test: &dyn Source,
    spec: &str,
) -> String {
    let title =
        run.map_or("training".to_owned(), |run| format!("{} on {}", run.facts.network, run.facts.dataset));
    let mut page = head(&title, &format!("{PARTS}{STYLE}{}", chart::STYLE));
    page += &format!("<header><h1>{}</h1>\n", escape(&title));
    if let Some(run) = run {
        page += &about(run);
    }
    page += &format!("</header>\n<dl class=\"facts\">{}</dl>\n", facts(run, records, &evaluation.metrics()));
    page += &format!("<section class=\"curves\">\n{}</section>\n", curves::curves(records));
    page += &classes::confusion(evaluation, test.classes());
    page += &classes::accuracies(evaluation, test.classes());
    page += &mistakes::mistakes(evaluation, test);
    page += &curves::time(records);
    if !spec.is_empty() {
        page += &format!("<h2>Spec</h2>\n<pre class=\"spec\">{}</pre>\n", escape(spec));
    }
    page + FOOT
}

/// What the run is, in lines.
fn about(run: &RunFile) -> String {
    let version = run.history.last().map_or("", |command| &command.version);
    let mut text = format!(
        "<p>{} training images, {} to test on, {} classes &middot; {} images a step &middot; seed {}</p>\n\
         <p>{} &middot; resnetc {} &middot; since {}</p>\n",
        grouped(run.facts.train_images as u64),
        grouped(run.facts.test_images as u64),
        run.facts.classes.len(),
        run.facts.batch_size,
        run.facts.seed,
        escape(&run.facts.device),
        escape(version),
        escape(&run.started.replace('T', " ").replace('Z', " UTC")),
    );
    for command in run.history.iter().filter(|command| !command.command.is_empty()) {
        text += &format!("<p><code>{}</code></p>\n", escape(&command.command));
    }
    text
}

/// The figures that one looks for first.
fn facts(run: Option<&RunFile>, records: &[EpochRecord], metrics: &Metrics) -> String {
    let (figures, seconds) = (Figures::of(records), runs::seconds(records));
    let done = records.last().map_or(0, |record| record.epoch);
    let mut all =
        vec![("epochs", run.map_or(done.to_string(), |run| format!("{done} of {}", run.facts.epochs)))];
    all.extend(figures.last_accuracy.map(|last| ("test accuracy", percent(last))));
    all.extend(figures.best_accuracy.map(|best| ("best so far", percent(best))));
    all.extend(report::metrics::rows(metrics));
    all.push(("time", duration(Duration::from_secs_f64(seconds.max(0.0)))));
    let speed = records.last().map_or(0.0, |record| record.images_per_second);
    all.push(("images a second", rate(speed)));
    all.iter().map(|(name, figure)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", figure.trim())).collect()
}
