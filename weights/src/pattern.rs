//! Patterns of names: `stage{s}.unit{u}.conv{n}` becomes `layer{s}.{u}.conv{n}`.
//!
//! `{s}` takes a number, under that letter; in the result `{s}`, `{s-1}` and `{s+1}` give it back. All else is taken as it stands.

/// Numbers by their letters.
type Numbers = Vec<(char, usize)>;

/// The result that a name gives, where it is of the pattern.
pub(crate) fn rename(pattern: &str, result: &str, name: &str) -> Option<String> {
    take(pattern, name).and_then(|numbers| give(result, &numbers))
}

/// The numbers in a name that is of the pattern.
fn take(mut pattern: &str, mut name: &str) -> Option<Numbers> {
    let mut numbers = Numbers::new();
    while let Some(first) = pattern.chars().next() {
        if first != '{' {
            name = name.strip_prefix(first)?;
            pattern = &pattern[first.len_utf8()..];
            continue;
        }
        let (inner, rest) = pattern[1..].split_once('}')?;
        let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        numbers.push((inner.chars().next()?, name[..digits].parse().ok()?));
        name = &name[digits..];
        pattern = rest;
    }
    name.is_empty().then_some(numbers)
}

/// The result with the numbers in it; `None` where one is unknown, or below zero.
fn give(mut result: &str, numbers: &Numbers) -> Option<String> {
    let mut name = String::new();
    while let Some((before, after)) = result.split_once('{') {
        let (inner, rest) = after.split_once('}')?;
        let mut inner = inner.chars();
        let letter = inner.next()?;
        let number = numbers.iter().find(|(known, _)| *known == letter)?.1;
        let number = match inner.as_str() {
            "" => number,
            "-1" => number.checked_sub(1)?,
            "+1" => number.checked_add(1)?,
            _ => return None,
        };
        name += &format!("{before}{number}");
        result = rest;
    }
    Some(name + result)
}

#[cfg(test)]
mod tests {
    use super::rename;

    #[test]
    fn numbers_are_carried_over() {
        let layer = |name| rename("stage{s}.unit{u}.conv{n}", "layer{s-1}.{u+1}.conv{n}.x", name);
        assert_eq!(layer("stage3.unit12.conv1").as_deref(), Some("layer2.13.conv1.x"));
        for other in ["stage3.unit12.conv1.weight", "stage3.unit12.conv", "stem.conv1", "stage.unit1.conv1"] {
            assert_eq!(layer(other), None, "{other}");
        }
        assert_eq!(layer("stage0.unit0.conv1"), None, "no layer -1");
        assert_eq!(rename("head.linear1", "fc", "head.linear1").as_deref(), Some("fc"));
        assert_eq!(rename("a{x}", "{y}", "a1"), None, "an unknown letter");
    }
}
