//! The Secrets and ConfigMaps that a stack's capabilities need, each with the grant that covers it or the least grant that would.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::agent::RequiredObject;
use pinfold_model::object::reference::{Keys, ReferenceKind};
use serde_json::Value;

use super::Assessment;
use super::capabilities::{Requires, key_of, requirements};
use super::dispatch::{Dispatch, Stack};
use super::identities::runtime_account;
use crate::context::Context;
use crate::grants::{self, Bearer, Need, Refused, Verdict};
use crate::organization::ownership;

/// A Secret or ConfigMap that a capability needs.
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredUse {
    /// Secret or ConfigMap.
    pub kind: ReferenceKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The keys; none means all.
    pub keys: Vec<String>,
    /// What for, empty if nobody says.
    pub purpose: String,
    /// Who requires it, and by which field.
    pub required_by: ObjectKey,
    /// The field.
    pub path: String,
    /// Whether it is granted.
    pub standing: Standing,
}

/// Whether a use is granted.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The policy asks for no grant for this object.
    NotNeeded,
    /// By this grant.
    Granted(ObjectKey),
    /// By none.
    Missing {
        /// Why not.
        reason: String,
        /// The least grant that would do; `None` if no grant could.
        suggestion: Option<Value>,
    },
}

pub(super) fn assess(
    context: &Context<'_>,
    dispatch: &Dispatch,
    stack: &Stack<'_>,
    found: &mut Assessment,
) {
    let account = runtime_account(found).map(|account| account.name.clone());
    let owner = ownership(context, &stack.key.namespace);
    let untrusted = dispatch.untrusted(context);
    let user = dispatch.record.as_ref().and_then(|record| some(&record.actor));
    let bearer = Bearer {
        namespace: &stack.key.namespace,
        organization: owner.organization(),
        service_account: account.as_deref(),
        stack: Some(&stack.key.name),
        pool: some(if dispatch.pool.is_empty() {
            &stack.facts.runner_pool
        } else {
            &dispatch.pool
        }),
        team: some(&stack.facts.team),
        repository: some(&dispatch.repository),
        git_ref: some(&dispatch.git_ref),
        trigger_source: some(&dispatch.trigger),
        run: dispatch.run.as_ref(),
        user,
        trusted: untrusted.is_none(),
        untrusted_because: untrusted.as_deref().unwrap_or_default(),
        ..Bearer::default()
    };
    for requires in requirements(context, stack, found) {
        for object in requires.objects {
            judge(context, &bearer, &requires, object, found);
        }
    }
    judge_named(context, stack, found);
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn judge(
    context: &Context<'_>,
    bearer: &Bearer<'_>,
    requires: &Requires<'_>,
    object: &RequiredObject,
    found: &mut Assessment,
) {
    let own = &requires.key.namespace;
    let namespace = if object.namespace.is_empty() { own } else { &object.namespace };
    let keys = match object.keys.as_slice() {
        [] => Keys::All,
        keys => Keys::Named(keys.to_vec()),
    };
    let capability = requires.capability.as_ref();
    let bearer = Bearer {
        capability: capability.map(|key| (key.kind.as_str(), key.name.as_str())),
        ..*bearer
    };
    let need = Need {
        kind: object.kind,
        namespace,
        name: &object.name,
        keys: &keys,
        mount: None,
        purpose: some(&object.purpose),
    };
    let world = context.world();
    let standing = match grants::resolve(&world, &bearer, &need) {
        Verdict::NotNeeded => Standing::NotNeeded,
        Verdict::Granted { by, .. } => Standing::Granted(by.clone()),
        Verdict::Refused(refused) => refuse(requires, *refused, found),
    };
    found.uses.push(RequiredUse {
        kind: object.kind,
        namespace: namespace.clone(),
        name: object.name.clone(),
        keys: object.keys.clone(),
        purpose: object.purpose.clone(),
        required_by: requires.key.clone(),
        path: object.path.clone(),
        standing,
    });
}

fn refuse(requires: &Requires<'_>, refused: Refused<'_>, found: &mut Assessment) -> Standing {
    let reasons: Vec<&str> =
        refused.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    let reason = reasons.join("; ");
    let remedies: Vec<&str> =
        refused.refusals.iter().map(|refusal| refusal.remedy.as_str()).collect();
    let remedy = match &refused.suggestion {
        Some(_) => "apply the grant that `pinfold explain review -o yaml` prints".to_owned(),
        None => remedies.join("; "),
    };
    let message = format!("needs {reason}");
    found.refuse(requires.key, message, remedy, refused.questions);
    Standing::Missing { reason, suggestion: refused.suggestion }
}

/// The grants that the stack names must be there: one that went away is one that somebody took back.
fn judge_named(context: &Context<'_>, stack: &Stack<'_>, found: &mut Assessment) {
    for reference in &stack.facts.ties.references {
        if !matches!(reference.kind.as_str(), "AgentSecretGrant" | "AgentConfigGrant") {
            continue;
        }
        let key = key_of(stack.key, reference);
        if context.lookup(&key).is_none() {
            let message =
                format!("`{}` of {} names {key}, which isn't there", reference.path, stack.key);
            found.missing(&key, message, format!("create it, or take it out of {}", stack.key));
        }
    }
}
