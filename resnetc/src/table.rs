//! Published tables: from a file or a compiled-in name to rows whose networks are specs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::tables::{self, Row, Table};

use crate::error::{Error, Faults, Result};
use crate::spec::{Spec, SpecOptions, read};

/// A table that was read. What its networks are, each row's spec says.
#[derive(Debug, Clone)]
pub struct PublishedTable {
    /// What the file says.
    pub table: Table,
    /// Its short name: that of a compiled-in table, or of the file without its ending.
    pub name: String,
    /// Where networks of its own lie: beside the file.
    folder: Option<PathBuf>,
    sources: Arc<SourceMap>,
}

impl PublishedTable {
    /// The file of that name; where there is none, the compiled-in table.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes, [`Error::UnknownTable`], [`Error::UnreadableSpec`].
    pub fn open(name: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = name.as_ref();
        let told = path.to_string_lossy().into_owned();
        if let (Some(shipped), false) = (tables::shipped(&told), path.is_file()) {
            return Self::shipped(shipped, limits);
        }
        let text = match read(path, limits) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.extension().is_none() => {
                return Err(Error::UnknownTable { near: tables::near(&told), name: told });
            }
            Err(source) => return Err(Error::UnreadableSpec { name: told, source }),
        };
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::read(name, &told, &text, path.parent().map(Path::to_owned), limits)
    }

    /// A compiled-in table, whatever files there are.
    ///
    /// # Errors
    /// None of a table that ships: its tests read it.
    pub fn shipped(shipped: tables::Shipped, limits: &Limits) -> Result<Self> {
        Self::read(
            shipped.name.to_owned(),
            &format!("<builtin>/{}", shipped.file),
            shipped.text,
            None,
            limits,
        )
    }

    fn read(name: String, told: &str, text: &str, folder: Option<PathBuf>, limits: &Limits) -> Result<Self> {
        let mut sources = SourceMap::default();
        let read = tables::read(told, text, limits, &mut sources);
        let sources = Arc::new(sources);
        match read {
            Ok(table) => Ok(PublishedTable { table, name, folder, sources }),
            Err(faults) => Err(Error::Spec(Faults::new(faults, sources))),
        }
    }

    /// How a row's network is opened: the file beside the table, or the name as it stands there.
    pub fn network(&self, row: &Row) -> PathBuf {
        let beside = self.folder.as_ref().map(|folder| folder.join(&row.network.value));
        beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(&row.network.value))
    }

    /// The overrides of a row: the recipe's, then its own.
    pub fn sets(&self, row: &Row) -> Vec<String> {
        self.table.recipe.iter().chain(&row.set).cloned().collect()
    }

    /// The network of a row, as it was published; it has the published number of parameters, or the row says why not.
    ///
    /// # Errors
    /// [`Error::Spec`] with the mistakes of the spec, or of the row.
    pub fn spec(&self, row: &Row, limits: &Limits) -> Result<Spec> {
        let options = SpecOptions { set: self.sets(row), limits: *limits };
        let spec = match Spec::open(self.network(row), &options) {
            Err(error @ (Error::UnknownSpec { .. } | Error::UnreadableSpec { .. })) => {
                let help = "name a compiled-in network (`resnetc list`), or a file beside the table";
                let fault = Diagnostic::error(error.to_string(), row.network.span, "named here");
                return Err(self.faults(fault.help(help)));
            }
            other => other?,
        };
        match row.check(spec.figures()?.params) {
            Some(fault) => Err(self.faults(fault)),
            None => Ok(spec),
        }
    }

    fn faults(&self, fault: Diagnostic) -> Error {
        Error::Spec(Faults::new(vec![fault], Arc::clone(&self.sources)))
    }
}
