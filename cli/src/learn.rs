//! `pinfold learn`: from what the sidecar refused to the least policy that would allow it, for a person to review.
//!
//! What is read was written beside an agent that may be hostile: every name goes through the model's own types, nothing is echoed, nothing is
//! proposed that wasn't recorded, and what no rule should allow is told as a comment. The proposal is judged by the engine before it is printed.

mod document;
mod gather;
mod proof;
mod read;
mod want;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pinfold_model::policy::agent::AgentPolicy;

use crate::{CliError, Outcome, attempt, policies};

/// Arguments of `learn`.
#[derive(Debug, Args)]
pub struct LearnArguments {
    /// Policy files and directories: only what they don't allow is proposed.
    #[arg(short, long = "policy", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// The AgentPolicy that the records are of; not needed when they are of one.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Audit directories, or files with records or log lines of the sidecar (`kubectl logs`), or `-` for standard input.
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &LearnArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let set = match arguments.policies.as_slice() {
        [] => None,
        paths => Some(policies::read(paths)?),
    };
    let existing = match &set {
        Some(set) => Some(attempt::agent(set, arguments.agent.as_deref())?),
        None => None,
    };
    let records = read::all(&arguments.logs, wanted_agent(arguments, existing))?;
    let gathered = gather::gather(&records, existing);
    let text = document::write(&gathered, existing)?;
    proof::check(&text, &gathered, existing)?;
    out.write_all(text.as_bytes())?;
    Ok(Outcome::Passed)
}

/// Whose records count: those of the policy that is named; all, if they are of one.
fn wanted_agent<'a>(
    arguments: &'a LearnArguments,
    existing: Option<&'a AgentPolicy>,
) -> Option<&'a str> {
    arguments.agent.as_deref().or(existing.map(|policy| policy.name.as_str()))
}

#[cfg(test)]
mod tests;
