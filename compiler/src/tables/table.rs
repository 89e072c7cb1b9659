//! What a table file says.

use super::rounded::Rounded;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::spec::digits::grouped;

/// A published table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its title, for people.
    pub title: String,
    /// Where it was published.
    pub source: Option<String>,
    /// What its networks are trained on, as `train.dataset` has it.
    pub dataset: String,
    /// What the figures are: `the median of 5 runs`.
    pub figures: Option<String>,
    /// What is otherwise here than in the publication.
    pub note: Option<String>,
    /// How all its networks are trained: overrides, `train.epochs=164`.
    pub recipe: Vec<String>,
    /// Its rows, in their order.
    pub rows: Vec<Row>,
    /// Rows of the publication that are not here.
    pub left_out: Vec<LeftOut>,
}

/// A row: a network, and what was published of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name on the command line and in folders, which no other row has.
    pub id: Spanned<String>,
    /// Its name for people.
    pub name: String,
    /// A compiled-in network, or a file beside the table's.
    pub network: Spanned<String>,
    /// Overrides of it, behind those of the recipe.
    pub set: Vec<String>,
    /// The published number of trained parameters.
    pub params: Option<Spanned<Rounded>>,
    /// Why the network has another number.
    pub params_differ: Option<String>,
    /// The published error.
    pub published: Option<Published>,
    /// What is to be known of the row.
    pub note: Option<String>,
}

/// A published error, in percent of the test images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Published {
    /// A figure.
    Error {
        /// The error.
        error: f64,
        /// Its standard deviation, where there is one.
        std: Option<f64>,
    },
    /// No figure: the training failed, its error is larger.
    Above(f64),
}

impl Row {
    /// What is wrong where a network has another number of parameters than was published, and the row does not say why.
    pub fn check(&self, params: u64) -> Option<Diagnostic> {
        let published = self.params.as_ref().filter(|published| !published.value.holds(params))?;
        if self.params_differ.is_some() {
            return None;
        }
        let message = format!("the network of `{}` has {} parameters", self.id.value, grouped(params));
        let fault = Diagnostic::error(message, published.span, format!("{} were published", published.value));
        Some(fault.help(
            "correct the network or the count; where the published one is otherwise, say why in `params_differ`",
        ))
    }
}

impl Published {
    /// What to order rows by: trainings that failed are behind all figures below their bound.
    pub fn order(&self) -> f64 {
        match *self {
            Published::Error { error, .. } => error,
            Published::Above(bound) => bound,
        }
    }
}

/// A row that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name for people.
    pub name: String,
    /// Why.
    pub why: String,
}
