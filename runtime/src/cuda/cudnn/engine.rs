//! What an engine of cuDNN is: its number, the choices made for it, and what cuDNN notes of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::descriptor::{Attribute as A, Descriptor, Kind, Type};
use super::fault::Result;
use super::job::Job;

/// An engine with its choices: one way of doing a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Where it is found.
    pub source: Source,
    /// Choices, by name.
    #[serde(default)]
    pub knobs: Vec<(String, i64)>,
    /// What cuDNN notes of it.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// Where an engine is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A number among the engines of the graph API for a pattern; it may be another one in another version.
    Graph(i64),
    /// An algorithm of the older calls, which take one convolution each.
    Legacy(u32),
}

/// A note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Its kernel is compiled when the plan is made; else it lies in the library.
    RuntimeCompiled,
    /// It can be made a CUDA graph without capture.
    NativeGraph,
    /// It calls cuBLASLt.
    CublasLt,
    /// It multiplies in tensor cores: of `f32`, TF32.
    TensorCores,
    /// It rounds its inputs to a narrower type.
    RoundsInputs,
    /// It sums in a narrower type than asked for.
    RoundsSums,
    /// The same inputs may give other last bits.
    Nondeterministic,
    /// Fourier transforms.
    Fft,
    /// Winograd's transforms.
    Winograd,
    /// A NaN in the input is one in the result.
    KeepsNan,
    /// Of this engine's behaviour something that this table does not know.
    Behaviour(i32),
    /// Of its arithmetic likewise.
    Numerical(i32),
}

impl Note {
    fn behaviour(code: i32) -> Self {
        // By number: newer libraries have more than the bindings name.
        match code {
            0 => Note::RuntimeCompiled,
            3 => Note::NativeGraph,
            4 => Note::CublasLt,
            other => Note::Behaviour(other),
        }
    }

    fn numerical(code: i32) -> Self {
        match code {
            0 => Note::TensorCores,
            1 => Note::RoundsInputs,
            2 => Note::RoundsSums,
            3 => Note::Fft,
            4 => Note::Nondeterministic,
            // Of any tile.
            5..=8 => Note::Winograd,
            9 => Note::KeepsNan,
            other => Note::Numerical(other),
        }
    }
}

/// Names of choices by cuDNN's numbers of them.
const KNOBS: &[&str] = &[
    "split_k",
    "swizzle",
    "tile_size",
    "use_tex",
    "edge",
    "kblock",
    "ldga",
    "ldgb",
    "chunk_k",
    "split_h",
    "wino_tile",
    "multiply",
    "split_k_buf",
    "tile_k",
    "stages",
    "reduction_mode",
    "cta_split_k_mode",
    "split_k_slc",
    "idx_mode",
    "sliced",
    "split_rs",
    "singlebuffer",
    "ldgc",
    "specfilt",
    "kernel_cfg",
    "workspace",
    "tile_cga",
    "tile_cga_m",
    "tile_cga_n",
    "block_size",
    "occupancy",
    "array_size_per_thread",
    "num_c_per_block",
    "split_cols",
    "tile_rows",
    "tile_cols",
    "load_size",
    "cta_count",
    "stream_k",
    "split_p_slc",
    "tile_m",
    "tile_n",
    "warp_spec_cfg",
    "swap_ab",
];

/// An engine has fewer choices.
const MOST_KNOBS: usize = 2 * KNOBS.len();

/// What engines are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Only such as give the same bits each time.
    pub deterministic: bool,
    /// Bytes of workspace, at most.
    pub workspace: u64,
}

impl Rules {
    /// Those of plans that networks run by.
    pub const fn taken(deterministic: bool) -> Self {
        Rules { deterministic, workspace: 1 << 30 }
    }
}

impl Engine {
    /// The engine of a configuration.
    pub(super) fn of(config: &Descriptor) -> Result<Self> {
        let engine = config.part(A::CUDNN_ATTR_ENGINECFG_ENGINE, Type::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
        let behaviour = engine.codes(A::CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, Kind::CUDNN_TYPE_BEHAVIOR_NOTE)?;
        let numerical = engine.codes(A::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, Kind::CUDNN_TYPE_NUMERICAL_NOTE)?;
        let mut notes: Vec<Note> = behaviour.into_iter().map(Note::behaviour).collect();
        notes.extend(numerical.into_iter().map(Note::numerical));
        notes.dedup();
        let kind = Type::CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR;
        let choices = config.parts_up_to(MOST_KNOBS, A::CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, kind)?;
        let knobs = choices.iter().map(|choice| knob(choice)).collect::<Result<_>>()?;
        let source = Source::Graph(engine.int(A::CUDNN_ATTR_ENGINE_GLOBAL_INDEX)?);
        Ok(Engine { source, knobs, notes })
    }

    /// Whether it has a note.
    pub fn has(&self, note: Note) -> bool {
        self.notes.contains(&note)
    }

    /// Whether blocks add their shares of sums to memory as they come, of which cuDNN has no note: kernels that are compiled when the plan
    /// is made do, by `RED.ADD.F32`, and have no workspace for anything else (9.28).
    pub fn adds_in_any_order(&self, job: &Job) -> bool {
        job.adds_sums() && self.has(Note::RuntimeCompiled)
    }

    /// Why it must not do a job; nothing where it may.
    pub fn objection(&self, job: &Job, rules: &Rules) -> Option<&'static str> {
        let single = job.is_single();
        [
            (self.has(Note::RoundsSums), "it sums in less than f32"),
            (single && self.has(Note::TensorCores), "it multiplies f32 as TF32"),
            (single && self.has(Note::RoundsInputs), "it rounds f32"),
            (rules.deterministic && self.has(Note::Nondeterministic), "it is not deterministic"),
            (rules.deterministic && self.adds_in_any_order(job), "it adds sums in any order"),
        ]
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
    }
}

fn knob(choice: &Descriptor) -> Result<(String, i64)> {
    let kind = choice.code(A::CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, Kind::CUDNN_TYPE_KNOB_TYPE)?;
    let name = usize::try_from(kind).ok().and_then(|index| KNOBS.get(index));
    let name = name.map_or_else(|| format!("knob_{kind}"), |name| (*name).to_owned());
    Ok((name, choice.int(A::CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE)?))
}

/// `engine 4 (tile_m=128, stages=3)`
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Graph(index) => write!(f, "engine {index}")?,
            Source::Legacy(algorithm) => write!(f, "legacy algorithm {algorithm}")?,
        }
        let knobs: Vec<String> = self.knobs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if knobs.is_empty() { Ok(()) } else { write!(f, " ({})", knobs.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::op::ConvAttrs;

    use super::*;
    use crate::cuda::cudnn::tensor::{Element, Place};
    use crate::cuda::cudnn::work::{Math, Pattern, Sizes, Work};

    fn engine(notes: &[Note]) -> Engine {
        Engine { source: Source::Graph(4), knobs: vec![("tile_m".into(), 128)], notes: notes.to_vec() }
    }

    fn job(element: Element, math: Math) -> Job {
        work(element, math).into()
    }

    fn work(element: Element, math: Math) -> Work {
        let attrs =
            ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
        let (x, y) = (Place::whole(8), Place::whole(8));
        let sizes = Sizes { n: 1, h: 4, w: 4, cin: 8, cout: 8, out: [4, 4], attrs, x, y };
        Work::new(Pattern::Forward, sizes, element, math)
    }

    #[test]
    fn engines_that_round_are_refused_where_f32_means_f32() {
        let rules = Rules { deterministic: false, workspace: 0 };
        let tensor = engine(&[Note::TensorCores]);
        assert!(tensor.objection(&job(Element::F32, Math::Full), &rules).is_some());
        assert_eq!(tensor.objection(&job(Element::F32, Math::Tf32), &rules), None);
        assert_eq!(tensor.objection(&job(Element::Bf16, Math::Full), &rules), None);
        let sums = engine(&[Note::RoundsSums]);
        assert!(sums.objection(&job(Element::F16, Math::Tf32), &rules).is_some());
    }

    #[test]
    fn determinism_is_a_rule() {
        let racy = engine(&[Note::RuntimeCompiled, Note::Nondeterministic]);
        let bf16 = job(Element::Bf16, Math::Full);
        let rule = |deterministic| Rules { deterministic, workspace: 0 };
        assert_eq!(racy.objection(&bf16, &rule(false)), None);
        assert_eq!(racy.objection(&bf16, &rule(true)), Some("it is not deterministic"));
    }

    #[test]
    fn compiled_kernels_add_sums_as_they_come() {
        let [compiled, in_the_library] = [engine(&[Note::RuntimeCompiled]), engine(&[])];
        let plain = work(Element::Bf16, Math::Full);
        let stats = Job::from(Work { pattern: Pattern::ForwardStats, ..plain });
        let plain = Job::from(plain);
        let rule = |deterministic| Rules { deterministic, workspace: 0 };
        assert_eq!(compiled.objection(&stats, &rule(true)), Some("it adds sums in any order"));
        assert_eq!(compiled.objection(&stats, &rule(false)), None);
        assert_eq!(compiled.objection(&plain, &rule(true)), None);
        assert_eq!(in_the_library.objection(&stats, &rule(true)), None);
    }

    #[test]
    fn notes_and_choices_beyond_the_table_are_kept_by_number() {
        assert_eq!(Note::behaviour(9), Note::Behaviour(9));
        assert_eq!(Note::numerical(77), Note::Numerical(77));
        assert_eq!(engine(&[]).to_string(), "engine 4 (tile_m=128)");
        let text = serde_json::to_string(&engine(&[Note::Numerical(77), Note::Fft])).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Engine>(&text).expect("its own"),
            engine(&[Note::Numerical(77), Note::Fft])
        );
    }
}
