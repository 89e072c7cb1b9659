//! Optimizers: what an update does to a parameter, as data. A rule has constants, and any number of tensors of state per
//! parameter, all of the parameter's shape and zero at first. The rate, the number of the step, and all else that changes
//! from step to step lies in memory.
//!
//! Each has a file, of which all follows that is not arithmetic: keys of specs with their checks, graphs, dumps, memory and
//! checkpoints.

mod adamw;
mod lamb;
mod lars;
mod lion;
mod muon;
pub mod rule;
mod sgd;

pub use adamw::AdamWAttrs;
pub use lamb::LambAttrs;
pub use lars::LarsAttrs;
pub use lion::LionAttrs;
pub use muon::{Matrix, MuonAttrs, NEWTON_SCHULZ, NEWTON_SCHULZ_EPS, NEWTON_SCHULZ_STEPS};
pub use sgd::SgdAttrs;

use std::fmt;

use rule::{Constant, Constants, Rule, Setting};
use serde::{Deserialize, Serialize};

/// The list of all optimizers, handed to a macro.
macro_rules! with_rules {
    ($then:ident) => {
        $then! {
            "sgd" => Sgd(SgdAttrs),
            "adamw" => AdamW(AdamWAttrs),
            "lamb" => Lamb(LambAttrs),
            "lars" => Lars(LarsAttrs),
            "lion" => Lion(LionAttrs),
            "muon" => Muon(MuonAttrs),
        }
    };
}

/// Writes the enum and all that has to name every rule.
macro_rules! rules {
    ($($word:literal => $name:ident($attrs:ident),)*) => {
        /// What an update computes. In the formulas `p` is the parameter, `g` its gradient, `lr` the step's rate, `t` the number of
        /// the step, from 1.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum UpdateRule {
            $(
                #[doc = concat!("See [`", stringify!($attrs), "`].")]
                #[serde(rename = $word)]
                $name($attrs),
            )*
        }

        impl UpdateRule {
            /// The rule of a name and of constants in the order of its settings.
            pub fn of(name: &str, values: &[Constant]) -> Option<Self> {
                match name {
                    $($word => Some(UpdateRule::$name($attrs::of(values))),)*
                    _ => None,
                }
            }

            /// As specs and reports spell it.
            pub fn name(&self) -> &'static str {
                match self { $(UpdateRule::$name(_) => $attrs::NAME,)* }
            }

            /// Name of its kernel in reports.
            pub fn kernel_name(&self) -> &'static str {
                match self { $(UpdateRule::$name(_) => $attrs::KERNEL,)* }
            }

            /// Names of its tensors of state, one of each per parameter, in the order of the kernel's operands. A checkpoint
            /// holds them as `optimizer.<name>.<parameter>`.
            pub fn state(&self) -> &'static [&'static str] {
                match self { $(UpdateRule::$name(_) => $attrs::STATE,)* }
            }

            /// Weight decay.
            pub fn weight_decay(&self) -> f32 {
                match self { $(UpdateRule::$name(rule) => rule.weight_decay(),)* }
            }

            /// The same rule with another weight decay.
            pub fn with_weight_decay(self, weight_decay: f32) -> Self {
                match self { $(UpdateRule::$name(rule) => UpdateRule::$name(rule.with_weight_decay(weight_decay)),)* }
            }

            /// Whether a step depends on norms of the whole parameter: each has an update of its own then.
            pub fn per_tensor(&self) -> bool {
                match self { $(UpdateRule::$name(rule) => rule.per_tensor(),)* }
            }

            /// Floating-point operations for each element.
            pub fn flops(&self) -> u64 {
                match self { $(UpdateRule::$name(_) => $attrs::FLOPS,)* }
            }

            /// Floating-point operations of matrix products, of a parameter of that many rows and columns.
            pub fn product_flops(&self, matrix: [usize; 2]) -> u64 {
                match self { $(UpdateRule::$name(rule) => rule.product_flops(matrix),)* }
            }

            /// Tensors of state that a step reads and writes.
            pub fn state_touched(&self) -> u64 {
                match self { $(UpdateRule::$name(rule) => rule.state_touched(),)* }
            }

            /// What is wrong with the constants side by side, and the way out.
            pub fn fault(&self) -> Option<[&'static str; 2]> {
                match self { $(UpdateRule::$name(rule) => rule.fault(),)* }
            }

            /// Its constants with their values, in the order in which specs have them.
            pub fn settings(&self) -> impl Iterator<Item = (&'static Setting, Constant)> {
                let (settings, values) = match self {
                    $(UpdateRule::$name(rule) => ($attrs::SETTINGS, rule.values()),)*
                };
                settings.iter().zip(values)
            }
        }
    };
}

with_rules!(rules);
pub(crate) use with_rules;

impl UpdateRule {
    /// Of an optimizer for filters alone: the rule of all other parameters, and their learning rate before the schedule.
    pub fn for_others(&self) -> Option<(UpdateRule, f32)> {
        match self {
            UpdateRule::Muon(muon) => Some((UpdateRule::AdamW(muon.adamw()), muon.adamw_lr)),
            UpdateRule::Sgd(_)
            | UpdateRule::AdamW(_)
            | UpdateRule::Lamb(_)
            | UpdateRule::Lars(_)
            | UpdateRule::Lion(_) => None,
        }
    }

    /// Whether a step looks at single elements, whatever the constants: parts of a parameter can be updated by themselves.
    pub fn is_elementwise(&self) -> bool {
        match self {
            UpdateRule::Sgd(_) | UpdateRule::AdamW(_) | UpdateRule::Lion(_) => true,
            UpdateRule::Lamb(_) | UpdateRule::Lars(_) | UpdateRule::Muon(_) => false,
        }
    }

    /// Whether a parameter is updated as a matrix.
    pub fn takes_matrix(&self) -> bool {
        self.for_others().is_some()
    }

    /// The constants in words: numbers, then the flags that hold.
    pub fn constants(&self) -> String {
        let numbers = self.settings().filter_map(|(setting, value)| match value {
            Constant::Number(number) => Some(format!("{} {number}", setting.name)),
            Constant::Flag(_) => None,
        });
        numbers.chain(self.flags().map(str::to_owned)).collect::<Vec<_>>().join(" ")
    }

    /// Names of the flags that hold.
    fn flags(&self) -> impl Iterator<Item = &'static str> {
        let holds = |(setting, value): (&'static Setting, Constant)| match value {
            Constant::Flag(true) => Some(setting.name),
            Constant::Flag(false) | Constant::Number(_) => None,
        };
        self.settings().filter_map(holds)
    }

    /// The numbers among the constants that are rare, or those that are not.
    fn numbers(&self, rare: bool) -> impl Iterator<Item = (&'static str, f32)> {
        self.settings().filter(move |(setting, _)| setting.rare == rare).filter_map(|(setting, value)| {
            match value {
                Constant::Number(number) => Some((setting.name, number)),
                Constant::Flag(_) => None,
            }
        })
    }
}

/// The factor of a learning rate that is the training's.
pub(crate) fn one() -> f32 {
    1.0
}

/// Whether a factor changes nothing.
pub(crate) fn is_one(factor: &f32) -> bool {
    *factor == 1.0
}

/// `sgd_update momentum=0.9 weight_decay=0.0001`
impl fmt::Display for UpdateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel_name())?;
        let rare = self.numbers(true).filter(|(_, number)| *number != 0.0);
        for (name, number) in self.numbers(false).chain(rare) {
            write!(f, " {name}={number}")?;
        }
        self.flags().try_for_each(|flag| write!(f, " {flag}"))
    }
}
