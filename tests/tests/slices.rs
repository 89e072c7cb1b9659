//! Concatenation without copies: which copies go, that what stays is right, and that a faulty slice is refused.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::kernel::{ChannelSlice, Concat};
use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::build::build;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::UpdateRule;
use resnetc_compiler::ir::types::Layout;
use resnetc_compiler::pass::{self, PassContext};
use resnetc_compiler::plan::{Kernel, Plan};
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, ResolvedSpec, load};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init::initial;
use resnetc_tests::bounds::oracle_device;
use resnetc_tests::evaluate::logits;
use resnetc_tests::kernels::MAKERS;
use resnetc_tests::operands::{Operand, signature};
use resnetc_tests::plans::{PlanBuilder, cpu_session, from_bytes, run_kernel, to_bytes};
use resnetc_tests::rng::Rng;
use resnetc_tests::training::{SGD, Session, distance, feed, gradient_of, transfer};

const BATCH: usize = 3;
const SIZE: usize = 9;

const VARIANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/variants/imagenet");

fn resolved(name: &str, text: &str) -> ResolvedSpec {
    let read = |base: &str| std::fs::read_to_string(Path::new(VARIANTS).join(base));
    let request = Request { name, text, overrides: &[], read: &read, limits: Limits::default() };
    load(&request, &mut SourceMap::default()).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"))
}

fn plan(spec: &ResolvedSpec, mode: Mode, batch: usize) -> Plan {
    let plan = compile(spec, &Target::new(mode, batch)).expect("a sound spec").plan;
    assert_eq!(plan.check(), Vec::<String>::new());
    plan
}

/// Channels that each copying step copies.
fn copies(plan: &Plan) -> Vec<Vec<usize>> {
    let copied = plan.steps.iter().filter_map(|step| match &step.kernel {
        Kernel::Concat(Concat { channels, .. }) => Some(channels.clone()),
        _ => None,
    });
    copied.collect()
}

#[test]
fn densenets_copy_nothing_forward() {
    for name in ["densenet121", "densenet201", "../cifar/densenet_bc_100_k12"] {
        let path = Path::new(VARIANTS).join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).expect("a variant");
        for mode in [Mode::Infer, Mode::Train] {
            let plan = plan(&resolved(&format!("{name}.yaml"), &text), mode, 2);
            assert_eq!(copies(&plan), Vec::<Vec<usize>>::new(), "{name}");
            // Backward, the new channels' gradients are: convolutions read them.
            let taken = plan.steps.iter().filter_map(|step| match step.kernel {
                Kernel::ChannelSlice(ChannelSlice { taken, .. }) => Some(taken),
                _ => None,
            });
            assert!(taken.max().unwrap_or(0) <= 32, "{name} copies more than new channels");
            let slices = plan.buffers.iter().filter(|buffer| buffer.slice.is_some());
            assert!(slices.count() > 90, "{name} has no slices");
        }
    }
}

/// A network of units that put their results beside their inputs.
fn dense(unit: &str, rest: &str) -> ResolvedSpec {
    let text = format!(
        "name: dense\ninput: [3, {SIZE}, {SIZE}]\nclasses: 7\nstem: conv3x3(8, stride=2) -> bn -> relu\n{rest}\n\
         unit: own\nstages: [{{depth: 2}}, {{depth: 1}}]\n\
         head: bn -> relu -> global_avgpool -> linear(classes)\nunits:\n  own():\n    {unit}\n"
    );
    resolved("dense.yaml", &text)
}

const CHAIN: &str = "out = concat(x, x -> bn -> relu -> conv1x1(8) -> bn -> relu -> conv3x3(4))";
const TRANSITION: &str = "transition: bn -> relu -> conv1x1(12)";

/// Units, further keys, and the copies left: channels of each copying step.
const NETWORKS: &[(&str, &str, &[&[usize]])] = &[
    // All of a stage are slices of the last unit's result.
    (CHAIN, TRANSITION, &[]),
    (CHAIN, "", &[]),
    (CHAIN, "transition: avgpool2x2", &[]),
    ("out = concat(x -> bn -> relu -> conv3x3(4), x)", TRANSITION, &[]),
    // The unit's convolution reads its input: convolutions read whole maps.
    ("out = concat(x, x -> conv3x3(4) -> bn -> relu)", TRANSITION, &[&[8], &[12], &[12]]),
    // What is put there twice is copied twice.
    (
        "new = x -> bn -> relu -> conv3x3(4)\n    out = concat(new, x, new)",
        TRANSITION,
        &[&[4], &[4], &[4], &[4], &[4], &[4]],
    ),
    // Sums are computed over flat buffers.
    (
        "a = x -> bn -> relu -> conv3x3(4)\n    out = concat(x, a + (a -> relu))",
        TRANSITION,
        &[&[4], &[4], &[4]],
    ),
    // Normalised by groups: the stem ends with a normalisation, which writes whole maps.
    (CHAIN, "norm: group_norm(groups=4)", &[&[8]]),
    // A result of the network is read from outside, so it is no slice; it has slices itself.
    (CHAIN, "outputs: [stage1]", &[&[16]]),
];

#[test]
fn what_cannot_be_a_slice_is_copied() {
    for (unit, rest, expected) in NETWORKS {
        let plan = plan(&dense(unit, rest), Mode::Infer, BATCH);
        assert_eq!(copies(&plan), *expected, "{unit}");
    }
}

fn run(device: Arc<dyn Device>, plan: &Plan, images: &[f32], spec: &ResolvedSpec) -> Vec<f32> {
    let trained = compile(spec, &Target::new(Mode::Train, 1));
    let params = initial(&trained.expect("a sound spec").plan, 5).expect("own tensors");
    let mut exec = Executor::new(device, Arc::new(plan.clone())).expect("it loads");
    exec.load_params(&params).expect("they fit");
    // The second run finds what the first has left behind.
    for _ in 0..2 {
        exec.set_input_nchw(0, images).expect("they fit");
        exec.run(0, &RunArgs::default(), None).expect("it runs");
    }
    exec.output(0, "logits").expect("a network has logits")
}

/// By definition in double precision, by the oracle, and on the CPU with every instruction set.
#[test]
fn slices_change_no_result() {
    for (unit, rest, _) in NETWORKS.iter().filter(|(_, rest, _)| !rest.contains("avgpool")) {
        let spec = dense(unit, rest);
        let plan = plan(&spec, Mode::Infer, BATCH);
        let mut rng = Rng::new(4);
        let images: Vec<f32> = (0..BATCH * 3 * SIZE * SIZE).map(|_| rng.normal()).collect();
        let context = PassContext::new(UpdateRule::Sgd(SGD), 0.1, Backend::CPU);
        let built = build(&spec, Mode::Infer, BATCH).expect("a sound spec");
        let (graph, _) = pass::run_list(built, &pass::front(), &context).expect("a sound graph");
        let trained = compile(&spec, &Target::new(Mode::Train, 1));
        let params = initial(&trained.expect("a sound spec").plan, 5).expect("own tensors");
        let exact = logits(&graph, &params, &images);
        let mut found = vec![("the oracle", run(oracle_device(), &plan, &images, &spec))];
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let cpu = CpuDevice::with_isa(3, isa).expect("the machine has it");
            found.push((isa.name(), run(Arc::new(cpu), &plan, &images, &spec)));
        }
        for (device, found) in found {
            for (i, ((&f, e), bound)) in found.iter().zip(&exact.values).zip(&exact.errors).enumerate() {
                let error = (f64::from(f) - e).abs();
                // Winograd's transforms cost a digit.
                let bound = bound.clamp(1e-4, 1e-3);
                assert!(error <= bound, "{device}, {unit}: logit {i} is {f}, not {e} +- {bound:e}");
            }
        }
    }
}

/// Normalised by batch and by group; in training what is a slice is read again backward.
#[test]
fn slices_train_alike_on_the_cpu() {
    for norm in ["norm: bn", "norm: group_norm(groups=4)"] {
        let spec = dense(CHAIN, &format!("{TRANSITION}\n{norm}"));
        let plan = plan(&spec, Mode::Train, BATCH);
        // The stem's result alone, a normalisation's that is read whole as the mask of its gradient.
        assert_eq!(copies(&plan), [[8]]);
        let mut session = Session::new(plan.clone(), 7);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut cpu = cpu_session(3, isa);
            let program = transfer(&session, &mut *cpu);
            feed(&session, &mut *cpu, program);
            session.loss();
            cpu.run(program, None).expect("it runs");
            for slot in session.trained() {
                let id = gradient_of(&plan, slot.buffer);
                let distance = distance(&session, &*cpu, program, id);
                let name = &plan.buffer(id).name;
                assert!(distance < 1e-3, "{norm}, {}: {name} is off by {distance:e}", isa.name());
            }
        }
    }
}

/// A flat operand as pixels of a few channels: they lie in memory alike.
fn as_map(operand: &Operand) -> Operand {
    let len = operand.shape.numel().expect("small");
    let channels = (1..8).rev().find(|&c| len.is_multiple_of(c)).expect("1 divides all");
    match operand.shape.rank() {
        4 => operand.clone(),
        _ => Operand {
            shape: [len / channels, channels, 1, 1].into(),
            layout: Layout::Nhwc,
            ..operand.clone()
        },
    }
}

/// Elements of all outputs, where one operand lies among others' channels; those have to stay as they were.
fn run_sliced(isa: Isa, kernel: &Kernel, data: &[Vec<f32>], sliced: (bool, usize)) -> Vec<Vec<f32>> {
    let wanted = signature(kernel);
    let mut builder = PlanBuilder::default();
    let mut wide = None;
    let mut place = |builder: &mut PlanBuilder, operand: &Operand, is_output: bool, i: usize| {
        if (is_output, i) != sliced {
            return builder.buffer(operand);
        }
        let operand = as_map(operand);
        let mut whole = operand.clone();
        whole.shape.0[1] += 8;
        let of = builder.buffer(&whole);
        wide = Some((of, whole));
        builder.slice(&operand, of, 3)
    };
    let read: Vec<_> =
        wanted.inputs.iter().enumerate().map(|(i, o)| place(&mut builder, o, false, i)).collect();
    let written: Vec<_> =
        wanted.outputs.iter().enumerate().map(|(i, o)| place(&mut builder, o, true, i)).collect();
    builder.step(kernel.clone(), &read, &written);
    let (of, whole) = wide.expect("the operand exists");
    let mut device = cpu_session(2, isa);
    let program = device.load(Arc::new(builder.finish())).unwrap_or_else(|e| panic!("{kernel:?}: {e}"));
    let [n, c, h, w] = whole.shape.nchw().expect("a map");
    let place_of = |image: usize, channel: usize, pixel: usize| (image * c + channel) * h * w + pixel;
    let own = c - 8;
    let mut values = vec![-7.0; n * c * h * w];
    for (i, &id) in read.iter().enumerate() {
        if (false, i) != sliced {
            device.write(program, id, &to_bytes(&wanted.inputs[i], &data[i])).expect("it fits");
            continue;
        }
        for (at, &v) in data[i].iter().enumerate() {
            let (image, channel, pixel) = (at / (own * h * w), at / (h * w) % own, at % (h * w));
            values[place_of(image, channel + 3, pixel)] = v;
        }
    }
    device.write(program, of, &to_bytes(&whole, &values)).expect("it fits");
    device.run(program, None).expect("it runs");
    let fetch = |id, operand: &Operand| {
        let mut bytes = vec![0; operand.shape.numel().expect("small") * operand.dtype.size()];
        device.read(program, id, &mut bytes).expect("it fits");
        from_bytes(operand, &bytes)
    };
    let after = fetch(of, &whole);
    for (at, (a, b)) in after.iter().zip(&values).enumerate() {
        let channel = at / (h * w) % c;
        assert!((3..3 + own).contains(&channel) || a == b, "{kernel:?} wrote channel {channel}");
    }
    let result = |(i, (&id, operand)): (usize, (&_, &Operand))| {
        if (true, i) != sliced {
            return fetch(id, operand);
        }
        let index = |at: usize| place_of(at / (own * h * w), at / (h * w) % own + 3, at % (h * w));
        (0..n * own * h * w).map(|at| after[index(at)]).collect()
    };
    written.iter().zip(&wanted.outputs).enumerate().map(result).collect()
}

/// Every kernel that says it steps over gaps does, to the same bits.
#[test]
fn kernels_step_over_gaps() {
    let mut checked = 0;
    for (_, make) in MAKERS {
        for seed in 0..6 {
            let mut rng = Rng::new(seed);
            let kernel = make(&mut rng);
            let (wanted, table) = (signature(&kernel), kernel.operands().expect("a sound kernel"));
            let data: Vec<Vec<f32>> = wanted.inputs.iter().map(|o| o.generate(&mut rng)).collect();
            let inputs = (0..wanted.inputs.len()).filter(|&i| table.inputs[i].slice).map(|i| (false, i));
            let outputs = (0..wanted.outputs.len()).filter(|&i| table.outputs[i].slice).map(|i| (true, i));
            for sliced in inputs.chain(outputs) {
                for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                    let mut device = cpu_session(2, isa);
                    let whole = run_kernel(&mut *device, &kernel, &data, &[]);
                    let whole = whole.expect("it runs").outputs;
                    assert_eq!(run_sliced(isa, &kernel, &data, sliced), whole, "{kernel:?}, {sliced:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 36, "{checked} cases");
}

#[test]
fn faulty_slices_are_refused() {
    let sound = plan(&dense(CHAIN, TRANSITION), Mode::Infer, 1);
    let refused = |change: &dyn Fn(&mut Plan), expected: &str| {
        let mut plan = sound.clone();
        change(&mut plan);
        let faults = plan.check();
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
        let load = CpuDevice::new(Some(1)).expect("a thread").load(Arc::new(plan));
        load.map(|_| ()).map_err(|e| e.to_string())
    };
    let slice = sound.buffers.iter().position(|b| b.slice.is_some_and(|s| s.start > 0)).expect("a slice");
    let moved = refused(&|plan| plan.buffers[slice].offset += 4, "is no slice of");
    assert!(moved.is_err());
    let outside = |plan: &mut Plan| {
        plan.buffers[slice].slice.as_mut().expect("a slice").start += 4000;
        plan.buffers[slice].offset += 16000;
    };
    assert!(refused(&outside, "is no slice of").is_err());
    // Another one's channels: memory stays within the map, so the device takes it.
    let back = |plan: &mut Plan| {
        plan.buffers[slice].slice.as_mut().expect("a slice").start -= 1;
        plan.buffers[slice].offset -= 4;
    };
    assert!(refused(&back, "once more").is_ok());
    let id = resnetc_compiler::plan::BufferId(slice as u32);
    let whole_reader = |plan: &mut Plan| {
        let pool = plan.steps.iter_mut().find(|s| matches!(s.kernel, Kernel::GlobalAvgPool(_)));
        pool.expect("the head pools").inputs[0] = id;
    };
    assert!(refused(&whole_reader, "cannot step over the gaps").is_err());
}
