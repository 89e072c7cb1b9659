//! Answers and confusions as CSV.

use crate::data::Source;
use crate::evaluation::Evaluation;

/// The answer to each picture as CSV: `picture,label,predicted,probability`. A picture is its path or its number in the source, label and
/// predicted are names of classes, the probability is that of the predicted class.
pub fn predictions(evaluation: &Evaluation, source: &dyn Source) -> Vec<u8> {
    let classes = source.classes();
    let rows = evaluation.answers().iter().enumerate().map(|(index, answer)| {
        let name = |class: u32| class_name(classes, class);
        let probability = answer.probability.to_string();
        [source.identifier(index), name(answer.label), name(answer.predicted), probability]
    });
    csv(["picture", "label", "predicted", "probability"], rows)
}

/// The cells of the confusion matrix that are not zero: `label,predicted,images`.
pub(super) fn confusion(evaluation: &Evaluation, classes: &[String]) -> Vec<u8> {
    let cells = evaluation.confusion().into_iter().map(|((label, predicted), images)| {
        [class_name(classes, label), class_name(classes, predicted), images.to_string()]
    });
    csv(["label", "predicted", "images"], cells)
}

/// A network may know more classes than the pictures have names for.
fn class_name(classes: &[String], class: u32) -> String {
    classes.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
}

fn csv<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let reason = "a vector takes all that is written";
    writer.write_record(head).expect(reason);
    rows.for_each(|row| writer.write_record(row).expect(reason));
    writer.into_inner().expect(reason)
}
