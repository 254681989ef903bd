//! `pinfold explain what-can`.

use std::io::Write;

use pinfold_engine::explain;
use pinfold_model::facts::Answers;

use super::{identity, policy, world};
use crate::arguments::{ExplainOutput, WhatCanArguments};
use crate::output::explain::{dot, shape, table};
use crate::output::json;
use crate::{CliError, Outcome, live};

pub(super) fn run(
    arguments: &WhatCanArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let identity = identity::read(arguments)?;
    let policy = policy(&arguments.policies)?;
    let seen = live::read(&arguments.cluster, err)?;
    let answers = Answers::default();
    let world = world(&seen.view, &policy, &answers);
    let mut found = explain::what_can(&world, &identity);
    if let Some(place) = &arguments.place {
        found.chains.retain(|chain| chain.place().is_empty() || chain.place() == place);
    }
    let answer = shape::WhatCan::of(&found);
    match arguments.output {
        ExplainOutput::Table => table::what_can(&answer, out)?,
        ExplainOutput::Json => json::write(&answer, out)?,
        ExplainOutput::Dot => dot::what_can(&answer, out)?,
    }
    let whole = seen.complete && found.hops.iter().all(|hop| !hop.is_broken());
    Ok(if whole { Outcome::Passed } else { Outcome::Undecided })
}
