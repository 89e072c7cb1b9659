//! Numbers as specs write them: those of YAML, and whole ones in groups, `25_557_032`.

use super::node::Node;
use crate::spec::digits::ungrouped;

/// The number that a plain scalar is.
pub fn of(node: &Node) -> Option<f64> {
    of_text(node.plain()?)
}

/// The number that a text without quotes is.
pub fn of_text(text: &str) -> Option<f64> {
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let digits = if text.contains('_') { ungrouped(text)? } else { text.to_owned() };
    digits.parse::<f64>().ok().filter(|value| numeric && value.is_finite())
}

/// The same, where it is whole and not negative, digit by digit: an `f64` does not hold every whole number.
pub fn exact(node: &Node) -> Option<u64> {
    let text = node.plain()?;
    if text.contains('_') { ungrouped(text)?.parse().ok() } else { text.parse().ok() }
}

/// What to write instead of a text that looks like a number but is none.
pub fn way_out(text: &str) -> Option<String> {
    if ungrouped(text).is_some() {
        return Some("only whole numbers may be grouped by underscores".to_owned());
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if text.contains('_') && !digits.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return Some(format!("single underscores group the digits of whole numbers: `{digits}`"));
    }
    if text.contains('_') && text.replace('_', "").parse::<f64>().is_ok() {
        return Some("only whole numbers may be grouped by underscores".to_owned());
    }
    let radix = |prefix: &str, radix| u64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)) {
        return Some(format!("numbers are decimal here: `{value}`"));
    }
    let thousands = text.strip_suffix(['k', 'K']).and_then(|text| text.parse::<u32>().ok());
    if let Some(thousands) = thousands {
        return Some(format!("write `{thousands}_000`"));
    }
    let percent = text.strip_suffix('%').and_then(|text| text.trim_end().parse::<f64>().ok());
    if let Some(percent) = percent {
        return Some(format!("write `{}`", percent / 100.0));
    }
    let digits_only =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"._ ".contains(&b));
    if text.contains([',', ' ']) && text.split(',').all(digits_only) {
        return Some(format!(
            "group the digits of a number by underscores: `{}`",
            text.replace([',', ' '], "_")
        ));
    }
    let quotient = text
        .split_once('/')
        .and_then(|(a, b)| Some((a.trim().parse::<f64>().ok()?, b.trim().parse::<f64>().ok()?)));
    if let Some((a, b)) = quotient.filter(|&(_, b)| b != 0.0) {
        return Some(format!("nothing is computed here: write `{}`", a / b));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{exact, of, way_out};
    use crate::source::Span;
    use crate::spec::yaml::node::{Kind, Node};

    fn plain(text: &str) -> Node {
        Node { span: Span::NONE, kind: Kind::plain(text) }
    }

    #[test]
    fn underscores_stand_between_digits() {
        assert_eq!(exact(&plain("18_446_744_073_709_551_615")), Some(u64::MAX));
        for wrong in ["1__0", "_1", "1_", "1__0_", "1_0.5", "1_e3", "-1_0", "0x1_0", "_"] {
            assert_eq!((of(&plain(wrong)), exact(&plain(wrong))), (None, None), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_those_of_yaml() {
        for (text, value) in
            [("5", 5.0), ("-1.5", -1.5), ("1e-4", 1e-4), (".5", 0.5), ("+2", 2.0), ("010", 10.0)]
        {
            assert_eq!(of(&plain(text)), Some(value), "{text}");
        }
        for text in ["", "inf", "nan", ".inf", "1e999", "0x10", "1,000", "ten", "5 0"] {
            assert_eq!(of(&plain(text)), None, "{text}");
        }
    }

    #[test]
    fn what_looks_like_a_number_has_a_way_out() {
        for (text, part) in [
            ("1__0_", "`10`"),
            ("1_0", "only whole numbers"),
            ("0.9_0", "only whole numbers"),
            ("0x10", "`16`"),
            ("0o17", "`15`"),
            ("50k", "`50_000`"),
            ("10%", "`0.1`"),
            ("1,000", "`1_000`"),
            ("1 000", "`1_000`"),
            ("1/4", "`0.25`"),
        ] {
            let help = way_out(text).unwrap_or_default();
            assert!(help.contains(part), "{text}: {help}");
        }
        assert_eq!(way_out("ten"), None);
    }
}
