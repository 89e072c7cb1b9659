//! Words and signs of other languages, and what the unit language has in their place.

use super::tokens::{Kind, Token};

/// What is wrong, and the way out.
type Told = (&'static str, &'static str);

/// For those who look for conditions.
const OTHERWISE: &str = "stages that differ name units of their own, or give their unit another argument";

/// For those who give both directions.
pub const ONE_NUMBER: &str = "an argument is one number, which holds for both directions; only windows have two, in the layer's \
                              name: `conv3x1`";

/// The way out where a word of a programming language stands.
pub fn keyword(word: &str) -> Option<&'static str> {
    Some(match word {
        "if" | "else" | "for" | "while" | "in" | "and" | "or" | "not" => OTHERWISE,
        "return" | "yield" => "the result is bound to `out`: `out = x -> conv3x3(f)`",
        "def" | "let" | "var" | "const" | "auto" | "fn" | "function" | "int" | "float" => {
            "leave it out: `name = value` binds, and a signature is `name(f, stride)`"
        }
        _ => return None,
    })
}

/// A sign between layers that follow one another.
pub fn among_layers(kind: Kind) -> Option<Told> {
    Some(match kind {
        Kind::Equals => (
            "layers are not bound to names here",
            "leave the name and the `=` out; values have names in `units`",
        ),
        Kind::Other('+' | '-' | '*' | '/') => (
            "layers cannot be computed with here",
            "only layers after one another stand here; sums and products have their place in `units`",
        ),
        Kind::Other(';') => ("`;` joins no layers", "layers follow one another by `->`"),
        _ => return None,
    })
}

/// A sign that no text has, or not there; with what stands before and behind it.
pub fn anywhere(token: Token, before: &str, rest: &str) -> Option<Told> {
    let digit = |c: char| c.is_ascii_digit();
    let Kind::Other(sign) = token.kind else { return None };
    Some(match sign {
        ';' => {
            ("bindings need no sign between them", "take it out: a binding ends where the next one begins")
        }
        ':' if token.depth > 0 => ("`=` gives an argument its value", "write `stride=2`"),
        ':' => ("`=` binds a value to a name", "write `main = x -> conv3x3(f)`"),
        '*' if before == "*" => ("there are no powers", "write the product out: `f * f`"),
        '/' if before == "/" => ("there is no `//`", "write `floor(a / b)`"),
        '%' => ("there is no `%`", "write `a - b * floor(a / b)`"),
        '.' if rest.starts_with(digit) => {
            ("a number begins with a digit", "write the 0 before the point: `0.5`")
        }
        '.' if before.ends_with(digit) => {
            ("digits are missing behind the point", "write them, or take the point out")
        }
        '[' | '{' => ("lists have no place here", ONE_NUMBER),
        '"' | '\'' => ("quotes have no place here", "names and numbers stand without quotes"),
        '=' | '<' | '!' | '&' | '?' => ("there are no comparisons", OTHERWISE),
        _ => return None,
    })
}
