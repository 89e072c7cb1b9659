//! The graph as a picture, laid out here, so that no Graphviz has to be on the machine: operators as boxes, a card per
//! unit, cards in columns. [`mod@svg`] gives one file, [`mod@html`] a page with the table, the passes and the spec beside it.

mod block;
mod html;
mod label;
mod layout;
mod legend;
mod links;
mod page;
mod size;
mod subject;
mod svg;

pub use html::html;

pub use subject::{Fold, Subject};

/// Draws the graph as one file.
pub fn svg(subject: &Subject<'_>, fold: Option<Fold>) -> String {
    let fold = fold.unwrap_or_else(|| Fold::automatic(subject));
    svg::file(subject, &block::blocks(subject, fold))
}
