//! What a network is called, and what goes in and comes out: `name`, `input`, `classes`, `outputs`.

use crate::diagnostic::Diagnostic;
use crate::source::Spanned;
use crate::spec::language::layer::MAX_CHANNELS;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// The network's name.
pub const NAME: Key =
    Key::required("name", Shape::Name, "resnet20", "The network's name; its files are named after it.");

/// The size of an image.
pub const INPUT: Key = Key::required(
    "input",
    Shape::List(&Shape::Count(1, MAX_SIDE), 3, Some(3)),
    "[3, 224, 224]",
    "Shape of one image: `[channels, height, width]`.",
);

/// The number of classes.
pub const CLASSES: Key =
    Key::required("classes", Shape::Count(1, MAX_CHANNELS as u64), "10", "Number of classes.");

/// Further results of the network.
pub const OUTPUTS: Key = Key::new(
    "outputs",
    Shape::List(&Shape::Text, 0, None),
    "Stages whose feature maps are results of the network, beside the logits: `[stage2, stage4]`.",
)
.default_is("none; with `head: none` the last stage");

/// Largest side of an image, most channels of one.
const MAX_SIDE: u64 = 1 << 14;

/// Most channels of an image as cameras and files have it.
const MOST_COLORS: usize = 4;

/// Reads `name`.
pub(crate) fn name(reader: &mut Reader<'_>, spec: &Node) -> Option<Spanned<String>> {
    let node = reader.required(spec, &NAME)?;
    let name = reader.text(node, "`name`")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.len() > 64 || !name.chars().all(legal) {
        let fault = Diagnostic::error(
            "`name` must be letters, digits, `_`, `-` and `.`",
            node.span,
            "not such a name",
        );
        reader.fault(fault.help("files are named after it; 64 characters at most"));
        return None;
    }
    Some(Spanned::new(name.to_string(), node.span))
}

/// Reads `input`.
pub(crate) fn input(reader: &mut Reader<'_>, spec: &Node) -> Option<Spanned<[usize; 3]>> {
    let node = reader.required(spec, &INPUT)?;
    let items = reader.items(node, "`input`")?;
    if items.len() != 3 {
        let fault = Diagnostic::error(
            "`input` must be `[channels, height, width]`",
            node.span,
            format!("{} numbers", items.len()),
        );
        reader.fault(fault.help("colour images of 224x224 are `[3, 224, 224]`"));
        return None;
    }
    let sizes: Vec<_> =
        items.iter().map(|item| reader.count(item, "a size of `input`", INPUT.count())).collect();
    let sizes = [sizes[0]?, sizes[1]?, sizes[2]?];
    if let [height, width, channels @ (1 | 3 | 4)] = sizes
        && height.min(width) > MOST_COLORS
        && (channels != 1 || height == width)
    {
        let text = format!("{height} channels of {width}x{channels} pixels");
        let message = "`input` is `[channels, height, width]`, and looks like another order";
        let warning = Diagnostic::warning(message, node.span, text);
        let help = format!(
            "images of {height}x{width} with {channels} channels are `[{channels}, {height}, {width}]`"
        );
        reader.warnings.push(warning.help(help));
    }
    Some(Spanned::new(sizes, node.span))
}

/// Reads `classes`.
pub(crate) fn classes(reader: &mut Reader<'_>, spec: &Node) -> Option<Spanned<usize>> {
    let node = reader.required(spec, &CLASSES)?;
    let classes = reader.count(node, "`classes`", CLASSES.count())?;
    Some(Spanned::new(classes, node.span))
}

/// Reads `outputs`: numbers of stages, from 1.
pub(crate) fn outputs(
    reader: &mut Reader<'_>,
    spec: &Node,
    stages: Option<usize>,
) -> Option<Vec<Spanned<usize>>> {
    let Some(node) = spec.get("outputs") else { return Some(Vec::new()) };
    let mut outputs: Vec<Spanned<usize>> = Vec::new();
    for item in reader.items(node, "`outputs`")? {
        let text = reader.text(item, "an output")?;
        let stage = text.strip_prefix("stage").and_then(|n| n.parse::<usize>().ok());
        let stage = stage.filter(|&n| n > 0 && stages.is_none_or(|count| n <= count));
        let Some(stage) = stage else {
            let fault = Diagnostic::error(format!("there is no stage `{text}`"), item.span, "not known");
            let help = match stages {
                Some(1) => "there is `stage1` alone".to_owned(),
                Some(count) => format!("stages are called `stage1` to `stage{count}`"),
                None => "stages are called `stage1`, `stage2` and so on".to_owned(),
            };
            reader.fault(fault.help(help));
            return None;
        };
        if let Some(first) = outputs.iter().find(|o| o.value == stage) {
            let fault = Diagnostic::error(format!("`{text}` is an output twice"), item.span, "again here");
            reader.fault(fault.label(first.span, "first here").help("keep one of the two"));
            return None;
        }
        outputs.push(Spanned::new(stage, item.span));
    }
    Some(outputs)
}
