//! Short names of keys that are swept over.

/// Options of `run` that change the spec, as sweeps call them, with the keys that they stand for.
const SHORT: [(&str, &str); 5] = [
    ("epochs", "train.epochs"),
    ("batch_size", "train.batch_size"),
    ("lr", "train.optimizer.lr"),
    ("seed", "train.seed"),
    ("dtype", "train.precision"),
];

/// The key that a short name stands for; any other is a key itself.
pub fn key(name: &str) -> &str {
    let option = name.replace('-', "_");
    SHORT.iter().find(|(short, _)| *short == option).map_or(name, |(_, key)| key)
}

/// The short name of a key, where it has one.
pub fn short(key: &str) -> &str {
    SHORT.iter().find(|(_, known)| *known == key).map_or(key, |(short, _)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_options() {
        assert_eq!((key("lr"), key("batch-size")), ("train.optimizer.lr", "train.batch_size"));
        assert_eq!(
            (key("stages.0.depth"), short("train.seed"), short("classes")),
            ("stages.0.depth", "seed", "classes")
        );
    }
}
