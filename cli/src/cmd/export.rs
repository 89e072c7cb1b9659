//! `resnetc export`: a network with weights as a file, or a folder, for other programs.

use std::path::{Path, PathBuf};

use resnetc::Spec;
use resnetc::hub::{self, HubConfig};
use resnetc::onnx::{OnnxOptions, to_onnx};
use resnetc_runtime::weights::ParamStore;

use super::{spec, weights};
use crate::args::ExportArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::report::units::grouped;

/// Runs the command.
pub fn export(args: &ExportArgs, environment: &Environment, output: &Output) -> Result {
    if args.architecture.is_some() && args.hub.is_none() {
        return Err(Failure::Usage("--architecture is of a folder for timm: --hub DIR says which".into()));
    }
    let spec = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
    let weights = match args.weights.options(args.seed, &environment.downloads()) {
        Some(options) => weights::store(&spec, &options, output)?,
        None => spec.initial_weights(args.seed.unwrap_or(spec.resolved().train.seed))?,
    };
    match (&args.hub, args.format.dialect()) {
        (Some(folder), _) => to_folder(&spec, &weights, folder, args.architecture.as_deref(), output),
        (None, Some(dialect)) => {
            let target = args.output.clone().unwrap_or_else(|| file_name(spec.name(), "safetensors"));
            files::write(&target, &hub::to_dialect(&spec, &weights, dialect)?)?;
            let name = spec.name();
            output.note(&format!("wrote {}: weights of {name} by the names of {dialect}", target.display()))
        }
        (None, None) => model(&spec, &weights, args, output),
    }
}

/// An ONNX model.
fn model(spec: &Spec, weights: &ParamStore, args: &ExportArgs, output: &Output) -> Result {
    let target = args.output.clone().unwrap_or_else(|| file_name(spec.name(), "onnx"));
    let source = args.weights.weights.as_deref().and_then(Path::file_name);
    let source = source.map_or("fresh".to_owned(), |name| name.to_string_lossy().into_owned());
    let options = OnnxOptions {
        opset: args.opset,
        batch: (!args.dynamic_batch).then_some(args.batch.unwrap_or(1)),
        fold_bn: args.fold_bn,
        metadata: vec![("weights".to_owned(), source)],
    };
    let bytes = to_onnx(spec, weights, &options)?;
    files::write(&target, &bytes)?;
    let (size, opset) = (grouped(bytes.len() as u64), args.opset);
    output.note(&format!("wrote {}: {}, opset {opset}, {size} bytes", target.display(), spec.name()))
}

/// A folder that timm loads. The weights first: a folder with a `config.json` is whole.
fn to_folder(
    spec: &Spec,
    weights: &ParamStore,
    folder: &Path,
    architecture: Option<&str>,
    output: &Output,
) -> Result {
    let architecture = match architecture {
        Some(name) => name,
        None => hub::architecture(spec)?,
    };
    let (config, bytes) = (HubConfig::of(spec, architecture)?, hub::to_dialect(spec, weights, "timm")?);
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
    files::write(&folder.join("model.safetensors"), &bytes)?;
    files::write(&folder.join("config.json"), json(&config).as_bytes())?;
    output.note(&format!("wrote {}: timm's {architecture}, {} classes", folder.display(), config.classes))
}

/// The configuration as timm lays it out. Images are prepared as torchvision does for evaluation.
fn json(config: &HubConfig) -> String {
    let HubConfig { architecture, classes, features, input, pool, mean, std, first_conv, classifier } =
        config;
    let value = serde_json::json!({
        "architecture": architecture,
        "num_classes": classes,
        "num_features": features,
        "global_pool": "avg",
        "model_args": {"in_chans": input[0]},
        "pretrained_cfg": {
            "tag": "resnetc",
            "custom_load": false,
            "input_size": input,
            "fixed_input_size": false,
            "interpolation": "bilinear",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": mean,
            "std": std,
            "num_classes": classes,
            "pool_size": pool,
            "first_conv": first_conv,
            "classifier": classifier,
        },
    });
    serde_json::to_string_pretty(&value).expect("a value has only string keys") + "\n"
}

/// A file in the working folder that says what it is of, and of which version of the program.
fn file_name(network: &str, end: &str) -> PathBuf {
    // A network's name may be any text.
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = network.chars().map(safe).collect();
    format!("{name}-{}.{end}", env!("CARGO_PKG_VERSION")).into()
}
