//! Statistics by the sums that convolutions leave, on the emulated GPU: where that is done, what comes out, and what cancellation does.

use std::path::Path;
use std::sync::Arc;

use half::bf16;
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Kernel, Plan};
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::driver::{Driver, Fill, Memory};
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::cuda::launch::{Arg, Call, Launch};
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::{Executor, RunArgs, StepResult};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan_for, resolve};

const BATCH: usize = 4;
const STEPS: u64 = 6;

/// Convolutions with normalisations behind them, of 8 channels and of 6, which are not aligned; one of stride 2; and one without, the
/// linear layer.
const NET: &str = "
name: small
input: [3, 12, 12]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
shortcut: projection
stages: [{depth: 2, filters: 8}, {depth: 1, filters: 6, stride: 2}]
head: global_avgpool -> linear(classes)
";

fn plan(precision: &str) -> Arc<Plan> {
    plan_for(&resolve(&format!("{NET}train: {{precision: {precision}}}")), Mode::Train, BATCH, Backend::CUDA)
}

fn gpu(fuses: bool) -> Emulated {
    driver(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers, Choices { seed: 1, fuses, memory: None })
}

/// What a training came to.
struct Trained {
    results: Vec<StepResult>,
    weights: ParamStore,
    /// Works with sums that were done in one, and those that were done in parts.
    fused: [usize; 2],
}

fn train(gpu: Emulated, plan: &Arc<Plan>, steps: u64) -> Result<Trained, Error> {
    let device: Arc<dyn Device> = Arc::new(CudaDevice::new(Arc::new(gpu)));
    let mut executor = Executor::new(Arc::clone(&device), Arc::clone(plan))?;
    executor.load_params(&initial(plan, 3)?)?;
    let mut rng = Rng::new(5);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    for step in 0..steps {
        let images = (0..len).map(|_| rng.normal()).collect();
        let batch = Batch { images, labels: vec![0, 1, 2, 3], ..Batch::default() };
        let args = RunArgs { lr: 0.01, step, ..RunArgs::default() };
        executor.submit(0, &batch, Form::Floats, &args)?;
    }
    let results = StepResult::all(executor.collect(Until::All)?).collect();
    let engines = device.engines()?.chosen;
    let with_sums = || engines.iter().filter(|(work, _)| work.contains("+ stats"));
    let fused = with_sums().filter(|(_, engine)| engine.is_some()).count();
    Ok(Trained { results, weights: executor.store_params()?, fused: [fused, with_sums().count() - fused] })
}

#[test]
fn narrow_convolutions_leave_their_sums_where_the_driver_has_that() {
    for (precision, expected) in [("bf16", true), ("fp16", true), ("f32", false)] {
        let plan = plan(precision);
        let statistics = plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::BnStats(_))).count();
        assert_eq!(statistics, 8, "the stem's, two of each unit, and the projection's");
        let [fused, parts] = train(gpu(true), &plan, 1).expect("it trains").fused;
        assert_eq!((fused > 0, parts), (expected, 0), "{precision}");
        let [fused, parts] = train(gpu(false), &plan, 1).expect("it trains").fused;
        assert_eq!((fused, parts > 0), (0, expected), "{precision}");
        // No statistics read their map in a pass of their own, or all do.
        for (fuses, kernel) in [(true, "bn_stats_of_sums"), (false, "bn_stats_finish")] {
            let fails = |kernel: &str| train(gpu(fuses).with_fault(kernel), &plan, 1).is_err();
            assert_eq!(fails(kernel), expected || !fuses, "{precision} {kernel}");
        }
        assert_eq!(train(gpu(true).with_fault("bn_stats_finish"), &plan, 1).is_ok(), expected, "{precision}");
    }
}

/// Single elements fall on the other side of a tie, and their gradients after them.
#[test]
fn a_training_is_the_same_within_its_roundings() {
    for (precision, rounding) in [("bf16", 1.0 / 256.0), ("fp16", 1.0 / 2048.0)] {
        let plan = plan(precision);
        let [fused, parts] = [true, false].map(|fuses| train(gpu(fuses), &plan, STEPS).expect("it trains"));
        for (step, (fused, parts)) in fused.results.iter().zip(&parts.results).enumerate() {
            let off = (fused.loss - parts.loss).abs() / parts.loss;
            // NaN is not.
            assert!(off <= 4.0 * rounding, "{precision} step {step}: {fused:?}, not {parts:?}");
        }
    }
}

/// The first convolution's result is the same map both ways. Its sums are off by `rows * u` of their magnitude, `u = 2^-24`, and what
/// cancellation makes of that is at most 16 times as much.
#[test]
fn statistics_of_a_map_are_the_same_both_ways() {
    let plan = plan("bf16");
    let of = |fuses: bool, what: &str| {
        let weights = train(gpu(fuses), &plan, 1).expect("it trains").weights;
        let is_it = |(name, _): &(&str, _)| name.starts_with("stem") && name.ends_with(what);
        let found = weights.iter().find(is_it).map(|(_, tensor)| tensor.data.clone());
        found.unwrap_or_else(|| panic!("the stem has a {what}"))
    };
    let (fused, parts) = (of(true, "running_var"), of(false, "running_var"));
    let rows = (BATCH * 12 * 12) as f32;
    let bound = 2.0 * 16.0 * (rows + 8.0) * f32::EPSILON / 2.0;
    assert!(parts.iter().all(|&variance| variance != 1.0), "they took the batch in: {parts:?}");
    for (fused, parts) in fused.iter().zip(&parts) {
        assert!((fused - parts).abs() <= bound * parts, "{fused}, not {parts}");
    }
}

/// A map of `bf16` and what the kernel makes of it and of given sums.
struct Map {
    rows: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Map {
    /// Normally distributed, as `bf16` has it.
    fn new(rows: usize, channels: usize, mean: f32, deviation: f32) -> Self {
        let mut rng = Rng::new(7);
        let value = |_| bf16::from_f32(mean + deviation * rng.normal()).to_f32();
        Map { rows, channels, values: (0..rows * channels).map(value).collect() }
    }

    fn total(&self, channel: usize, of: impl Fn(f64) -> f64) -> f64 {
        self.values.iter().skip(channel).step_by(self.channels).map(|&value| of(value.into())).sum()
    }

    /// Mean and variance of a channel.
    fn exact(&self, channel: usize) -> [f64; 2] {
        let rows = self.rows as f64;
        let mean = self.total(channel, |value| value) / rows;
        [mean, self.total(channel, |value| (value - mean).powi(2)) / rows]
    }

    /// Sums of the values and of their squares by channel.
    fn sums(&self) -> [Vec<f32>; 2] {
        [1, 2].map(|power| {
            let sum = |channel| self.total(channel, |value| value.powi(power)) as f32;
            (0..self.channels).map(sum).collect()
        })
    }

    /// Mean and variance by channel, from these sums and the map.
    fn statistics(&self, sums: &[Vec<f32>; 2]) -> Vec<[f64; 2]> {
        let gpu = gpu(true);
        let put = |bytes: Vec<u8>| -> Memory {
            let memory = gpu.allocate(bytes.len(), Fill::Zeros).expect("a little memory");
            gpu.upload(memory.address, &bytes).expect("it fits");
            memory
        };
        let floats = |values: &[f32]| put(values.iter().flat_map(|value| value.to_ne_bytes()).collect());
        let map: Vec<u8> =
            self.values.iter().flat_map(|&value| bf16::from_f32(value).to_ne_bytes()).collect();
        let memory = [put(map), floats(&sums[0]), floats(&sums[1])];
        let results = [(); 4].map(|()| floats(&vec![0.0; self.channels]));
        let lanes = if self.channels.is_multiple_of(8) { 8 } else { 1 };
        let groups = (self.channels / lanes) as u32;
        let mut args: Vec<Arg<u64>> = memory.iter().map(|memory| Arg::At(memory.address)).collect();
        args.extend([Arg::Int(groups), Arg::Int(self.channels as u32)]);
        args.extend(results.iter().map(|memory| Arg::At(memory.address)));
        // The running statistics become those of the batch.
        args.extend([Arg::Int(self.rows as u32), Arg::Float(1e-5), Arg::Float(1.0)]);
        let launch = Launch {
            function: format!("bn_stats_of_sums_bf16x{lanes}"),
            grid: [1, groups, 1],
            block: [1, 256, 1],
            shared: 256 * 2 * lanes as u32 * 4,
            args,
        };
        gpu.play(&[Call::Launch(launch)]).expect("it runs");
        let read = |memory: &Memory| {
            let mut bytes = vec![0; self.channels * 4];
            gpu.download(memory.address, &mut bytes).expect("it is there");
            let (floats, _) = bytes.as_chunks::<4>();
            floats.iter().map(|&float| f64::from(f32::from_ne_bytes(float))).collect::<Vec<f64>>()
        };
        let [mean, unbiased] = [&results[0], &results[1]].map(read);
        let biased = (self.rows - 1) as f64 / self.rows as f64;
        mean.into_iter().zip(unbiased).map(|(mean, variance)| [mean, variance * biased]).collect()
    }

    /// That statistics by these sums are those of the map.
    fn check(&self, sums: &[Vec<f32>; 2], bound: f64) {
        for (channel, found) in self.statistics(sums).into_iter().enumerate() {
            let [mean, variance] = self.exact(channel);
            let deviation = variance.sqrt();
            let off = ((found[0] - mean) / deviation).abs().max((found[1] / variance - 1.0).abs());
            // NaN is not.
            assert!(off <= bound, "channel {channel}: {found:?}, not {:?}", [mean, variance]);
        }
    }
}

/// Sums of pixels in any order have an error of `rows * u` at most, squares one more `u`.
const ERROR: f64 = 1010.0 / 16_777_216.0;
/// What is left of it in the variance, at most.
const LEFT: f64 = 3.0 * 16.0 * ERROR;

#[test]
fn where_little_cancels_the_map_is_not_read() {
    for channels in [16, 6] {
        let map = Map::new(1000, channels, 0.5, 1.0);
        map.check(&map.sums(), LEFT);
        // The sums alone say what comes out.
        let other = Map::new(1000, channels, 5.0, 2.0);
        let found = map.statistics(&other.sums());
        for (channel, found) in found.into_iter().enumerate() {
            let [mean, variance] = other.exact(channel);
            assert!(
                (found[0] - mean).abs() < 1e-3 && (found[1] - variance).abs() < 1e-2,
                "{channel}: {found:?}"
            );
        }
    }
}

#[test]
fn where_much_cancels_the_map_is_summed_anew() {
    for channels in [16, 6] {
        // Their means lie 30 and 200 deviations off; the last map has one value.
        for (mean, deviation) in [(3.0, 0.1), (-2000.0, 10.0)] {
            let map = Map::new(1000, channels, mean, deviation);
            let [sum, squares] = map.sums();
            for error in [-ERROR as f32, ERROR as f32] {
                let off = [sum.clone(), squares.iter().map(|square| square * (1.0 + error)).collect()];
                map.check(&off, LEFT);
            }
        }
        let constant = Map { rows: 1000, channels, values: vec![100.0; 1000 * channels] };
        let [sum, squares] = constant.sums();
        let off = [sum, squares.iter().map(|square| square * 1.000_01).collect()];
        assert!(constant.statistics(&off).iter().all(|found| *found == [100.0, 0.0]));
    }
}

#[test]
fn sums_that_are_no_numbers_are_not_taken() {
    let map = Map::new(1000, 16, 0.0, 1.0);
    for nonsense in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        map.check(&[vec![nonsense; 16], map.sums()[1].clone()], LEFT);
        // Squares are never negative.
        map.check(&[map.sums()[0].clone(), vec![nonsense.abs(); 16]], LEFT);
    }
}
