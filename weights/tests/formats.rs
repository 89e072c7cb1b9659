//! Every format that is read, and what people wrap weights in.

mod common;

use common::pickle::{Pickle, Tensor};
use common::zip::{self, Entry};
use common::{archive, bytes, legacy, read, safetensors, state};
use resnetc_weights::{DType, Format, TensorFile};

const FIRST: &[f32] = &[1.0, -2.0, 3.0, 4.5, 5.0, 6.0];
const SECOND: &[f32] = &[0.25, -0.5];

fn two() -> [Tensor; 2] {
    [Tensor::new("conv1.weight", "7", &[3, 2]), Tensor::new("bn1.bias", "8", &[2])]
}

fn check(file: &TensorFile, format: Format) {
    assert_eq!(file.format(), format);
    let list = file.list();
    assert_eq!(list.keys().collect::<Vec<_>>(), ["bn1.bias", "conv1.weight"]);
    assert_eq!((list["conv1.weight"].dtype, &list["conv1.weight"].shape[..]), (DType::F32, &[3, 2][..]));
    assert_eq!(*file.floats("conv1.weight").expect("there"), *FIRST);
    assert_eq!(*file.floats("bn1.bias").expect("there"), *SECOND);
    assert!(file.floats("bn1.weight").is_none());
}

#[test]
fn both_formats_of_pytorch_are_read() {
    let storages = [("7", FIRST), ("8", SECOND)];
    check(&read(legacy(&state(&two()), &storages)).expect("legacy"), Format::TorchLegacy);
    check(&read(archive(&state(&two()), &storages)).expect("zip"), Format::TorchZip);
}

#[test]
fn archives_of_64_bits_are_read() {
    let entries = [
        Entry::new("net/data.pkl", &state(&two())),
        Entry::new("net/data/7", &bytes(FIRST)),
        Entry::new("net/data/8", &bytes(SECOND)),
    ];
    check(&read(zip::archive64(&entries)).expect("zip64"), Format::TorchZip);
}

#[test]
fn strides_and_shared_storages_are_honoured() {
    let transposed = Tensor { strides: vec![1, 3], ..Tensor::new("t", "7", &[3, 2]) };
    let part = Tensor { offset: 2, elements: 6, ..Tensor::new("p", "7", &[2]) };
    let file = read(legacy(&state(&[transposed, part]), &[("7", FIRST)])).expect("legacy");
    assert_eq!(*file.floats("t").expect("there"), [1.0, 4.5, -2.0, 5.0, 3.0, 6.0]);
    assert_eq!(*file.floats("p").expect("there"), [3.0, 4.5]);
}

#[test]
fn wrappers_and_prefixes_are_taken_off_and_told() {
    let named = |name| Tensor::new(name, "7", &[6]);
    let tensors = [named("module._orig_mod.a.weight"), named("module._orig_mod.b.weight")];
    let wrapped = Pickle::new().empty_dict().mark().text("epoch").int(3).text("best").raw(b"G").raw(&[0; 8]);
    let wrapped = wrapped.text("model").empty_dict().mark().text("state_dict").ordered(&tensors).set_items();
    let file = read(archive(&wrapped.set_items().stop(), &[("7", FIRST)])).expect("zip");
    assert_eq!(file.unwrapped(), ["model", "state_dict", "module.", "_orig_mod."]);
    assert_eq!(file.left_alone(), ["epoch", "best"]);
    assert_eq!(file.list().into_keys().collect::<Vec<_>>(), ["a.weight", "b.weight"]);
}

#[test]
fn settings_beside_the_weights_are_passed_over() {
    let object = Pickle::new().empty_dict().mark().text("args").global("argparse", "Namespace").empty_tuple();
    let object = object.raw(&[0x81]).empty_dict().text("lr").int(1).set_item().raw(b"b");
    let object = object.text("state_dict").ordered(&[Tensor::new("a", "7", &[6])]).set_items();
    let file = read(archive(&object.stop(), &[("7", FIRST)])).expect("zip");
    assert_eq!(file.left_alone(), ["args"]);
}

#[test]
fn parameters_and_every_type_are_read() {
    let half = Tensor { storage: "HalfStorage", ..Tensor::new("h", "1", &[2]) };
    let count = Tensor { storage: "LongStorage", ..Tensor::new("n", "2", &[]) };
    let object = Pickle::new().empty_dict().mark().text("h").global("torch._utils", "_rebuild_parameter");
    let object = object.mark().tensor(&half).truth(true).none().tuple().call();
    let object = object.text("n").tensor(&Tensor { elements: 1, ..count }).set_items().stop();
    let entries = [
        Entry::new("a/data.pkl", &object),
        Entry::new("a/data/1", &[0x00, 0x3e, 0x00, 0xb4]),
        Entry::new("a/data/2", &7i64.to_le_bytes()),
    ];
    let file = read(zip::archive(&entries)).expect("zip");
    assert_eq!(*file.floats("h").expect("there"), [1.5, -0.25]);
    assert!(file.floats("n").is_none(), "whole numbers are no weights");
    assert!(!file.list()["n"].dtype.is_float());
}

/// What fuzzing begins with (`scripts/fuzz`): one file of each format. UPDATE_SEEDS=1 writes them.
#[test]
fn seeds_of_the_fuzzer_are_files_that_are_read() {
    let storages = [("7", FIRST), ("8", SECOND)];
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let entries = [Entry::new("n/data.pkl", &state(&two()[1..])), Entry::new("n/data/8", &bytes(SECOND))];
    for (name, file) in [
        ("legacy", legacy(&state(&two()), &storages)),
        ("zip", archive(&state(&two()), &storages)),
        ("zip64", zip::archive64(&entries)),
        ("safetensors", safetensors(header, &bytes(SECOND))),
    ] {
        let path = format!("{}/../fuzz/seeds/weights/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::create_dir_all(format!("{}/../fuzz/seeds/weights", env!("CARGO_MANIFEST_DIR")))
                .expect("made");
            std::fs::write(&path, &file).expect("written");
        }
        assert!(
            std::fs::read(&path).expect("there") == file,
            "{path} is out of date: run with UPDATE_SEEDS=1"
        );
        read(file).expect("whole");
    }
}

/// Opens as the tests may: the library asks its caller how.
fn open(path: &std::path::Path) -> std::io::Result<(std::fs::File, u64)> {
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[test]
fn safetensors_in_several_files_are_read_by_their_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let part = |name: &str, tensor: &str, shape: &str, floats: &[f32]| {
        let end = floats.len() * 4;
        let header = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        std::fs::write(folder.path().join(name), safetensors(&header, &bytes(floats))).expect("written");
    };
    part("a.safetensors", "conv1.weight", "[3,2]", FIRST);
    part("b.safetensors", "bn1.bias", "[2]", SECOND);
    let index = folder.path().join("model.safetensors.index.json");
    let write =
        |map: &str| std::fs::write(&index, format!(r#"{{"weight_map":{{{map}}}}}"#)).expect("written");
    write(r#""conv1.weight":"a.safetensors","bn1.bias":"b.safetensors""#);
    check(&TensorFile::map(&index, &open).expect("both"), Format::Sharded(2));
    for (map, reason) in [
        (r#""x":"a.safetensors""#, "the index has it here, and it is not"),
        (r#""x":"../a.safetensors""#, "no name of a file beside it"),
        (r#""x":"/etc/passwd""#, "no name of a file beside it"),
        (r#""x":"gone.safetensors""#, "gone.safetensors: "),
        (r#""x":3"#, "no index of safetensors files"),
    ] {
        write(map);
        let error = TensorFile::map(&index, &open).expect_err("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
    let alone = TensorFile::map(&folder.path().join("a.safetensors"), &open).expect("one");
    assert_eq!((alone.format(), alone.list().len()), (Format::Safetensors, 1));
}
