//! The functions of the unit language: one table of those on numbers, and those on feature maps.

/// A function on numbers.
#[derive(Debug)]
pub struct Function {
    /// Its name with its arguments.
    pub usage: Usage,
    /// How many arguments it takes.
    pub arity: usize,
    /// Its value.
    pub value: fn(&[f64]) -> f64,
}

/// How a function is called, and what it gives.
#[derive(Debug)]
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// A call of it.
    pub call: &'static str,
    /// What it gives, one line.
    pub about: &'static str,
}

const fn number(
    name: &'static str,
    arity: usize,
    call: &'static str,
    about: &'static str,
    value: fn(&[f64]) -> f64,
) -> Function {
    Function { usage: Usage { name, call, about }, arity, value }
}

/// Functions on numbers.
pub const FUNCTIONS: &[Function] = &[
    number("sqrt", 1, "sqrt(a)", "the square root", |a| a[0].sqrt()),
    number("round", 1, "round(a)", "the nearest whole number; halves away from zero", |a| a[0].round()),
    number("floor", 1, "floor(a)", "the next whole number below", |a| a[0].floor()),
    number("ceil", 1, "ceil(a)", "the next whole number above", |a| a[0].ceil()),
    number("min", 2, "min(a, b)", "the smaller of two numbers", |a| a[0].min(a[1])),
    number("max", 2, "max(a, b)", "the larger of two numbers", |a| a[0].max(a[1])),
];

/// Channels of feature maps after one another.
pub const CONCAT: Usage = Usage {
    name: "concat",
    call: "concat(a, b)",
    about: "the channels of two or more feature maps after one another; heights and widths have to agree",
};

/// The shortcut of another value than the unit's input.
pub const SHORTCUT: Usage = Usage {
    name: "shortcut",
    call: "shortcut(a)",
    about: "`a` instead of `x` after the rule under the key `shortcut`, whichever holds for it",
};

/// The shortcut that reads another value in one of the two cases.
pub const SHORTCUT_OF_CASES: Usage = Usage {
    name: "shortcut",
    call: "shortcut(same=a, changed=b)",
    about: "`shortcut(a)` where `x` and the main branch have one shape, `shortcut(b)` where they have not; the one that is left \
            out is `x`",
};

/// The argument of `shortcut` that is read where input and main branch have one shape.
pub const SAME: &str = "same";

/// The argument of `shortcut` that is read where they have not.
pub const CHANGED: &str = "changed";

/// The function on numbers of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.usage.name == name)
}

/// How many arguments the function on numbers of that name takes.
pub fn arity(name: &str) -> Option<usize> {
    find(name).map(|function| function.arity)
}

/// Names of all that are functions only; `shortcut` is a variable too.
pub fn names() -> Vec<&'static str> {
    std::iter::once(CONCAT.name).chain(FUNCTIONS.iter().map(|function| function.usage.name)).collect()
}
