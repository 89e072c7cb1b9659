//! Files that are damaged, or made to do harm: each is refused with what is wrong, in little memory.

mod common;

use common::pickle::{Pickle, Tensor};
use common::zip::{self, Entry};
use common::{archive, bytes, legacy, read, refused, safetensors, state};
use resnetc_weights::Fault;

const FLOATS: &[f32] = &[1.0, 2.0, 3.0, 4.0];

fn one() -> Tensor {
    Tensor::new("a", "7", &[4])
}

/// Why a pickle is refused, in either format.
fn of_pickle(object: Vec<u8>) -> String {
    with(&[], object)
}

/// The same with storages beside it.
fn with(storages: &[(&str, &[f32])], object: Vec<u8>) -> String {
    let both = [archive(&object, storages), legacy(&object, storages)];
    let [reason, other] = both.map(|file| refused(file).to_string());
    assert_eq!(reason, other);
    reason
}

#[test]
fn nothing_is_called() {
    for (module, name) in [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("torch.hub", "load")] {
        let object = Pickle::new().global(module, name).mark().text("touch /tmp/x").tuple().call().stop();
        let reason = of_pickle(object);
        assert!(reason.contains(&format!("`{module}.{name}`, which is not on the list")), "{reason}");
    }
    // By the newer instruction, and by names that are assembled.
    let object = Pickle::new().text("posix").text("system").raw(&[0x93]).stop();
    assert!(of_pickle(object).contains("`posix.system`"));
    // INST, OBJ, EXT1: instructions that call or name in other ways.
    for op in [b'i', b'o', 0x82, b'P', b'I'] {
        let reason = of_pickle(Pickle::new().raw(&[op]).stop());
        assert!(reason.contains(&format!("instruction 0x{op:02x}")), "{reason}");
    }
    let module = Pickle::new().global("torchvision.models.resnet", "ResNet").stop();
    assert!(of_pickle(module).contains("save its `state_dict()`"));
}

#[test]
fn nonsense_is_told_where_it_is() {
    let cases: &[(Pickle, &str)] = &[
        (Pickle::new().raw(b"R"), "byte 2: it takes a value where there is none"),
        (Pickle::new().raw(b"t"), "a mark where there is none"),
        (Pickle::new().none().mark().raw(b"0"), "a value where there is none"),
        (Pickle::new().raw(b"h\x05"), "what it has not kept"),
        (Pickle::new().none().empty_tuple().call(), "calls what cannot be called"),
        (Pickle::new().global("collections", "OrderedDict").none().call(), "what are no arguments"),
        (Pickle::new().none().none().raw(b"a"), "no container of that kind"),
        (Pickle::new().empty_dict().mark().none().set_items(), "a key that has no value"),
        (Pickle::new().none().raw(b"Q"), "a storage that is none"),
        (Pickle::new().raw(&[0x80, 9]), "protocol 9 is not read"),
        (Pickle::new().none().none().raw(b"b"), "a state to what has none"),
    ];
    for (pickle, reason) in cases {
        let found = of_pickle([pickle.bytes(), b"."].concat());
        assert!(found.contains(reason), "{found}");
    }
}

#[test]
fn sizes_that_overflow_and_tensors_outside_are_refused() {
    let wide = |tensor: Tensor| with(&[("7", FLOATS)], state(&[tensor]));
    let cases = [
        (Tensor { sizes: vec![5], ..one() }, "it has 5 elements, of which the file holds 4"),
        (Tensor { offset: 1, ..one() }, "number 4 of a storage that has 4"),
        (Tensor { offset: i64::MAX, ..one() }, "of a storage that has 4"),
        (Tensor { strides: vec![i64::MAX], ..one() }, "overflow"),
        (Tensor { offset: -1, ..one() }, "a size of -1"),
        (Tensor { sizes: vec![-4], ..one() }, "a size of -4"),
        (Tensor { sizes: vec![i64::MAX, 4], strides: vec![4, 1], ..one() }, "overflow"),
        (Tensor { sizes: vec![1 << 40], strides: vec![0], ..one() }, "of which the file holds 4"),
        (Tensor { strides: vec![], ..one() }, "1 dimensions and 0 strides"),
        (Tensor { storage: "QInt8Storage", ..one() }, "which is not on the list"),
    ];
    for (tensor, reason) in cases {
        let found = wide(tensor);
        assert!(found.contains(reason), "{found}");
    }
    let more = state(&[Tensor { elements: 1 << 60, ..one() }]);
    assert!(
        refused(archive(&more, &[("7", FLOATS)]))
            .to_string()
            .contains("has 4 elements, not 1152921504606846976")
    );
    assert!(refused(legacy(&more, &[("7", FLOATS)])).to_string().contains("has 4 elements, not"));
    let absent = state(&[Tensor { key: "9", ..one() }]);
    assert!(
        refused(archive(&absent, &[("7", FLOATS)])).to_string().contains("no `net/data/9` in the archive")
    );
    let twice = legacy(&state(&[one()]), &[("7", FLOATS), ("7", FLOATS)]);
    assert!(refused(twice).to_string().contains("is there twice"));
}

#[test]
fn deep_large_and_circular_pickles_cost_little() {
    // A million tuples in each other: what is dropped or walked recursively overflows the stack.
    let deep = Pickle::new().empty_tuple().raw(&vec![0x85; 1_000_000]).stop();
    assert!(of_pickle(deep).contains("no dictionary"));
    // A dictionary that contains itself under the key that is looked through.
    let round = Pickle::new().empty_dict().raw(b"q\x00").text("model").raw(b"h\x00").set_item().stop();
    assert!(of_pickle(round).contains("nested too deep"));
    // Each tuple holds the one before twice: 2^64 values, if they were copied.
    let laughs = (0..64)
        .fold(Pickle::new().empty_dict().text("a").empty_tuple(), |pickle, _| pickle.raw(b"2").raw(&[0x86]));
    assert!(of_pickle(laughs.set_item().stop()).contains("its keys are `a`"));
    // A list that is named again and again, copied each time.
    let list = Pickle::new().empty_list().raw(b"q\x00(").raw(&b"NN\x86".repeat(10_000)).append_all();
    let again =
        Pickle::new().global("collections", "OrderedDict").raw(b"h\x00\x85R0").bytes()[2..].repeat(300);
    assert!(of_pickle(list.raw(&again).stop()).contains("copies more than 2097152 values"));
    // A long key that is left alone a thousand times.
    let key = "k".repeat(100_000);
    let keys = Pickle::new().text(&key).raw(b"q\x000}(").raw(&b"h\x00N".repeat(1000)).set_items().stop();
    let reason = of_pickle(keys);
    assert!(reason.len() < 2000 && reason.contains("kkk..."), "{reason}");
    let many = Pickle::new().raw(&b"N0".repeat(3_000_000)).none().stop();
    assert!(of_pickle(many).contains("more than 2097152 values"));
    let long = Pickle::new().none().raw(&b"20".repeat(5_000_000)).stop();
    assert!(of_pickle(long).contains("more than 8388608 instructions"));
    // Lengths that are not there.
    for start in [&b"X\xff\xff\xff\xff"[..], b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f"]
    {
        assert!(of_pickle(Pickle::new().raw(start).stop()).contains("ends within its pickle"));
    }
}

#[test]
fn zip_bombs_are_refused_unpacked_by_nobody() {
    let plain = Entry::new("a/data.pkl", &state(&[one()]));
    let deflated = Entry { method: 8, size: Some(u32::MAX - 1), ..Entry::new("a/data/7", &[0; 16]) };
    let found = refused(zip::archive(&[plain.clone(), deflated])).to_string();
    assert!(found.contains("`a/data/7` is compressed or encrypted"), "{found}");
    // Many entries that are the same bytes.
    let first = Entry::new("a/data/7", &bytes(FLOATS));
    let at = (30 + plain.name.len() + plain.content.len()) as u32;
    let again = Entry { at: Some(at), content: first.content.clone(), ..Entry::new("a/data/8", &[]) };
    let found = refused(zip::archive(&[plain.clone(), first, again])).to_string();
    assert!(found.contains("`a/data/7` and `a/data/8` overlap"), "{found}");
    let far = Entry { at: Some(1 << 30), ..Entry::new("a/data/7", &bytes(FLOATS)) };
    assert!(refused(zip::archive(&[plain.clone(), far])).to_string().contains("lies outside of the file"));
    assert!(refused(zip::archive(&[plain.clone(), plain])).to_string().contains("two entries `a/data.pkl`"));
    let other = zip::archive(&[Entry::new("word/document.xml", b"<x/>")]);
    assert!(refused(other).to_string().contains("no `data.pkl` in it, but word/document.xml"));
}

/// Any end that is missing is told, never a panic, never tensors that are not there.
#[test]
fn files_that_are_cut_off_are_refused() {
    let tensors = [one(), Tensor::new("b", "8", &[4])];
    let storages = [("7", FLOATS), ("8", FLOATS)];
    for whole in [legacy(&state(&tensors), &storages), archive(&state(&tensors), &storages)] {
        read(whole.clone()).expect("whole");
        for length in 0..whole.len() {
            refused(whole[..length].to_vec());
        }
    }
}

/// A changed byte gives an error or tensors, never a panic or memory without bound.
#[test]
fn damaged_files_do_not_panic() {
    let tensors = [one(), Tensor::new("b", "8", &[2, 2])];
    let storages = [("7", FLOATS), ("8", FLOATS)];
    for whole in [legacy(&state(&tensors), &storages), archive(&state(&tensors), &storages)] {
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= change;
                if let Ok(file) = read(damaged) {
                    file.list().keys().for_each(|name| drop(file.floats(name)));
                }
            }
        }
    }
}

#[test]
fn safetensors_that_lie_are_refused() {
    let tensor = |shape: &str, first: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{first},{end}]}}"#)
    };
    let file = |header: String| safetensors(&header, &[0; 16]);
    let cases = [
        (format!(r#"{{"a":{},"b":{}}}"#, tensor("[4]", 0, 16), tensor("[2]", 8, 16)), "no safetensors file"),
        (format!(r#"{{"a":{}}}"#, tensor("[5]", 0, 20)), "by its header"),
        (format!(r#"{{"a":{}}}"#, tensor("[5]", 0, 16)), "no safetensors file"),
        (format!(r#"{{"a":{}}}"#, tensor("[18446744073709551615,2]", 0, 16)), "no safetensors file"),
        (format!(r#"{{"a":{}}}"#, tensor("[4]", 16, 0)), "no safetensors file"),
        (
            r#"{"a":{"dtype":"F8_E4M3","shape":[16],"data_offsets":[0,16]}}"#.to_owned(),
            "no weights are of type",
        ),
        (r#"{"a":"#.to_owned(), "no safetensors file"),
    ];
    for (header, reason) in cases {
        let found = refused(file(header)).to_string();
        assert!(found.contains(reason), "{found}");
    }
    let beyond = [&1000u64.to_le_bytes()[..], b"{}"].concat();
    assert_eq!(refused(beyond), Fault::Truncated("its header"));
}

#[test]
fn other_files_are_told_what_they_are() {
    for (bytes, told) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "git lfs pull"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"", "it is empty"),
        (b"abcd", "it begins with 61 62 63 64"),
    ] {
        let found = refused(bytes.to_vec()).to_string();
        assert!(found.contains(told), "{found}");
    }
    let other = Pickle::new().empty_dict().text("a").none().set_item().stop();
    assert!(refused(other).to_string().contains("not of `torch.save`"));
}
