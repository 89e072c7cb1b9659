//! An entry of the tables.

/// Words from elsewhere with one meaning.
pub(super) struct Word {
    /// In small letters, without `_`, `-` and dots, and without the window.
    pub(super) theirs: &'static [&'static str],
    /// What to write here; nothing where there is no such thing. `KxK` stands for the window.
    pub(super) ours: &'static str,
    /// What the change means; nothing where both are the same.
    pub(super) note: &'static str,
}

/// The same thing under another name.
pub(super) const fn same(theirs: &'static [&'static str], ours: &'static str) -> Word {
    Word { theirs, ours, note: "" }
}

/// Something near, and how it differs.
pub(super) const fn near(theirs: &'static [&'static str], ours: &'static str, note: &'static str) -> Word {
    Word { theirs, ours, note }
}

/// Something that is not there, and what to do.
pub(super) const fn none(theirs: &'static [&'static str], note: &'static str) -> Word {
    Word { theirs, ours: "", note }
}

impl Word {
    /// The key that is written first; an empty one where none is.
    pub(super) fn key(&self) -> &'static str {
        self.ours.split(':').next().unwrap_or("")
    }

    /// The whole advice.
    pub(super) fn help(&self, window: &str) -> String {
        let ours = self.ours.replace("KxK", window);
        let note = self.note.replace("KxK", window);
        match (ours.as_str(), note.as_str()) {
            ("", note) => note.to_owned(),
            (ours, "") => format!("it is called `{ours}` here"),
            (ours, note) => format!("write `{ours}`: {note}"),
        }
    }
}
