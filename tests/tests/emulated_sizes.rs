//! Images that grow over a training, on an emulated GPU: it makes those of the network's own size itself and takes shrunk ones as floats;
//! pictures that are cut to each size it makes in all of them. Whatever the way, the numbers are those of floats, bit for bit.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::sizes::at_size;
use resnetc_compiler::spec::ResolvedSpec;
use resnetc_compiler::spec::train::{Augment, Normalize, TrainConfig};
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::Dataset;
use resnetc_runtime::data::batch::Form;
use resnetc_runtime::data::loader::{Epoch, Loader};
use resnetc_runtime::data::memory::InMemory;
use resnetc_runtime::data::order::{Rank, once, sequential};
use resnetc_runtime::data::transform::Transform;
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::metrics::EpochRecord;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::train::{BatchExecutor, LOG, Options, Start, Trainer};
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan_for, resolve};

const NET: &str = "
name: small
input: [3, 12, 8]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
train:
  epochs: 3
  batch_size: 5
  optimizer: {sgd: {lr: 0.01}}
  augment: [{crop: {padding: 2}}, {flip: {direction: vertical}}]
  normalize: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]}
  progressive_resizing: {delay: 0.2, finetune: 0.2}
";
const PICTURES: usize = 13;

fn set() -> InMemory {
    let mut rng = Rng::new(11);
    let pixels = (0..PICTURES * 12 * 8 * 3).map(|_| rng.range(0, 255) as u8).collect();
    let labels = (0..PICTURES).map(|i| (i % 4) as u32).collect();
    let classes: Arc<[String]> = ["a", "b", "c", "d"].map(str::to_owned).into();
    InMemory::new("noise", classes, [12, 8, 3], pixels, labels).expect("as many labels as pictures")
}

fn emulated() -> Arc<dyn Device> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Arc::new(CudaDevice::new(Arc::new(driver(folder, Threads::Fibers, Choices::default()))))
}

fn reference() -> Arc<dyn Device> {
    Arc::new(ReferenceDevice::cpu().expect("Candle's CPU"))
}

fn plans(
    spec: &ResolvedSpec,
    mode: Mode,
    backend: Backend,
) -> impl FnMut(usize) -> Result<Arc<Plan>, Error> + use<> {
    let spec = spec.clone();
    move |batch| Ok(plan_for(&spec, mode, batch, backend))
}

/// The log and the weights of a whole training.
fn trained(device: fn() -> Arc<dyn Device>) -> (Vec<EpochRecord>, ParamStore) {
    let (spec, backend) = (resolve(NET), device().backend());
    let load =
        |mode| BatchExecutor::load(device(), PICTURES, 5, plans(&spec, mode, backend)).expect("it loads");
    let mut train = load(Mode::Train);
    for size in spec.train.sizes([12, 8]).into_iter().filter(|&size| size != [12, 8]) {
        let small = at_size(&spec, size);
        let plan = |step, batch| {
            let target = Target { backend, step, ..Target::new(Mode::Train, batch) };
            let compiled = resnetc_compiler::compile(&small, &target).expect("it takes any size");
            Ok::<_, Error>(Arc::new(compiled.plan))
        };
        train = train.with_size(size, plan).expect("the same parameters");
    }
    let data = Dataset::new("noise", Arc::new(set()), Arc::new(set())).expect("the same classes");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        out: folder.path().into(),
        start: Start::New,
        network: String::new(),
        first: None,
        threads: 1,
        workers: 1,
        preprocess: None,
        about: None,
        pause_after: None,
        ranks: None,
        stop: Arc::default(),
    };
    let mut trainer = Trainer::new(&spec.train, data, train, load(Mode::Infer), options).expect("it fits");
    trainer.run(&mut |_| ()).expect("it trains");
    let log = std::fs::read_to_string(folder.path().join(LOG)).expect("a log");
    let records = log.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    (records, trainer.params().expect("weights"))
}

/// Both compute in `f32` in other orders: some 1e-6 of a loss in a step, and nine steps.
#[test]
fn a_training_through_sizes_is_that_of_the_reference() {
    let [(found, weights), (expected, reference)] = [emulated as fn() -> _, reference].map(trained);
    let sizes: Vec<_> = found.iter().map(|record| record.size).collect();
    assert_eq!(sizes, [Some([8, 4]), Some([8, 8]), Some([12, 8])]);
    for (found, expected) in found.iter().zip(&expected) {
        let off = (found.train_loss - expected.train_loss).abs();
        // NaN is neither.
        assert!(off <= 1e-3 * expected.train_loss, "{found:?}, not {expected:?}");
    }
    for (name, tensor) in reference.iter() {
        let found = &weights.get(name).expect("the same tensors").data;
        let size = tensor.data.iter().fold(1e-2f32, |most, x| most.max(x.abs()));
        let off = tensor.data.iter().zip(found).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(off <= 1e-2 * size, "{name}: {off} of {size}");
    }
}

/// Losses, hits and weights after three epochs of two sizes by turns, each with plans and pictures of its own in one session.
fn by_turns(form: Form) -> (Vec<f32>, ParamStore) {
    let spec = resolve(NET);
    let sizes = [[12, 8], [8, 4]];
    let plans = sizes.map(|size| plan_for(&at_size(&spec, size), Mode::Train, PICTURES, Backend::CUDA));
    let mut exec = Executor::new(emulated(), Arc::clone(&plans[0])).expect("it loads");
    exec.add(Arc::clone(&plans[1])).expect("the same parameters");
    exec.load_params(&initial(&plans[0], 3).expect("initial weights")).expect("its own weights");
    let TrainConfig { normalize, seed, .. } = &spec.train;
    let normalize: &Normalize = normalize;
    // As pictures of any size are cut.
    let random = Augment::RandomResizedCrop { scale: [0.3, 1.0], ratio: [0.75, 1.33] };
    let augment = [random, Augment::FlipVertical { probability: 0.5 }];
    let source: Arc<dyn resnetc_runtime::data::Source> = Arc::new(set());
    let transforms = sizes.map(|[height, width]| {
        Arc::new(Transform::new([height, width, 3], normalize, &augment, *seed).expect("three channels"))
    });
    for (index, transform) in transforms.iter().enumerate() {
        let announced = exec.prepare_images_of(&[index], &transform.preparation(&*source));
        assert_eq!(announced.expect("there is memory"), Form::Pixels);
    }
    let mut kept = Vec::new();
    for epoch in 0..6 {
        let order = once(sequential(PICTURES, Rank::ONLY));
        let pass = Epoch { epoch, order, batch_size: PICTURES, first_step: 0, form };
        let transform = Arc::clone(&transforms[epoch % 2]);
        let mut loader = Loader::start(Arc::clone(&source), transform, pass, 1).expect("a thread");
        let (_, batch) = loader.next_batch().expect("all can be read").expect("one batch");
        let args = RunArgs { lr: 0.01, seed: 5, step: epoch as u64, ..RunArgs::default() };
        exec.submit(epoch % 2, &batch, form, &args).expect("it runs");
        kept.extend_from_slice(exec.collect(Until::All).expect("it ran"));
    }
    (kept, exec.store_params().expect("a training's weights"))
}

#[test]
fn pictures_of_two_sizes_are_made_in_one_session() {
    let [(found, weights), (expected, reference)] = [Form::Pixels, Form::Floats].map(by_turns);
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|value| value.is_finite()));
    assert_eq!(found, expected, "losses and hits");
    assert!(weights == reference, "the weights differ");
}
