//! Which classes were taken for which.

use resnetc_runtime::evaluation::Evaluation;

use crate::markup::escape;
use crate::report::training::percent;
use crate::report::units::grouped;

/// Most classes of a matrix that can be read.
const MOST: usize = 30;
/// Pairs that are listed where there are more.
const PAIRS: usize = 30;
/// Share from which on a cell's ink is light.
const STRONG: f64 = 0.55;

/// A class's name; a network may know more classes than the pictures have names for.
pub fn name(classes: &[String], class: u32) -> String {
    classes.get(class as usize).map_or_else(|| class.to_string(), |name| escape(name))
}

/// The confusion matrix or, of many classes, the pairs that were confused most.
pub fn confusion(evaluation: &Evaluation, classes: &[String]) -> String {
    if evaluation.classes() <= MOST { matrix(evaluation, classes) } else { pairs(evaluation, classes) }
}

fn matrix(evaluation: &Evaluation, classes: &[String]) -> String {
    let (cells, counts, number) =
        (evaluation.confusion(), evaluation.by_class(), evaluation.classes() as u32);
    let mut out = String::from(
        "<h2>Confusion matrix</h2>\n<p><small>Rows are the true classes, columns the predicted ones.</small></p>\n\
         <div class=\"wide\"><table class=\"heat\"><thead><tr><th>",
    );
    (0..number).for_each(|class| out += &format!("<th>{}", name(classes, class)));
    out += "</thead>\n";
    for label in 0..number {
        out += &format!("<tr><th>{}", name(classes, label));
        for predicted in 0..number {
            let images = cells.get(&(label, predicted)).copied().unwrap_or(0);
            let share = images as f64 / counts[label as usize].images.max(1) as f64;
            let kind = if images == 0 {
                "zero"
            } else if share > STRONG {
                "strong"
            } else {
                ""
            };
            // The root makes rare confusions visible.
            out += &format!(
                "<td class=\"{kind}\" style=\"background:rgba(var(--heat),{:.2})\">{}",
                share.sqrt() * 0.95,
                grouped(images)
            );
        }
        out += "</tr>\n";
    }
    out + "</table></div>\n"
}

fn pairs(evaluation: &Evaluation, classes: &[String]) -> String {
    let mut pairs: Vec<_> =
        evaluation.confusion().into_iter().filter(|((label, predicted), _)| label != predicted).collect();
    pairs.sort_by_key(|&(pair, images)| (std::cmp::Reverse(images), pair));
    let mut out = String::from(
        "<h2>Most confused classes</h2>\n<div class=\"wide\"><table><tr><th>true<th>predicted<th class=\"num\">images</tr>\n",
    );
    for ((label, predicted), images) in pairs.into_iter().take(PAIRS) {
        let (label, predicted) = (name(classes, label), name(classes, predicted));
        out += &format!("<tr><td>{label}<td>{predicted}<td class=\"num\">{}</tr>\n", grouped(images));
    }
    out + "</table></div>\n"
}

/// How many of each class's images were classified right, the worst class first.
pub fn accuracies(evaluation: &Evaluation, classes: &[String]) -> String {
    let mut rows: Vec<_> = (0..)
        .zip(evaluation.by_class())
        .filter_map(|(class, count)| Some((count.recall()?, class, count.images)))
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut out = String::from("<h2>Accuracy of each class</h2>\n<table class=\"bars\">\n");
    for (recall, class, images) in rows {
        out += &format!(
            "<tr><td>{}<td><div class=\"bar\"><i style=\"width:{:.1}%\"></i></div>\
             <td class=\"num\">{}<td class=\"num\"><small>of {}</small></tr>\n",
            name(classes, class),
            recall * 100.0,
            percent(recall),
            grouped(images)
        );
    }
    out + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(classes: usize, answers: &[(u32, usize)]) -> Evaluation {
        let mut found = Evaluation::new(classes);
        for &(label, predicted) in answers {
            let mut logits = vec![0.0; classes];
            logits[predicted] = 1.0;
            found.add(&logits, &[label]);
        }
        found
    }

    #[test]
    fn names_are_escaped_and_cells_counted() {
        let classes = ["<a>", "b"].map(str::to_owned);
        let html = confusion(&evaluation(2, &[(0, 0), (0, 1), (0, 1), (1, 1)]), &classes);
        assert!(html.contains("&lt;a&gt;") && !html.contains("<a>"), "{html}");
        let row = html.lines().find(|line| line.starts_with("<tr><th>&lt;a")).expect("its row");
        assert!(row.contains(">1<td") && row.contains(">2</tr>"), "{row}");
    }

    #[test]
    fn of_many_classes_the_worst_pairs_are_listed() {
        let html = confusion(&evaluation(40, &[(3, 4), (3, 4), (5, 5), (7, 8)]), &[]);
        let rows: Vec<&str> = html.lines().filter(|line| line.starts_with("<tr><td>")).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].starts_with("<tr><td>3<td>4<td class=\"num\">2"), "{rows:?}");
    }
}
