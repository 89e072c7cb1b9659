//! Whole imports: specs as they are written, and refusals with their places.

use std::path::Path;

use resnetc_import::{Format, Imported, Options, Result, import};

fn model(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
    std::fs::read(path).expect("made by import/tests/models/make.py")
}

fn onnx(name: &str) -> Result<Imported> {
    let origin = format!("{name}.onnx");
    let options = Options { name, origin: &origin, ..Options::default() };
    import(Format::Onnx, &model(&origin), &options)
}

fn text(format: Format, text: &str) -> Result<Imported> {
    import(format, text.as_bytes(), &Options { name: "tiny", origin: "tiny", ..Options::default() })
}

fn fault(result: Result<Imported>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn models_become_stages_and_units_with_all_weights() {
    for (name, tensors) in [("basic", 52), ("folded", 22), ("preact", 49), ("gated", 93), ("padded", 20)] {
        let imported = onnx(name).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        insta::assert_snapshot!(name, imported.spec);
        assert_eq!(imported.tensors.len(), tensors, "{name}");
        let numbers: usize = imported
            .tensors
            .iter()
            .filter(|tensor| !tensor.name.contains("running"))
            .map(|tensor| tensor.data.len())
            .sum();
        assert_eq!(numbers as u64, imported.params, "{name}");
    }
}

#[test]
fn every_cut_of_a_model_is_a_fault() {
    let whole = model("basic.onnx");
    let options = Options { name: "cut", origin: "cut", ..Options::default() };
    for length in (0..whole.len()).step_by(997) {
        assert!(import(Format::Onnx, &whole[..length], &options).is_err(), "{length} bytes");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let whole = model("basic.onnx");
    let options = Options { name: "flipped", origin: "flipped", ..Options::default() };
    for at in (0..whole.len()).step_by(211) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let _ = import(Format::Onnx, &bytes, &options);
    }
}

/// A convolution in Darknet's words.
fn conv(filters: usize, size: usize, stride: usize, activation: &str) -> String {
    format!(
        "[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation={activation}\n\n"
    )
}

/// Two stages of basic units, the sizes of whose maps are made to agree by skipping pixels and adding zeros.
fn darknet() -> String {
    let mut text = "[net]\nheight=32\nwidth=32\nchannels=3\n\n".to_owned() + &conv(8, 3, 1, "leaky");
    for (filters, stride) in [(8, 1), (8, 1), (16, 2), (16, 1)] {
        text += &conv(filters, 3, stride, "leaky");
        text += &conv(filters, 3, 1, "linear");
        text += "[shortcut]\nfrom=-3\nactivation=leaky\n\n";
    }
    text + "[avgpool]\n\n[convolutional]\nfilters=10\nsize=1\nstride=1\npad=1\nactivation=linear\n\n[softmax]\n"
}

#[test]
fn darknet_networks() {
    let imported = text(Format::Darknet, &darknet()).expect("a residual network");
    insta::assert_snapshot!("darknet", imported.spec);
    assert!(imported.tensors.is_empty());
}

#[test]
fn darknet_weights_are_read_whole() {
    let text = darknet();
    let with = |bytes: &[u8]| {
        let options = Options { name: "tiny", origin: "tiny", weights: Some(bytes), ..Options::default() };
        import(Format::Darknet, text.as_bytes(), &options)
    };
    // Version 0.2 has 20 bytes before the numbers: four for each trained number, and each mean and variance.
    let statistics = 2 * (8 * 5 + 16 * 4);
    let trained =
        import(Format::Darknet, text.as_bytes(), &Options::default()).expect("right").params as usize;
    let mut bytes = [0u32, 2, 0, 0, 0].map(u32::to_le_bytes).concat();
    bytes.extend((0..trained + statistics).flat_map(|i| (i as f32).to_le_bytes()));
    let imported = with(&bytes).expect("as many numbers as the network has");
    let first = |name: &str| {
        let tensor = imported.tensors.iter().find(|tensor| tensor.name == name).expect("there");
        tensor.data[0]
    };
    // The file has shift, scale, mean, variance, weight.
    assert_eq!(first("stem.bn1.bias"), 0.0);
    assert_eq!(first("stem.bn1.weight"), 8.0);
    assert_eq!(first("stem.bn1.running_mean"), 16.0);
    assert_eq!(first("stem.bn1.running_var"), 24.0);
    assert_eq!(first("stem.conv1.weight"), 32.0);
    bytes.extend([0; 4]);
    assert!(fault(with(&bytes)).contains("4 bytes more than the network"));
    bytes.truncate(bytes.len() - 8);
    assert!(fault(with(&bytes)).contains("the file of weights ends before"));
    assert!(fault(with(&bytes[..7])).contains("within its header"));
}

/// A convolution, its normalisation and, where wanted, its activation in Caffe's words.
fn caffe_conv(name: &str, bottom: &str, out: usize, size: usize, stride: usize, relu: bool) -> String {
    let pad = size / 2;
    let mut text = format!(
        "layer {{ name: \"{name}\" type: \"Convolution\" bottom: \"{bottom}\" top: \"{name}\"\n  convolution_param {{ num_output: {out} kernel_size: {size} pad: {pad} stride: {stride} bias_term: false }}\n}}\n\
         layer {{ type: \"BatchNorm\" bottom: \"{name}\" top: \"{name}\" batch_norm_param {{ use_global_stats: true }} }}\n\
         layer {{ type: \"Scale\" bottom: \"{name}\" top: \"{name}\" scale_param {{ bias_term: true }} }}\n"
    );
    if relu {
        text += &format!("layer {{ type: \"ReLU\" bottom: \"{name}\" top: \"{name}\" }}\n");
    }
    text
}

/// Bottlenecks with the stride on the first convolution.
fn caffe() -> String {
    let mut text = "input: \"data\"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 32\ninput_dim: 32\n".to_owned();
    text += &caffe_conv("conv1", "data", 8, 3, 1, true);
    let mut x = "conv1".to_owned();
    for (unit, (f, stride)) in [(4, 1), (4, 1), (8, 2), (8, 1)].into_iter().enumerate() {
        let branch = |part: &str| format!("res{unit}_{part}");
        let side = if unit % 2 == 0 { branch("1") } else { x.clone() };
        if unit % 2 == 0 {
            text += &caffe_conv(&side, &x, 4 * f, 1, stride, false);
        }
        text += &caffe_conv(&branch("2a"), &x, f, 1, stride, true);
        text += &caffe_conv(&branch("2b"), &branch("2a"), f, 3, 1, true);
        text += &caffe_conv(&branch("2c"), &branch("2b"), 4 * f, 1, 1, false);
        let (sum, last) = (branch("sum"), branch("2c"));
        text +=
            &format!("layer {{ type: \"Eltwise\" bottom: \"{side}\" bottom: \"{last}\" top: \"{sum}\" }}\n");
        text += &format!("layer {{ type: \"ReLU\" bottom: \"{sum}\" top: \"{sum}\" }}\n");
        x = sum;
    }
    text += &format!(
        "layer {{ type: \"Pooling\" bottom: \"{x}\" top: \"pool\" pooling_param {{ pool: AVE kernel_size: 16 stride: 1 }} }}\n"
    );
    text + "layer { type: \"InnerProduct\" bottom: \"pool\" top: \"fc\" inner_product_param { num_output: 10 } }\n\
            layer { type: \"Softmax\" bottom: \"fc\" top: \"prob\" }\n"
}

#[test]
fn caffe_networks() {
    insta::assert_snapshot!("caffe", text(Format::Caffe, &caffe()).expect("a residual network").spec);
}

#[test]
fn what_cannot_be_said_is_named_with_its_line() {
    let darknet = darknet();
    let wrong = |from: &str, to: &str| fault(text(Format::Darknet, &darknet.replacen(from, to, 1)));
    let faults = [
        wrong("from=-3", "from=-30"),
        wrong("activation=leaky", "activation=stair"),
        wrong("[softmax]", "[yolo]"),
        wrong("[avgpool]\n", "[avgpool]\nspread=3\n"),
        wrong("filters=8", "filters=many"),
        wrong("stride=2", "stride=0"),
        wrong("channels=3", "channels"),
    ];
    insta::assert_snapshot!("darknet_faults", faults.join("\n"));
    let caffe = caffe();
    let wrong = |from: &str, to: &str| fault(text(Format::Caffe, &caffe.replacen(from, to, 1)));
    let faults = [
        wrong("\"Scale\"", "\"ReLU\""),
        wrong("\"Eltwise\"", "\"Slice\""),
        wrong("bottom: \"conv1\"", "bottom: \"conv0\""),
        wrong("bias_term: false", "axis: 2"),
        wrong("pool: AVE", "pool: STOCHASTIC"),
        wrong("} }\n", "}\n"),
        wrong("layer {", "layers {"),
    ];
    insta::assert_snapshot!("caffe_faults", faults.join("\n"));
}

#[test]
fn deep_and_hostile_texts_are_faults() {
    assert!(fault(text(Format::Caffe, &"a {".repeat(100_000))).contains("too deep"));
    assert!(text(Format::Caffe, "}").is_err());
    assert!(text(Format::Caffe, "name: \"open").is_err());
    assert!(text(Format::Darknet, "").is_err());
    let huge = "[net]\nheight=99999999999999999999\nwidth=1\nchannels=1\n";
    assert!(fault(text(Format::Darknet, huge)).starts_with("line 2: "));
    assert!(import(Format::Darknet, &[0xff, 0xfe], &Options::default()).is_err());
}
