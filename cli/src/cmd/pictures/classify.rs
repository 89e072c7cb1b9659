//! Pictures in, answers out: decoded on threads, classified here in batches.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use resnetc::{Logits, Model, Session};
use resnetc_compiler::spec::train::tta::Shown;
use resnetc_pictures::stream::{Crew, ordered};
use resnetc_pictures::{Limits, Picture, Preparer, decode};

use super::answers::Answers;
use super::list::Item;
use crate::failure::{Failure, Result};
use crate::progress::Progress;
use crate::signals::Signals;

/// Images per run where the command line says nothing and there are as many pictures.
const BATCH: usize = 8;

/// What is to be done.
pub struct Classifier<'a> {
    /// The pictures.
    pub items: &'a [Item],
    /// How large one may be.
    pub limits: Limits,
    /// What makes inputs of them.
    pub preparer: &'a Preparer,
    /// What the network is shown of each.
    pub views: &'a [Shown],
    /// Where answers go.
    pub answers: &'a Answers<'a>,
    /// Makes the model: pictures are decoded meanwhile.
    pub load: &'a dyn Fn() -> Result<Model>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Pictures that could not be classified; each was told.
    pub bad: usize,
    /// The likeliest class of the last picture that was classified.
    pub first: Option<usize>,
}

impl Classifier<'_> {
    /// Answers every picture that can be decoded, in order.
    pub fn run(&self, batch: Option<usize>, threads: usize) -> Result<Done> {
        if self.items.is_empty() {
            return Ok(Done::default());
        }
        let batch = batch.unwrap_or(BATCH).min(self.items.len());
        let signals = Signals::catch("stopping after this batch; Ctrl-C again ends at once")?;
        self.answers.heading()?;
        let output = self.answers.output;
        // At a terminal, answers and a bar would write over each other.
        let bar = (output.page.columns.is_none() && self.items.len() > batch)
            .then(|| Progress::count(output, "classifying", self.items.len() as u64));
        let mut desk = Desk { work: self, batch, session: None, waiting: Vec::new(), done: Done::default() };
        // Decoding is less work than inference, which has threads of its own.
        let threads = threads.div_ceil(2).min(8);
        let mut failure = None;
        let (items, limits, first, views) = (self.items, self.limits, self.preparer, self.views);
        ordered(
            self.items.len(),
            Crew { threads, ahead: 2 * batch + threads },
            || first.clone(),
            |preparer, index| prepare(&items[index], &limits, views, preparer),
            |index, input| {
                let taken = desk.take(index, input);
                bar.iter().for_each(|bar| bar.set(index as u64 + 1));
                match taken {
                    Ok(()) if !signals.stop.load(Ordering::Relaxed) && !output.is_closed() => {
                        return ControlFlow::Continue(());
                    }
                    Ok(()) => {}
                    Err(error) => failure = Some(error),
                }
                ControlFlow::Break(())
            },
        );
        match failure {
            Some(failure) => return Err(failure),
            None => desk.classify()?,
        }
        match signals.status() {
            Some(status) => Err(Failure::Signal(status)),
            None => Ok(desk.done),
        }
    }
}

/// On a thread of its own: the inputs that a picture becomes, one for each view.
fn prepare(
    item: &Item,
    limits: &Limits,
    views: &[Shown],
    preparer: &mut Preparer,
) -> resnetc_pictures::Result<Vec<Vec<f32>>> {
    let seen = preparer.views(&decode(&item.read(limits)?, limits)?, views)?;
    let input = |seen: &Picture| {
        let mut input = vec![0.0; preparer.numbers()];
        preparer.normalize(seen, &mut input);
        input
    };
    Ok(seen.iter().map(input).collect())
}

/// A picture by its number, with the inputs of its views.
type Waiting = (usize, Vec<Vec<f32>>);

/// Where inputs gather until they are a batch.
struct Desk<'a> {
    work: &'a Classifier<'a>,
    batch: usize,
    session: Option<Session>,
    waiting: Vec<Waiting>,
    done: Done,
}

impl Desk<'_> {
    fn take(&mut self, index: usize, inputs: resnetc_pictures::Result<Vec<Vec<f32>>>) -> Result {
        match inputs {
            Ok(inputs) => self.waiting.push((index, inputs)),
            Err(error) => self.refuse(index, &error.to_string()),
        }
        if self.waiting.len() < self.batch { Ok(()) } else { self.classify() }
    }

    fn refuse(&mut self, index: usize, reason: &str) {
        self.done.bad += 1;
        self.work.answers.output.error(&format!("{}: {reason}", self.work.items[index].name));
    }

    /// Runs what waits: at once where it is a whole batch, else one by one, as another size would need a plan of its own.
    fn classify(&mut self) -> Result {
        let waiting = std::mem::take(&mut self.waiting);
        let size = if waiting.len() == self.batch { self.batch } else { 1 };
        for pictures in waiting.chunks(size) {
            let views = (0..self.work.views.len()).map(|view| {
                pictures.iter().flat_map(|(_, inputs)| &inputs[view]).copied().collect::<Vec<f32>>()
            });
            let views: Vec<Vec<f32>> = views.collect();
            let logits = self.session()?.run_views(views.iter().map(Vec::as_slice))?;
            self.answer(pictures, logits)?;
        }
        Ok(())
    }

    fn answer(&mut self, pictures: &[Waiting], logits: Logits) -> Result {
        let finite: Vec<bool> = (0..pictures.len())
            .map(|image| logits.image(image).iter().all(|value| value.is_finite()))
            .collect();
        let probabilities = logits.softmax();
        for (image, ((index, _), finite)) in pictures.iter().zip(finite).enumerate() {
            if !finite {
                self.refuse(*index, "the network's answer is not finite");
                continue;
            }
            self.done.first = probabilities.largest(image, 1).first().map(|(class, _)| *class);
            self.work.answers.tell(&self.work.items[*index].name, &probabilities, image)?;
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session> {
        if self.session.is_none() {
            self.session = Some((self.work.load)()?.session()?);
        }
        Ok(self.session.as_mut().expect("made above"))
    }
}
