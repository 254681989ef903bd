//! Records from audit ledgers and log lines. Whatever isn't a refusal of the sidecar is passed over; lines that can't be read are counted.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::CliError;

/// Longest line; longer ones are passed over and counted.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Most refusals that are read.
const RECORDS_MAX: usize = 1_000_000;
/// Joins the names of the policies that one was compiled of.
const JOINT: char = '+';

/// A refusal as it was recorded. Every text is as somebody wrote it: untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    gate: String,
    /// Kind in the ledger; log lines call it `kind`.
    #[serde(alias = "kind")]
    pub(super) event: String,
    decision: String,
    message: String,
    pub(super) reason: String,
    rules: Vec<String>,
    rule: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protocol: String,
    pub(super) method: String,
    pub(super) path: String,
    agent: String,
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) keys: Vec<String>,
    #[serde(alias = "timestamp")]
    time: String,
    #[serde(alias = "id")]
    correlation_id: String,
}

impl Record {
    /// The place in the policy that refused it.
    pub(super) fn place(&self) -> &str {
        self.rules.first().unwrap_or(&self.rule)
    }

    /// When, if that can be read.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    fn is_record(&self) -> bool {
        self.gate == "sidecar" && self.decision == "deny"
    }

    fn is_log_line(&self) -> bool {
        self.gate.is_empty() && self.message == "denied"
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Refusals, in the order of the files.
    pub(super) refusals: Vec<Record>,
    /// Lines that are no JSON of the right shape, or too long.
    pub(super) unreadable: u64,
    /// Audit directories whose chain is damaged.
    pub(super) damaged: u64,
    ids: HashSet<String>,
    agents: BTreeSet<String>,
}

/// Reads everything, of one agent.
///
/// # Errors
/// Files that can't be read; records of several agents when none is named.
pub(super) fn all(logs: &[PathBuf], agent: Option<&str>) -> Result<Records, CliError> {
    let mut records = Records::default();
    for log in logs {
        if log.as_os_str() == "-" {
            records.lines(BufReader::new(std::io::stdin()), log, agent)?;
        } else if log.is_dir() {
            if pinfold_ledger::verify::verify(std::slice::from_ref(log), None).is_err() {
                records.damaged = records.damaged.saturating_add(1);
            }
            for file in segments(log)? {
                records.file(&file, agent)?;
            }
        } else {
            records.file(log, agent)?;
        }
    }
    if agent.is_none() && records.agents.len() > 1 {
        let count = records.agents.len();
        let text = format!("the records are of {count} agents: say whose with `--agent`");
        return Err(CliError::Input(text));
    }
    Ok(records)
}

/// The log files of an audit directory, in order.
fn segments(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let fail = |error: std::io::Error| unreadable(directory, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Input(format!("can't read `{}`: {error}", path.display()))
}

impl Records {
    fn file(&mut self, path: &Path, agent: Option<&str>) -> Result<(), CliError> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        self.lines(BufReader::new(file), path, agent)
    }

    fn lines(
        &mut self,
        mut input: impl BufRead,
        path: &Path,
        agent: Option<&str>,
    ) -> Result<(), CliError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let fail = |error| unreadable(path, &error);
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.map_err(fail)? == 0 {
                return Ok(());
            }
            let whole = line.last() == Some(&b'\n');
            if !whole && !input.fill_buf().map_err(fail)?.is_empty() {
                skip_line(&mut input).map_err(fail)?;
                self.unreadable = self.unreadable.saturating_add(1);
                continue;
            }
            self.line(&line, agent)?;
        }
    }

    fn line(&mut self, line: &[u8], agent: Option<&str>) -> Result<(), CliError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return Ok(());
        };
        if !record.is_record() && !record.is_log_line() {
            return Ok(());
        }
        let named = |agent: &str| record.agent.split(JOINT).any(|name| name == agent);
        // Log lines of older versions name no agent.
        if agent.is_some_and(|agent| !record.agent.is_empty() && !named(agent)) {
            return Ok(());
        }
        // One refusal is in the ledger, in its copy on standard output, and in the log.
        if !record.correlation_id.is_empty() && !self.ids.insert(identity(&record)) {
            return Ok(());
        }
        if self.refusals.len() >= RECORDS_MAX {
            let text = format!("more than {RECORDS_MAX} refusals; name fewer files");
            return Err(CliError::Input(text));
        }
        if !record.agent.is_empty() {
            self.agents.insert(record.agent.clone());
        }
        self.refusals.push(record);
        Ok(())
    }
}

/// One connection can be refused several times, but not twice for the same.
fn identity(record: &Record) -> String {
    let Record { correlation_id, reason, method, path, .. } = record;
    format!("{correlation_id} {reason} {method} {path}")
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, over) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at.saturating_add(1), true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if over {
            return Ok(());
        }
    }
}
