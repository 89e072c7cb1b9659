//! From a table file's text to a [`Table`].

use super::keys::{LEFT_OUT, ROW, TABLE};
use super::rounded::Rounded;
use super::table::{LeftOut, Published, Row, Table};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Spanned};
use crate::spec::limits::Limits;
use crate::spec::yaml::compose;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Need, Section};

/// Reads a table; `name` stands for its file in messages, and the text is added to `sources`.
///
/// # Errors
/// All mistakes of the text. Whether its networks exist and compile is not looked at here.
pub fn read(
    name: &str,
    text: &str,
    limits: &Limits,
    sources: &mut SourceMap,
) -> Result<Table, Vec<Diagnostic>> {
    let id = sources.add(name, text);
    let document = compose::parse(sources, id, 0, limits)?;
    let mut reader = Reader::new(sources);
    reader.faults = document.faults;
    let table = table(&mut reader, &document.node);
    match table {
        Some(table) if reader.faults.is_empty() => Ok(table),
        Some(_) | None => Err(reader.faults),
    }
}

fn table(reader: &mut Reader<'_>, node: &Node) -> Option<Table> {
    let fields = section(reader, node, &TABLE);
    let (title, dataset) = (text(reader, &fields, "title"), text(reader, &fields, "dataset"));
    let (source, figures) = (text(reader, &fields, "source"), text(reader, &fields, "figures"));
    let note = text(reader, &fields, "note");
    let recipe = sets(reader, fields.get("recipe"), "`recipe`");
    let rows = rows(reader, fields.get("rows"));
    let left_out = list(reader, fields.get("left_out"), "`left_out`", left_out);
    Some(Table { title: title?, source, dataset: dataset?, figures, note, recipe, rows, left_out })
}

/// A section of which no needed key may be missing: no base completes it.
fn section<'n>(reader: &mut Reader<'_>, node: &'n Node, keys: &'static Section) -> Fields<'n> {
    let fields = Fields::read(reader, Some(node), keys);
    let missing = keys.keys.iter().filter(|key| key.need == Need::Always && fields.get(key.name).is_none());
    for key in missing {
        reader.missing(Some(node), node.top(), keys.what, key);
    }
    fields
}

fn text(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    reader.text(node, &format!("`{key}`")).map(str::to_owned)
}

fn list<T>(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    what: &str,
    read: fn(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    let items = node.and_then(|node| reader.items(node, what)).unwrap_or_default();
    items.iter().filter_map(|item| read(reader, item)).collect()
}

/// `{train.epochs: 164}` as overrides: `train.epochs=164`.
fn sets(reader: &mut Reader<'_>, node: Option<&Node>, what: &str) -> Vec<String> {
    let entries = node.and_then(|node| reader.entries(node, what)).unwrap_or_default();
    entries.iter().map(|entry| format!("{}={}", entry.key, entry.value.flow())).collect()
}

/// All rows, each of a name of its own.
fn rows(reader: &mut Reader<'_>, node: Option<&Node>) -> Vec<Row> {
    let rows = list(reader, node, "`rows`", row);
    if let Some(node) = node.filter(|node| matches!(&node.kind, Kind::List(items) if items.is_empty())) {
        reader.fault(Diagnostic::error("`rows` has no row", node.span, "a table has one at least"));
    }
    for (place, row) in rows.iter().enumerate() {
        if let Some(before) = rows[..place].iter().find(|before| before.id.value == row.id.value) {
            let fault = Diagnostic::error(
                format!("two rows are called `{}`", row.id.value),
                row.id.span,
                "the second one",
            );
            reader.fault(fault.label(before.id.span, "the first").help("give it an `id` of its own"));
        }
    }
    rows
}

fn row(reader: &mut Reader<'_>, node: &Node) -> Option<Row> {
    let fields = section(reader, node, &ROW);
    let id = fields.get("id").and_then(|node| identifier(reader, node));
    let name = text(reader, &fields, "name");
    let network = text(reader, &fields, "network").zip(fields.get("network"));
    let set = sets(reader, fields.get("set"), "`set`");
    let params = fields.get("params").and_then(|node| params(reader, node));
    let params_differ = text(reader, &fields, "params_differ");
    let published = published(reader, &fields);
    let note = text(reader, &fields, "note");
    let id = id?;
    let (network, place) = network?;
    Some(Row {
        name: name.unwrap_or_else(|| id.value.clone()),
        id,
        network: Spanned::new(network, place.span),
        set,
        params,
        params_differ,
        published,
        note,
    })
}

/// A name that no shell and no file system takes amiss.
fn identifier(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<String>> {
    let text = reader.text(node, "`id`")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.chars().all(plain) && !text.starts_with(['.', '-']) {
        return Some(Spanned::new(text.to_owned(), node.span));
    }
    let fault = Diagnostic::error("`id` names a folder", node.span, "not with these letters");
    reader
        .fault(fault.help("write letters, digits, `_`, `-` and `.`, and begin with one of the first three"));
    None
}

fn params(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<Rounded>> {
    let rounded = node.plain().filter(|text| text.ends_with(|c: char| c.is_ascii_alphabetic()));
    let count = match rounded {
        None => reader.integer(node, "`params`", 1..=u64::MAX).map(Rounded::exact),
        Some(text) => {
            let rounded = Rounded::parse(text);
            if rounded.is_none() {
                reader.wrong(node, "`params`", "a count, as `269_722`, `850K` or `0.27M`");
            }
            rounded
        }
    };
    count.map(|count| Spanned::new(count, node.span))
}

/// `error` with its `std`, or `above`.
fn published(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Published> {
    let (error, std) = (figure(reader, fields, "error"), figure(reader, fields, "std"));
    let above = figure(reader, fields, "above");
    match (fields.get("error"), fields.get("std"), fields.get("above")) {
        (Some(first), _, Some(second)) => {
            let fault = Diagnostic::error("a row has `error` or `above`", second.span, "both are here");
            reader.fault(fault.label(first.span, "the other").help("take one of them out"));
            None
        }
        (None, Some(idle), _) => {
            let fault = Diagnostic::error("`std` has no effect", idle.span, "there is no `error`");
            reader.fault(fault.help("write `error:` beside it, or take it out"));
            None
        }
        (Some(_), _, None) => error.map(|error| Published::Error { error, std }),
        (None, None, _) => above.map(Published::Above),
    }
}

/// A number in percent, as it is written: an `f32`'s nearest `f64` has digits that nobody wrote.
fn figure(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<f64> {
    let value = reader.number(fields.get(key)?, &format!("`{key}`"), ROW.number(key))?;
    Some(value.to_string().parse().unwrap_or(value.into()))
}

fn left_out(reader: &mut Reader<'_>, node: &Node) -> Option<LeftOut> {
    let fields = section(reader, node, &LEFT_OUT);
    let (name, why) = (text(reader, &fields, "name"), text(reader, &fields, "why"));
    Some(LeftOut { name: name?, why: why? })
}
