//! `JUnit` XML, for CI: one test case an object or a case.

use std::io::{self, Write};

use pinfold_model::finding::Mode;

use crate::case::Ran;
use crate::check::Checked;

/// Text for XML: what XML 1.0 can't hold is replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

struct Entry {
    suite: String,
    name: String,
    failure: Option<String>,
}

fn write(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let failures = entries.iter().filter(|entry| entry.failure.is_some()).count();
    let count = entries.len();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites tests=\"{count}\" failures=\"{failures}\">")?;
    writeln!(out, "<testsuite name=\"pinfold\" tests=\"{count}\" failures=\"{failures}\">")?;
    for Entry { suite, name, failure } in entries {
        write!(out, "<testcase classname=\"{}\" name=\"{}\"", escape(suite), escape(name))?;
        match failure {
            Some(text) => {
                let text = escape(text);
                writeln!(out, "><failure message=\"denied\">{text}</failure></testcase>")?;
            }
            None => writeln!(out, "/>")?,
        }
    }
    writeln!(out, "</testsuite>\n</testsuites>")
}

pub(crate) fn check(results: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<Entry> = results.iter().map(entry).collect();
    write(&entries, out)
}

fn entry(result: &Checked) -> Entry {
    let denials = result.findings.iter().filter(|finding| finding.mode == Mode::Enforce);
    let mut lines: Vec<String> = denials.map(ToString::to_string).collect();
    let undecided = result.undecided.iter();
    lines.extend(undecided.map(|rule| format!("{rule} can't be judged without the requester")));
    Entry {
        suite: result.manifest.file.clone(),
        name: result.manifest.object.key.to_string(),
        failure: (!result.allowed).then(|| lines.join("\n")),
    }
}

pub(crate) fn cases(ran: &[Ran], out: &mut dyn Write) -> io::Result<()> {
    let entry = |case: &Ran| {
        let text = || format!("expected {}\nfound {}", case.expected, case.actual);
        let failure = (!case.passed).then(text);
        Entry { suite: case.file.clone(), name: case.name.clone(), failure }
    };
    let entries: Vec<Entry> = ran.iter().map(entry).collect();
    write(&entries, out)
}
