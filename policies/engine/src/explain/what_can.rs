//! What an identity may do, where, and by which chains; and where a chain that should lead to something is broken.

use pinfold_model::facts::Requester;
use pinfold_model::object::ObjectKey;

use super::chain::{Chain, chains_of};
use super::identity::{Fault, Hop, Identity, follow};
use super::{World, agent_binding, ceiling};
use crate::rbac::agents::{Account, Agents, Naming};
use crate::rbac::resolver::{MASTERS, Unresolved};

/// What somebody may do.
#[derive(Debug, Clone)]
pub struct WhatCan<'a> {
    /// Who it is to the authorizer; `None` if the way there is broken.
    pub requester: Option<Requester>,
    /// The ServiceAccount, if it is one.
    pub account: Option<Account>,
    /// Why it is an agent identity; none: it isn't.
    pub agent: Vec<Naming<'a>>,
    /// Whether it holds everything, because it is in `system:masters`.
    pub holds_everything: bool,
    /// The way from what was asked to the bindings, and what is broken behind them.
    pub hops: Vec<Hop>,
    /// Every chain that leads to a role.
    pub chains: Vec<Chain<'a>>,
}

impl WhatCan<'_> {
    /// The first hop that leads no further.
    #[must_use]
    pub fn broken(&self) -> Option<&Hop> {
        self.hops.iter().find(|hop| hop.fault.is_some())
    }
}

/// What an identity may do.
#[must_use]
pub fn what_can<'a>(world: &World<'a>, identity: &Identity) -> WhatCan<'a> {
    let way = follow(world.view, identity);
    let mut found = WhatCan {
        agent: way.account.as_ref().map(|account| namings(world, account)).unwrap_or_default(),
        holds_everything: way.requester.as_ref().is_some_and(|who| who.in_group(MASTERS)),
        chains: way.requester.as_ref().map(|who| chains_of(world, who)).unwrap_or_default(),
        requester: way.requester,
        account: way.account,
        hops: way.hops,
    };
    if !found.agent.is_empty() {
        found.chains.iter_mut().for_each(|chain| ceiling::mark(world, chain));
    }
    let further = behind(world, &found);
    found.hops.extend(further);
    found
}

/// Everything that makes an account an agent identity.
pub(super) fn namings<'a>(world: &World<'a>, account: &Account) -> Vec<Naming<'a>> {
    let Account { namespace, name } = account;
    let mut records: Vec<&ObjectKey> = world.view.agent_records(namespace, name).collect();
    records.sort();
    let mut namings: Vec<Naming<'a>> = records.into_iter().map(Naming::Record).collect();
    if namings.is_empty() {
        namings.extend(Agents::new(world.view, world.policy).naming(namespace, name));
    }
    namings
}

/// What is broken behind the identity: AgentRoleBindings that nobody has acted on, roles that don't exist or say nothing.
fn behind(world: &World<'_>, found: &WhatCan<'_>) -> Vec<Hop> {
    let Some(requester) = &found.requester else { return Vec::new() };
    let mut hops = agent_binding::unwritten(world, requester);
    for chain in &found.chains {
        let fault = match &chain.rights {
            Ok(rights) if rights.is_empty() => Fault::Empty,
            Ok(_) => continue,
            Err(Unresolved::Kind) => Fault::RoleKind,
            Err(Unresolved::Absent(_)) => Fault::Absent,
            Err(Unresolved::TooLarge(_)) => Fault::TooLarge,
        };
        let leads = format!("roleRef: {}/{}", chain.role.kind, chain.role.name);
        hops.push(Hop { object: chain.binding.clone(), leads, fault: None });
        let object = chain.role_key().unwrap_or_else(|| {
            let role = chain.role;
            ObjectKey::new(&role.api_group, &role.kind, chain.place(), &role.name)
        });
        hops.push(Hop { object, leads: String::new(), fault: Some(fault) });
    }
    if found.chains.is_empty() && !found.holds_everything {
        let object = found.account.as_ref().map_or_else(
            || ObjectKey::new("", "User", "", &requester.name),
            |account| ObjectKey::new("", "ServiceAccount", &account.namespace, &account.name),
        );
        hops.push(Hop { object, leads: String::new(), fault: Some(Fault::Unbound) });
    }
    hops
}
