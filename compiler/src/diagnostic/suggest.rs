//! What was probably meant by a name that is not known.

/// The known name that a misspelt one is near to.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest_of(name, known.iter().copied(), 1).pop()
}

/// `did you mean ...?` for a near miss, else the whole list.
pub fn suggest(name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known) {
        return format!("did you mean `{near}`?");
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
    }
}
