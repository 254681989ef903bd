//! Refusals to what would be needed: each thing once, with how often and when; what is allowed by now is left out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pinfold_model::policy::agent::AgentPolicy;

use super::read::{Record, Records};
use super::want::{Never, Said, Spoken, Want, of};

/// Most things that are proposed, and most that are told of as not proposed; of the others the number is.
const WANTS_MAX: usize = 5_000;
const NEVERS_MAX: usize = 500;
/// Most names of arguments that are told of one tool, and the longest.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 64;

/// How often, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) times: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

impl Seen {
    fn again(&mut self, at: Option<Timestamp>) {
        self.add(Self { times: 1, first: at, last: at });
    }

    pub(super) fn add(&mut self, other: Self) {
        self.times = self.times.saturating_add(other.times);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = [self.last, other.last].into_iter().flatten().max();
    }
}

/// What the records come to.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// All refusals.
    pub(super) all: Seen,
    /// What would be needed.
    pub(super) wants: BTreeMap<Want, Seen>,
    /// What is not proposed, and why; with a host or server where one can be told.
    pub(super) nevers: BTreeMap<(Never, Option<String>), Seen>,
    /// Names of the arguments of tools, by server and tool.
    pub(super) arguments: BTreeMap<(String, String), BTreeSet<String>>,
    /// Refusals of what the policy allows by now.
    pub(super) allowed: u64,
    /// Refusals beyond the bounds.
    pub(super) beyond: u64,
    pub(super) unreadable: u64,
    pub(super) damaged: u64,
}

pub(super) fn gather(records: &Records, existing: Option<&AgentPolicy>) -> Gathered {
    let (unreadable, damaged) = (records.unreadable, records.damaged);
    let mut gathered = Gathered { unreadable, damaged, ..Gathered::default() };
    for record in &records.refusals {
        gathered.all.again(record.at());
        match of(record) {
            Said::Wants(want) => gathered.want(want, record, existing),
            Said::Never(never, name) => gathered.never(never, name, record.at()),
        }
    }
    gathered.settle();
    gathered
}

impl Gathered {
    fn want(&mut self, want: Want, record: &Record, existing: Option<&AgentPolicy>) {
        if existing.is_some_and(|policy| want.is_allowed(policy)) {
            self.allowed = self.allowed.saturating_add(1);
            return;
        }
        if let Want::Tool { server, tool } = &want {
            let known = existing.and_then(|policy| policy.server(server));
            let Some(known) = known else {
                return self.never(Never::Server, Some(server.clone()), record.at());
            };
            if known.deny.contains(tool) {
                return self.never(Never::Denied, Some(server.clone()), record.at());
            }
            self.note_arguments(server, tool, &record.keys);
        }
        if self.wants.len() >= WANTS_MAX && !self.wants.contains_key(&want) {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        self.wants.entry(want).or_default().again(record.at());
    }

    fn never(&mut self, never: Never, name: Option<String>, at: Option<Timestamp>) {
        let key = (never, name);
        if self.nevers.len() >= NEVERS_MAX && !self.nevers.contains_key(&key) {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        self.nevers.entry(key).or_default().again(at);
    }

    /// Names only, and only plain ones: they are told in a comment.
    fn note_arguments(&mut self, server: &str, tool: &str, keys: &[String]) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let plain =
            |key: &&String| (1..=ARGUMENT_BYTES_MAX).contains(&key.len()) && key.bytes().all(plain);
        let known = self.arguments.entry((server.to_owned(), tool.to_owned())).or_default();
        for key in keys.iter().filter(plain) {
            if known.len() < ARGUMENTS_MAX {
                known.insert(key.clone());
            }
        }
    }

    /// What was seen counts, not what was assumed; and where requests inside TLS are judged, TLS as such is not needed, which would be wider.
    fn settle(&mut self) {
        let mut seen: BTreeMap<(String, u16), BTreeSet<Spoken>> = BTreeMap::new();
        for want in self.wants.keys() {
            if let Want::Egress { host, port, spoken, assumed: false, .. } = want {
                seen.entry((host.to_string(), *port)).or_default().insert(*spoken);
            }
        }
        let needless = |want: &Want| {
            let Want::Egress { host, port, spoken, assumed, .. } = want else { return false };
            let Some(seen) = seen.get(&(host.to_string(), *port)) else { return false };
            *assumed || (*spoken == Spoken::Tls && seen.contains(&Spoken::Https))
        };
        // Who looks a name up connects to it next.
        let hosts: BTreeSet<&String> = seen.keys().map(|(host, _)| host).collect();
        self.nevers.retain(|(never, name), _| {
            *never != Never::LookedUp || !name.as_ref().is_some_and(|name| hosts.contains(name))
        });
        let (needless, wants): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.wants).into_iter().partition(|(want, _)| needless(want));
        self.wants = wants;
        for (want, more) in needless {
            let Want::Egress { host, port, .. } = &want else { continue };
            let same = self.wants.iter_mut().find(|(other, _)| {
                matches!(other, Want::Egress { host: h, port: p, .. } if h == host && p == port)
            });
            if let Some((_, seen)) = same {
                seen.add(more);
            }
        }
    }
}
