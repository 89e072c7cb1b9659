//! Checkpoint files: safetensors, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use resnetc_compiler::ir::types::Shape;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use super::layout::elements;
use super::store::ParamStore;
use crate::error::{Error, Result};

/// Facts beside the tensors: network, epoch, versions.
pub type Metadata = BTreeMap<String, String>;

/// The one entry of the file's own metadata: a JSON object in it keeps its keys in order, so that equal stores make
/// equal files.
const METADATA_KEY: &str = "resnetc";

/// Key of the content's digest in the metadata.
const DIGEST: &str = "sha256";

/// A store as the bytes of a safetensors file with a digest of its content; equal stores give equal bytes.
pub fn to_bytes(store: &ParamStore, metadata: &Metadata) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Incompatible(format!("cannot write safetensors: {reason}"));
    let mut views = Vec::with_capacity(store.len());
    for (name, tensor) in store.iter() {
        let shape = tensor.shape.0.clone();
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&tensor.data))
            .map_err(|e| failed(format!("`{name}`: {e}")))?;
        views.push((name, view));
    }
    let tensors = views.iter().map(|(name, view)| (*name, view.shape(), view.data()));
    let mut metadata = metadata.clone();
    metadata.insert(DIGEST.to_owned(), digest(tensors, &metadata));
    let metadata = serde_json::to_string(&metadata).map_err(|e| failed(e.to_string()))?;
    let entry = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    safetensors::serialize(views, Some(entry)).map_err(|e| failed(e.to_string()))
}

/// The store in the bytes of a safetensors file; `path` is for messages. Tensors of whole numbers are left out: PyTorch counts
/// steps in one beside each batch normalisation, and networks have none.
pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<(ParamStore, Metadata)> {
    let failed = |reason: String| Error::NotSafetensors { path: path.to_owned(), reason };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| failed(e.to_string()))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| failed(e.to_string()))?;
    let mut store = ParamStore::new();
    for (name, view) in tensors.iter() {
        if is_integer(view.dtype()) {
            store.leave_out(name, format!("{:?}", view.dtype()));
            continue;
        }
        let data = floats(&view).ok_or_else(|| failed(format!("`{name}` is of type {:?}", view.dtype())))?;
        store.insert(today(name), Shape(view.shape().to_vec()), data);
    }
    let mut metadata: Metadata =
        match header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)) {
            Some(text) => serde_json::from_str(text).map_err(|e| failed(format!("its metadata: {e}")))?,
            None => Metadata::new(),
        };
    if let Some(written) = metadata.remove(DIGEST) {
        check_digest(path, &tensors, &metadata, &written)?;
    }
    Ok((store, metadata))
}

fn check_digest(path: &Path, tensors: &SafeTensors<'_>, metadata: &Metadata, written: &str) -> Result<()> {
    let mut views = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let views = views.iter().map(|(name, view)| (&**name, view.shape(), view.data()));
    if digest(views, metadata) == written {
        return Ok(());
    }
    let reason = "it is damaged: its content has not the checksum that it was written with".to_owned();
    Err(Error::Checkpoint { path: path.to_owned(), reason })
}

/// SHA-256 of all names, sizes and elements in the names' order, and of the metadata.
fn digest<'t>(
    tensors: impl Iterator<Item = (&'t str, &'t [usize], &'t [u8])>,
    metadata: &Metadata,
) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (name, shape, data) in tensors {
        part(name.as_bytes());
        part(format!("{shape:?}").as_bytes());
        part(data);
    }
    for (key, value) in metadata {
        part(key.as_bytes());
        part(value.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name by which a tensor goes today: at first, a normalisation's `weight` was called `scale`, its `bias` `shift`.
fn today(name: &str) -> String {
    let renamed = [(".scale", ".weight"), (".shift", ".bias")];
    let stem = |(before, now): (&str, &str)| name.strip_suffix(before).map(|stem| format!("{stem}{now}"));
    renamed.into_iter().find_map(stem).unwrap_or_else(|| name.to_owned())
}

fn is_integer(dtype: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Some(elements(bytes)),
        Dtype::F64 => Some(elements::<f64>(bytes).iter().map(|&x| x as f32).collect()),
        Dtype::F16 => Some(elements::<f16>(bytes).iter().map(|x| x.to_f32()).collect()),
        Dtype::BF16 => Some(elements::<bf16>(bytes).iter().map(|x| x.to_f32()).collect()),
        _ => None,
    }
}

/// Writes a checkpoint atomically.
pub fn save(path: &Path, store: &ParamStore, metadata: &Metadata) -> Result<()> {
    write_atomic(path, &to_bytes(store, metadata)?)
}

/// Reads a checkpoint.
pub fn load(path: &Path) -> Result<(ParamStore, Metadata)> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    from_bytes(path, &bytes)
}

/// Writes a file so that at any time, power cuts included, the path holds the old contents or the new, never a part:
/// a temporary file beside it, synced, renamed over it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_after(path, bytes, || Ok(()))
}

/// The same; `clear` is called when the new contents are on the disk, right before the path shows them.
pub fn write_atomic_after(path: &Path, bytes: &[u8], clear: impl FnOnce() -> Result<()>) -> Result<()> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = stage(folder, bytes).map_err(failed)?;
    clear()?;
    file.persist(path).map_err(|e| failed(e.error))?;
    // The rename itself is durable once the folder is synced; folders cannot be opened everywhere.
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(())
}

/// A temporary file with these contents, on the disk.
fn stage(folder: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".resnetc-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual mode of a new file (the umask still applies), not a private one.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // The error would name the file that could not be made, whose name says nothing to anyone.
    let unnamed = |e: io::Error| match e.get_ref().and_then(|inner| inner.source()).map(ToString::to_string) {
        Some(cause) => io::Error::new(e.kind(), cause),
        None => e,
    };
    let mut file = builder.tempfile_in(folder).map_err(unnamed)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("/nowhere/model.safetensors")).expect_err("refused");
        assert!(error.to_string().starts_with("/nowhere/model.safetensors: "), "{error}");
    }
}
