//! The Secrets that an AgentServiceAccount lists for pulling images: its ServiceAccount's pods use them without a grant, so the list is one.

use std::collections::{BTreeSet, HashSet};

use pinfold_model::facts::Operation;
use pinfold_model::object::agent::{AgentServiceAccount, GrantObject};
use pinfold_model::object::reference::ReferenceKind;
use pinfold_model::object::{Change, Facts, Object};

use super::{RULE, judge_author};
use crate::context::{Context, Found};

const PATH: &str = "$.spec.imagePullSecretRefs";
/// Most Secrets that a list may have. Each costs a look at what its author may read.
const PULLS_MAX: usize = 64;

/// Judges what an AgentServiceAccount adds.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let update = match facts.operation {
        Operation::Create => false,
        Operation::Update => true,
        Operation::Delete | Operation::Connect => return,
    };
    let Some(new) = record(facts.object.as_ref()) else { return };
    let old = record(facts.old_object.as_ref()).filter(|_| update);
    if old.is_some() && facts.change == Change::Garbage {
        return;
    }
    let added = added(old, new);
    if added.len() > PULLS_MAX {
        let message = format!("it adds more than {PULLS_MAX} Secrets for pulling images");
        return found.add(RULE, PATH, message, "list fewer");
    }
    for name in added {
        let object = GrantObject {
            kind: ReferenceKind::Secret,
            namespace: new.namespace.clone(),
            name: name.to_owned(),
            keys: Vec::new(),
        };
        judge_author(context, (&object, PATH), "have an agent pull with", found);
    }
}

fn record(object: Option<&Object>) -> Option<&AgentServiceAccount> {
    let Facts::AgentServiceAccount(record) = &object?.facts else { return None };
    Some(record)
}

/// What the ServiceAccount may pull with that it couldn't before: everything, if it wasn't the one that the record is about.
fn added<'r>(old: Option<&AgentServiceAccount>, new: &'r AgentServiceAccount) -> Vec<&'r str> {
    let whose =
        |record: &AgentServiceAccount| (record.namespace.clone(), record.service_account.clone());
    let same = old.filter(|old| whose(old) == whose(new));
    let before: HashSet<&String> =
        same.into_iter().flat_map(|old| &old.image_pull_secrets).collect();
    let names: BTreeSet<&String> = new.image_pull_secrets.iter().collect();
    names.into_iter().filter(|name| !before.contains(name)).map(String::as_str).collect()
}
