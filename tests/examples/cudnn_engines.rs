//! Which engines cuDNN has for the networks' convolutions and normalisations, as a page: `cargo run -p resnetc-tests --features cudnn --example
//! cudnn_engines -- DEVICE FOLDER [NETWORK...]`. The device need not be there: plans are made for its description, and kept in the folder. `scripts/cudnn-table`
//! sets up the libraries and writes `docs/cudnn-engines.md`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::ConvAttrs;
use resnetc_compiler::report::Target as Subject;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::load_builtin;
use resnetc_runtime::cuda::cudnn::library::{present, version, version_text};
use resnetc_runtime::cuda::cudnn::{
    Cache, Compiled, Device, Element, Job, Math, Note, Offer, Pattern, Place, Prepare, Rules, Sizes, Source,
    Stored, Target, Types, Work, candidates, distinct, layers, normalisations,
};

/// A network, and what is asked of it.
struct Network {
    name: &'static str,
    /// Images per training step.
    batch: usize,
    /// Of how many layers one is taken: where each has another width, to make all plans takes an hour.
    every: usize,
}

const NETWORKS: &[Network] = &[
    Network { name: "resnet50", batch: 256, every: 1 },
    Network { name: "resnet18", batch: 256, every: 1 },
    Network { name: "resnet20", batch: 128, every: 1 },
    Network { name: "resnext50_32x4d", batch: 256, every: 12 },
    Network { name: "densenet_bc_100_k12", batch: 64, every: 45 },
];

/// Not a network, but set as one.
const ACTIVATIONS: Network = Network { name: "activations", batch: 32, every: 1 };

/// How numbers are stored and multiplied.
struct Precision {
    name: &'static str,
    /// The spec's word; bf16 stands for fp16 too, whose plans have the same maps.
    spec: &'static str,
    element: Element,
    types: Types,
}

const PRECISIONS: [Precision; 4] = {
    const fn of(name: &'static str, spec: &'static str, element: Element, math: Math) -> Precision {
        let narrow = if let Element::F32 = element { Element::Bf16 } else { element };
        Precision { name, spec, element, types: Types { narrow, math } }
    }
    [
        of("f32", "f32", Element::F32, Math::Full),
        of("tf32", "f32", Element::F32, Math::Tf32),
        of("bf16", "bf16", Element::Bf16, Math::Full),
        of("fp16", "bf16", Element::F16, Math::Full),
    ]
};

const RULES: Rules = Rules { deterministic: false, workspace: 1 << 30 };

/// What was made of a work.
struct Made {
    compiled: Compiled,
    /// Whether its first plan may give other bits each time.
    racy: bool,
}

impl Made {
    fn new(job: &Job, compiled: Compiled) -> Self {
        let racy = compiled.plans.first().is_some_and(|plan| {
            plan.engine.has(Note::Nondeterministic) || plan.engine.adds_in_any_order(job)
        });
        Made { compiled, racy }
    }
}

/// A pattern on sizes, with what was made of it by type.
type Rows = BTreeMap<(String, String), [Option<Made>; PRECISIONS.len()]>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, folder, only @ ..] = arguments.as_slice() else {
        return Err(
            "it takes the name of a device, as sm_90, a folder for plans, and networks [default: all]".into(),
        );
    };
    present()?;
    let device = Device::named(device)?;
    let target = Target::described(device)?;
    let cache = Cache::in_folder(Path::new(folder));
    let prepare = Prepare { target: &target, rules: RULES, cache: Some(&cache) };
    let mut page = Vec::new();
    head(&mut page, target.device())?;
    let mut tables = Vec::new();
    let taken = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    for subject in NETWORKS.iter().filter(|subject| taken(subject.name)) {
        let jobs = |precision: &Precision| jobs(subject, precision);
        tables.push((subject, rows(&prepare, subject.name, &jobs)?));
    }
    if taken(ACTIVATIONS.name) {
        tables
            .push((&ACTIVATIONS, rows(&prepare, ACTIVATIONS.name, &|precision| Ok(activations(precision)))?));
    }
    summary(&mut page, &tables)?;
    for (subject, rows) in &tables {
        table(&mut page, subject, rows)?;
    }
    refusals(&mut page, &tables)?;
    Ok(std::io::stdout().write_all(&page)?)
}

/// The distinct jobs of a network's training step and inference.
fn jobs(subject: &Network, precision: &Precision) -> Result<Vec<Job>, Box<dyn Error>> {
    let &Network { name, batch, every } = subject;
    let set = [format!("train.precision={}", precision.spec)];
    let spec = load_builtin(name, &set, Limits::default(), &mut SourceMap::default());
    let spec = spec.ok_or_else(|| format!("no network is called {name}"))?;
    let spec = spec.map_err(|faults| format!("{name}: {faults:?}"))?;
    let (mut all, mut norms) = (Vec::new(), Vec::new());
    for mode in [Mode::Train, Mode::Infer] {
        let target = Subject { backend: Backend::CUDA, ..Subject::new(mode, batch) };
        let compiled = resnetc_compiler::compile(&spec, &target);
        let compiled = compiled.map_err(|faults| format!("{name}: {faults:?}"))?;
        all.extend(layers(&compiled.plan, precision.types).into_iter().step_by(every));
        norms.extend(normalisations(&compiled.plan, precision.types).into_iter().step_by(every));
    }
    Ok(distinct(&all).into_iter().map(Job::from).chain(norms.into_iter().map(Job::from)).collect())
}

/// Every activation behind a convolution of inference, of one size.
fn activations(precision: &Precision) -> Vec<Job> {
    let attrs = ConvAttrs { kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
    let (x, y) = (Place::whole(64), Place::whole(64));
    let sizes = Sizes { n: ACTIVATIONS.batch, h: 56, w: 56, cin: 64, cout: 64, out: [56, 56], attrs, x, y };
    let pattern =
        |act: &Activation| Pattern::ForwardEpilogue { bias: true, residual: false, act: Some(*act) };
    let work = |act: &Activation| Work::new(pattern(act), sizes, precision.element, precision.types.math);
    Activation::ALL.iter().map(work).map(Job::from).collect()
}

/// What is asked of a network in a precision.
type Jobs<'a> = &'a dyn Fn(&Precision) -> Result<Vec<Job>, Box<dyn Error>>;

fn rows(prepare: &Prepare<'_>, name: &str, jobs: Jobs<'_>) -> Result<Rows, Box<dyn Error>> {
    let mut rows = Rows::new();
    for (index, precision) in PRECISIONS.iter().enumerate() {
        let jobs = jobs(precision)?;
        for (number, job) in jobs.iter().enumerate() {
            let (number, of, pattern) = (number + 1, jobs.len(), job.text());
            let label = format!("{name} {} {number}/{of}: {pattern} {}", precision.name, job.sizes());
            writeln!(std::io::stderr(), "{label}")?;
            // Asked anew also where the plan is kept, which does not say what else was offered.
            let compiled = match candidates(prepare.target, job, &RULES) {
                Ok(Offer { offered, dropped, .. }) => {
                    let dropped = dropped.into_iter();
                    let forbidden =
                        dropped.map(|(engine, why)| (engine.to_string(), why.to_owned())).collect();
                    Compiled { offered, forbidden, ..prepare.compile(job, 1)? }
                }
                Err(fault) if fault.is_unsupported() => {
                    Compiled { reason: Some(fault.to_string()), ..Compiled::default() }
                }
                Err(fault) => return Err(fault.into()),
            };
            let widens = matches!(job, Job::Convolution(work) if work.output != work.input);
            let widened = if widens { ", f32 out" } else { "" };
            let row = (format!("{pattern}{widened}"), job.sizes());
            rows.entry(row).or_default()[index] = Some(Made::new(job, compiled));
        }
    }
    Ok(rows)
}

fn head(page: &mut impl Write, device: &Device) -> std::io::Result<()> {
    let version = version_text(version());
    write!(
        page,
        "# cuDNN's engines\n\n\
         Which engine of cuDNN {version} the convolutions and normalisations of some networks get on an {} ({}), and what can be fused with them. Written by \
         `scripts/cudnn-table`, without a GPU: the plans are made, with their kernels compiled, for a description of the GPU that was \
         written by hand. **None of them has run**, and the first choice of cuDNN's heuristics is not the fastest for sure: on a GPU the \
         choice is measured.\n\n\
         `f32` means f32: engines that multiply as TF32 are left out; `tf32` has them, too. Engines may need {} MiB of workspace. \
         The older calls, for what has no engine here, can only be asked on a GPU.\n\n\
         `norm` is a batch normalisation in training with its statistics, of a map of so many pixels by channels; `norm backward` its \
         gradient, `drelu` behind that of a ReLU whose sign is computed anew. Blocks leave their sums in the workspace and wait for each \
         other, and each adds them up in the same order: one atomic operation of its code counts blocks (`ATOMG.ADD` of a whole number), and none \
         adds numbers. Maps have to be packed, their channels a multiple of 8, or of 4 in f32.\n\n",
        device.name(),
        device.key(),
        RULES.workspace >> 20,
    )
}

/// Counts of one pattern in one type.
#[derive(Default)]
struct Count {
    works: usize,
    library: usize,
    compiled: usize,
    native: usize,
    racy: usize,
    workspace: u64,
}

impl Count {
    fn add(&mut self, Made { compiled, racy }: &Made) {
        self.works += 1;
        let Some(plan) = compiled.plans.first() else { return };
        let has = |note| usize::from(plan.engine.has(note));
        self.compiled += has(Note::RuntimeCompiled);
        self.library += 1 - has(Note::RuntimeCompiled);
        self.native += has(Note::NativeGraph);
        self.racy += usize::from(*racy);
        self.workspace = self.workspace.max(plan.workspace);
    }
}

fn summary(page: &mut impl Write, tables: &[(&Network, Rows)]) -> std::io::Result<()> {
    let mut counts: BTreeMap<(&str, usize), Count> = BTreeMap::new();
    for ((pattern, _), made) in tables.iter().flat_map(|(_, rows)| rows) {
        for (index, made) in made.iter().enumerate() {
            if let Some(made) = made {
                counts.entry((pattern, index)).or_default().add(made);
            }
        }
    }
    writeln!(page, "## All networks\n")?;
    writeln!(
        page,
        "Layers, each size once a network; of their first plans: where the kernel comes from, whether it can be made a"
    )?;
    writeln!(
        page,
        "CUDA graph without capture, whether it gives other bits each time, the most workspace. Compiled kernels add sums by channel to\n\
         memory as blocks come (`RED.ADD.F32` in their code, without workspace), so that sums have to be zeros before, and have other last\n\
         bits each time, though cuDNN does not note it. Their summands are elements as they were rounded to be stored.\n"
    )?;
    writeln!(
        page,
        "| pattern | type | layers | in the library | compiled | no plan | native graph | nondeterministic | MiB |"
    )?;
    writeln!(page, "|---|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for ((pattern, index), count) in &counts {
        let Count { works, library, compiled, native, racy, workspace } = count;
        let none = works - library - compiled;
        let (name, workspace) = (PRECISIONS[*index].name, mib(*workspace));
        writeln!(
            page,
            "| {pattern} | {name} | {works} | {library} | {compiled} | {none} | {native} | {racy} | {workspace} |"
        )?;
    }
    writeln!(page)
}

fn mib(bytes: u64) -> String {
    if bytes < 1 << 16 { "0".into() } else { format!("{:.1}", bytes as f64 / f64::from(1 << 20)) }
}

fn table(page: &mut impl Write, subject: &Network, rows: &Rows) -> std::io::Result<()> {
    let Network { name, batch, every } = subject;
    let part = if *every == 1 { String::new() } else { format!(", one of {every} layers") };
    writeln!(page, "## {name}, {batch} images{part}\n")?;
    writeln!(
        page,
        "Number of the engine, `c` where its kernel is compiled when the plan is made; ways that the rules leave of those"
    )?;
    writeln!(page, "offered; MiB of workspace.\n")?;
    writeln!(page, "| pattern | layer | f32 | tf32 | bf16 | fp16 |\n|---|---|---|---|---|---|")?;
    let suffix = format!(", n {batch}");
    for ((pattern, sizes), made) in rows {
        let sizes = sizes.strip_suffix(&suffix).unwrap_or(sizes);
        write!(page, "| {pattern} | {sizes} |")?;
        for compiled in made {
            write!(page, " {} |", compiled.as_ref().map_or(String::new(), |made| cell(&made.compiled)))?;
        }
        writeln!(page)?;
    }
    writeln!(page)
}

fn cell(compiled: &Compiled) -> String {
    let offered: usize = compiled.offered.iter().sum();
    match compiled.plans.first() {
        Some(plan) => {
            let ways = format!("; {} of {offered}", offered - compiled.forbidden.len());
            let workspace = match mib(plan.workspace).as_str() {
                "0" => String::new(),
                size => format!("; {size} MiB"),
            };
            format!("{}{ways}{workspace}", number(plan))
        }
        None if offered == 0 => "none offered".into(),
        None => format!("none of {offered}"),
    }
}

fn number(plan: &Stored) -> String {
    let compiled = if plan.engine.has(Note::RuntimeCompiled) { "c" } else { "" };
    match plan.engine.source {
        Source::Graph(index) => format!("{index}{compiled}"),
        Source::Legacy(number) => format!("legacy {number}"),
    }
}

fn refusals(page: &mut impl Write, tables: &[(&Network, Rows)]) -> std::io::Result<()> {
    let mut reasons: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for (subject, rows) in tables {
        for ((pattern, sizes), made) in rows {
            for (compiled, precision) in made.iter().zip(&PRECISIONS) {
                let without = compiled.as_ref().map(|made| &made.compiled);
                let Some(compiled) = without.filter(|compiled| compiled.plans.is_empty()) else {
                    continue;
                };
                let key = (pattern.clone(), precision.name.to_owned(), compiled.why());
                reasons.entry(key).or_default().push(format!("{} {sizes}", subject.name));
            }
        }
    }
    writeln!(page, "## Without a plan\n")?;
    for ((pattern, types, reason), layers) in &reasons {
        writeln!(page, "- {pattern}, {types}: {reason}. {} layers, as {}", layers.len(), layers[0])?;
    }
    Ok(())
}
