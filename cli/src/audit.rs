//! `pinfold audit verify`: the independent verifier of the ledger, for people.

use std::io::Write;
use std::path::PathBuf;

use pinfold_ledger::verify::{self, Chain, PublicKey};

use crate::arguments::{AuditArguments, AuditCommand};
use crate::{CliError, Outcome};

pub(crate) fn run(arguments: &AuditArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let AuditCommand::Verify { key, paths } = &arguments.command;
    let pinned = key.as_ref().map(read_key).transpose()?;
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

fn read_key(path: &PathBuf) -> Result<PublicKey, CliError> {
    PublicKey::from_file(path).map_err(|error| CliError::Input(error.to_string()))
}

fn describe(chain: &Chain, out: &mut dyn Write) -> Result<(), CliError> {
    let Chain { source, files, records, checkpoints, head, unsigned, signer, .. } = chain;
    write!(out, "intact: {}: {records} records in {files} files, head {head}", source.display())?;
    match signer {
        Some(_) => {
            writeln!(out, ", {checkpoints} signed checkpoints, {unsigned} records after the last")?
        }
        None => writeln!(
            out,
            "; no checkpoints were checked, because files were named, not a directory"
        )?,
    }
    Ok(())
}
