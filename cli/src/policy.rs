//! `pinfold policy`: reads policies as the gates do; shows what is in force; prints the schemas of the format and the definitions of the agent resources.

pub(crate) mod show;

use std::io::Write;
use std::path::PathBuf;

use pinfold_model::policy::schema::{KINDS, schema};
use pinfold_model::{crd, document, sources};

use crate::arguments::{PolicyArguments, PolicyCommand};
use crate::output::yaml;
use crate::{CliError, Outcome, policies};

pub(crate) fn run(arguments: &PolicyArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    match &arguments.command {
        PolicyCommand::Validate { paths } => validate(paths, out),
        PolicyCommand::Show(arguments) => show::run(arguments, out),
        PolicyCommand::Schema { kind } => print_schema(kind, out),
        PolicyCommand::Crds { group } => print_definitions(group.as_deref(), out),
    }
}

fn validate(paths: &[PathBuf], out: &mut dyn Write) -> Result<Outcome, CliError> {
    let files = sources::read(paths)?.len();
    let set = policies::read(paths)?;
    for warning in &set.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let admission =
        if set.admission.is_some() { "an AdmissionPolicy" } else { "no AdmissionPolicy" };
    let agents: Vec<&str> = set.agents.iter().map(|agent| agent.name.as_str()).collect();
    let agents = match agents.as_slice() {
        [] => "no AgentPolicy".to_owned(),
        names => format!("AgentPolicies {}", names.join(", ")),
    };
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    writeln!(out, "valid: {files}, {admission}, {agents}, digest {}", set.digest)?;
    Ok(Outcome::Passed)
}

fn print_schema(kind: &str, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let Some(schema) = schema(kind) else {
        let near = document::nearest(kind, KINDS).map(|near| format!("; did you mean `{near}`?"));
        let known = KINDS.join("`, `");
        let text =
            format!("no kind `{kind}`: expected one of `{known}`{}", near.unwrap_or_default());
        return Err(CliError::Input(text));
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other)?;
    writeln!(out, "{text}")?;
    Ok(Outcome::Passed)
}

fn print_definitions(group: Option<&str>, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let definitions = match group {
        Some(group) => crd::agent_definitions_of(group),
        None => crd::agent_definitions(),
    };
    definitions.iter().try_for_each(|definition| yaml::write(definition, out))?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinfold_model::object::AGENT_GROUPS;

    /// What ships in `manifests/crds/agents` is what the types say.
    #[test]
    fn the_definitions_that_ship_are_those_of_this_version() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds/agents");
        for group in AGENT_GROUPS {
            let mut printed = Vec::new();
            super::print_definitions(Some(group), &mut printed).expect("printed");
            let file = shipped.join(format!("{group}.yaml"));
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            let same = found.as_bytes() == printed;
            assert!(
                same,
                "print it again: pinfold policy crds --group {group} > {}",
                file.display()
            );
        }
    }
}
