//! `pinfold audit verify`: the independent verifier of the ledger, for people.

use std::io::Write;
use std::path::Path;

use pinfold_ledger::verify::{self, Chain, PublicKey};

use crate::arguments::{AuditArguments, AuditCommand};
use crate::{CliError, Outcome};

pub(crate) fn run(arguments: &AuditArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let AuditCommand::Verify { key, paths } = &arguments.command;
    let pinned = key.as_deref().map(read_key).transpose()?;
    match verify::verify(paths, pinned.as_ref()) {
        Ok(report) => {
            report.chains.iter().try_for_each(|chain| describe(chain, out))?;
            Ok(Outcome::Passed)
        }
        Err(problems) => {
            for problem in &problems {
                writeln!(out, "{problem}")?;
            }
            writeln!(out, "damaged: {} problems", problems.len())?;
            Ok(Outcome::Denied)
        }
    }
}

fn read_key(path: &Path) -> Result<PublicKey, CliError> {
    PublicKey::from_file(path).map_err(|error| CliError::Input(error.to_string()))
}

fn describe(chain: &Chain, out: &mut dyn Write) -> Result<(), CliError> {
    let Chain { source, files, records, checkpoints, head, unsigned, signer, .. } = chain;
    let told = match signer {
        Some(_) => format!("{checkpoints} signed checkpoints, {unsigned} records after the last"),
        None => "checkpoints not checked, because files were named, not a directory".to_owned(),
    };
    let source = source.display();
    writeln!(out, "intact: {source}: {records} records in {files} files, head {head}; {told}")?;
    Ok(())
}
