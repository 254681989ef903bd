//! GitHub workflow commands: annotations on the lines of a pull request.

use std::io::{self, Write};

use pinfold_model::finding::Mode;

use crate::check::Checked;

/// Data of a workflow command: what would end it or begin another is encoded.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property value: colons and commas separate properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

pub(crate) fn check(results: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    for result in results {
        let manifest = &result.manifest;
        let (file, line) = (property(&manifest.file), manifest.line.max(1));
        for finding in &result.findings {
            let level = match finding.mode {
                Mode::Enforce => "error",
                Mode::Warn => "warning",
                Mode::Audit => "notice",
            };
            let (title, text) = (property(finding.rule.as_str()), data(&finding.to_string()));
            writeln!(out, "::{level} file={file},line={line},title={title}::{text}")?;
        }
        for rule in &result.undecided {
            let text = format!("{rule} can't be judged without the requester; say who with --as");
            let title = property(rule.as_str());
            writeln!(out, "::error file={file},line={line},title={title}::{}", data(&text))?;
        }
    }
    Ok(())
}
