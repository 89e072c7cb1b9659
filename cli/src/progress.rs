//! What moves while a command works: bars at a terminal, nothing elsewhere. Lines that stay are printed by the commands.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// Redraws per second: more only costs time.
const RATE: u8 = 8;

/// One bar on standard error, or none. It disappears when dropped: what stays is a line of the command's own.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Steps or images of one pass over a data set; `what` leads the line.
    pub fn count(output: &Output, what: &str, length: u64) -> Self {
        Self::new(output, "{prefix} {bar:24} {pos}/{len}  {msg}  {eta} left", what, length)
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
        let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style.progress_chars("━╸ "));
        bar.set_prefix(what.to_owned());
        Progress { bar }
    }

    /// How far it is.
    pub fn set(&self, position: u64) {
        self.bar.set_position(position);
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
