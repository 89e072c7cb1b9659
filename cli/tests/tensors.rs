//! `resnetc run --input --output`, and `resnetc export`: files of numbers, in and out.

mod common;

use std::path::{Path, PathBuf};

use common::{run, stderr, stdout};

const TINY: &str = "tests/specs/tiny.yaml";

/// A file as `numpy.save` writes it, with numbers that follow from their place.
fn npy(path: &Path, shape: &str, count: usize) {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend((0..count).flat_map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0).to_le_bytes()));
    std::fs::write(path, bytes).expect("written");
}

/// The numbers behind a header of NumPy's.
fn numbers(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("written by the program");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let data = &bytes[10 + length..];
    data.chunks_exact(4).map(|piece| f32::from_le_bytes(piece.try_into().expect("four bytes"))).collect()
}

/// A folder with five images, and the paths of files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        npy(&folder.path("x.npy"), "(5, 3, 32, 32)", 5 * 3 * 32 * 32);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a text").to_owned()
    }
}

#[test]
fn images_in_give_logits_out_whatever_the_batch() {
    let folder = Folder::new();
    let (x, y) = (folder.text("x.npy"), folder.text("y.npy"));
    let told = stdout(&["run", TINY, "--seed", "3", "--input", &x, "--output", &y]);
    assert_eq!(told, format!("wrote {y}: logits 5 x 10\n"));
    let whole = numbers(Path::new(&y));
    assert_eq!(whole.len(), 50);
    assert!(whole.iter().all(|value| value.is_finite()));
    assert!(whole[..10] != whole[10..20], "images differ, so do their logits");
    // Two, two and one.
    stdout(&["run", TINY, "--seed", "3", "--input", &x, "--output", &y, "--batch", "2"]);
    let parts = numbers(Path::new(&y));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * whole[0].abs().max(1.0);
    assert!(whole.iter().zip(&parts).all(near), "{whole:?} {parts:?}");
    stdout(&["run", TINY, "--input", &x, "--output", &y, "--softmax", "--device", "reference"]);
    let sum: f32 = numbers(Path::new(&y))[..10].iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn activations_are_written_by_their_names() {
    let folder = Folder::new();
    let (x, y) = (folder.text("x.npy"), folder.text("y.safetensors"));
    let args = ["run", TINY, "--input", &x, "--output", &y, "--emit-activations"];
    let told = stdout(&[&args[..], &["stem.relu1,stage1.unit0.relu2"]].concat());
    assert!(told.contains("logits 5 x 10, stem.relu1 5 x 8 x 16 x 16"), "{told}");
    let bytes = std::fs::read(&y).expect("written");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    assert_eq!(header["stem.relu1"]["shape"], serde_json::json!([5, 8, 16, 16]));
    // What was written is read again: a tensor of several is found by its name alone.
    let z = folder.text("z.npy");
    let output = run(&["run", TINY, "--input", &y, "--output", &z]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("none of which is called `input`"), "{}", stderr(&output));
}

#[test]
fn results_that_no_kernel_leaves_are_told() {
    let folder = Folder::new();
    let (x, y) = (folder.text("x.npy"), folder.text("y.safetensors"));
    let names = "stem.conv1,stem.bn1,stem.bn1.weight,stem.relu2,quatsch";
    let output = run(&["run", TINY, "--input", &x, "--output", &y, "--emit-activations", names]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("not_kept", stderr(&output));
    assert!(!Path::new(&y).exists());
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = Folder::new();
    let (x, y) = (folder.text("x.npy"), folder.text("y.npy"));
    let refused = |args: &[&str], code: i32, part: &str| {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    };
    refused(&["run", TINY, "--input", &x], 2, "--output");
    refused(&["run", TINY, "--input", &x, "--output", &y, "--train"], 2, "cannot be used with");
    refused(&["run", TINY, "--input", &x, "--output", "y.csv"], 2, "a .npy or a .safetensors");
    let emit = ["run", TINY, "--input", &x, "--output", &y, "--emit-activations", "stem.relu1"];
    refused(&emit, 2, "a .npy holds one tensor");
    refused(&["run", TINY, "--input", "none.npy", "--output", &y], 1, "none.npy: ");
    npy(&folder.path("last.npy"), "(2, 32, 32, 3)", 2 * 3 * 32 * 32);
    let last = folder.text("last.npy");
    refused(&["run", TINY, "--input", &last, "--output", &y], 1, "`x.transpose(0, 3, 1, 2)`");
    npy(&folder.path("cut.npy"), "(2, 3, 32, 32)", 100);
    let cut = folder.text("cut.npy");
    refused(&["run", TINY, "--input", &cut, "--output", &y], 1, "cut off, or damaged");
    refused(&["run", TINY, "--input", &x, "--output", &y, "--weights", &x], 1, "x.npy");
    assert!(!Path::new(&y).exists());
}

#[test]
fn a_model_is_written_whole_and_the_same_each_time() {
    let folder = Folder::new();
    let (a, b) = (folder.text("a.onnx"), folder.text("b.onnx"));
    let told = stdout(&["export", TINY, "-o", &a, "--seed", "5"]);
    let size = std::fs::metadata(&a).expect("written").len();
    assert!(told.starts_with(&format!("wrote {a}: tiny, opset 17, ")), "{told}");
    assert!(told.replace(',', "").ends_with(&format!("{size} bytes\n")), "{told}");
    stdout(&["export", TINY, "-o", &b, "--seed", "5"]);
    let read = |path: &str| std::fs::read(path).expect("written");
    assert!(read(&a) == read(&b), "the seed decides");
    stdout(&["export", TINY, "-o", &b, "--seed", "6"]);
    assert!(read(&a) != read(&b), "other weights");
    let text = String::from_utf8_lossy(&read(&a)).into_owned();
    for part in
        ["resnetc", env!("CARGO_PKG_VERSION"), "tiny, compiled from its spec", "stage1.unit0.conv1.weight"]
    {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn a_model_without_a_name_says_what_it_is_of() {
    let folder = Folder::new();
    let spec = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY)).expect("a spec");
    std::fs::write(folder.path("spec.yaml"), spec).expect("written");
    let mut command = common::resnetc(&["export", "spec.yaml", "--dynamic-batch", "--fold-bn"]);
    let output = command.current_dir(folder.0.path()).output().expect("the binary starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let name = format!("tiny-{}.onnx", env!("CARGO_PKG_VERSION"));
    assert!(folder.path(&name).exists(), "no {name}");
}

#[test]
fn models_that_cannot_be_are_refused() {
    let folder = Folder::new();
    let target = folder.text("m.onnx");
    let export = |more: &[&str]| run(&[&["export", TINY, "-o", &target], more].concat());
    for (more, code, part) in [
        (&["--opset", "16"][..], 2, "16 is not in 17..=28"),
        (&["--batch", "2", "--dynamic-batch"], 2, "cannot be used with"),
        (&["--weights", "none.safetensors"], 1, "none.safetensors"),
        (&["--batch", "0"], 2, "--batch"),
    ] {
        let output = export(more);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{more:?}: {}", stderr(&output));
    }
    assert!(!Path::new(&target).exists());
}
