//! A crate's modules: which file each stands in, what it defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Token, tokens};

/// Files by their path from the workspace's root.
pub type Tree = BTreeMap<String, String>;

/// A path as written: `["super", "vjp", "Gradients"]`.
pub type Names = Vec<String>;

/// One module, of a file or inline.
#[derive(Default)]
pub struct Module {
    /// The file that it stands in.
    pub file: String,
    /// The module above; a crate's root has none.
    pub parent: Option<usize>,
    /// Modules below, by name. Two of one name differ by their `cfg`.
    pub children: BTreeMap<String, Vec<usize>>,
    /// What `use` binds, by the name that it has here.
    pub imports: BTreeMap<String, Vec<Names>>,
    /// Modules, and enums, whose names all are imported.
    pub globs: Vec<Names>,
    /// Names of what is defined here.
    pub items: BTreeSet<String>,
    /// All paths in the code, those of `use` among them.
    pub paths: BTreeSet<Names>,
    /// Paths of `pub use`, by the name that is handed on.
    pub exports: BTreeMap<String, Names>,
    /// Names that stand alone in the code.
    pub words: BTreeSet<String>,
}

/// Reads a crate's modules, those of its unit tests aside, beginning with its root; gives the root's number.
pub fn read_crate(tree: &Tree, root: &str, modules: &mut Vec<Module>) -> usize {
    add_file(tree, root, folder_of(root), None, modules)
}

/// All files of some crates, each given by its name and its root; those of unit tests aside.
pub fn files(tree: &Tree, crates: &[(String, String)]) -> BTreeSet<String> {
    let mut modules = Vec::new();
    for (_, root) in crates {
        read_crate(tree, root, &mut modules);
    }
    modules.into_iter().map(|module| module.file).collect()
}

/// Adds a file's module and those below; its children's files lie in `folder`.
fn add_file(
    tree: &Tree,
    file: &str,
    folder: &str,
    parent: Option<usize>,
    modules: &mut Vec<Module>,
) -> usize {
    let text = tree.get(file).unwrap_or_else(|| panic!("no file {file}"));
    modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
    let module = modules.len() - 1;
    Scanner { tree, tokens: &tokens(text), at: 0, public: false, modules }.scan(module, folder);
    module
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What the attributes before an item say.
#[derive(Default)]
struct Attributes {
    test: bool,
    path: Option<String>,
}

struct Scanner<'a> {
    tree: &'a Tree,
    tokens: &'a [Token],
    at: usize,
    /// Whether `pub` stands before the item.
    public: bool,
    modules: &'a mut Vec<Module>,
}

impl Scanner<'_> {
    /// Reads the module to its end: the file's, or the brace that closes it.
    fn scan(&mut self, module: usize, folder: &str) {
        let mut attributes = Attributes::default();
        let mut depth = 0;
        while let Some(token) = self.peek(0).cloned() {
            match token {
                Token::Sign('#') => {
                    self.attribute(&mut attributes);
                    continue;
                }
                _ if attributes.test => self.skip_item(),
                Token::Sign('{') => (depth, self.at) = (depth + 1, self.at + 1),
                Token::Sign('}') if depth == 0 => return,
                Token::Sign('}') => (depth, self.at) = (depth - 1, self.at + 1),
                Token::Word(word) => {
                    // Visibility stands between an attribute and its item.
                    if word == "pub" {
                        self.visibility();
                        continue;
                    }
                    self.word(&word, module, folder, &attributes);
                }
                Token::Text(_) | Token::Colons | Token::Sign(_) => self.at += 1,
            }
            attributes = Attributes::default();
            self.public = false;
        }
    }

    fn word(&mut self, word: &str, module: usize, folder: &str, attributes: &Attributes) {
        match (word, self.peek(1)) {
            ("mod", Some(Token::Word(name))) => {
                let name = name.clone();
                self.at += 2;
                self.child(&name, module, folder, attributes);
            }
            ("use", Some(Token::Word(_) | Token::Sign('{') | Token::Colons)) => {
                self.at += 1;
                self.import(&mut Vec::new(), module);
            }
            ("macro_rules", Some(Token::Sign('!'))) => {
                self.define(2, module);
                self.at += 3;
            }
            ("fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union", Some(_)) => {
                self.define(1, module);
                self.at += 1;
            }
            _ => self.path(module),
        }
    }

    fn define(&mut self, ahead: usize, module: usize) {
        if let Some(Token::Word(name)) = self.peek(ahead) {
            let name = name.clone();
            self.modules[module].items.insert(name);
        }
    }

    /// `#[…]`, or `#![…]`, which says nothing here.
    fn attribute(&mut self, attributes: &mut Attributes) {
        let start = self.at;
        self.at += 1;
        if self.peek(0) == Some(&Token::Sign('!')) {
            self.at += 1;
        }
        if self.peek(0) != Some(&Token::Sign('[')) {
            return;
        }
        self.skip_group();
        let word = |w: &str| Token::Word(w.to_owned());
        match &self.tokens[start + 2..self.at - 1] {
            [cfg, Token::Sign('('), test, Token::Sign(')')]
                if *cfg == word("cfg") && *test == word("test") =>
            {
                attributes.test = true;
            }
            [test] if *test == word("test") => attributes.test = true,
            [path, Token::Sign('='), Token::Text(file)] if *path == word("path") => {
                attributes.path = Some(file.clone());
            }
            _ => {}
        }
    }

    /// `pub`, `pub(crate)`, `pub(in super::above)`.
    fn visibility(&mut self) {
        self.public = true;
        self.at += 1;
        let narrowed = matches!(self.peek(1), Some(Token::Word(w)) if matches!(w.as_str(), "crate" | "super" | "self" | "in"));
        if self.peek(0) == Some(&Token::Sign('(')) && narrowed {
            self.skip_group();
        }
    }

    /// A module below: `mod name;` or `mod name {`.
    fn child(&mut self, name: &str, module: usize, folder: &str, attributes: &Attributes) {
        let below = join(folder, name);
        let child = if self.peek(0) == Some(&Token::Sign('{')) {
            self.at += 1;
            let file = self.modules[module].file.clone();
            self.modules.push(Module { file, parent: Some(module), ..Module::default() });
            let child = self.modules.len() - 1;
            self.scan(child, &below);
            child
        } else if let Some(path) = &attributes.path {
            let file = join(folder_of(&self.modules[module].file), path);
            add_file(self.tree, &file, folder_of(&file), Some(module), self.modules)
        } else {
            let flat = format!("{below}.rs");
            let file = if self.tree.contains_key(&flat) { flat } else { format!("{below}/mod.rs") };
            add_file(self.tree, &file, &below, Some(module), self.modules)
        };
        self.at += 1;
        self.modules[module].children.entry(name.to_owned()).or_default().push(child);
    }

    /// One tree of a `use`, whose prefix is read already.
    fn import(&mut self, prefix: &mut Names, module: usize) {
        let depth = prefix.len();
        loop {
            match self.peek(0) {
                Some(Token::Word(name)) => {
                    prefix.push(name.clone());
                    self.at += 1;
                }
                Some(Token::Colons) => self.at += 1,
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while self.peek(0).is_some_and(|t| *t != Token::Sign('}')) {
                        self.import(prefix, module);
                        if self.peek(0) == Some(&Token::Sign(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    break;
                }
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    self.modules[module].globs.push(prefix.clone());
                    self.record(prefix.join("::"), prefix.clone(), module);
                    break;
                }
                _ => {
                    self.bind(prefix, module);
                    break;
                }
            }
        }
        prefix.truncate(depth);
    }

    /// Binds `a::b`, `a::b as c` or `a::{self}`.
    fn bind(&mut self, names: &[String], module: usize) {
        let (names, alias) = match names {
            [names @ .., renamed, alias] if renamed == "as" => (names, Some(alias.clone())),
            names => (names, None),
        };
        let names = match names {
            [names @ .., last] if last == "self" && !names.is_empty() => names,
            names => names,
        };
        let Some(last) = names.last() else { return };
        let bound = alias.unwrap_or_else(|| last.clone());
        self.modules[module].imports.entry(bound.clone()).or_default().push(names.to_vec());
        self.record(bound, names.to_vec(), module);
    }

    /// Keeps a path of `use`.
    fn record(&mut self, bound: String, names: Names, module: usize) {
        let module = &mut self.modules[module];
        if self.public {
            module.exports.insert(bound, names);
        } else {
            module.paths.insert(names);
        }
    }

    /// A path in the code, or a name that stands alone.
    fn path(&mut self, module: usize) {
        let goes_on = self.at > 0 && matches!(self.tokens[self.at - 1], Token::Colons | Token::Sign('.'));
        let mut names = Vec::new();
        while let Some(Token::Word(name)) = self.peek(0) {
            names.push(name.clone());
            self.at += 1;
            match (self.peek(0), self.peek(1)) {
                (Some(Token::Colons), Some(Token::Word(_))) => self.at += 1,
                _ => break,
            }
        }
        let module = &mut self.modules[module];
        match names.as_slice() {
            _ if goes_on => {}
            [word] => drop(module.words.insert(word.clone())),
            _ => drop(module.paths.insert(names)),
        }
    }

    /// Goes over an item: to its semicolon, or past its block.
    fn skip_item(&mut self) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign(';') => {
                    self.at += 1;
                    return;
                }
                Token::Sign('{') => {
                    self.skip_group();
                    return;
                }
                // The end of what holds the item, a field or an arm.
                Token::Sign('}') => return,
                Token::Sign('(' | '[') => self.skip_group(),
                Token::Word(_) | Token::Text(_) | Token::Colons | Token::Sign(_) => self.at += 1,
            }
        }
    }

    /// Goes over a bracket and all up to the one that closes it.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth -= 1,
                Token::Word(_) | Token::Text(_) | Token::Colons | Token::Sign(_) => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }
}

/// `folder/path`, with `..` followed.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn paths(module: &Module) -> Vec<String> {
        module.paths.iter().map(|names| names.join("::")).collect()
    }

    #[test]
    fn uses_and_paths_are_read() {
        let text = "
            //! Not crate::comment::this.
            pub use crate::a::{self, b::{C, D as E}, f::*};
            use crate::x::Y;
            pub(in super::above) fn g<T: self::h::I>() -> impl Fn() + use<T> { j::k::<u8>(\"l::m\"); n.o::<p::Q>(); }
            macro_rules! r { () => { $crate::s::t() } }
            #[cfg(test)]
            mod tests { use super::u::v; }
            #[cfg(test)]
            fn w() { x::y() }
            const Z: u8 = <u8 as aa::Bb>::MAX;
        ";
        let mut modules = Vec::new();
        read_crate(&tree(&[("src/lib.rs", text)]), "src/lib.rs", &mut modules);
        let expected = ["aa::Bb", "crate::s::t", "crate::x::Y", "j::k", "p::Q", "self::h::I"];
        assert_eq!(paths(&modules[0]), expected);
        assert_eq!(modules[0].exports.keys().collect::<Vec<_>>(), ["C", "E", "a", "crate::a::f"]);
        assert_eq!(modules[0].imports.keys().collect::<Vec<_>>(), ["C", "E", "Y", "a"]);
        assert_eq!(modules[0].globs, [["crate", "a", "f"]]);
        assert!(["g", "r", "Z"].iter().all(|item| modules[0].items.contains(*item)));
        assert_eq!(modules.len(), 1, "unit tests are no modules");
    }

    #[test]
    fn modules_have_their_files() {
        let files = [
            (
                "src/lib.rs",
                "mod a; mod b; mod c { pub mod d; fn e() { f::g() } } #[path = \"a/other.rs\"] mod a;",
            ),
            ("src/a/mod.rs", "mod h;"),
            ("src/a/h.rs", ""),
            ("src/a/other.rs", ""),
            ("src/b.rs", "mod i;"),
            ("src/b/i.rs", ""),
            ("src/c/d.rs", ""),
        ];
        let mut modules = Vec::new();
        read_crate(&tree(&files), "src/lib.rs", &mut modules);
        let found: BTreeSet<&str> = modules.iter().map(|module| module.file.as_str()).collect();
        assert_eq!(found, files.iter().map(|(path, _)| *path).collect());
        assert_eq!(modules[0].children["a"].len(), 2);
        let inline = &modules[modules[0].children["c"][0]];
        assert_eq!((inline.file.as_str(), paths(inline)), ("src/lib.rs", vec!["f::g".to_owned()]));
    }
}
