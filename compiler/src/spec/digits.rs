//! Whole numbers in groups: `25_557_032`.

/// The digits of `25_557_032`: single underscores between digits.
pub fn ungrouped(text: &str) -> Option<String> {
    let groups = text.split('_');
    let right = groups.clone().all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    right.then(|| groups.collect())
}

/// `25_557_032`
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join("_")
}

#[cfg(test)]
mod tests {
    use super::ungrouped;

    #[test]
    fn single_underscores_stand_between_digits() {
        assert_eq!(ungrouped("25_557_032").as_deref(), Some("25557032"));
        assert_eq!(ungrouped("7").as_deref(), Some("7"));
        for wrong in ["", "_", "1__0", "_1", "1_", "1_a", "-1_0"] {
            assert_eq!(ungrouped(wrong), None, "{wrong}");
        }
    }
}
