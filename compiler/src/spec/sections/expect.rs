//! The `expect:` section: figures that the network must have.

use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::spec::bound::Bound;
use crate::spec::language::{number, parse};
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// The `expect:` section: what does not hold is an error.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// Trained parameters.
    pub params: Option<Spanned<u64>>,
    /// Multiply-accumulates of one image.
    pub macs: Option<Spanned<u64>>,
    /// Shape of the logits of one image.
    pub output: Option<Spanned<Vec<usize>>>,
    /// Milliseconds of a run of one image on the machine at hand. Nothing here measures them: `resnetc verify --measure` does.
    pub ms: Option<Spanned<Bound>>,
}

/// Its keys.
pub const EXPECT: Section = Section {
    what: "`expect`",
    keys: &[
        Key::new("params", Shape::Count(0, u64::MAX), "Number of trained parameters."),
        Key::new(
            "macs",
            Shape::Count(0, u64::MAX),
            "Multiply-accumulates of one image, in the forward pass.",
        ),
        Key::new(
            "output",
            Shape::List(&Shape::Formula(1, 1_000_000_000), 0, None),
            "Shape of the logits of one image. `classes` may stand in its formulas: `[classes]`.",
        ),
        Key::new(
            "ms",
            Shape::Bound,
            "Milliseconds of inference of one image on the machine at hand, the median of some runs. `resnetc verify --measure` measures them; \
             nothing else looks at it.",
        ),
    ],
};

/// Reads the section.
pub(crate) fn read(reader: &mut Reader<'_>, node: &Node, classes: Option<usize>) -> Expect {
    let mut expect = Expect::default();
    for entry in reader.fields(node, &EXPECT).unwrap_or_default() {
        let (value, what) = (&entry.value, format!("`{}`", entry.key));
        match entry.key.as_str() {
            "params" => {
                expect.params = reader
                    .integer(value, &what, EXPECT.count(&entry.key))
                    .map(|v| Spanned::new(v, value.span))
            }
            "macs" => {
                expect.macs = reader
                    .integer(value, &what, EXPECT.count(&entry.key))
                    .map(|v| Spanned::new(v, value.span))
            }
            "ms" => expect.ms = bound(reader, value, &what).map(|v| Spanned::new(v, value.span)),
            _ => expect.output = output(reader, value, classes).map(|v| Spanned::new(v, value.span)),
        }
    }
    expect
}

fn bound(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Bound> {
    let bound = match &node.kind {
        Kind::Scalar { text, .. } => Bound::parse(text),
        Kind::List(_) | Kind::Map(_) => None,
    };
    if bound.is_none() {
        reader.wrong(node, what, "a bound in quotes, as `\"< 5\"` or `\"<= 2.5\"`");
    }
    bound
}

fn output(reader: &mut Reader<'_>, node: &Node, classes: Option<usize>) -> Option<Vec<usize>> {
    let items = reader.items(node, "`output`")?;
    let mut shape = Vec::new();
    for item in items {
        let text = reader.language(item, "a size")?;
        let expr = reader.keep(parse::formula(text))?;
        let vars = |name: &str| (name == "classes").then_some(classes).flatten().map(|c| c as f64);
        let size = reader.keep(number::eval(&expr, &vars))?;
        if size.fract() != 0.0 || !(1.0..=1e9).contains(&size) {
            reader.fault(Diagnostic::error(
                "a size must be a positive whole number",
                item.span,
                format!("this is {size}"),
            ));
            return None;
        }
        shape.push(size as usize);
    }
    Some(shape)
}
