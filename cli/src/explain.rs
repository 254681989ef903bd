//! `pinfold explain`: the chain of records, bindings and roles behind an answer. The engine finds it; here it is only asked and printed.

mod binding;
mod identity;
mod review;
mod what_can;
mod who_can;

use std::io::Write;
use std::path::PathBuf;

use pinfold_model::facts::Answers;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;

use crate::arguments::{Explain, ExplainArguments};
use crate::check::now;
use crate::output::explain::shape;
use crate::output::json;
use crate::{CliError, Outcome, policies};

/// What is judged by where no policy is named: the documented defaults.
const DEFAULT_POLICY: &str = "
apiVersion: pinfold.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: defaults}
spec: {}
";

pub(crate) fn run(
    arguments: &ExplainArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, CliError> {
    match &arguments.question {
        Explain::WhatCan(arguments) => what_can::run(arguments, out, err),
        Explain::WhoCan(arguments) => who_can::run(arguments, out, err),
        Explain::Binding(arguments) => binding::run(arguments, out, err),
        Explain::Review(arguments) => review::run(arguments, out, err),
        Explain::Schema { answer } => {
            json::write(&shape::schema(*answer), out)?;
            Ok(Outcome::Passed)
        }
    }
}

/// The policy of some files, or the defaults without any.
fn policy(paths: &[PathBuf]) -> Result<AdmissionPolicy, CliError> {
    let set = if paths.is_empty() {
        let (name, text) = ("defaults".to_owned(), DEFAULT_POLICY.to_owned());
        load(&[SourceFile { name, text }])?
    } else {
        policies::read(paths)?
    };
    set.admission.ok_or_else(|| {
        let text = "no AdmissionPolicy among the policies; leave `-p` out to use the defaults";
        CliError::Input(text.to_owned())
    })
}

/// The world of a view and a policy.
fn world<'a>(
    view: &'a Snapshot,
    policy: &'a AdmissionPolicy,
    answers: &'a Answers,
) -> pinfold_engine::explain::World<'a> {
    pinfold_engine::explain::World { view, policy, answers, now: now() }
}
