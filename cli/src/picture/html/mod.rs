//! One page with everything: the picture at three levels of folding, the spec beside it, the table of units, and what
//! each pass changed. It loads nothing; all text of the spec is escaped, and the page's policy allows no connections.

use std::collections::{BTreeSet, HashSet};

use resnetc_compiler::ir::patch::Note;
use resnetc_compiler::report::PassReport;
use resnetc_compiler::source::{Source, SourceId};

use super::block::{Block, blocks};
use super::subject::{Fold, Subject};
use super::svg;
use crate::markup::{escape, put};
use crate::report::units::{grouped, si};

const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page. `built` is the graph's text before the first pass, `passes` have theirs.
pub fn html(subject: &Subject<'_>, fold: Option<Fold>, built: &str, passes: &[PassReport]) -> String {
    let shown = fold.unwrap_or_else(|| Fold::automatic(subject));
    let levels = [(Fold::None, "none"), (Fold::Units, "units"), (Fold::Stages, "stages")];
    let levels = levels.map(|(fold, name)| (fold, name, blocks(subject, fold)));
    let shown = levels.iter().find(|(fold, _, _)| *fold == shown).map_or("none", |(_, name, _)| name);
    let mut out = head(subject, shown);
    out.push_str("<main><section id=\"picture\" aria-label=\"picture\">\n");
    for (_, name, blocks) in &levels {
        out += &svg::embedded(blocks, name);
    }
    out.push_str("</section>\n");
    spec(&mut out, subject, &levels[0].2);
    out.push_str("</main>\n");
    units(&mut out, subject);
    changes(&mut out, built, passes);
    put(&mut out, format_args!("<script>{SCRIPT}</script>\n</body>\n</html>"));
    out
}

fn head(subject: &Subject<'_>, shown: &str) -> String {
    let summary = subject.summary;
    let name = escape(&summary.name);
    let (light, dark) = (svg::colours(false), svg::colours(true));
    let radio = |value: &str, label: &str| {
        let checked = if value == shown { " checked" } else { "" };
        format!("<label><input type=\"radio\" name=\"fold\" value=\"{value}\"{checked}>{label}</label>")
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n\
         <style>{}{light}\n@media (prefers-color-scheme: dark){{{dark}}}\n{CSS}</style>\n</head>\n<body data-fold=\"{shown}\">\n\
         <header><h1>{name}</h1><p>{} parameters &middot; {} MACs &middot; {}</p>\n\
         <fieldset><legend>Draw</legend>{}{}{}</fieldset>\n\
         <fieldset><legend>Zoom</legend><label><input type=\"checkbox\" id=\"fit\" checked>fit the width</label></fieldset></header>\n",
        svg::SHAPES,
        grouped(summary.params),
        si(summary.macs),
        subject.purpose(),
        radio("none", "every unit"),
        radio("units", "equal units once"),
        radio("stages", "stages"),
    )
}

/// The texts that something drawn came from, line by line.
fn spec(out: &mut String, subject: &Subject<'_>, blocks: &[Block]) {
    let lines =
        blocks.iter().flat_map(|b| b.items.iter().filter_map(|i| i.line.as_deref()).chain(b.line.as_deref()));
    let used: BTreeSet<&str> = lines.collect();
    let of = |source: &&Source| {
        used.iter().any(|line| line.rsplit_once(':').is_some_and(|(file, _)| file == source.name))
    };
    let sources = (0..).map_while(|i| subject.sources.get(SourceId(i))).filter(of);
    out.push_str("<section id=\"spec\" aria-label=\"spec\">\n");
    for source in sources {
        put(out, format_args!("<h2>{}</h2>\n<ol>", escape(&source.name)));
        for (i, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}", source.name, i + 1);
            put(out, format_args!("<li data-line=\"{}\"><code>{}</code></li>", escape(&place), escape(line)));
        }
        out.push_str("</ol>\n");
    }
    out.push_str("</section>\n");
}

fn units(out: &mut String, subject: &Subject<'_>) {
    out.push_str(
        "<section id=\"units\"><h2>Units</h2>\n<table><thead><tr><th>unit</th><th>kind</th><th>shortcut</th>\
         <th>output</th><th class=\"n\">parameters</th><th class=\"n\">MACs</th></tr></thead>\n<tbody>\n",
    );
    for row in &subject.summary.units {
        let shape: Vec<_> = row.output_shape.iter().map(usize::to_string).collect();
        put(
            out,
            format_args!(
                "<tr tabindex=\"0\" data-unit=\"{0}\"><td>{0}</td><td>{1}</td><td>{2}</td><td>{3}</td>\
                 <td class=\"n\">{4}</td><td class=\"n\">{5}</td></tr>",
                escape(&row.name),
                escape(&row.kind),
                escape(row.shortcut.as_deref().unwrap_or("")),
                shape.join("\u{d7}"),
                grouped(row.params),
                grouped(row.macs)
            ),
        );
    }
    out.push_str("</tbody></table></section>\n");
}

/// A paragraph per pass, that opens: its notes, and the lines of the graph's text that it replaced and wrote.
fn changes(out: &mut String, built: &str, passes: &[PassReport]) {
    out.push_str("<section id=\"passes\"><h2>Passes</h2>\n");
    let mut before = built;
    for report in passes {
        let after = report.dump.as_deref().unwrap_or(before);
        put(
            out,
            format_args!(
                "<details><summary><b>{}</b> {}; {} &times;, {} operators after it</summary>",
                report.pass,
                escape(report.pass.why()),
                report.fired,
                report.nodes
            ),
        );
        if !report.notes.is_empty() {
            out.push_str("<table><tbody>\n");
            for Note { node, sentence: note, .. } in &report.notes {
                put(out, format_args!("<tr><td>{}</td><td>{}</td></tr>", escape(node), escape(note)));
            }
            out.push_str("</tbody></table>\n");
        }
        let (gone, new) = (missing(before, after), missing(after, before));
        put(
            out,
            format_args!(
                "<div class=\"pair\"><pre class=\"gone\">{gone}</pre><pre class=\"new\">{new}</pre></div></details>"
            ),
        );
        before = after;
    }
    out.push_str("</section>\n");
}

/// The lines of one text that the other has not, escaped. The first line is the graph's own and changes with its stage.
fn missing(text: &str, other: &str) -> String {
    let known: HashSet<&str> = other.lines().collect();
    text.lines().skip(1).filter(|line| !known.contains(line)).map(|line| escape(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_pass_shows_the_lines_it_changed() {
        assert_eq!(missing("graph a\nx = 1\ny < 2\n", "graph b\nx = 1\n"), "y &lt; 2\n");
    }
}
