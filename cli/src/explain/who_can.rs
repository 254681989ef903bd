//! `pinfold explain who-can`.

use std::io::Write;

use pinfold_engine::explain::{self, Asked, Scope};
use pinfold_model::facts::Answers;

use super::{policy, world};
use crate::arguments::{ExplainOutput, WhoCanArguments};
use crate::output::explain::{dot, shape, table};
use crate::output::json;
use crate::{CliError, Outcome, live};

/// The namespace that stands for all.
const ALL: &str = "all";

pub(super) fn run(
    arguments: &WhoCanArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let WhoCanArguments { verb, resource, name, .. } = arguments;
    if resource.starts_with('/') && !name.is_empty() {
        return Err(CliError::Input("a URL has no object name: leave it out".to_owned()));
    }
    let asked = Asked::parse(verb, resource, name);
    let scope = match arguments.namespace.as_deref() {
        None | Some(ALL) => Scope::Anywhere,
        Some(namespace) => Scope::Namespace(namespace.to_owned()),
    };
    let policy = policy(&arguments.policies)?;
    let seen = live::read(&arguments.cluster, err)?;
    let answers = Answers::default();
    let world = world(&seen.view, &policy, &answers);
    let mut found = explain::who_can(&world, &asked, &scope);
    if arguments.agents {
        found.subjects.retain(explain::Able::reaches_agents);
    }
    let answer = shape::WhoCan::of(&asked, &scope, &found);
    match arguments.output {
        ExplainOutput::Table => table::who_can(&answer, out)?,
        ExplainOutput::Json => json::write(&answer, out)?,
        ExplainOutput::Dot => dot::who_can(&answer, out)?,
    }
    Ok(match (seen.complete, found.subjects.is_empty()) {
        (false, _) => Outcome::Undecided,
        (true, true) => Outcome::Denied,
        (true, false) => Outcome::Passed,
    })
}
