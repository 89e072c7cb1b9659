//! Darknet's `.cfg`: sections with settings, one a line.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::fault::{Fault, Place, Result};

/// A section: its name and settings, each with its line.
#[derive(Debug, Clone, Default)]
pub(super) struct Section<'t> {
    pub(super) name: &'t str,
    pub(super) line: usize,
    settings: BTreeMap<&'t str, (&'t str, usize)>,
    read: RefCell<Vec<&'static str>>,
}

/// Reads the sections.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = Place::Line(index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push(Section { name: name.trim(), line: index + 1, ..Section::default() });
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(Fault::new(&place, format!("`{line}` is neither `[section]` nor `key=value`")));
        };
        let section =
            sections.last_mut().ok_or_else(|| Fault::new(&place, "a setting before the first section"))?;
        section.settings.insert(key.trim(), (value.trim(), index + 1));
    }
    Ok(sections)
}

impl<'t> Section<'t> {
    /// Where it begins.
    pub(super) fn place(&self) -> Place {
        Place::Line(self.line)
    }

    /// A setting's text with its line.
    pub(super) fn text(&self, key: &'static str) -> Option<(&'t str, Place)> {
        self.read.borrow_mut().push(key);
        self.settings.get(key).map(|&(value, line)| (value, Place::Line(line)))
    }

    /// A whole number.
    pub(super) fn int(&self, key: &'static str, usual: i64) -> Result<i64> {
        let Some((value, place)) = self.text(key) else { return Ok(usual) };
        value.parse().map_err(|_| Fault::new(&place, format!("`{key}={value}`: a whole number is wanted")))
    }

    /// A whole number of at least 0, and no more than networks have.
    pub(super) fn size(&self, key: &'static str, usual: usize) -> Result<usize> {
        let value = self.int(key, usual as i64)?;
        let size = usize::try_from(value).ok().filter(|&size| size <= 1 << 20);
        size.ok_or_else(|| {
            let place = self.text(key).map_or(self.place(), |(_, place)| place);
            Fault::new(&place, format!("`{key}={value}` is no size"))
        })
    }

    /// A setting that nothing asked for and that is not known to change nothing: what a layer does may depend on it.
    pub(super) fn unread(&self, harmless: &[&str]) -> Result<()> {
        let read = self.read.borrow();
        let unread = self.settings.iter().find(|(key, _)| !read.contains(*key) && !harmless.contains(*key));
        match unread {
            None => Ok(()),
            Some((key, (value, line))) => {
                let message = format!("`{key}={value}` of [{}] has no counterpart in specs", self.name);
                Err(Fault::new(&Place::Line(*line), message))
            }
        }
    }
}
