//! What moves while a command works: bars at a terminal, nothing elsewhere. Lines that stay are printed by the commands.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::Output;

/// What counts steps or images.
const STEPS: &str = "{prefix} {bar:24} {pos}/{len}  {msg}  {eta} left";

/// Redraws per second: more only costs time.
const RATE: u8 = 8;

/// One bar on standard error, or none. It disappears when dropped: what stays is a line of the command's own.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// The second line, where there is one.
    below: Arc<Mutex<String>>,
}

/// What leads to the second line in a template.
const BELOW: &str = "\n{below}";

impl Progress {
    /// Steps or images of one pass over a data set; `what` leads the line.
    pub fn count(output: &Output, what: &str, length: u64) -> Self {
        Self::new(output, STEPS, what, length)
    }

    /// Steps of one pass, with a line below that [`Progress::below`] writes.
    pub fn steps(output: &Output, what: &str, length: u64) -> Self {
        let template = format!("{STEPS}{BELOW}");
        Self::new(output, &template, what, length)
    }

    /// Bytes of a download.
    pub fn bytes(output: &Output, what: &str, length: u64) -> Self {
        let template = "{prefix} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        Self::new(output, template, what, length)
    }

    fn new(output: &Output, template: &str, what: &str, length: u64) -> Self {
        let target = match output.bars {
            true => ProgressDrawTarget::stderr_with_hz(RATE),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are valid");
        let below = Arc::new(Mutex::new(String::new()));
        let line = Arc::clone(&below);
        let style = style.with_key("below", move |_: &ProgressState, out: &mut dyn Write| {
            // A line that is missing for once is no harm.
            let _ = out.write_str(&line.lock().unwrap_or_else(PoisonError::into_inner));
        });
        let style = style.progress_chars(if output.unicode { "━╸ " } else { "=> " });
        let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style);
        bar.set_prefix(what.to_owned());
        Progress { bar, below }
    }

    /// How far it is.
    pub fn set(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// What stands in the second line, which one made by [`Progress::steps`] has.
    pub fn below(&self, line: String) {
        *self.below.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// What is said beside the bar.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
