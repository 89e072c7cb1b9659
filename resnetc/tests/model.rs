//! Models and their sessions: batches of all sizes, clones, files of weights, wrong inputs.

use resnetc::runtime::weights::file;
use resnetc::{
    DeviceKind, DeviceOptions, Error, Model, Spec, SpecOptions, Weights, WeightsOptions, resnetc_weights,
};

const PIXELS: usize = 3 * 32 * 32;

fn spec() -> Spec {
    Spec::builtin("resnet20", &SpecOptions::default()).expect("it is compiled in")
}

fn image(number: usize) -> Vec<f32> {
    (0..PIXELS).map(|i| ((i * (number + 3)) % 11) as f32 / 5.0 - 1.0).collect()
}

/// Whether they differ by rounding alone: other batches and devices have other algorithms. Of Winograd's, an error of 1e-4 of the
/// largest number is to be expected; another image's logits are off by the order of 1.
fn close(a: &[f32], b: &[f32]) -> bool {
    let largest = b.iter().fold(0f32, |most, v| most.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * largest)
}

/// Published weights of what a spec extends are its own.
#[test]
fn a_spec_knows_what_it_extends() {
    let lineage = |name| Spec::builtin(name, &SpecOptions::default()).expect("compiled in");
    assert_eq!(lineage("finetune").lineage(), ["finetune", "resnet18"]);
    assert_eq!(spec().lineage(), ["resnet20"]);
    let mine = Spec::from_text("mine.yaml", "extends: resnet101\nname: mine\n", &SpecOptions::default());
    assert_eq!(mine.expect("right").lineage()[..2], ["mine", "resnet101"]);
}

#[test]
fn any_number_of_images_is_classified_as_each_alone() {
    let model = Model::initial(&spec(), &DeviceOptions::cpu(2)).expect("it compiles");
    let mut session = model.session().expect("threads");
    let alone: Vec<_> = (0..5).map(|i| session.run(&image(i)).expect("one image")).collect();
    for batch in [2, 5, 3] {
        let images: Vec<f32> = (0..batch).flat_map(image).collect();
        let found = session.run(&images).expect("whole images");
        assert_eq!(found.images(), batch);
        for (index, alone) in alone.iter().take(batch).enumerate() {
            assert!(close(found.image(index), alone.values()), "image {index} of {batch}");
        }
    }
    assert!(!close(alone[0].values(), alone[1].values()), "the images differ");
    // Plans are the model's: another session finds them, and the same bits.
    let again = model.clone().session().expect("threads").run(&image(4)).expect("one image");
    assert_eq!(again, alone[4]);
}

#[test]
fn the_reference_answers_alike() {
    let answer = |kind| {
        let options = DeviceOptions { kind, threads: Some(1), ..DeviceOptions::default() };
        let model = Model::initial(&spec(), &options).expect("it compiles");
        model.session().expect("a session").run(&image(1)).expect("one image")
    };
    let (cpu, reference) = (answer(DeviceKind::Cpu), answer(DeviceKind::Reference));
    assert!(close(cpu.values(), reference.values()), "{cpu:?} {reference:?}");
}

#[test]
fn weights_come_from_files_and_have_to_fit() {
    let (spec, device) = (spec(), DeviceOptions::cpu(1));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let weights = spec.initial_weights(spec.resolved().train.seed).expect("own tensors");
    file::save(&path, &weights, &file::Metadata::new()).expect("written");
    let run = |model: &Model| model.session().expect("a thread").run(&image(2)).expect("one image");
    let from_file = Model::from_file(&spec, &path, &device).expect("it fits");
    assert_eq!(run(&from_file), run(&Model::initial(&spec, &device).expect("it compiles")));

    let wider = Spec::builtin("resnet20", &SpecOptions::default().set("classes=11")).expect("a sound change");
    let error = Model::from_file(&wider, &path, &device).err().expect("ten classes are not eleven");
    assert!(error.to_string().contains("fc.weight") || error.to_string().contains("11"), "{error}");
}

#[test]
fn a_file_too_large_for_the_network_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let (numbers, bytes) = (1u64 << 32, 1u64 << 34);
    let header = format!(r#"{{"x":{{"dtype":"F32","shape":[{numbers}],"data_offsets":[0,{bytes}]}}}}"#);
    let start = (header.len() as u64).to_le_bytes();
    std::fs::write(&path, [&start, header.as_bytes()].concat()).expect("written");
    // A hole of 16 GiB.
    let file = std::fs::File::options().write(true).open(&path).expect("there");
    file.set_len(8 + header.len() as u64 + bytes).expect("a hole");
    let error =
        Model::from_file(&spec(), &path, &DeviceOptions::cpu(1)).err().expect("too large").to_string();
    assert!(error.contains("it has 4294967296 numbers, network `resnet20` has "), "{error}");
}

#[test]
fn parts_of_images_are_refused() {
    let model = Model::initial(&spec(), &DeviceOptions::cpu(1)).expect("it compiles");
    let mut session = model.session().expect("a thread");
    for len in [0, 1, PIXELS - 1, PIXELS + 1] {
        let error = session.run(&vec![0.0; len]).expect_err("no whole images").to_string();
        assert!(error.contains(&len.to_string()), "{error}");
    }
}

#[test]
fn specs_that_are_not_there_are_told_with_near_names() {
    match Spec::open("resnet51", &SpecOptions::default()) {
        Err(Error::UnknownSpec { name, near }) => {
            assert_eq!(name, "resnet51");
            assert!(near.contains("resnet50"), "{near}");
        }
        other => panic!("{other:?}"),
    }
    let error = Spec::from_path("nowhere.yaml", &SpecOptions::default()).expect_err("no such file");
    assert!(matches!(error, Error::UnreadableSpec { .. }), "{error}");
    let wrong = Spec::builtin("resnet20", &SpecOptions::default().set("classes=none"));
    assert!(matches!(wrong, Err(Error::Spec(ref faults)) if !faults.diagnostics().is_empty()), "{wrong:?}");
}

/// A file that is there and cannot be read is never taken for the compiled-in network of its name.
#[test]
fn unreadable_files_are_no_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("resnet20");
    std::fs::write(&file, b"name: gr\xf6sse\n").expect("written");
    let error = Spec::open(&file, &SpecOptions::default()).expect_err("Latin-1");
    assert!(matches!(&error, Error::UnreadableSpec { .. }), "{error}");
    assert!(error.to_string().contains("line 1, column 9 is not UTF-8"), "{error}");
    std::fs::write(folder.path().join("mine.yaml"), "extends: resnet20.yaml\n").expect("written");
    std::fs::rename(&file, folder.path().join("resnet20.yaml")).expect("renamed");
    let error = Spec::open(folder.path().join("mine.yaml"), &SpecOptions::default()).expect_err("its base");
    assert!(error.to_string().contains("is not UTF-8"), "{error}");
}

/// Bases lie beside a spec, whatever its folder is called.
#[cfg(unix)]
#[test]
fn bases_are_found_in_folders_whose_names_are_no_text() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join(std::ffi::OsStr::from_bytes(b"f\xf6lder"));
    std::fs::create_dir(&inner).expect("made");
    std::fs::write(inner.join("base.yml"), "extends: resnet20\nclasses: 7\n").expect("written");
    std::fs::write(inner.join("mine.yml"), "extends: base.yml\n").expect("written");
    let spec = Spec::open(inner.join("mine.yml"), &SpecOptions::default()).expect("a right spec");
    assert_eq!(spec.resolved().classes.value, 7);
}

/// Tensors of another program's file go to the device from where they lie, without a store between.
#[test]
fn weights_of_other_programs_answer_as_own_ones() {
    let (spec, device) = (spec(), DeviceOptions::cpu(1));
    let weights = spec.initial_weights(5).expect("own tensors");
    let names = resnetc::weights::dialect_names(&spec, "cifar").expect("all have names");
    let tensors: Vec<resnetc_weights::write::Written<'_>> = weights
        .iter()
        .map(|(name, tensor)| (names[name].clone(), tensor.shape.0.clone(), tensor.data.as_slice().into()))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("theirs.safetensors");
    let bytes = resnetc_weights::write::safetensors(&tensors).expect("sizes agree");
    std::fs::write(&path, bytes).expect("written");

    let run = |model: &Model| model.session().expect("a thread").run(&image(2)).expect("one image");
    let expected = run(&Model::new(&spec, &weights, &device).expect("its own"));
    let options = WeightsOptions::file(&path);
    assert_eq!(run(&Model::with_weights(&spec, &options, &device).expect("it fits")), expected);
    let loaded = Weights::load(&spec, &options).expect("it fits");
    assert_eq!(loaded.store().expect("tensors"), weights);
    assert_eq!(loaded.told(), ["safetensors, 97 tensors by the names of cifar"]);
    let fits =
        resnetc::weights::fitting(&resnetc::weights::open(&path).expect("it is one")).expect("compiled in");
    assert_eq!(fits.first().map(|(spec, fit)| (spec.name(), fit.dialect)), Some(("resnet20", "cifar")));
}

/// A last layer that starts afresh has the values that a new network's has.
#[test]
fn a_fresh_head_is_that_of_a_new_network() {
    let ten = spec();
    let seven = Spec::builtin("resnet20", &SpecOptions::default().set("classes=7")).expect("compiled in");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ten.safetensors");
    let weights = ten.initial_weights(5).expect("own tensors");
    file::save(&path, &weights, &file::Metadata::new()).expect("written");
    let options = WeightsOptions::file(&path);
    let error = Weights::load(&seven, &options).expect_err("other classes").to_string();
    assert!(error.contains("`--head new` starts the last linear layer afresh"), "{error}");
    let options = WeightsOptions { new_head: true, seed: Some(9), ..options };
    let store = Weights::load(&seven, &options).expect("a new head").store().expect("tensors");
    let (first, fresh) = (weights.get("stem.conv1.weight"), seven.initial_weights(9).expect("own tensors"));
    assert_eq!(store.get("stem.conv1.weight"), first);
    assert_eq!(store.get("head.linear.weight"), fresh.get("head.linear.weight"));
    assert_eq!(store.len(), weights.len());
}
