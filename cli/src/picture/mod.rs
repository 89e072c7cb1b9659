//! The graph as a picture, laid out here, so that no Graphviz has to be on the machine: operators as boxes, a card per
//! unit, cards in columns. [`mod@svg`] gives one file, [`mod@html`] a page with the table, the passes and the spec beside it.

mod block;
mod html;
mod label;
mod layout;
mod legend;
mod links;
mod page;
mod svg;

use clap::ValueEnum;
use resnetc_compiler::ir::graph::{Graph, Mode};
use resnetc_compiler::report::Summary;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::ResolvedSpec;

pub use html::html;

/// How much of a picture is drawn once for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fold {
    /// Every unit.
    None,
    /// Neighbouring units of a stage that are the same: one, with their number.
    Units,
    /// A box for each stage.
    Stages,
}

impl Fold {
    /// The least folding with which the picture fits on a page.
    pub fn automatic(subject: &Subject<'_>) -> Fold {
        let fits = |most: usize| move |fold: &Fold| block::blocks(subject, *fold).len() <= most;
        [Fold::None, Fold::Units].into_iter().find(fits(FOLD_FROM)).unwrap_or(match subject.graph.mode {
            Mode::Infer => Fold::Stages,
            Mode::Train => Fold::Units,
        })
    }
}

/// Most blocks that are drawn on one page unless asked for.
const FOLD_FROM: usize = 24;

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// After the last pass.
    pub graph: &'a Graph,
    /// The figures.
    pub summary: &'a Summary,
    /// Where the stages stand.
    pub spec: &'a ResolvedSpec,
    /// The texts that nodes came from.
    pub sources: &'a SourceMap,
}

/// Draws the graph as one file.
pub fn svg(subject: &Subject<'_>, fold: Option<Fold>) -> String {
    let fold = fold.unwrap_or_else(|| Fold::automatic(subject));
    svg::file(subject, &block::blocks(subject, fold))
}

/// What the network was compiled for.
fn purpose(mode: Mode) -> &'static str {
    match mode {
        Mode::Infer => "inference",
        Mode::Train => "training step",
    }
}

/// Text as content or attribute of SVG and HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(
            escape("<a b='c' d=\"e\">&\u{1b}"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\u{fffd}"
        );
    }
}
