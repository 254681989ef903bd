//! `pinfold explain review`.

use std::io::Write;

use pinfold_engine::review::{self, Dispatch};
use pinfold_model::facts::Answers;

use super::{policy, world};
use crate::arguments::{ReviewArguments, ReviewOutput};
use crate::output::explain::{shape, table};
use crate::output::{json, yaml};
use crate::{CliError, Outcome, live};

/// What a ref that says no more is a name of.
const BRANCHES: &str = "refs/heads/";

pub(super) fn run(
    arguments: &ReviewArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let policy = policy(&arguments.policies)?;
    let seen = live::read(&arguments.cluster, err)?;
    let answers = Answers::default();
    let dispatch = dispatch(arguments);
    let found = review::review(&world(&seen.view, &policy, &answers), &dispatch);
    let answer = shape::Review::of(&dispatch, &found);
    match arguments.output {
        ReviewOutput::Table => table::review(&answer, out)?,
        ReviewOutput::Json => json::write(&answer, out)?,
        ReviewOutput::Yaml => {
            for suggestion in answer.missing_grants() {
                yaml::write(suggestion, out)?;
            }
        }
    }
    Ok(match (seen.complete, found.allowed) {
        (false, _) => Outcome::Undecided,
        (true, false) => Outcome::Denied,
        (true, true) => Outcome::Passed,
    })
}

fn dispatch(arguments: &ReviewArguments) -> Dispatch {
    let (namespace, stack) =
        arguments.stack.split_once('/').unwrap_or((&arguments.namespace, &arguments.stack));
    let git_ref = &arguments.git_ref;
    let whole =
        if git_ref.starts_with("refs/") { git_ref.clone() } else { format!("{BRANCHES}{git_ref}") };
    Dispatch {
        namespace: namespace.to_owned(),
        stack: stack.to_owned(),
        repository: arguments.repository.clone(),
        git_ref: whole,
        head_repository: arguments.head_repository.clone(),
        trigger: arguments.trigger.clone(),
        pool: arguments.pool.clone(),
        ..Dispatch::default()
    }
}
