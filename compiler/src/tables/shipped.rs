//! The tables that are compiled in.

use crate::diagnostic::suggest::nearest_of;

// `TABLES`: name, file below `tables/`, text; `build.rs` lists the folder.
include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// A compiled-in table.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// What people call it.
    pub name: &'static str,
    /// Below `tables/`.
    pub file: &'static str,
    /// The table.
    pub text: &'static str,
}

/// All compiled-in tables.
pub fn tables() -> impl Iterator<Item = Shipped> {
    TABLES.iter().map(|&(name, file, text)| Shipped { name, file, text })
}

/// A compiled-in table by its name.
pub fn shipped(name: &str) -> Option<Shipped> {
    tables().find(|table| table.name == name)
}

/// Names of compiled-in tables that a wrong one is near to, as the end of a sentence; empty where there are none.
pub fn near(name: &str) -> String {
    match nearest_of(name, tables().map(|table| table.name), 3) {
        near if near.is_empty() => String::new(),
        near => format!("; near: {}", near.join(", ")),
    }
}
