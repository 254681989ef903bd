//! One row of the demonstration: what was tried, what should answer, what did.

use std::io::{self, Write};

/// What was tried, and how it ended.
#[derive(Debug)]
pub(crate) struct Row {
    /// Which gate.
    pub(crate) gate: &'static str,
    /// What was tried.
    pub(crate) title: String,
    /// `allowed`, or the rule or reason that should deny.
    pub(crate) expected: String,
    /// The same, as answered.
    pub(crate) answered: String,
    /// What the gate said.
    pub(crate) why: String,
}

/// What an honest request is answered.
pub(crate) const ALLOWED: &str = "allowed";

impl Row {
    pub(crate) fn is_right(&self) -> bool {
        self.expected == self.answered
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        let mark = if row.is_right() { "ok   " } else { "WRONG" };
        writeln!(out, "{mark} {:8} {:<12} {}", row.gate, row.answered, row.title)?;
        if !row.is_right() {
            writeln!(out, "      expected {}", row.expected)?;
        }
        for line in row.why.lines() {
            writeln!(out, "        {line}")?;
        }
    }
    Ok(())
}
