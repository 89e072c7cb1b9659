//! What every optimizer says of itself: its name, its constants with their ranges and defaults, its tensors of state.

/// What a constant may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A number from the least to the most.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
}

/// A constant of a rule, as specs have it: a key of the optimizer's section.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is, one line.
    pub about: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is where nothing is written, as a spec would write it.
    pub default: &'static str,
    /// Whether graphs show it only where it is not 0.
    pub rare: bool,
}

/// The value of a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// Of [`Kind::Number`].
    Number(f32),
    /// Of [`Kind::Flag`].
    Flag(bool),
}

impl From<f32> for Constant {
    fn from(number: f32) -> Self {
        Constant::Number(number)
    }
}

impl From<bool> for Constant {
    fn from(flag: bool) -> Self {
        Constant::Flag(flag)
    }
}

impl From<Constant> for f32 {
    fn from(constant: Constant) -> Self {
        match constant {
            Constant::Number(number) => number,
            Constant::Flag(flag) => f32::from(u8::from(flag)),
        }
    }
}

impl From<Constant> for bool {
    fn from(constant: Constant) -> Self {
        f32::from(constant) != 0.0
    }
}

impl std::fmt::Display for Constant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Constant::Number(number) => number.fmt(f),
            Constant::Flag(flag) => flag.fmt(f),
        }
    }
}

/// The constants of a rule as data; `constants!` writes it.
pub trait Constants: Copy {
    /// In the order in which specs have them.
    const SETTINGS: &'static [Setting];

    /// Values in the order of the settings.
    fn values(&self) -> Vec<Constant>;

    /// Of values in the order of the settings.
    fn of(values: &[Constant]) -> Self;
}

/// An optimizer.
pub trait Rule: Constants {
    /// As specs and reports spell it.
    const NAME: &'static str;
    /// The name in backquotes.
    const QUOTED: &'static str;
    /// Name of its kernel.
    const KERNEL: &'static str;
    /// What it is, one line, with its source.
    const ABOUT: &'static str;
    /// The learning rate where nothing is written.
    const RATE: &'static str;
    /// Names of its tensors of state.
    const STATE: &'static [&'static str];
    /// Floating-point operations for each element.
    const FLOPS: u64;

    /// Weight decay.
    fn weight_decay(&self) -> f32;

    /// The same rule with another weight decay.
    fn with_weight_decay(self, weight_decay: f32) -> Self;

    /// Whether a step depends on norms of the whole parameter: each has an update of its own then.
    fn per_tensor(&self) -> bool {
        false
    }

    /// Floating-point operations of matrix products, of a parameter of that many rows and columns.
    fn product_flops(&self, _matrix: [usize; 2]) -> u64 {
        0
    }

    /// Tensors of state that a step reads and writes.
    fn state_touched(&self) -> u64 {
        Self::STATE.len() as u64
    }

    /// What is wrong with the constants side by side, and the way out.
    fn fault(&self) -> Option<[&'static str; 2]> {
        None
    }
}

/// Declares the constants of a rule: field and type, what it is by default, what it may be, one line about it.
macro_rules! constants {
    (
        $(#[$doc:meta])*
        $attrs:ident { $($field:ident: $ty:ty = $default:literal, $kind:expr, $rare:literal, $about:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $attrs {
            $(#[doc = $about] pub $field: $ty,)*
        }

        impl $crate::ir::update::rule::Constants for $attrs {
            const SETTINGS: &'static [$crate::ir::update::rule::Setting] = &[
                $($crate::ir::update::rule::Setting {
                    name: stringify!($field),
                    about: $about,
                    kind: $kind,
                    default: $default,
                    rare: $rare,
                },)*
            ];

            fn values(&self) -> Vec<$crate::ir::update::rule::Constant> {
                vec![$(self.$field.into(),)*]
            }

            fn of(values: &[$crate::ir::update::rule::Constant]) -> Self {
                let mut values = values.iter();
                $(let $field = (*values.next().expect("a value for each setting")).into();)*
                $attrs { $($field,)* }
            }
        }
    };
}

pub(super) use constants;
