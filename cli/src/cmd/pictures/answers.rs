//! What is told of a picture.

use std::fmt::Write;

use resnetc::Logits;
use serde::Serialize;

use super::classes::Classes;
use crate::failure::Result;
use crate::output::Output;

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// A JSON object on a line for each picture.
    Json,
    /// A line for each class of each picture.
    Csv,
}

/// Tells answers.
#[derive(Debug)]
pub struct Answers<'a> {
    /// Where to.
    pub output: &'a Output,
    /// How.
    pub form: Form,
    /// How many classes of each picture.
    pub top: usize,
    /// Their names.
    pub classes: Classes,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    file: &'a str,
    predictions: Vec<Prediction<'a>>,
}

#[derive(Debug, Serialize)]
struct Prediction<'a> {
    class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    probability: f32,
}

impl Answers<'_> {
    /// What stands before all answers.
    pub fn heading(&self) -> Result {
        match self.form {
            Form::Csv => self.output.result("file,rank,class,name,probability"),
            Form::Text | Form::Json => Ok(()),
        }
    }

    /// The answer to the picture of that number among the logits' images, which are probabilities.
    pub fn tell(&self, file: &str, probabilities: &Logits, image: usize) -> Result {
        let largest = probabilities.largest(image, self.top);
        let prediction = |(class, probability)| {
            let name = self.classes.name(class);
            Prediction { class, name, probability }
        };
        let answer = Answer { file, predictions: largest.into_iter().map(prediction).collect() };
        self.output.result(&match self.form {
            Form::Text => answer.text(),
            Form::Json => serde_json::to_string(&answer).expect("an answer has only string keys"),
            Form::Csv => answer.csv(),
        })
    }
}

impl Answer<'_> {
    fn text(&self) -> String {
        let mut text = self.file.to_owned();
        for Prediction { class, name, probability } in &self.predictions {
            let percent = probability * 100.0;
            let name = name.unwrap_or_default();
            let line = format!("  {percent:>6.2} %  class {class:<4}  {name}");
            write!(text, "\n{}", line.trim_end()).expect("writing to a string");
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = String::new();
        for (rank, Prediction { class, name, probability }) in self.predictions.iter().enumerate() {
            let (file, name) = (quoted(self.file), quoted(name.unwrap_or_default()));
            writeln!(text, "{file},{},{class},{name},{probability}", rank + 1).expect("writing to a string");
        }
        text
    }
}

/// A value as RFC 4180 has it: in quotes where it would be taken for several.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_with_commas_and_quotes_are_quoted() {
        assert_eq!(quoted("plain name.jpg"), "plain name.jpg");
        assert_eq!(quoted("a,b \"c\""), "\"a,b \"\"c\"\"\"");
    }
}
