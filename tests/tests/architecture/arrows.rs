//! Arrows between files: a file that names something of another has an arrow to the file that defines it.
//!
//! `mod x;` is no arrow. Nor is `pub use x::X`, by which a folder's face hands on what lies below it: who uses `X` by that
//! name has the arrow to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Module, Names, Tree, read_crate};

/// Arrows from file to file, with the paths that draw them, as written.
pub type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// All arrows within and between crates, each given by its name in code and its root file.
pub fn arrows(tree: &Tree, crates: &[(String, String)]) -> Arrows {
    let mut modules = Vec::new();
    let mut roots = BTreeMap::new();
    for (name, root) in crates {
        roots.insert(name.clone(), read_crate(tree, root, &mut modules));
    }
    let house = House { modules, roots };
    let mut found = Arrows::new();
    for (at, module) in house.modules.iter().enumerate() {
        let used = module.paths.iter().map(|names| (names, false));
        let exported = module.exports.iter().map(|(name, names)| (names, !module.words.contains(name)));
        for (names, handed_on) in used.chain(exported) {
            for place in house.resolve(at, names, &mut BTreeSet::new()) {
                let file = house.file(place);
                if file != module.file && !(handed_on && house.is_below(place, at)) {
                    let key = (module.file.clone(), file.to_owned());
                    found.entry(key).or_default().insert(names.join("::"));
                }
            }
        }
    }
    found
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

struct House {
    modules: Vec<Module>,
    roots: BTreeMap<String, usize>,
}

/// Imports that are being followed: an import by way of itself leads nowhere.
type Followed = BTreeSet<(usize, Names)>;

impl House {
    fn file(&self, place: Place) -> &str {
        let (Place::Module(module) | Place::Item(module)) = place;
        &self.modules[module].file
    }

    fn is_below(&self, place: Place, top: usize) -> bool {
        let (Place::Module(module) | Place::Item(module)) = place;
        let mut above = std::iter::successors(Some(module), |&at| self.modules[at].parent);
        above.any(|module| module == top)
    }

    /// Where a path leads that stands in a module: nowhere, if out of the workspace.
    fn resolve(&self, from: usize, names: &[String], followed: &mut Followed) -> BTreeSet<Place> {
        if !followed.insert((from, names.to_vec())) {
            return BTreeSet::new();
        }
        let Some((first, mut rest)) = names.split_first() else { return BTreeSet::new() };
        let mut places = match first.as_str() {
            "crate" => BTreeSet::from([Place::Module(self.root(from))]),
            "self" => BTreeSet::from([Place::Module(from)]),
            "super" => {
                let mut above = self.above(from);
                while let [next, after @ ..] = rest
                    && next == "super"
                {
                    (above, rest) = (self.above(above), after);
                }
                BTreeSet::from([Place::Module(above)])
            }
            name => self.in_scope(from, name, followed),
        };
        for name in rest {
            // What has members by a path is a module, where a function has its name too.
            if places.iter().any(|place| matches!(place, Place::Module(_))) {
                places.retain(|place| matches!(place, Place::Module(_)));
            }
            places = places.into_iter().flat_map(|place| self.member(place, name, followed)).collect();
        }
        followed.remove(&(from, names.to_vec()));
        places
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    fn above(&self, module: usize) -> usize {
        self.modules[module].parent.expect("`super` has a module above")
    }

    /// A path's first name: of the module itself, of another crate, or out of the workspace.
    fn in_scope(&self, module: usize, name: &str, followed: &mut Followed) -> BTreeSet<Place> {
        if let Some(own) = self.named(module, name, followed) {
            return own;
        }
        if let Some(&root) = self.roots.get(name) {
            return BTreeSet::from([Place::Module(root)]);
        }
        self.by_globs(module, name, followed).unwrap_or_default()
    }

    /// A further name of a path. What nothing shows to be elsewhere is the module's own.
    fn member(&self, place: Place, name: &str, followed: &mut Followed) -> BTreeSet<Place> {
        let Place::Module(module) = place else { return BTreeSet::from([place]) };
        self.named(module, name, followed)
            .or_else(|| self.by_globs(module, name, followed))
            .unwrap_or_else(|| BTreeSet::from([Place::Item(module)]))
    }

    /// What a module calls so: a module below, an import, an item. `None`: nothing.
    fn named(&self, module: usize, name: &str, followed: &mut Followed) -> Option<BTreeSet<Place>> {
        let at = &self.modules[module];
        let children = at.children.get(name).into_iter().flatten().map(|&child| Place::Module(child));
        let mut places: BTreeSet<Place> = children.collect();
        let mut known = !places.is_empty();
        if at.items.contains(name) {
            places.insert(Place::Item(module));
            known = true;
        }
        for names in at.imports.get(name).into_iter().flatten() {
            places.extend(self.resolve(module, names, followed));
            known = true;
        }
        known.then_some(places)
    }

    /// What a module calls so because it imports all of another's names.
    fn by_globs(&self, module: usize, name: &str, followed: &mut Followed) -> Option<BTreeSet<Place>> {
        for glob in &self.modules[module].globs {
            for place in self.resolve(module, glob, followed) {
                let Place::Module(other) = place else { continue };
                let step = (other, vec!["*".to_owned(), name.to_owned()]);
                if other == module || !followed.insert(step.clone()) {
                    continue;
                }
                let found =
                    self.named(other, name, followed).or_else(|| self.by_globs(other, name, followed));
                followed.remove(&step);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows of two crates, `one` and `two`, as lines.
    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let tree: Tree = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let crates = ["one", "two"].map(|name| (name.to_owned(), format!("{name}/lib.rs")));
        let crates: Vec<_> = crates.into_iter().filter(|(_, root)| tree.contains_key(root)).collect();
        let line = |((from, to), names): ((String, String), BTreeSet<String>)| {
            format!("{from} -> {to}: {}", names.into_iter().collect::<Vec<_>>().join(", "))
        };
        arrows(&tree, &crates).into_iter().map(line).collect()
    }

    #[test]
    fn a_declaration_is_no_arrow_and_a_path_is_one() {
        let files = [
            ("one/lib.rs", "mod a; mod b; mod c;"),
            ("one/a.rs", "use crate::b::B; fn f() { super::c::g(); Vec::<u8>::new(); std::mem::take(x) }"),
            ("one/b.rs", "pub struct B;"),
            ("one/c.rs", "pub fn g() {}"),
        ];
        assert_eq!(lines(&files), ["one/a.rs -> one/b.rs: crate::b::B", "one/a.rs -> one/c.rs: super::c::g"]);
    }

    #[test]
    fn what_is_handed_on_belongs_to_the_file_that_defines_it() {
        let files = [
            ("one/lib.rs", "pub mod a; mod user;"),
            (
                "one/a/mod.rs",
                "mod b; mod c; pub use b::{B, D}; pub use c::*; pub use std::sync::Arc; pub struct Own(D);",
            ),
            ("one/a/b.rs", "pub enum B { X } pub struct D;"),
            ("one/a/c.rs", "pub fn c() {}"),
            (
                "one/user.rs",
                "use crate::a::{Arc, B, Own}; use crate::a; fn f() { a::c(); B::X; a::unknown() }",
            ),
        ];
        let expected = [
            "one/a/mod.rs -> one/a/b.rs: b::D",
            "one/user.rs -> one/a/b.rs: B::X, crate::a::B",
            "one/user.rs -> one/a/c.rs: a::c",
            "one/user.rs -> one/a/mod.rs: a::unknown, crate::a, crate::a::Own",
        ];
        assert_eq!(lines(&files), expected);
    }

    #[test]
    fn a_path_goes_through_the_module_where_a_function_has_its_name() {
        let files = [
            ("one/lib.rs", "mod a; mod b; pub fn a() {}"),
            ("one/a.rs", "pub fn c() {}"),
            ("one/b.rs", "use super::a::c;"),
        ];
        assert_eq!(lines(&files), ["one/b.rs -> one/a.rs: super::a::c"]);
    }

    #[test]
    fn arrows_run_between_crates_and_from_inline_modules() {
        let files = [
            ("one/lib.rs", "pub mod a;"),
            ("one/a.rs", "pub struct A;"),
            ("two/lib.rs", "mod b; pub fn own() {}"),
            (
                "two/b.rs",
                "mod inner { use one::a::A; use super::super::own; fn f() { super::g() } } fn g() {}",
            ),
        ];
        assert_eq!(
            lines(&files),
            ["two/b.rs -> one/a.rs: one::a::A", "two/b.rs -> two/lib.rs: super::super::own"]
        );
    }

    #[test]
    fn imports_in_a_circle_end() {
        let files = [
            ("one/lib.rs", "mod a; mod b;"),
            ("one/a.rs", "use super::b::X; use super::b::*;"),
            ("one/b.rs", "use super::a::X; use super::a::*; fn f() { X::new() }"),
        ];
        assert_eq!(lines(&files), ["one/a.rs -> one/b.rs: super::b", "one/b.rs -> one/a.rs: super::a"]);
    }
}
