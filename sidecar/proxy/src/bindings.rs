//! Which names the sidecar's own DNS answers have bound to which addresses, and until when.
//!
//! A redirected connection shows an address; a `tcp` rule names a host. This table is the only bridge between the two, so nothing gets into
//! it but answers that the DNS gate gave to this pod, and the pod's hosts file.
//!
//! Entries are kept in groups: a name that a rule lists is one, all names under one wildcard are one. When the table is full, the oldest
//! entry of the largest group goes, so that who asks for many names pushes out only names of the same wildcard.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pinfold_model::host::DnsName;

use crate::resolve::Hosts;

/// Entries, each of one name and one address.
const ENTRIES_MAX: usize = 8192;
/// Entries of one group.
const GROUP_MAX: usize = 1024;

/// Names by address.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    table: Mutex<Table>,
    hosts: Arc<ArcSwap<Hosts>>,
}

#[derive(Debug, Default)]
struct Table {
    by_address: HashMap<IpAddr, Vec<Bound>>,
    groups: HashMap<Arc<str>, usize>,
    entries: usize,
    /// Counts the bindings, so that the oldest can be told.
    clock: u64,
}

#[derive(Debug)]
struct Bound {
    name: DnsName,
    group: Arc<str>,
    until: Instant,
    at: u64,
}

impl Bindings {
    /// Starts with what the hosts file says, which is looked at anew each time.
    pub(crate) fn new(hosts: Arc<ArcSwap<Hosts>>) -> Self {
        Self { table: Mutex::default(), hosts }
    }

    /// Remembers an answer that the agent got. `group` is the rule of a wildcard, or the name itself.
    pub(crate) fn bind(&self, group: &str, name: &DnsName, addresses: &[IpAddr], life: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(life) else { return };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            table.bind(group, (name, *address), until, now);
        }
    }

    /// The names that the agent was told this address for, and that still hold.
    pub(crate) fn names_of(&self, address: IpAddr) -> Vec<DnsName> {
        let now = Instant::now();
        let mut names = self.hosts.load().names(address).to_vec();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for bound in table.by_address.get(&address).into_iter().flatten() {
            if bound.until > now && !names.contains(&bound.name) {
                names.push(bound.name.clone());
            }
        }
        names
    }
}

impl Table {
    fn bind(&mut self, group: &str, told: (&DnsName, IpAddr), until: Instant, now: Instant) {
        let (name, address) = told;
        self.clock = self.clock.saturating_add(1);
        let at = self.clock;
        let bound = self.by_address.get_mut(&address).into_iter().flatten();
        if let Some(bound) = bound.into_iter().find(|bound| bound.name == *name) {
            bound.until = bound.until.max(until);
            bound.at = at;
            return;
        }
        self.make_room(group, now);
        let group = match self.groups.get_key_value(group) {
            Some((group, _)) => Arc::clone(group),
            None => Arc::from(group),
        };
        let count = self.groups.entry(Arc::clone(&group)).or_default();
        *count = count.saturating_add(1);
        self.entries = self.entries.saturating_add(1);
        let bound = Bound { name: name.clone(), group, until, at };
        self.by_address.entry(address).or_default().push(bound);
    }

    fn make_room(&mut self, group: &str, now: Instant) {
        let crowded = self.groups.get(group).copied().unwrap_or_default() >= GROUP_MAX;
        if !crowded && self.entries < ENTRIES_MAX {
            return;
        }
        self.drop_if(|bound| bound.until <= now);
        if self.groups.get(group).copied().unwrap_or_default() >= GROUP_MAX {
            self.drop_oldest(group);
        } else if self.entries >= ENTRIES_MAX {
            let largest = self.groups.iter().max_by_key(|(_, count)| **count);
            if let Some(largest) = largest.map(|(group, _)| Arc::clone(group)) {
                self.drop_oldest(&largest);
            }
        }
    }

    fn drop_oldest(&mut self, group: &str) {
        let mine = |bound: &&Bound| *bound.group == *group;
        let oldest = self.by_address.values().flatten().filter(mine).map(|bound| bound.at).min();
        if let Some(oldest) = oldest {
            self.drop_if(|bound| bound.at == oldest);
        }
    }

    fn drop_if(&mut self, gone: impl Fn(&Bound) -> bool) {
        let Self { by_address, groups, entries, .. } = self;
        by_address.retain(|_, bound| {
            bound.retain(|bound| {
                if !gone(bound) {
                    return true;
                }
                *entries = entries.saturating_sub(1);
                if let Some(count) = groups.get_mut(&bound.group) {
                    *count = count.saturating_sub(1);
                }
                false
            });
            !bound.is_empty()
        });
        groups.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests;
