//! `resnetc import`: a network of another program as a spec, with its weights.

use std::borrow::Cow;
use std::path::Path;

use resnetc_import::{Format, Imported, Options};
use resnetc_runtime::files as foreign;
use resnetc_weights::write::{Written, safetensors};

use crate::args::ImportArgs;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;

/// Bytes of the largest file: ONNX models end at 2 GiB.
const LARGEST: u64 = 1 << 31;

/// Runs the command.
pub fn import(args: &ImportArgs, output: &Output) -> Result {
    let shown = args.network.display().to_string();
    let Some(format) = Format::of(&shown) else {
        let text = format!("{shown}: the name of a network to import ends in .onnx, .cfg or .prototxt");
        return Err(Failure::Usage(text));
    };
    let input = args.input.as_deref().map(sizes).transpose()?;
    let bytes = read(&args.network)?;
    let beside = args.from_weights.as_deref().map(read).transpose()?;
    let name = stem(&args.network);
    let origin = args.network.file_name().map_or(Cow::Borrowed(""), |name| name.to_string_lossy());
    let options = Options { name: &name, origin: &printable(&origin), input, weights: beside.as_deref() };
    let imported = resnetc_import::import(format, &bytes, &options)
        .map_err(|fault| Failure::Failed(format!("{shown}: {fault}")))?;
    if let Some(path) = &args.weights {
        write_weights(&imported, path, output)?;
    }
    let Imported { params, stages, units, .. } = imported;
    match &args.output {
        None => output.result(imported.spec.trim_end()),
        Some(path) => {
            files::write(path, imported.spec.as_bytes())?;
            let path = path.display();
            output.note(&format!("wrote {path}: {units} units in {stages} stages, {params} parameters"))
        }
    }
}

fn sizes(input: &[usize]) -> Result<[usize; 3]> {
    let text = "--input takes three numbers, as in `--input 3,224,224`";
    input.try_into().map_err(|_| Failure::Usage(text.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    foreign::read_bytes(path, LARGEST).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

/// The name of a file without what follows its last point.
fn stem(path: &Path) -> String {
    path.file_stem().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// What may stand in a comment.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn write_weights(imported: &Imported, path: &Path, output: &Output) -> Result {
    if imported.tensors.is_empty() {
        let text =
            "no weights came along with the network; `--from-weights FILE` names those of a Darknet network";
        return Err(Failure::Usage(text.to_owned()));
    }
    let tensors = imported.tensors.iter();
    let tensors: Vec<Written<'_>> = tensors
        .map(|tensor| (tensor.name.clone(), tensor.shape.clone(), Cow::Borrowed(tensor.data.as_slice())))
        .collect();
    files::write(path, &safetensors(&tensors).map_err(Failure::Failed)?)?;
    output.note(&format!("wrote {}: {} tensors", path.display(), tensors.len()))
}
