//! A proposal is not printed before the loader has read it and the engine has allowed by it what it is for.

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::gather::Gathered;
use crate::CliError;

/// Reads the proposal as the gates would.
///
/// # Errors
/// If it can't be read, or doesn't allow what it is for; always a bug.
pub(super) fn check(
    text: &str,
    gathered: &Gathered,
    existing: Option<&AgentPolicy>,
) -> Result<(), CliError> {
    let bug = |what: &str| {
        CliError::Input(format!("no proposal, because it {what}: this is a bug, please report it"))
    };
    let file = SourceFile { name: "proposal".to_owned(), text: text.to_owned() };
    let set = load(&[file]).map_err(|_| bug("can't be read as a policy"))?;
    let policy = set.agent(None).ok_or_else(|| bug("isn't one AgentPolicy"))?;
    if !gathered.wants.keys().all(|want| want.is_allowed(policy)) {
        return Err(bug("doesn't allow what it is for"));
    }
    let known = existing.is_none_or(|existing| existing.name != policy.name);
    if known { Ok(()) } else { Err(bug("has the name of the policy that it adds to")) }
}
