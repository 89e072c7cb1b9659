//! Every shipped spec, compiled for inference and for training: the graph after the last pass and the figures of the
//! plan, one reviewed text file each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Plan, Region};
use resnetc_compiler::report::{Compiled, Dump, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, load};

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
    let target = Target { mode, batch, dump: Dump::Never };
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
    for region in [Region::Arena, Region::Params, Region::Grads, Region::Velocity, Region::State] {
        let _ = writeln!(text, "{region} {} bytes", plan.region_bytes(region));
    }
    text
}

fn snapshot(mode: Mode, suffix: &str, batch: usize) {
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
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

/// Bytes of the arena that are alive at the fullest step: no order of the buffers needs less.
fn bound(plan: &Plan) -> usize {
    let alive = |step: usize| {
        let own = plan.buffers.iter().filter(|b| b.slice.is_none());
        let live = own.filter(|b| b.live.is_some_and(|(a, z)| a <= step && step <= z));
        live.map(|buffer| buffer.bytes.next_multiple_of(64)).sum::<usize>()
    };
    (0..plan.steps.len()).map(alive).max().unwrap_or(0)
}

#[test]
fn arenas_are_near_their_lower_bound() {
    for path in shipped() {
        for (mode, batch) in [(Mode::Infer, 1), (Mode::Train, 16)] {
            let plan = compiled(&path, mode, batch).plan;
            let (peak, bound) = (plan.sizes.arena, bound(&plan));
            println!("{} {mode:?}: arena {peak}, bound {bound}", plan.name);
            assert!(peak <= bound + bound / 20, "{} {mode:?}: arena {peak}, bound {bound}", plan.name);
        }
    }
}

#[test]
fn compiling_twice_gives_the_same_plan() {
    let path = &shipped()[0];
    let plan = || compiled(path, Mode::Train, 4).plan;
    assert_eq!(plan(), plan());
}
