//! Learn mode: names that policy refuses get an address that leads nowhere, so that the connection that follows shows its port and what is spoken.
//!
//! Nothing more is allowed than without: the question goes to no resolver, the address is one that the engine refuses (RFC 2544), it is bound to
//! nothing, and the connection is denied by its name. Only while the policy says `mode: learn`, and has no `cidr` rule for such addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;
use pinfold_engine::dns::RecordType;
use pinfold_engine::egress::{self, Attempt, Channel};
use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::agent::{AgentPolicy, Target};
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::dns::{Answer, Data};

use crate::gate::Gate;
use crate::record::Case;

/// The first address of the sinkhole, below 198.18.0.0/15 (benchmarks: no such host is anywhere).
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Names that have an address at once; one more, and the oldest loses its.
const NAMES_MAX: u32 = 4_096;
/// How long the agent may keep an answer, in seconds: a changed policy is to be seen soon.
const TTL: u32 = 5;
const A: RecordType = RecordType(1);
const AAAA: RecordType = RecordType(28);

/// Which name got which address.
#[derive(Debug, Default)]
pub(crate) struct Sinkhole(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_name: HashMap<DnsName, Ipv4Addr>,
    by_address: HashMap<Ipv4Addr, DnsName>,
    given: u32,
}

impl Sinkhole {
    /// The address of a name, a new one if it has none.
    fn address_of(&self, name: &DnsName) -> Ipv4Addr {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = table.by_name.get(name) {
            return *address;
        }
        let at = table.given.checked_rem(NAMES_MAX).unwrap_or_default();
        table.given = table.given.wrapping_add(1);
        let address = Ipv4Addr::from_bits(FIRST.to_bits().saturating_add(at));
        if let Some(former) = table.by_address.insert(address, name.clone()) {
            table.by_name.remove(&former);
        }
        table.by_name.insert(name.clone(), address);
        address
    }

    fn name_of(&self, address: IpAddr) -> Option<DnsName> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_address.get(&address).cloned()
    }
}

/// What a refused question is answered instead of the refusal; nothing unless the policy learns, redirected connections come here, and it is the name
/// that is refused.
pub(crate) fn answers(
    gate: &Gate,
    policy: &AgentPolicy,
    question: (&DnsName, RecordType),
    denial: &Denial,
) -> Option<Vec<Answer>> {
    let (name, kind) = question;
    let sinkhole = gate.sinkhole.as_ref().filter(|_| policy.learns())?;
    if denial.reason != Reason::Host || is_used(policy) {
        return None;
    }
    match kind {
        A => Some(vec![Answer { ttl: TTL, data: Data::V4(sinkhole.address_of(name)) }]),
        // The name is there, and has none of these: clients go on to the other.
        AAAA => Some(Vec::new()),
        _ => None,
    }
}

/// Whether the policy allows addresses of the sinkhole's range: then somebody is there.
fn is_used(policy: &AgentPolicy) -> bool {
    let last = FIRST.to_bits().saturating_add(NAMES_MAX);
    let used = |network: &IpNet| {
        let IpNet::V4(network) = network else { return false };
        network.network().to_bits() <= last && network.broadcast().to_bits() >= FIRST.to_bits()
    };
    policy.egress.iter().any(|rule| match &rule.target {
        Target::Network(network) => used(network),
        Target::Host(_) => false,
    })
}

/// Gives a connection to the sinkhole its name back, and says why it is denied. Nothing for any other connection.
pub(crate) fn sunk(gate: &Gate, case: &mut Case, to: SocketAddr) -> Option<Denial> {
    let name = gate.sinkhole.as_ref()?.name_of(to.ip())?;
    case.endpoint = Some((name.to_string(), to.port()));
    let host = Host::Name(name);
    let attempt = Attempt { host: &host, port: to.port(), channel: Channel::Tunnel };
    // A name that is allowed by now was told a wrong address: its client has to ask again.
    egress::judge(&case.published.policy, &attempt).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_one_name_and_old_ones_make_room() {
        let sinkhole = Sinkhole::default();
        let name = |at: u32| DnsName::parse(&format!("h{at}.example")).expect("a name");
        let first = sinkhole.address_of(&name(0));
        assert_eq!(first, FIRST);
        assert_eq!(sinkhole.address_of(&name(0)), first);
        assert_eq!(sinkhole.name_of(IpAddr::V4(first)), Some(name(0)));
        for at in 1..NAMES_MAX {
            assert!(egress::special(IpAddr::V4(sinkhole.address_of(&name(at)))).is_some());
        }
        assert_eq!(sinkhole.address_of(&name(NAMES_MAX)), first, "the oldest made room");
        assert_eq!(sinkhole.name_of(IpAddr::V4(first)), Some(name(NAMES_MAX)));
        assert_ne!(sinkhole.address_of(&name(0)), first);
        let mapped = IpAddr::V6(first.to_ipv6_mapped());
        assert_eq!(sinkhole.name_of(mapped), Some(name(NAMES_MAX)));
        assert_eq!(sinkhole.name_of(IpAddr::V4(Ipv4Addr::LOCALHOST)), None);
    }
}
