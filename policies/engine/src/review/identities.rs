//! As whom a dispatch would act: the stack's runtime identity and its pool's ServiceAccount, hop by hop.

use super::dispatch::{Dispatch, Stack};
use super::{Assessment, Severity};
use crate::context::Context;
use crate::explain::identity::{Identity, follow};
use crate::explain::{Fault, Hop};
use crate::rbac::agents::Account;

/// What an identity is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The agent runs as it.
    Runtime,
    /// The pool's runners run as it.
    Runner,
}

impl Role {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Runner => "runner",
        }
    }
}

/// An identity of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeIdentity {
    /// What for.
    pub role: Role,
    /// The ServiceAccount; `None` if the way to it is broken.
    pub account: Option<Account>,
    /// The way from the stack or pool to it.
    pub hops: Vec<Hop>,
}

pub(super) fn assess(
    context: &Context<'_>,
    dispatch: &Dispatch,
    stack: &Stack<'_>,
    found: &mut Assessment,
) {
    let (namespace, name) = (stack.key.namespace.clone(), stack.key.name.clone());
    add(context, Role::Runtime, &Identity::Stack { namespace, name }, found);
    let pool = if dispatch.pool.is_empty() { &stack.facts.runner_pool } else { &dispatch.pool };
    let namespace = stack.key.namespace.clone();
    if !pool.is_empty() {
        add(context, Role::Runner, &Identity::Pool { namespace, name: pool.clone() }, found);
    }
}

fn add(context: &Context<'_>, role: Role, identity: &Identity, found: &mut Assessment) {
    let world = context.world();
    let way = follow(world.view, identity);
    let unset = |hop: &Hop| matches!(hop.fault, Some(Fault::Unset(_)));
    // A pool need not have an account of its own.
    if role == Role::Runner && way.hops.iter().any(unset) {
        return;
    }
    for hop in way.hops.iter().filter(|hop| hop.is_broken()) {
        let Some(fault) = &hop.fault else { continue };
        let message = format!("the {} identity ends here: {fault}", role.as_str());
        match (role, fault, hop.object.kind.as_str()) {
            // A pool may be of the policy alone.
            (Role::Runner, ..) => {
                found.add(Severity::Note, &hop.object, message, "");
            }
            // The API server refuses pods of an account that isn't there; it may still come.
            (Role::Runtime, Fault::Absent, "ServiceAccount" | "Namespace") => {
                let remedy = "create it before the dispatch";
                found.add(Severity::Warning, &hop.object, message, remedy);
            }
            (Role::Runtime, ..) => {
                let remedy = "set `spec.runtimeIdentity.serviceAccountRef` of the stack to an \
                              AgentServiceAccount that exists";
                found.missing(&hop.object, message, remedy.to_owned());
            }
        }
    }
    let account = way.account.filter(|_| way.requester.is_some());
    found.identities.push(RuntimeIdentity { role, account, hops: way.hops });
}

/// What the stack's own record of its account says: whether anybody governs it.
pub(super) fn runtime_account(found: &Assessment) -> Option<&Account> {
    let runtime = found.identities.iter().find(|identity| identity.role == Role::Runtime)?;
    runtime.account.as_ref()
}
