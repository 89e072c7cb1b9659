//! A file of named tensors, whatever program wrote it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::dtype::DType;
use crate::error::{Error, Fault, Result};
use crate::map::Content;
use crate::safetensors;
use crate::tensor::Place;
use crate::torch::{self, Layout};

/// Opens a regular file and tells its size: how files are opened, the caller knows.
pub type Open<'o> = &'o dyn Fn(&Path) -> io::Result<(File, u64)>;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One safetensors file.
    Safetensors,
    /// An index, and so many safetensors files beside it.
    Sharded(usize),
    /// `torch.save` since PyTorch 1.6.
    TorchZip,
    /// `torch.save` before.
    TorchLegacy,
}

/// A tensor of a file, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Type of its elements in the file.
    pub dtype: DType,
    /// Its sizes.
    pub shape: Vec<usize>,
}

/// Named tensors in one file or several. It stays open: elements are read when they are asked for.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    format: Format,
    contents: Vec<Content>,
    tensors: BTreeMap<String, Place>,
    metadata: BTreeMap<String, String>,
    unwrapped: Vec<String>,
    left_alone: Vec<String>,
}

/// What training programs put before every name.
const PREFIXES: &[&str] = &["module.", "_orig_mod.", "model.", "net.", "network.", "ema.", "backbone."];

impl TensorFile {
    /// Opens a file: maps it, and checks that all of its tensors are there.
    ///
    /// # Errors
    /// The system's; where it is no file of tensors, or a damaged one.
    pub fn map(path: &Path, open: Open<'_>) -> Result<Self> {
        let content = mapped(path, open)?;
        let json = content.trim_ascii_start().first() == Some(&b'{');
        if json && !safetensors::is_safetensors(&content) {
            return Self::sharded(path, &content, open);
        }
        Self::of(path, content)
    }

    /// The same of bytes; `path` is for messages.
    ///
    /// # Errors
    /// Where they are no file of tensors, or of a damaged one.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        Self::of(path, Content::Read(bytes))
    }

    fn of(path: &Path, content: Content) -> Result<Self> {
        let failed = |fault| Error::File { path: path.to_owned(), fault };
        let mut file = TensorFile::empty(path, Format::Safetensors);
        match torch::layout(&content) {
            Some(layout) => {
                let state = torch::read(&content, layout).map_err(failed)?;
                file.format = if layout == Layout::Zip { Format::TorchZip } else { Format::TorchLegacy };
                file.tensors = state.tensors;
                file.unwrapped = state.wrappers;
                file.left_alone = state.others;
            }
            None if safetensors::is_safetensors(&content) => {
                (file.tensors, file.metadata) = safetensors::read(&content, 0).map_err(failed)?;
            }
            None => return Err(failed(Fault::Unknown(begins(&content)))),
        }
        file.contents.push(content);
        file.strip_prefixes();
        Ok(file)
    }

    fn sharded(path: &Path, index: &[u8], open: Open<'_>) -> Result<Self> {
        let failed = |path: &Path, fault| Error::File { path: path.to_owned(), fault };
        let parts = safetensors::index(index).map_err(|fault| failed(path, fault))?;
        let mut file = TensorFile::empty(path, Format::Sharded(parts.len()));
        for (number, (name, tensors)) in parts.into_iter().enumerate() {
            let part = path.with_file_name(name);
            let content = mapped(&part, open)?;
            let (mut found, metadata) =
                safetensors::read(&content, number).map_err(|fault| failed(&part, fault))?;
            for tensor in tensors {
                let missing =
                    || failed(&part, Fault::tensor(&tensor, "the index has it here, and it is not"));
                let place = found.remove(&tensor).ok_or_else(missing)?;
                file.tensors.insert(tensor, place);
            }
            file.metadata.extend(metadata);
            file.contents.push(content);
        }
        file.strip_prefixes();
        Ok(file)
    }

    fn empty(path: &Path, format: Format) -> Self {
        TensorFile {
            path: path.to_owned(),
            format,
            contents: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: BTreeMap::new(),
            unwrapped: Vec::new(),
            left_alone: Vec::new(),
        }
    }

    /// Takes away what all names begin with.
    fn strip_prefixes(&mut self) {
        let common = |tensors: &BTreeMap<String, Place>| {
            let all =
                |prefix: &str| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(prefix));
            PREFIXES.iter().copied().find(|prefix| all(prefix))
        };
        // Names that are nothing but prefixes would be copied as often as they have some.
        while let Some(prefix) = common(&self.tensors).filter(|_| self.unwrapped.len() < 16) {
            let tensors = std::mem::take(&mut self.tensors);
            let stripped = tensors.into_iter().map(|(name, place)| (name[prefix.len()..].to_owned(), place));
            self.tensors = stripped.collect();
            self.unwrapped.push(prefix.to_owned());
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Keys and prefixes that were around the tensors' names, outermost first: `state_dict`, `module.`.
    pub fn unwrapped(&self) -> &[String] {
        &self.unwrapped
    }

    /// Keys of what is in it beside the tensors, and was left alone.
    pub fn left_alone(&self) -> &[String] {
        &self.left_alone
    }

    /// Facts that safetensors keep beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All tensors by name, in the names' order.
    pub fn list(&self) -> BTreeMap<String, Listed> {
        let listed = |place: &Place| Listed { dtype: place.dtype, shape: place.shape.clone() };
        self.tensors.iter().map(|(name, place)| (name.clone(), listed(place))).collect()
    }

    /// The elements of a tensor of floats, row-major in the order of its shape; where they lie in the file if they can be used
    /// there. `None` where there is none of that name, or it has whole numbers.
    pub fn floats(&self, name: &str) -> Option<Cow<'_, [f32]>> {
        let place = self.tensors.get(name).filter(|place| place.dtype.is_float())?;
        Some(place.floats(&self.contents[place.content]))
    }
}

fn mapped(path: &Path, open: Open<'_>) -> Result<Content> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let (file, size) = open(path).map_err(failed)?;
    Content::map(&file, size).map_err(failed)
}

/// What a file is that is no file of weights, as far as its first bytes tell.
fn begins(content: &[u8]) -> String {
    let known: [(&[u8], &str); 6] = [
        (
            b"version https://git-lfs",
            "it is a pointer of Git LFS: fetch the file itself, with `git lfs pull`",
        ),
        (b"\x89HDF", "it is HDF5, as Keras writes it: save the weights as safetensors"),
        (b"<", "it is a web page, or XML: the download went wrong"),
        (b"\x1f\x8b", "it is gzip: unpack it first"),
        (b"TFL3", "it is TensorFlow Lite"),
        (b"GGUF", "it is GGUF"),
    ];
    if let Some((_, what)) = known.iter().find(|(start, _)| content.trim_ascii_start().starts_with(start)) {
        return (*what).to_owned();
    }
    if content.is_empty() {
        return "it is empty".to_owned();
    }
    let first: Vec<String> = content.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("it begins with {}", first.join(" "))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Safetensors => f.write_str("safetensors"),
            Format::Sharded(files) => write!(f, "safetensors in {files} files"),
            Format::TorchZip => f.write_str("PyTorch's zip archive"),
            Format::TorchLegacy => f.write_str("PyTorch's format before 1.6"),
        }
    }
}
