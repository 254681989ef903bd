//! The least change that would pass: the same binding to a role with only what its author holds and no ceiling denies. It is proposed only
//! if the engine says that it passes.

use pinfold_engine::explain::{Content, Grant, Native, Passing, Proposal, Source, World, natives};
use pinfold_model::finding::Mode;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{PolicyRule, RoleRef, Subject};
use pinfold_model::snapshot::RBAC_GROUP;
use serde_json::Value;

use super::Desk;
use crate::CliError;
use crate::check::Checked;
use crate::manifest::{self, Manifest};
use crate::output::explain::native;

/// Ending of the name of a role that gives less.
const ENDING: &str = "-narrowed";

/// The manifests that would pass instead; none if leaving out rights doesn't help.
pub(super) fn remedy(
    desk: &Desk<'_>,
    world: &World<'_>,
    binding: &Manifest,
    proposal: &Proposal<'_>,
) -> Result<Vec<Value>, CliError> {
    let (Ok(grants), Ok(natives)) = (&proposal.grants, natives(world, &binding.object.key)) else {
        return Ok(Vec::new());
    };
    let mut proposed = Vec::new();
    for native in &natives {
        let Content::Binding { role, subjects } = &native.content else { continue };
        let here = |grant: &&Grant<'_>| {
            grant.place == native.key.namespace && is_of(grant, role, &binding.object.key)
        };
        match grants.iter().find(here).map(|grant| &grant.passing) {
            Some(Passing::All) => {
                let own = |other: &&Native| is_role_of(other, native, role);
                proposed.extend(natives.iter().find(own).cloned());
                proposed.push(native.clone());
            }
            Some(Passing::Part(rules)) => proposed.extend(narrowed(native, rules, subjects)),
            Some(Passing::Nothing) => {}
            Some(Passing::CannotTell) | None => return Ok(Vec::new()),
        }
    }
    let manifests: Vec<Value> = proposed.iter().map(native::manifest).collect();
    let passes = passes(desk, &binding.object.key, &manifests)?;
    Ok(if passes { manifests } else { Vec::new() })
}

/// A binding to a role of its own with fewer rights.
fn narrowed(native: &Native, rules: &[PolicyRule], subjects: &[Subject]) -> [Native; 2] {
    let place = native.key.namespace.as_str();
    let kind = if place.is_empty() { "ClusterRole" } else { "Role" };
    let name = format!("{}{ENDING}", native.key.name);
    let key = ObjectKey::new(RBAC_GROUP, kind, place, &name);
    let role = RoleRef { api_group: RBAC_GROUP.to_owned(), kind: kind.to_owned(), name };
    let content = Content::Binding { role, subjects: subjects.to_vec() };
    [
        Native { key, content: Content::Role(rules.to_vec()) },
        Native { key: native.key.clone(), content },
    ]
}

/// Whether an object is the role that is written for a binding.
fn is_role_of(other: &Native, binding: &Native, role: &RoleRef) -> bool {
    let (own, its) = (&other.key, &binding.key);
    matches!(other.content, Content::Role(_))
        && own.kind == role.kind
        && own.name == role.name
        && own.namespace == its.namespace
}

/// Whether a grant is what a native binding gives: by its role, or by a role that is written for it.
fn is_of(grant: &Grant<'_>, role: &RoleRef, binding: &ObjectKey) -> bool {
    match grant.source {
        Source::Role(own) => own.kind == role.kind && own.name == role.name,
        Source::Template(_) => role.name == binding.name,
        Source::Rules => role.name.strip_prefix(binding.name.as_str()).is_some(),
    }
}

/// Whether nothing denies any of them, put in the place of the binding.
fn passes(desk: &Desk<'_>, binding: &ObjectKey, manifests: &[Value]) -> Result<bool, CliError> {
    let mut view = desk.view.clone();
    view.remove(binding);
    let mut read = Vec::new();
    for value in manifests {
        let manifest = manifest::from_value("proposed", 0, value.clone(), "default")?;
        view.apply(manifest.object.clone());
        read.push(manifest);
    }
    let denied = |checked: &Checked| checked.findings.iter().any(|one| one.mode == Mode::Enforce);
    for manifest in &read {
        if denied(&desk.check(&view, manifest)?) {
            return Ok(false);
        }
    }
    Ok(!read.is_empty())
}
