//! What was probably meant by a name that is not known.
//!
//! A suggestion that is followed must not make another network than the one that was meant. So a name counts as misspelt
//! only where few letters differ, and none of what carries meaning: digits, a part put before the name, a word for another
//! word.

/// Words of names that are near in letters and far in meaning.
const APART: &[&[&str]] = &[
    &["min", "max", "avg", "sum", "med"],
    &["global", "local"],
    &["in", "out"],
    &["mean", "std", "med"],
    &["start", "end"],
    &["height", "weight", "width"],
    &["pre", "post"],
    &["batch", "patch"],
    &["normal", "uniform"],
];

/// The known name that a misspelt one is near to.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest_of(name, known.iter().copied().filter(|known| is_misspelling(name, known)), 1).pop()
}

/// `did you mean ...?` for a near miss, else the whole list.
pub fn suggest(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known) {
        return format!("did you mean `{near}`?");
    }
    listed(known)
}

/// The whole list.
pub fn listed(known: &[&str]) -> String {
    if known.is_empty() {
        return "there is none: take it out".to_owned();
    }
    let list: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
    format!("known: {}", list.join(", "))
}

/// The nearest of the known names, nearest first; none where two of three letters are others.
pub fn nearest_of<'k>(name: &str, known: impl Iterator<Item = &'k str>, most: usize) -> Vec<&'k str> {
    let most_changes = |k: &str| k.len().max(name.len()).div_ceil(3);
    let alike = known.filter(|k| k.len().abs_diff(name.len()) <= most_changes(k));
    let near = alike.map(|k| (distance(name, k), k));
    let mut near: Vec<_> = near.filter(|&(d, k)| d <= most_changes(k)).collect();
    near.sort_by_key(|&(d, _)| d);
    near.into_iter().take(most).map(|(_, k)| k).collect()
}

/// Whether a name is so near to a known one that it can be nothing else.
fn is_misspelling(name: &str, known: &str) -> bool {
    let most = most_changes(name.chars().count().min(known.chars().count()));
    let small = name.to_lowercase();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    // `dwconv3x3` is no misspelt `conv3x3`, nor is `prelu` a `relu`; a letter that is there twice is.
    let before = small.strip_suffix(known).filter(|before| !before.is_empty());
    let prefixed = before.is_some_and(|before| !known.starts_with(before));
    // Of `channel_norm` and `channel_conv`, one word is another.
    let parts = |name: &str| name.split('_').map(str::to_owned).collect::<Vec<_>>();
    let (own, theirs) = (parts(&small), parts(known));
    let words = own.len() == theirs.len() && own.len() > 1;
    let other_word = |(a, b): (&String, &String)| distance(a, b) > most_changes(a.len().min(b.len()));
    if words && own.iter().zip(&theirs).any(other_word) {
        return false;
    }
    small == known
        || (distance(name, known) <= most
            && digits(name) == digits(known)
            && !prefixed
            && !are_apart(&small, known))
}

/// How many letters of a word may be wrong.
fn most_changes(letters: usize) -> usize {
    match letters {
        0 | 1 => 0,
        2..=5 => 1,
        6..=8 => 2,
        _ => 3,
    }
}

/// Whether one name becomes the other by a word for another word.
fn are_apart(name: &str, known: &str) -> bool {
    let swapped = |a: &str, b: &str| known.contains(b) && known.replacen(b, a, 1) == name;
    APART.iter().any(|words| words.iter().any(|a| words.iter().any(|b| a != b && swapped(a, b))))
}

/// Damerau-Levenshtein distance of adjacent swaps (optimal string alignment), in characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, first) in rows[0].iter_mut().enumerate() {
        *first = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in
            [("", "abc", 3), ("stage", "stages", 1), ("fitlers", "filters", 1), ("relu", "bn", 4)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn suggestions() {
        assert_eq!(suggest("stagse", &["name", "stages"]), "did you mean `stages`?");
        assert_eq!(suggest("banana", &["name", "stages"]), "known: `name`, `stages`");
        assert_eq!(suggest("banana", &[]), "there is none: take it out");
    }

    #[test]
    fn misspelt_names_are_known() {
        for (name, known) in [
            ("covn3x3", "conv3x3"),
            ("cconv3x3", "conv3x3"),
            ("bm", "bn"),
            ("RELU", "relu"),
            ("rellu", "relu"),
            ("epoch", "epochs"),
            ("maxpol3x3", "maxpool3x3"),
            ("globl_avgpool", "global_avgpool"),
            ("he_nromal", "he_normal"),
        ] {
            assert_eq!(nearest(name, &[known]), Some(known), "{name}");
        }
    }

    #[test]
    fn names_with_another_meaning_are_no_misspelt_ones() {
        for (name, known) in [
            ("prelu", "relu"),
            ("relu7", "relu6"),
            ("dwconv3x3", "conv3x3"),
            ("deconv3x3", "conv3x3"),
            ("minpool3x3", "maxpool3x3"),
            ("global_minpool", "global_maxpool"),
            ("max_lr", "min_lr"),
            ("fan_inn_out", "fan_in"),
            ("cifar20", "cifar10"),
            ("v1.6", "v1.5"),
            ("he_uniform", "he_normal"),
            ("beta3", "beta1"),
            ("channel_norm", "channel_conv"),
            ("g", "f"),
            ("foo", "floor"),
        ] {
            assert_eq!(nearest(name, &[known]), None, "{name}");
        }
    }
}
