//! Words of PyTorch, timm, Keras and papers, with what they are called here: one table for each place of a spec. A word
//! that means something else here, or nothing, is told as such. It is not taken for a misspelt one.

mod arguments;
mod keys;
mod layers;
mod optimizers;
mod values;
mod word;

use word::Word;

/// What to write for a layer, or a function on feature maps.
pub fn layer(name: &str) -> Option<String> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let (name, window) = split_window(last);
    let plain = plain(name);
    // `conv2d` has its dimensions behind it, as most layers of PyTorch have.
    let stripped = plain.strip_suffix("2d").or_else(|| plain.strip_suffix("layer"));
    let word = find(layers::LAYERS, &plain).or_else(|| find(layers::LAYERS, stripped?))?;
    Some(word.help(window))
}

/// What to write for an argument of a layer or unit that takes those arguments.
pub fn argument(name: &str, taken: &[&str]) -> Option<String> {
    let word = find(arguments::ARGUMENTS, &plain(name))?;
    (word.ours.is_empty() || taken.contains(&word.ours)).then(|| word.help("3x3"))
}

/// What to write for a function on numbers.
pub fn function(name: &str) -> Option<String> {
    Some(find(arguments::FUNCTIONS, &plain(name))?.help("3x3"))
}

/// What to write for a variable. With it the variable that is meant; an empty one where none is.
pub fn variable(name: &str) -> Option<(String, &'static str)> {
    let word = find(arguments::VARIABLES, &plain(name))?;
    Some((word.help("3x3"), word.ours))
}

/// What to write for a key of a section, which is called as in messages, `a stage`, and has those keys. With it the key that
/// is meant; an empty one where none is.
pub fn key(section: &str, name: &str, known: &[&str]) -> Option<(String, &'static str)> {
    let (_, words) = keys::KEYS.iter().find(|(known, _)| *known == section)?;
    let word = find(words, &plain(name))?;
    let meant = word.key();
    (meant.is_empty() || known.contains(&meant)).then(|| (word.help("3x3"), meant))
}

/// What to write for a section that is given as one word or number, which `{}` stands for.
pub fn section(what: &str) -> Option<&'static str> {
    let (_, help) = values::SECTIONS.iter().find(|(known, _)| *known == what)?;
    Some(help)
}

/// What to write for a word under a key, whose kind is called as in messages: `data set`.
pub fn value(kind: &str, name: &str) -> Option<String> {
    let (_, words) = values::VALUES.iter().find(|(known, _)| *known == kind)?;
    Some(find(words, &plain(name))?.help("3x3"))
}

fn find(words: &'static [Word], plain: &str) -> Option<&'static Word> {
    words.iter().find(|word| word.theirs.contains(&plain))
}

/// `Batch_Norm` to `batchnorm`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

/// `dwconv5x5` to `dwconv` and `5x5`; without a window, `3x3`.
fn split_window(name: &str) -> (&str, &str) {
    let at = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x').len();
    match name[at..].split_once('x') {
        Some((h, w)) if !h.is_empty() && !w.is_empty() && !w.contains('x') => {
            (name[..at].trim_end_matches('_'), &name[at..])
        }
        _ => (name, "3x3"),
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::language::functions;
    use crate::spec::language::layer::{is_layer, table::LAYERS};
    use crate::spec::sections::top::SPEC;
    use crate::spec::yaml::shape::{Section, Shape};

    use super::{Word, argument, arguments, keys, layer, layers, plain, value, values};

    fn tables() -> Vec<&'static [Word]> {
        let tables = [layers::LAYERS, arguments::ARGUMENTS, arguments::FUNCTIONS, arguments::VARIABLES];
        let keyed = keys::KEYS.iter().chain(values::VALUES).map(|(_, words)| *words);
        tables.into_iter().chain(keyed).collect()
    }

    #[test]
    fn words_are_plain_and_stand_once_in_a_table() {
        for table in tables() {
            let mut all: Vec<&str> = table.iter().flat_map(|word| word.theirs).copied().collect();
            for word in &all {
                assert_eq!(plain(word), **word);
            }
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{all:?}");
        }
    }

    #[test]
    fn words_say_what_to_do() {
        for word in tables().into_iter().flatten() {
            assert!(!word.ours.is_empty() || !word.note.is_empty(), "{:?}", word.theirs);
        }
    }

    /// What is recommended is there: layers, arguments and functions by their tables.
    #[test]
    fn recommended_names_are_known() {
        let name = |text: &'static str| &text[..text.find(['(', ' ']).unwrap_or(text.len())];
        for word in layers::LAYERS.iter().filter(|word| !word.ours.is_empty()) {
            for layer in word.ours.split(" -> ") {
                let layer = layer.replace("KxK", "3x3");
                let layer = &layer[..layer.find('(').unwrap_or(layer.len())];
                assert!(is_layer(layer), "{layer}");
            }
        }
        let arguments: Vec<&str> =
            LAYERS.iter().flat_map(|layer| layer.parameters).map(|parameter| parameter.name).collect();
        for word in arguments::ARGUMENTS.iter().filter(|word| !word.ours.is_empty()) {
            assert!(arguments.contains(&word.ours), "{}", word.ours);
        }
        for word in arguments::FUNCTIONS.iter().filter(|word| !word.ours.is_empty()) {
            assert!(functions::names().contains(&name(word.ours)), "{}", word.ours);
        }
    }

    /// The keys of the tables' sections are keys, and what is recommended under them is one, too.
    #[test]
    fn recommended_keys_are_known() {
        let sections = sections();
        for (section, words) in keys::KEYS {
            let known = sections.iter().find(|known| known.what == *section).expect(section);
            // Schedules share their words, and so do augmentations.
            let sharing = keys::KEYS.iter().filter(|(_, others)| others[0].theirs == words[0].theirs);
            let of =
                |name: &str| sections.iter().find(|known| known.what == name).expect("a section").names();
            let shared: Vec<&str> = sharing.flat_map(|(name, _)| of(name)).collect();
            for word in words.iter().filter(|word| !word.ours.is_empty()) {
                assert!(shared.contains(&word.key()), "{section} has no {}", word.key());
            }
            for theirs in words.iter().flat_map(|word| word.theirs) {
                assert!(!known.names().contains(theirs), "{theirs} is a key of {section}");
            }
        }
        for (section, _) in values::SECTIONS {
            assert!(sections.iter().any(|known| known.what == *section), "{section}");
        }
    }

    /// All sections of a spec.
    fn sections() -> Vec<&'static Section> {
        let mut found = vec![&SPEC];
        let mut at = 0;
        while let Some(section) = found.get(at).copied() {
            section.keys.iter().for_each(|key| inner(&key.shape, &mut found));
            at += 1;
        }
        found
    }

    fn inner(shape: &'static Shape, found: &mut Vec<&'static Section>) {
        match shape {
            Shape::Section(section) => found.push(section),
            Shape::Choice(choices) | Shape::Steps(choices) => {
                found.extend(choices.iter().map(|choice| &choice.settings));
            }
            Shape::List(item, ..) => inner(item, found),
            Shape::Any(shapes) => shapes.iter().for_each(|shape| inner(shape, found)),
            _ => {}
        }
    }

    #[test]
    fn names_are_known_however_they_are_spelt() {
        for (name, part) in [
            ("swish", "`silu`"),
            ("BatchNorm", "`bn`"),
            ("nn.BatchNorm2d", "`bn`"),
            ("batch_norm", "`bn`"),
            ("nn.ReLU", "`relu`"),
            ("Conv2d", "`conv3x3(out)`"),
            ("dwconv5x5", "`conv5x5(f, groups=f)`"),
            ("deconv3x3", "transposed"),
            ("instance_norm", "group_norm(groups=f)"),
            ("PReLU", "learnt"),
            ("MaxPool2d", "`maxpool3x3"),
            ("F.gelu", "`gelu`"),
        ] {
            let help = layer(name).unwrap_or_else(|| panic!("{name}"));
            assert!(help.contains(part), "{name}: {help}");
        }
        assert_eq!(argument("strides", &["stride"]).as_deref(), Some("it is called `stride` here"));
        assert_eq!(argument("strides", &["eps"]), None);
        assert_eq!(value("optimizer", "SGD").as_deref(), Some("it is called `sgd` here"));
        assert_eq!(layer("covn3x3"), None);
    }
}
