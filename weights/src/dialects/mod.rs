//! The naming schemes of other programs, one file each: tables from the place of a layer in a network to the name that the
//! program gives it. What follows the layer's name (`weight`, `bias`, `running_mean`, `running_var`) is the same in all of them.

mod cifar;
mod own;
mod scheme;
mod timm;
mod torchvision;
mod transformers;

pub use scheme::{Dialect, Scheme};

/// All of them, the likeliest first: of those that fit equally well, the first is taken.
pub const DIALECTS: &[Dialect] =
    &[own::DIALECT, torchvision::DIALECT, timm::DIALECT, cifar::DIALECT, transformers::DIALECT];

/// The dialect of a name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    DIALECTS.iter().find(|dialect| dialect.name == name)
}

/// All names, for messages.
pub fn names() -> String {
    DIALECTS.iter().map(|dialect| dialect.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_conditions_known() {
        for dialect in DIALECTS {
            assert_eq!(find(dialect.name).map(|found| found.name), Some(dialect.name));
            assert_ne!(dialect.name, "auto");
            for (place, _) in dialect.schemes.iter().flat_map(|scheme| scheme.rules) {
                let known = place.split_once(": ").is_none_or(|(word, _)| ["deep", "pooled"].contains(&word));
                assert!(known, "{}: {place}", dialect.name);
            }
        }
    }
}
