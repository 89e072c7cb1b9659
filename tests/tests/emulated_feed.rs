//! Batches as a GPU takes them: pictures that it changes and normalises itself, several steps with one launch, a set that stays on it.
//! Whatever the way, the numbers are those of floats that the CPU has prepared, bit for bit.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::spec::train::{Augment, Normalize};
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::batch::Form;
use resnetc_runtime::data::loader::{Epoch, Loader};
use resnetc_runtime::data::memory::InMemory;
use resnetc_runtime::data::order::{Rank, once, shuffled};
use resnetc_runtime::data::transform::Transform;
use resnetc_runtime::data::{Picture, Source};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::error::Result;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan_for, resolve};

const NET: &str = "
name: small
input: [3, 9, 7]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
";
const SIZE: [usize; 3] = [9, 7, 3];
const PICTURES: usize = 33;
const BATCH: usize = 5;

fn set() -> InMemory {
    let mut rng = Rng::new(11);
    let pixels = (0..PICTURES * 9 * 7 * 3).map(|_| rng.range(0, 255) as u8).collect();
    let labels = (0..PICTURES).map(|i| (i % 4) as u32).collect();
    let classes: Arc<[String]> = ["a", "b", "c", "d"].map(str::to_owned).into();
    InMemory::new("noise", classes, SIZE, pixels, labels).expect("as many labels as pictures")
}

/// A set that does not say that it lies in memory.
struct Streamed(InMemory);

impl Source for Streamed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        self.0.picture(index)
    }
}

/// Changes whose order matters, twice of a kind too.
fn changes() -> Vec<Augment> {
    vec![
        Augment::Crop { padding: 2 },
        Augment::Flip { probability: 0.5 },
        Augment::Cutout { size: 3 },
        Augment::FlipVertical { probability: 0.5 },
        Augment::Crop { padding: 9 },
        Augment::CropReflect { padding: 6 },
        Augment::FlipAlternating { probability: 0.5 },
        Augment::RandomErasing { probability: 0.5, scale: [0.1, 0.3], ratio: [0.5, 2.0] },
        Augment::Flip { probability: 0.5 },
    ]
}

struct Way<'a> {
    precision: &'a str,
    augment: Vec<Augment>,
    source: Arc<dyn Source>,
    /// The form that is expected; floats are taken whatever the device says.
    form: Form,
    /// Runs of a launch.
    runs: Option<usize>,
    choices: Choices,
}

impl Default for Way<'_> {
    fn default() -> Self {
        let (form, source, choices) = (Form::Floats, Arc::new(set()), Choices::default());
        Way { precision: "f32", augment: changes(), source, form, runs: Some(1), choices }
    }
}

fn device(way: &Way<'_>) -> Arc<dyn Device> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let device = CudaDevice::new(Arc::new(driver(folder, Threads::Fibers, way.choices)));
    match way.runs {
        Some(runs) => Arc::new(device.with_runs_of_a_launch(runs)),
        None => Arc::new(device),
    }
}

fn plan(way: &Way<'_>, batch: usize) -> Arc<Plan> {
    let spec = resolve(&format!("{NET}train: {{precision: {}}}\n", way.precision));
    plan_for(&spec, Mode::Train, batch, Backend::CUDA)
}

/// Trains two epochs, whose last batches are smaller; loss and hits of each step, and the weights at the end.
fn train(way: &Way<'_>) -> (Vec<f32>, ParamStore) {
    let first = plan(way, BATCH);
    let mut exec = Executor::new(device(way), Arc::clone(&first)).expect("it loads");
    let rest = exec.add(plan(way, PICTURES % BATCH)).expect("the same network");
    exec.load_params(&initial(&first, 3).expect("initial weights")).expect("its own weights");
    let normalize = Normalize { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.25, 0.3] };
    let transform = Arc::new(Transform::new(SIZE, &normalize, &way.augment, 7).expect("three channels"));
    let form = exec.prepare_images(&transform.preparation(&*way.source)).expect("there is memory");
    assert!(way.form == Form::Floats || form == way.form, "{form:?}");
    let mut kept = Vec::new();
    let (mut submitted, mut step) = (0, 0);
    for epoch in 0..2 {
        let order = once(shuffled(PICTURES, 7, epoch as u64, Rank::ONLY));
        let pass = Epoch { epoch, order, batch_size: BATCH, first_step: 0, form: way.form };
        let source = Arc::clone(&way.source);
        let mut loader = Loader::start(source, Arc::clone(&transform), pass, 2).expect("threads");
        while let Some((number, batch)) = loader.next_batch().expect("all can be read") {
            let index = if batch.labels.len() == BATCH { 0 } else { rest };
            exec.submit(index, &batch, way.form, &RunArgs { lr: 0.01, seed: 5, step, ..RunArgs::default() })
                .expect("it runs");
            (submitted, step) = (submitted + 2, step + 1);
            loader.recycle(number, batch);
            if submitted - kept.len() >= 2 * exec.depth() {
                let before = kept.len();
                kept.extend_from_slice(exec.collect(Until::Room).expect("they run"));
                assert!(kept.len() > before, "there is room only where something was collected");
            }
        }
    }
    kept.extend_from_slice(exec.collect(Until::All).expect("all have run"));
    assert_eq!(kept.len(), submitted);
    let weights = exec.store_params().expect("a training's weights");
    (kept, weights)
}

fn agree(way: &Way<'_>, expected: &(Vec<f32>, ParamStore), text: &str) {
    let found = train(way);
    assert_eq!(found.0, expected.0, "{text}: losses and hits");
    assert!(found.1 == expected.1, "{text}: the weights differ");
}

#[test]
fn images_made_on_the_device_are_those_of_the_cpu() {
    for precision in ["f32", "bf16", "fp16"] {
        for augment in [changes(), Vec::new()] {
            let floats = Way { precision, augment: augment.clone(), ..Way::default() };
            let expected = train(&floats);
            assert!(expected.0.iter().all(|value| value.is_finite()));
            let indices = Way { form: Form::Indices, augment: augment.clone(), ..floats };
            agree(&indices, &expected, &format!("{precision}, the set stays"));
            let source = Arc::new(Streamed(set()));
            let pixels = Way { form: Form::Pixels, source, ..indices };
            agree(&pixels, &expected, &format!("{precision}, pictures come with their batch"));
        }
    }
}

#[test]
fn steps_that_share_a_launch_are_the_same_steps() {
    let expected = train(&Way::default());
    for form in [Form::Floats, Form::Indices] {
        for runs in [Some(2), Some(3), Some(8), Some(100), None] {
            agree(&Way { form, runs, ..Way::default() }, &expected, &format!("{form:?}, {runs:?}"));
        }
    }
}

#[test]
fn a_set_that_does_not_fit_comes_with_its_batches() {
    let memory = Some(2 << 20);
    let choices = Choices { memory, ..Choices::default() };
    let expected = train(&Way::default());
    agree(&Way { choices, form: Form::Indices, ..Way::default() }, &expected, "a small set in 2 MiB");
    let mut large = Vec::new();
    large.resize(9 * 7 * 3 * 8000, 1);
    let classes: Arc<[String]> = ["a".to_owned()].into();
    let source = InMemory::new("large", classes, SIZE, large, vec![0; 8000]).expect("as many labels");
    let way = Way { choices, ..Way::default() };
    let mut exec = Executor::new(device(&way), plan(&way, BATCH)).expect("it loads");
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] };
    let transform = Transform::new(SIZE, &normalize, &[], 0).expect("three channels");
    let form = exec.prepare_images(&transform.preparation(&source)).expect("it need not stay");
    assert_eq!(form, Form::Pixels);
}
