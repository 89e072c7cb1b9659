//! Checkpoint files: safetensors, written whole or not at all.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::digest::{self, Digest};
use super::read::{self, METADATA_KEY, read};
use super::store::ParamStore;
use crate::error::{Error, Result};
use crate::files::{self, Staged};

pub use super::read::Metadata;

/// A store as the bytes of a safetensors file with a checksum of its content; equal stores give equal bytes.
pub fn to_bytes(store: &ParamStore, metadata: &Metadata) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Incompatible(format!("cannot write safetensors: {reason}"));
    let mut views = Vec::with_capacity(store.len());
    for (name, tensor) in store.iter() {
        let shape = tensor.shape.0.clone();
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&tensor.data))
            .map_err(|e| failed(format!("`{name}`: {e}")))?;
        views.push((name, view));
    }
    let mut digest = Digest::default();
    for (name, view) in &views {
        digest.tensor(name, view.shape());
        digest.elements(view.data());
    }
    let mut metadata = metadata.clone();
    metadata.insert(digest::KEY.to_owned(), digest.finish(&metadata));
    let metadata = serde_json::to_string(&metadata).map_err(|e| failed(e.to_string()))?;
    let entry = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    safetensors::serialize(views, Some(entry)).map_err(|e| failed(e.to_string()))
}

/// The store in the bytes of a safetensors file; `path` is for messages.
pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<(ParamStore, Metadata)> {
    read(path, bytes, bytes.len() as u64)
}

/// Writes a checkpoint atomically.
pub fn save(path: &Path, store: &ParamStore, metadata: &Metadata) -> Result<()> {
    write_atomic(path, &to_bytes(store, metadata)?)
}

/// Reads a checkpoint.
pub fn load(path: &Path) -> Result<(ParamStore, Metadata)> {
    let (content, size) = files::open(path).map_err(Error::io(path))?;
    read(path, content, size)
}

/// Floating-point numbers in a checkpoint, which is not read further than its header.
pub fn numbers(path: &Path) -> Result<usize> {
    let (content, size) = files::open(path).map_err(Error::io(path))?;
    read::numbers(path, content, size)
}

/// The facts beside a checkpoint's tensors, which is not read further than its header.
pub fn metadata(path: &Path) -> Result<Metadata> {
    let (content, size) = files::open(path).map_err(Error::io(path))?;
    read::metadata(path, content, size)
}

/// Writes a file so that at any time, power cuts included, the path holds the old contents or the new, never a part:
/// a temporary file beside it, synced, renamed over it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_after(path, bytes, || Ok(()))
}

/// The same; `clear` is called when the new contents are on the disk, right before the path shows them.
pub fn write_atomic_after(path: &Path, bytes: &[u8], clear: impl FnOnce() -> Result<()>) -> Result<()> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut staged = Staged::beside(path).map_err(failed)?;
    staged.file().write_all(bytes).and_then(|()| staged.file().sync_all()).map_err(failed)?;
    clear()?;
    staged.persist(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use half::bf16;
    use resnetc_compiler::ir::types::Shape;

    use super::*;

    fn store() -> ParamStore {
        let mut store = ParamStore::new();
        store.insert("fc.weight", Shape::from([2, 3]), vec![1.0, -2.0, 3.5, 0.0, f32::MIN_POSITIVE, 1e30]);
        store.insert("fc.bias", Shape::from([2]), vec![0.25, -0.0]);
        store
    }

    #[test]
    fn a_store_survives_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        let metadata = Metadata::from([("epoch".into(), "3".into()), ("network".into(), "tiny".into())]);
        save(&path, &ParamStore::new(), &Metadata::new()).expect("written");
        save(&path, &store(), &metadata).expect("replaced");
        assert_eq!(load(&path).expect("read"), (store(), metadata));
        assert_eq!(numbers(&path).expect("read"), 8);
        let names = fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(names, 1, "no temporary file is left");
    }

    #[test]
    fn equal_stores_make_equal_bytes() {
        let metadata: Metadata = (0..20).map(|i| (format!("key{i}"), i.to_string())).collect();
        let bytes = to_bytes(&store(), &metadata).expect("serialised");
        assert_eq!(bytes, to_bytes(&store(), &metadata).expect("serialised"));
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let metadata = Metadata::from([("training".into(), "step 3".into())]);
        let bytes = to_bytes(&store(), &metadata).expect("serialised");
        let whole = from_bytes(Path::new("x"), &bytes).expect("read");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = from_bytes(Path::new("x"), &damaged) {
                // A bit of the keys that lead to the digest hides it, but changes nothing else.
                assert_eq!(read.0, whole.0, "bit {bit}");
            }
        }
        let mut damaged = bytes.clone();
        *damaged.last_mut().expect("elements") ^= 1;
        let error = from_bytes(Path::new("x"), &damaged).expect_err("damaged").to_string();
        assert_eq!(error, "x: it is damaged: its content has not the checksum that it was written with");
    }

    #[test]
    fn half_precision_is_read() {
        let halves: Vec<bf16> = [1.5f32, -0.25].map(bf16::from_f32).to_vec();
        let view = TensorView::new(Dtype::BF16, vec![2], bytemuck::cast_slice(&halves)).expect("a view");
        let bytes = safetensors::serialize([("x", view)], None).expect("serialised");
        let (store, _) = from_bytes(Path::new("x"), &bytes).expect("read");
        assert_eq!(store.get("x").expect("there").data, [1.5, -0.25]);
    }

    #[test]
    fn files_from_before_norms_had_weights_load() {
        let mut old = ParamStore::new();
        for name in ["stem.bn1.scale", "optimizer.velocity.stem.bn1.shift", "stem.conv1.weight"] {
            old.insert(name, Shape::from([1]), vec![1.0]);
        }
        let bytes = to_bytes(&old, &Metadata::new()).expect("serialised");
        let (store, _) = from_bytes(Path::new("x"), &bytes).expect("read");
        let names: Vec<&str> = store.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["optimizer.velocity.stem.bn1.bias", "stem.bn1.weight", "stem.conv1.weight"]);
    }

    #[test]
    fn counters_beside_the_weights_are_left_out() {
        let steps = 3i64.to_le_bytes();
        let weights = [1.5f32.to_le_bytes(), 2.5f32.to_le_bytes()].concat();
        let views = [
            ("bn1.num_batches_tracked", TensorView::new(Dtype::I64, vec![], &steps).expect("a view")),
            ("bn1.weight", TensorView::new(Dtype::F32, vec![2], &weights).expect("a view")),
        ];
        let bytes = safetensors::serialize(views, None).expect("serialised");
        let (store, _) = from_bytes(Path::new("x"), &bytes).expect("read");
        assert_eq!(store.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["bn1.weight"]);
        let found = store.expect("bn1.num_batches_tracked", &Shape::from([])).expect_err("no floats");
        let expected =
            "tensor `bn1.num_batches_tracked` is of type I64 in the checkpoint, the network needs floats";
        assert_eq!(found.to_string(), expected);
    }

    #[test]
    fn other_files_are_refused() {
        let bytes = to_bytes(&store(), &Metadata::new()).expect("serialised");
        for wrong in [&b"not a checkpoint"[..], &[], &bytes[..bytes.len() - 1]] {
            let error = from_bytes(Path::new("model.safetensors"), wrong).expect_err("refused");
            let text = error.to_string();
            assert!(text.starts_with("model.safetensors: no safetensors file"), "{text}");
        }
    }

    /// A file with that header and room for its data, which is a hole.
    fn with_header(header: &str, data: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        let start = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&start, header.as_bytes()].concat()).expect("written");
        let file = File::options().write(true).open(&path).expect("there");
        file.set_len(8 + header.len() as u64 + data).expect("a hole");
        (folder, path)
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_unread() {
        const TERABYTES: u64 = 1 << 42;
        let large =
            format!(r#"{{"x":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{TERABYTES}]}}}}"#, 1u64 << 40);
        let (_folder, path) = with_header(&large, TERABYTES);
        let error = load(&path).expect_err("too large").to_string();
        assert!(error.contains("it has 1099511627776 numbers, the largest networks have "), "{error}");
        // More than the header tells of: another file altogether, such as zeros without end.
        let small = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        for (header, reason) in
            [(small, "cut off, or damaged"), ("", "its header: "), ("{}", "by its header 10: ")]
        {
            let (_folder, path) = with_header(header, TERABYTES);
            let error = load(&path).expect_err("not what the header tells").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_header_beyond_the_file_is_refused() {
        for length in [1u64 << 62, 100_000_001, 3] {
            let error = from_bytes(Path::new("x"), &[&length.to_le_bytes()[..], b"{}"].concat());
            let error = error.expect_err("no such header").to_string();
            assert!(error.ends_with(&format!("its header cannot be {length} bytes long")), "{error}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = load(folder.path()).expect_err("a folder").to_string();
        assert!(error.ends_with("it is a folder, no regular file"), "{error}");
        if cfg!(unix) {
            let error = load(Path::new("/dev/zero")).expect_err("a device").to_string();
            assert_eq!(error, "/dev/zero: it is a device, no regular file");
        }
    }

    #[test]
    fn tensors_larger_than_what_is_read_at_a_time_are_whole() {
        let data: Vec<f32> = (0..600_001).map(|i| i as f32).collect();
        let mut store = ParamStore::new();
        store.insert("x", Shape::from([data.len()]), data);
        let bytes = to_bytes(&store, &Metadata::new()).expect("serialised");
        assert_eq!(from_bytes(Path::new("x"), &bytes).expect("read").0, store);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nowhere/model.safetensors")).expect_err("refused");
        assert!(error.to_string().starts_with("/nowhere/model.safetensors: "), "{error}");
    }
}
