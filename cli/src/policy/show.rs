//! `pinfold policy show`: the policies as they are in force, and what an agent's pod carries of them.
//!
//! Compiles as injection does, so that the digest is the one of annotation `pinfold.dev/policy-digest`; only the tool profiles of a stack, which are in the cluster, can narrow it
//! further.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pinfold_model::document;
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::admission::{AdmissionPolicy, RuleMode};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::compile::{Compiled, compile};
use pinfold_model::policy::inject::{POLICY_BYTES_MAX, POLICY_DIGEST, Profile};
use serde_json::{Map, Value, json};

use crate::arguments::TryOutput;
use crate::output::{JSON_VERSION, yaml};
use crate::{CliError, Outcome, policies};

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// What pods carry of this AgentPolicy; repeat it for several that apply to one pod.
    #[arg(long, value_name = "NAME")]
    agent: Vec<String>,
    /// Output format.
    #[arg(short, long, default_value = "human")]
    output: TryOutput,
    /// Policy files and directories.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &ShowArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let set = policies::read(&arguments.paths)?;
    let shown = if arguments.agent.is_empty() {
        whole(&set)
    } else {
        let agents = named(&set, &arguments.agent)?;
        let compiled = compile(&agents, &[]).map_err(|error| CliError::Input(error.to_string()))?;
        if arguments.output == TryOutput::Human {
            write_compiled(&agents, &compiled, out)?;
            return Ok(Outcome::Passed);
        }
        carried(&agents, &compiled)
    };
    match arguments.output {
        TryOutput::Json => {
            let text = serde_json::to_string_pretty(&shown).map_err(std::io::Error::other)?;
            writeln!(out, "{text}")?;
        }
        TryOutput::Human => yaml::write(&shown, out)?,
    }
    Ok(Outcome::Passed)
}

fn named<'s>(set: &'s PolicySet, names: &[String]) -> Result<Vec<&'s AgentPolicy>, CliError> {
    let find = |name: &String| {
        let found = set.agents.iter().find(|agent| agent.name == *name);
        found.ok_or_else(|| {
            let known = set.agents.iter().map(|agent| agent.name.as_str());
            let near = document::nearest(name, known);
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            CliError::Input(format!("no AgentPolicy `{name}` in the policy files{near}"))
        })
    };
    names.iter().map(find).collect()
}

/// Everything, without the contents of AgentPolicies.
fn whole(set: &PolicySet) -> Value {
    let agents: Vec<Value> = set.agents.iter().map(one).collect();
    json!({
        "version": JSON_VERSION,
        "policyDigest": set.digest.to_string(),
        "admission": set.admission.as_ref().map(admission),
        "agents": agents,
    })
}

fn admission(policy: &AdmissionPolicy) -> Value {
    let mode = |mode: &RuleMode| match mode {
        RuleMode::On(mode) => mode.as_str(),
        RuleMode::Off => "off",
    };
    let rules: Map<String, Value> =
        policy.rules.iter().map(|(rule, of)| (rule.as_str().to_owned(), mode(of).into())).collect();
    let inject = &policy.inject;
    let inject = match inject.profile {
        Profile::Default => {
            json!({"profile": "default", "image": inject.image, "uid": inject.uid})
        }
        Profile::None => json!({"profile": "none"}),
    };
    json!({
        "digest": policy.digest.to_string(),
        "mode": policy.mode.as_str(),
        "rules": rules,
        "inject": inject,
    })
}

/// An AgentPolicy, and what a pod carries to which no other applies.
fn one(agent: &AgentPolicy) -> Value {
    let mut shown = json!({"name": agent.name, "digest": agent.digest.to_string()});
    let (field, value) = match compile(&[agent], &[]) {
        Ok(compiled) => ("compiledDigest", compiled.digest.to_string()),
        Err(error) => ("refused", error.to_string()),
    };
    if let Some(members) = shown.as_object_mut() {
        members.insert(field.to_owned(), value.into());
    }
    shown
}

fn names<'a>(agents: &[&'a AgentPolicy]) -> Vec<&'a str> {
    let mut names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn carried(agents: &[&AgentPolicy], compiled: &Compiled) -> Value {
    // It was made of JSON.
    let policy: Value = serde_json::from_str(&compiled.text).unwrap_or_default();
    json!({
        "version": JSON_VERSION,
        "agents": names(agents),
        "compiledDigest": compiled.digest.to_string(),
        "bytes": compiled.text.len(),
        "bytesMax": POLICY_BYTES_MAX,
        "policy": policy,
    })
}

/// The policy as a document, with what is to be known of it in front.
fn write_compiled(
    agents: &[&AgentPolicy],
    compiled: &Compiled,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let Compiled { text, digest, .. } = compiled;
    writeln!(out, "# compiled of {}", names(agents).join(", "))?;
    writeln!(out, "# {POLICY_DIGEST}: {digest} ({} of {POLICY_BYTES_MAX} bytes)", text.len())?;
    writeln!(out, "# tool profiles of the pod's stacks may take hosts away")?;
    let policy: Value = serde_json::from_str(text).unwrap_or_default();
    Ok(yaml::write(&policy, out)?)
}
