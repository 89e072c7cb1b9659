//! A finding with the places that take part in it.

use crate::source::Span;

/// Error or warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The spec cannot be compiled.
    Error,
    /// It compiles, but probably not into what was meant.
    Warning,
}

/// A place in the source with a few words on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Underlined text.
    pub span: Span,
    /// The words at the underline.
    pub text: String,
}

/// One finding, with every place that takes part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One line: what is wrong. No full stop, lower case, names in backquotes.
    pub message: String,
    /// Places, the main one first.
    pub labels: Vec<Label>,
    /// The way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error with its main place; the label repeats nothing of the message.
    pub fn error(message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label { span, text: label.into() }],
            help: None,
        }
    }

    /// A warning with its main place.
    pub fn warning(message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::error(message, span, label) }
    }

    /// Adds a further place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Sets the way out.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}
