//! Every shipped spec, compiled for inference and for training: the graph after the last pass and the figures of the
//! plan, one reviewed text file each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::{Activate, Activation, Op};
use resnetc_compiler::plan::{ALIGN, Plan};
use resnetc_compiler::report::{Compiled, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, load};
use resnetc_tests::nets::{Net, square};
use resnetc_tests::specs::resolve;
use resnetc_tests::training::compile_without;

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let entries = std::fs::read_dir(&folder).expect("the folder of specs");
    let mut specs: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    specs.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    specs.sort();
    assert!(specs.len() >= 11, "{} specs in {}", specs.len(), folder.display());
    specs
}

fn compiled(path: &Path, mode: Mode, batch: usize) -> Compiled {
    let text = std::fs::read_to_string(path).expect("a readable spec");
    let read = |base: &str| std::fs::read_to_string(path.with_file_name(base));
    let mut sources = SourceMap::default();
    let name = path.to_string_lossy();
    let spec = load(
        &Request { name: &name, text: &text, overrides: &[], read: &read, limits: Limits::default() },
        &mut sources,
    );
    let spec = spec.unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
    let target = Target::new(mode, batch);
    compile(&spec, &target).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"))
}

/// The graph's text and, behind it, what the plan makes of it.
fn text(compiled: &Compiled) -> String {
    let (plan, summary) = (&compiled.plan, &compiled.summary);
    let mut text = compiled.graph.to_string();
    let _ = writeln!(
        text,
        "\nparams {}, macs {}, output {:?}",
        summary.params, summary.macs, summary.output_shape
    );
    let _ = writeln!(text, "kernels {} of {} operators", summary.kernels, summary.kernels_before);
    for (region, bytes) in plan.memory() {
        let _ = writeln!(text, "{region} {bytes} bytes");
    }
    text
}

/// Snapshots are called by their networks alone.
fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn snapshot(mode: Mode, suffix: &str, batch: usize) {
    let settings = snapshots();
    for path in shipped() {
        let compiled = compiled(&path, mode, batch);
        assert_eq!(compiled.plan.check(), Vec::<String>::new(), "{}", path.display());
        let name = format!("{}.{suffix}", path.file_stem().expect("a name").to_string_lossy());
        settings.bind(|| insta::assert_snapshot!(name, text(&compiled)));
    }
}

#[test]
fn inference() {
    snapshot(Mode::Infer, "infer", 1);
}

#[test]
fn training() {
    snapshot(Mode::Train, "train", 2);
}

/// A network whose filters take one update rule and whose other parameters take another.
const TWO_RULES: &str = "
name: two_rules
input: [3, 8, 8]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
train: {optimizer: {muon: {lr: 0.02, weight_decay: 0.01}}}
";

/// Muon for the filters of stages, AdamW for first convolution, head, normalisations and biases, in one plan.
#[test]
fn muon_has_two_update_rules() {
    let spec = resolve(TWO_RULES);
    let compiled = compile(&spec, &Target::new(Mode::Train, 2)).expect("it compiles");
    assert_eq!(compiled.plan.check(), Vec::<String>::new());
    snapshots().bind(|| insta::assert_snapshot!("two_rules.train", text(&compiled)));
}

/// Bytes of the arena that are alive at the fullest step, an output on its input's memory counting once: with these
/// lifetimes no placement needs less.
fn bound(plan: &Plan) -> usize {
    let alive = |step: usize| {
        let own = plan.buffers.iter().filter(|b| b.slice.is_none());
        let live = own.filter(|b| b.live.is_some_and(|(a, z)| a <= step && step <= z));
        let mut pieces: Vec<_> = live.map(|b| (b.offset, b.bytes.next_multiple_of(ALIGN))).collect();
        pieces.sort_unstable();
        pieces.dedup();
        pieces.iter().map(|(_, bytes)| bytes).sum::<usize>()
    };
    (0..plan.steps.len()).map(alive).max().unwrap_or(0)
}

#[test]
fn arenas_are_as_small_as_their_lifetimes_allow() {
    for path in shipped() {
        for (mode, batch) in [(Mode::Infer, 1), (Mode::Train, 16)] {
            let plan = compiled(&path, mode, batch).plan;
            assert_eq!(plan.sizes.arena, bound(&plan), "{} {mode:?}", plan.name);
        }
    }
}

/// The last step could work in place, but for its input being a result too.
#[test]
fn a_result_is_not_overwritten() {
    let (mut net, x) = Net::new(Mode::Infer, [1, 4, 4, 4]);
    let first = net.conv("first", x, [4, 4], square(3, 1, 1), false);
    let second = net.add("second", Op::Activate(Activate { act: Activation::Sigmoid }), &[first]);
    net.graph.outputs = vec![("first".into(), first), ("second".into(), second)];
    let plan = compile_without(net.graph, &[]);
    let place = |name: &str| plan.buffer(plan.output(name).expect("it was named")).offset;
    assert_eq!(plan.steps.len(), 2);
    assert_ne!(place("first"), place("second"));
}

#[test]
fn compiling_twice_gives_the_same_plan() {
    let path = &shipped()[0];
    let plan = || compiled(path, Mode::Train, 4).plan;
    assert_eq!(plan(), plan());
}
