//! Loading policies for a command.

use std::path::PathBuf;

use pinfold_model::policy::{PolicySet, load};
use pinfold_model::sources;

use crate::CliError;

pub(crate) fn read(paths: &[PathBuf]) -> Result<PolicySet, CliError> {
    Ok(load(&sources::read(paths)?)?)
}
