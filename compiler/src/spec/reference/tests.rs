//! The reference is complete, up to date, and its examples are right.

use std::collections::BTreeSet;

use serde_json::Value;

use super::markdown;
use crate::backend::Backend;
use crate::compile;
use crate::ir::activation::Activation;
use crate::ir::graph::Mode;
use crate::report::Target;
use crate::source::SourceMap;
use crate::spec::default::Default;
use crate::spec::language::layer::table::LAYERS;
use crate::spec::language::{functions, variables};
use crate::spec::sections::top::SPEC;
use crate::spec::yaml::shape::{Need, Section, Shape};
use crate::spec::{Request, ResolvedSpec, builtin, limits::Limits, load, schema};

fn read(text: &str, overrides: &[String]) -> ResolvedSpec {
    let none = |path: &str| Err(std::io::Error::other(path.to_string()));
    let request = Request { name: "example.yaml", text, overrides, read: &none, limits: Limits::default() };
    load(&request, &mut SourceMap::default()).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
}

/// Where it is not, `resnetc schema --markdown > docs/language.md` in the root of the repository.
#[test]
fn the_committed_reference_is_the_one_written() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md"));
    assert!(file.expect("the reference is there") == markdown(), "docs/language.md is out of date");
}

/// All names under `properties` in a schema.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", Value::Object(properties)) = (key.as_str(), value) {
                    found.extend(properties.keys().cloned());
                }
                properties(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_name_of_the_language_is_in_it() {
    let text = markdown();
    let schema: Value = serde_json::from_str(&schema::schema()).expect("the schema is JSON");
    let mut keys = BTreeSet::new();
    properties(&schema, &mut keys);
    assert!(keys.len() > 60, "{keys:?}");
    let variables = variables::PLACE.iter().chain(variables::UNIT).chain(variables::LAYERS);
    let variables = variables.chain(variables::SHORTCUT).chain(variables::FANS).map(|v| v.name.to_owned());
    let rules = crate::spec::sections::shortcut::RULES.iter().map(|rule| rule.name.to_owned());
    for name in keys.into_iter().chain(variables).chain(rules) {
        assert!(text.contains(&format!("| `{name}` |")) || text.contains(&format!("**`{name}`**")), "{name}");
    }
    for layer in LAYERS.iter() {
        assert!(text.contains(&format!("| `{}", layer.name)), "{}", layer.name);
        for argument in layer.parameters {
            assert!(text.contains(&format!("| `{}` |", argument.name)), "{}", argument.name);
        }
    }
    for function in functions::names() {
        assert!(text.contains(&format!("| `{function}(")), "{function}");
    }
    for unit in builtin::UNITS.lines().filter(|line| line.ends_with(": |")) {
        assert!(text.contains(&format!("  {unit}\n")), "{unit}");
    }
    for (limit, ..) in Limits::table() {
        assert!(text.contains(&format!("| `{limit}` |")), "{limit}");
    }
}

#[test]
fn every_activation_is_a_layer() {
    for activation in Activation::ALL {
        let name = activation.info().name;
        assert!(LAYERS.iter().any(|layer| layer.name == name), "{name} is no layer");
    }
}

#[test]
fn examples_compile() {
    let text = markdown();
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 10, "{} examples", blocks.len());
    // The built-in units are no spec of their own.
    for example in blocks.into_iter().filter(|block| !block.starts_with("units:")) {
        let spec = read(example, &[]);
        let backend = Backend::that_multiplies_in(spec.train.precision);
        if let Err(faults) = compile(&spec, &Target { backend, ..Target::new(Mode::Infer, 1) }) {
            panic!("{example}\n{faults:#?}");
        }
    }
}

/// Each default that a table writes as a value, with its path. Settings of a choice are read by their own tables.
fn defaults(path: &str, section: &Section, found: &mut Vec<String>) {
    for key in section.keys {
        let path = format!("{path}{}", key.name);
        if let Default::Value(value) = key.default {
            found.push(format!("{path}={value}"));
        }
        if let Shape::Section(inner) = &key.shape
            && inner.keys.iter().all(|key| key.need == Need::Never)
            // Of its keys one or the other is needed, or the section itself says something.
            && !["`mix`", "`ema`", "`swa`", "`progressive_resizing`"].contains(&inner.what)
        {
            defaults(&format!("{path}."), inner, found);
        }
    }
}

#[test]
fn defaults_mean_what_nothing_means() {
    let tiny = "name: a\ninput: [3, 8, 8]\nclasses: 10\nstem: conv3x3(8)\nunit: basic\nstages: [{depth: 1, filters: 8}]\n";
    let mut found = Vec::new();
    defaults("", &SPEC, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for default in found {
        assert_eq!(
            read(tiny, std::slice::from_ref(&default)).to_yaml(),
            read(tiny, &[]).to_yaml(),
            "{default}"
        );
    }
}
