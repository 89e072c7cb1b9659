//! The spec language as a JSON schema (draft 2020-12), written from the tables that the reader reads by
//! ([`super::yaml::shape`]). Editors complete and check specs with it: `# yaml-language-server: $schema=spec.schema.json`.
//!
//! It says what YAML can say: keys, kinds of values, ranges. What the unit language means is checked by the compiler alone.

use serde_json::{Map, Value, json};

use super::default::Default;
use super::language::layer;
use super::sections::top::SPEC;
use super::yaml::shape::{Choice, Key, Need, Section, Shape};
use super::{bound, size};
use crate::datasets;

/// The whole schema, as text.
pub fn schema() -> String {
    let mut schema = section(&SPEC);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("A residual network, for resnetc")),
    ];
    schema.extend(head.map(|(key, value)| (key.to_owned(), value)));
    // What a spec leaves out, the one that it extends may say, however deep.
    let mut alone = needs(&SPEC);
    alone.insert("allOf".into(), json!([stages_with_units(), stages_with_filters()]));
    schema.insert("if".into(), json!({"required": ["extends"]}));
    schema.insert("else".into(), Value::Object(alone));
    let text = serde_json::to_string_pretty(&schema).expect("a schema has only string keys");
    text + "\n"
}

/// A map with these keys and no others.
fn section(section: &Section) -> Map<String, Value> {
    let property = |key: &Key| {
        let mut schema = or_null(shape(&key.shape));
        schema.insert("description".into(), key.about.into());
        if let Default::Value(text) = key.default {
            // A number or a flag as JSON, anything else is text.
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
            schema.insert("default".into(), value);
        }
        (key.name.to_owned(), Value::Object(schema))
    };
    let properties: Map<String, Value> = section.keys.iter().map(property).collect();
    let mut map = object(json!({"type": "object", "properties": properties, "additionalProperties": false}));
    let needs: Vec<Value> = section.keys.iter().filter_map(unless_list).collect();
    if !needs.is_empty() {
        map.insert("allOf".into(), needs.into());
    }
    map
}

/// That the key is there, or a list under another.
fn unless_list(key: &Key) -> Option<Value> {
    let Need::UnlessList(other) = key.need else { return None };
    let list = json!({"required": [other], "properties": {other: {"type": "array"}}});
    Some(json!({"anyOf": [{"required": [key.name]}, list]}))
}

/// That every stage knows its unit: by the spec's `unit`, or each by its own.
fn stages_with_units() -> Value {
    json!({"anyOf": [{"required": ["unit"]}, every_group("unit")]})
}

/// That every stage has filters, where all units that the spec can name take some: the built-in ones do, and those of its
/// own whose signature says `f`. Which unit a stage has when others take none, only the compiler finds out.
fn stages_with_filters() -> Value {
    let take_filters = json!({"propertyNames": {"pattern": "[(,]\\s*f\\s*[,)]"}});
    json!({"if": {"properties": {"units": take_filters}}, "then": every_group("filters")})
}

/// That each stage has the key, or each group of it. `required` is of maps and `items` of lists, so the two stand side by side.
fn every_group(key: &str) -> Value {
    let group = json!({"required": [key]});
    json!({"properties": {"stages": {"items": {"required": [key], "items": group}}}})
}

/// Keys that a complete section has, and those of the sections in it.
fn needs(section: &Section) -> Map<String, Value> {
    let required = section.keys.iter().filter(|key| key.need == Need::Always).map(|key| key.name);
    let required: Vec<&str> = required.collect();
    let inner = section.keys.iter().filter_map(|key| {
        let needs = shape_needs(&key.shape);
        (!needs.is_empty()).then(|| (key.name.to_owned(), Value::Object(needs)))
    });
    let inner: Map<String, Value> = inner.collect();
    let mut all = Map::new();
    let mut inner = inner;
    if !required.is_empty() {
        // `~` gives no value.
        for key in &required {
            let given = inner.entry(*key).or_insert_with(|| json!({}));
            given["not"] = json!({"type": "null"});
        }
        all.insert("required".into(), json!(required));
    }
    if !inner.is_empty() {
        all.insert("properties".into(), Value::Object(inner));
    }
    all
}

fn shape_needs(shape: &Shape) -> Map<String, Value> {
    match shape {
        Shape::Section(section) => needs(section),
        Shape::Choice(choices) => {
            let inner = choices.iter().filter_map(|choice| {
                let needs = needs(&choice.settings);
                (!needs.is_empty()).then(|| (choice.name.to_owned(), Value::Object(needs)))
            });
            let inner: Map<String, Value> = inner.collect();
            let bare: Vec<&str> = choices
                .iter()
                .filter(|choice| choice.settings.keys.iter().any(|key| key.need == Need::Always))
                .map(|choice| choice.name)
                .collect();
            match bare.is_empty() {
                true => Map::new(),
                // A name alone gives none of the settings.
                false => object(json!({"properties": inner, "not": {"enum": bare}})),
            }
        }
        Shape::Count(..)
        | Shape::Number(..)
        | Shape::Flag
        | Shape::Name
        | Shape::Text
        | Shape::Bytes
        | Shape::Bound
        | Shape::Path
        | Shape::Language
        | Shape::Word(_)
        | Shape::WordOrLayers(_)
        | Shape::Formula(..)
        | Shape::List(..)
        | Shape::Steps(_)
        | Shape::Units
        | Shape::Axes
        | Shape::Anything
        | Shape::Any(_) => Map::new(),
    }
}

fn shape(shape: &Shape) -> Map<String, Value> {
    object(match shape {
        Shape::Count(least, most) => json!({"anyOf": [whole(*least, *most), grouped()]}),
        Shape::Number(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Name => json!({"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}),
        Shape::Text => json!({"type": "string", "minLength": 1}),
        Shape::Bytes => json!({"type": "string", "pattern": size::PATTERN}),
        Shape::Bound => json!({"type": "string", "pattern": bound::PATTERN}),
        Shape::Path => json!({"type": "string", "pattern": datasets::PATH_PATTERN}),
        Shape::Language => json!({"type": "string", "pattern": "\\S"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::WordOrLayers(words) => {
            json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": "->|\\("}, layer_alone()]})
        }
        Shape::Formula(least, most) => {
            json!({"anyOf": [whole(*least, *most), grouped(), {"type": "string", "pattern": "[A-Za-z]"}]})
        }
        Shape::List(item, least, most) => {
            let mut list = object(json!({"type": "array", "items": shape_value(item), "minItems": least}));
            list.extend(most.map(|most| ("maxItems".to_owned(), json!(most))));
            Value::Object(list)
        }
        Shape::Section(inner) => Value::Object(section(inner)),
        Shape::Choice(choices) => {
            let map = settings(choices, json!({"minProperties": 1, "maxProperties": 1}));
            json!({"anyOf": [{"enum": names(choices)}, map]})
        }
        Shape::Steps(choices) => json!({"anyOf": [{"enum": names(choices)}, settings(choices, json!({}))]}),
        Shape::Units => json!({
            "type": "object",
            "propertyNames": {"pattern": "^\\s*[A-Za-z_]\\w*\\s*(\\(.*\\))?\\s*$"},
            "additionalProperties": or_null(object(shape_value(&Shape::Language))),
        }),
        Shape::Axes => json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [
                {"type": "array", "minItems": 1},
                {"type": ["number", "boolean"]},
                {"type": "string", "minLength": 1},
                {"type": "null"},
            ]},
        }),
        Shape::Anything => json!({}),
        Shape::Any(shapes) => json!({"anyOf": shapes.iter().map(shape_value).collect::<Vec<_>>()}),
    })
}

/// The same, or `~`, which takes away what a base says.
fn or_null(mut schema: Map<String, Value>) -> Map<String, Value> {
    if schema.is_empty() {
        return schema;
    }
    if let Some(kind @ Value::String(_)) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
        return schema;
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
        return schema;
    }
    object(json!({"anyOf": [schema, {"type": "null"}]}))
}

fn shape_value(of: &Shape) -> Value {
    Value::Object(shape(of))
}

/// `16`, `1e3`
fn whole(least: u64, most: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// `25_557_032`, which is text to YAML 1.2.
fn grouped() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+(_[0-9]+)+$"})
}

/// A layer by its name alone.
fn layer_alone() -> Value {
    json!({"enum": layer::names_alone()})
}

fn names(choices: &[Choice]) -> Vec<&'static str> {
    choices.iter().map(|choice| choice.name).collect()
}

/// A map from names to their settings, which may be left empty.
fn settings(choices: &[Choice], bounds: Value) -> Value {
    let one = |choice: &Choice| {
        let mut settings =
            object(json!({"anyOf": [{"type": "null"}, Value::Object(section(&choice.settings))]}));
        settings.insert("description".into(), choice.about.into());
        (choice.name.to_owned(), Value::Object(settings))
    };
    let properties: Map<String, Value> = choices.iter().map(one).collect();
    let mut map = object(json!({"type": "object", "properties": properties, "additionalProperties": false}));
    map.extend(object(bounds));
    Value::Object(map)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("{other} is no JSON object"),
    }
}
