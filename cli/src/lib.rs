//! The gates' decisions without a cluster: the same engine, the same files, the same answer.
//!
//! Commands write to the given writers and answer with an exit code; nothing here decides.

mod arguments;
mod attempt;
mod audit;
mod case;
mod check;
mod demo;
mod explain;
mod learn;
mod live;
mod manifest;
mod output;
mod policies;
mod policy;
mod scan;
mod vouch;

use std::io::Write;
use std::process::ExitCode;

pub use arguments::{Arguments, Command};

/// How a command ended; a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: allowed, passed.
    Passed,
    /// 1: denied, failed.
    Denied,
    /// 2: could not decide: bad input, bad policy.
    Undecided,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::from(0),
            Outcome::Denied => Self::from(1),
            Outcome::Undecided => Self::from(2),
        }
    }
}

/// Why a command could not decide.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Bad input; the text says what, where and how to mend it.
    #[error("{0}")]
    Input(String),
    /// Nothing could be written.
    #[error("can't write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl From<pinfold_model::sources::SourceError> for CliError {
    fn from(error: pinfold_model::sources::SourceError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<Vec<pinfold_model::document::DocumentError>> for CliError {
    fn from(errors: Vec<pinfold_model::document::DocumentError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::Input(lines.join("\n"))
    }
}

/// Runs a command.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Outcome {
    let result = match &arguments.command {
        Command::Check(arguments) => check::run(arguments, out),
        Command::Try(arguments) => attempt::run(arguments, out),
        Command::Test(arguments) => case::run(arguments, out),
        Command::Explain(arguments) => explain::run(arguments, out, err),
        Command::Scan(arguments) => scan::run(arguments, out),
        Command::Vouch(arguments) => vouch::run(arguments, out),
        Command::Policy(arguments) => policy::run(arguments, out),
        Command::Audit(arguments) => audit::run(arguments, out),
        Command::Learn(arguments) => learn::run(arguments, out),
        Command::Demo => demo::run(out),
    };
    match result.and_then(|outcome| Ok(out.flush().map(|()| outcome)?)) {
        Ok(outcome) => outcome,
        // A reader that went away (`| head`) is no failure to tell anybody about.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Outcome::Undecided
        }
        Err(error) => {
            // Standard error is the last place to complain to; if it is gone, the exit code still tells.
            let _ = writeln!(err, "{error}");
            Outcome::Undecided
        }
    }
}
