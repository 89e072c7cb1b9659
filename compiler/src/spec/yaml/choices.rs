//! The keys of a spec under which one of a kind is chosen.

use super::shape::{Section, Shape};
use crate::spec::default::Default;

/// A key with a choice.
pub struct ChoiceKey {
    /// Its name.
    name: &'static str,
    /// The kind where none is written.
    pub default: &'static str,
    /// Settings that all kinds have: an override may lead to one of them without naming the kind.
    pub common: Vec<&'static str>,
}

/// All keys with a choice.
pub struct Choices(Vec<ChoiceKey>);

impl Choices {
    /// Those of a section and of the sections in it.
    pub fn of(section: &Section) -> Self {
        let mut found = Vec::new();
        collect(section, &mut found);
        Choices(found)
    }

    /// The choice under a key.
    pub fn find(&self, key: &str) -> Option<&ChoiceKey> {
        self.0.iter().find(|choice| choice.name == key)
    }
}

fn collect(section: &Section, found: &mut Vec<ChoiceKey>) {
    for key in section.keys {
        if let Shape::Section(inner) = key.shape {
            collect(inner, found);
        }
        if let (Shape::Choice(kinds), Default::Value(default)) = (&key.shape, key.default) {
            let mut common = kinds.first().map(|kind| kind.settings.names()).unwrap_or_default();
            common.retain(|name| kinds.iter().all(|kind| kind.settings.names().contains(name)));
            found.push(ChoiceKey { name: key.name, default, common });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Choices;
    use crate::spec::sections::top::SPEC;

    #[test]
    fn optimizers_have_settings_in_common_and_schedules_have_none() {
        let choices = Choices::of(&SPEC);
        let optimizer = choices.find("optimizer").expect("a choice");
        assert_eq!(
            (optimizer.default, optimizer.common.as_slice()),
            ("sgd", &["lr", "weight_decay", "decay_norm"][..])
        );
        assert!(choices.find("schedule").expect("a choice").common.is_empty());
        assert!(choices.find("augment").is_none());
    }
}
