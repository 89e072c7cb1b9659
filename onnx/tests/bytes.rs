//! The bytes of a model, read by a decoder that knows the wire format alone.

mod common;

use common::{Named, graph, spec};
use resnetc_onnx::{Options, export};

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
enum Field<'b> {
    Int(u64),
    Bytes(&'b [u8]),
    Fixed(u32),
}

/// The fields of a message, in order; fails where the bytes are no message.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Field::Int(varint(&mut bytes)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value)
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk().expect("four bytes");
                bytes = rest;
                Field::Fixed(u32::from_le_bytes(*value))
            }
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, value));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// All values of a field.
fn all<'b>(message: &[(u64, Field<'b>)], number: u64) -> Vec<Field<'b>> {
    message.iter().filter(|(found, _)| *found == number).map(|(_, value)| value.clone()).collect()
}

fn bytes<'b>(field: &Field<'b>) -> &'b [u8] {
    match field {
        Field::Bytes(bytes) => bytes,
        other => panic!("{other:?} has no bytes"),
    }
}

fn text(field: &Field<'_>) -> String {
    String::from_utf8(bytes(field).to_vec()).expect("a text")
}

const SPEC: &str = "
name: tiny
input: [3, 4, 4]
classes: 4
stem: conv3x3(2) -> bn -> leaky_relu(0.25)
unit: basic
stages: [{depth: 1, filters: 2}]
";

fn model() -> Vec<u8> {
    let options = Options {
        doc: "tiny, of a test".to_owned(),
        metadata: vec![("network".to_owned(), "tiny".to_owned())],
        dynamic_batch: true,
        ..Options::default()
    };
    export(&graph(&spec(SPEC), false), &Named, &options).expect("written").to_bytes()
}

#[test]
fn the_model_says_who_made_it_of_what() {
    let bytes_of_model = model();
    let model = fields(&bytes_of_model);
    assert_eq!(all(&model, 1), [Field::Int(8)]);
    assert_eq!(text(&all(&model, 2)[0]), "resnetc");
    assert_eq!(text(&all(&model, 3)[0]), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&all(&model, 6)[0]), "tiny, of a test");
    let set = fields(bytes(&all(&model, 8)[0]));
    assert_eq!((text(&all(&set, 1)[0]), all(&set, 2)), (String::new(), vec![Field::Int(17)]));
    let fact = fields(bytes(&all(&model, 14)[0]));
    assert_eq!((text(&all(&fact, 1)[0]), text(&all(&fact, 2)[0])), ("network".into(), "tiny".into()));
    let graph = fields(bytes(&all(&model, 7)[0]));
    assert_eq!(text(&all(&graph, 2)[0]), "tiny");
}

/// The attributes of the first operator of that type, by their names.
fn attributes<'b>(graph: &[(u64, Field<'b>)], op: &str) -> Vec<(String, Vec<(u64, Field<'b>)>)> {
    let nodes = all(graph, 1);
    let node = nodes.iter().map(|node| fields(bytes(node))).find(|node| text(&all(node, 4)[0]) == op);
    let node = node.unwrap_or_else(|| panic!("no {op}"));
    let attribute = |field: &Field<'b>| {
        let message = fields(bytes(field));
        (text(&all(&message, 1)[0]), message)
    };
    all(&node, 5).iter().map(attribute).collect()
}

#[test]
fn attributes_have_the_numbers_and_types_of_onnx() {
    let model = model();
    let graph = fields(bytes(&all(&fields(&model), 7)[0]));
    let conv = attributes(&graph, "Conv");
    let named = |name: &str| &conv.iter().find(|(found, _)| found == name).expect(name).1;
    // A whole number: field 3, type 2. A list: field 8 for each, type 7.
    assert_eq!((all(named("group"), 3), all(named("group"), 20)), (vec![Field::Int(1)], vec![Field::Int(2)]));
    assert_eq!(all(named("pads"), 8), vec![Field::Int(1); 4]);
    assert_eq!(all(named("pads"), 20), [Field::Int(7)]);
    // A float: field 2, type 1.
    let leaky = attributes(&graph, "LeakyRelu");
    assert_eq!(leaky[0].0, "alpha");
    assert_eq!(all(&leaky[0].1, 2), [Field::Fixed(0.25f32.to_bits())]);
    assert_eq!(all(&leaky[0].1, 20), [Field::Int(1)]);
}

#[test]
fn tensors_are_raw_and_as_large_as_they_say() {
    let model = model();
    let graph = fields(bytes(&all(&fields(&model), 7)[0]));
    let tensors = all(&graph, 5);
    let of = |name: &str| {
        let named = |tensor: &&Field<'_>| text(&all(&fields(bytes(tensor)), 8)[0]) == name;
        fields(bytes(tensors.iter().find(named).expect(name)))
    };
    let weight = of("stem.conv1.weight");
    assert_eq!(all(&weight, 1), [2, 3, 3, 3].map(Field::Int));
    assert_eq!(all(&weight, 2), [Field::Int(1)], "floats");
    assert_eq!(bytes(&all(&weight, 9)[0]).len(), 2 * 27 * 4);
    let value = f32::from_le_bytes(bytes(&all(&weight, 9)[0])[..4].try_into().expect("four bytes"));
    let wanted = resnetc_onnx::Weights::tensor(
        &Named,
        "stem.conv1.weight",
        &[1].into(),
        &resnetc_compiler::ir::op::Recipe::Own,
    );
    assert_eq!(Ok(vec![value]), wanted);
}

#[test]
fn a_free_batch_is_a_name_and_sizes_are_numbers() {
    let model = model();
    let graph = fields(bytes(&all(&fields(&model), 7)[0]));
    let dims = |port: &Field<'_>| -> Vec<Vec<(u64, String)>> {
        let kind = fields(bytes(&all(&fields(bytes(port)), 2)[0]));
        let tensor = fields(bytes(&all(&kind, 1)[0]));
        assert_eq!(all(&tensor, 1), [Field::Int(1)], "floats");
        let shape = fields(bytes(&all(&tensor, 2)[0]));
        let dim = |field: &Field<'_>| {
            let value = |(number, value): &(u64, Field<'_>)| match value {
                Field::Int(value) => (*number, value.to_string()),
                other => (*number, text(other)),
            };
            fields(bytes(field)).iter().map(value).collect()
        };
        all(&shape, 1).iter().map(dim).collect()
    };
    let size = |size: &str| vec![(1, size.to_owned())];
    let batch = vec![(2, "batch".to_owned())];
    let (input, output) = (&all(&graph, 11)[0], &all(&graph, 12)[0]);
    assert_eq!(text(&all(&fields(bytes(input)), 1)[0]), "input");
    assert_eq!(dims(input), [batch.clone(), size("3"), size("4"), size("4")]);
    assert_eq!(text(&all(&fields(bytes(output)), 1)[0]), "logits");
    assert_eq!(dims(output), [batch, size("4")]);
}
