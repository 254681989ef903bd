//! The policy's `references`: where kinds that Pinfold doesn't know name a Secret or ConfigMap.
//!
//! A path that can't be evaluated, and a value that is no name, are refused: a reference that can't be read is not "no reference".

use std::collections::BTreeSet;

use pinfold_model::object::reference::Reference;
use pinfold_model::policy::references::Unreadable;

use super::reach::{Home, Reach, Via};
use super::refuse;
use crate::context::{Context, Found};
use crate::organization::ownership;

/// Judges the object by every catalogue entry of its kind; returns the paths of all that they found.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) -> BTreeSet<String> {
    let target = &context.facts.target;
    let mut known = BTreeSet::new();
    let Some(document) = &context.facts.document else { return known };
    for field in context.policy.references.of(target) {
        match field.read(document) {
            Ok(references) => {
                judge_all(context, &references, found);
                known.extend(references.into_iter().map(|reference| reference.path));
            }
            Err(Unreadable { path, message }) => {
                let remedy = "write a plain name there, or correct the policy's `references`";
                refuse(found, &path, message, remedy.to_owned());
            }
        }
    }
    known
}

fn judge_all(context: &Context<'_>, references: &[Reference], found: &mut Found) {
    let name = context.facts.target.namespace.as_str();
    if references.is_empty() {
        return;
    }
    let home = Home::Namespace { name, owner: ownership(context, name) };
    let mut reach = Reach { context, home: &home, found };
    if !name.is_empty() && reach.refuses_home() {
        return;
    }
    for reference in references {
        if name.is_empty() {
            judge_homeless(context, reference, reach.found);
        } else {
            reach.judge(reference, &Via::Direct);
        }
    }
}

/// A cluster-scoped object has no namespace of its own to resolve a bare name in.
fn judge_homeless(context: &Context<'_>, reference: &Reference, found: &mut Found) {
    if reference.namespace.is_empty() {
        let message = format!(
            "{} `{}` is named by a cluster-scoped object, and nothing says in which namespace",
            reference.kind, reference.name
        );
        let remedy = "add `namespace` to this entry of the policy's `references`".to_owned();
        return refuse(found, &reference.path, message, remedy);
    }
    super::volumes::judge_unclaimed(context, reference, found);
}
