//! What the passes did: `--explain-passes`.

use std::fmt::Write;

use resnetc_compiler::ir::patch::Note;
use resnetc_compiler::report::PassReport;

/// One paragraph per pass: how often it fired, then each place with its sentence.
pub fn explain(passes: &[PassReport]) -> String {
    let mut text = String::new();
    for pass in passes {
        let fired = match pass.fired {
            0 => "changed nothing".to_owned(),
            1 => "fired once".to_owned(),
            n => format!("fired {n} times"),
        };
        writeln!(text, "{}: {fired}; {} operators after it", pass.pass, pass.nodes)
            .expect("writing to a string");
        let width = pass.notes.iter().map(|note| note.node.chars().count()).max().unwrap_or(0);
        for Note { node, sentence, .. } in &pass.notes {
            writeln!(text, "  {node:<width$}  {sentence}").expect("writing to a string");
        }
    }
    text
}

/// The graphs kept by `--dump-after`, each under the name of its pass.
pub fn dumps(passes: &[PassReport]) -> String {
    let mut text = String::new();
    for pass in passes {
        if let Some(dump) = &pass.dump {
            writeln!(text, "# after {}\n{}", pass.pass, dump.trim_end()).expect("writing to a string");
        }
    }
    text
}
