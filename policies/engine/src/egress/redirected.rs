//! Connections that the guard redirected: they show an address, and names only if the agent says them or the pod's DNS gave the address for them.
//!
//! The agent chose the address, so a name that it says counts only together with an address of that name: otherwise an allowed server name
//! would be a way to any address.

use std::net::{IpAddr, SocketAddr};

use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::agent::{AgentPolicy, EgressRule, Protocol};
use pinfold_model::reason::{Denial, Reason};

use super::{
    AddressPermit, Attempt, Channel, DialPermit, NamePermit, OPAQUE, judge, wrong_protocol,
};

/// Where a redirected connection was going.
#[derive(Debug, Clone, Copy)]
pub struct Redirected<'a> {
    /// The original destination.
    pub to: SocketAddr,
    /// The names that the pod's DNS gave this address for.
    pub names: &'a [DnsName],
}

impl Redirected<'_> {
    /// Judges the connection by what is known before a byte of it: a `tcp` rule for the address, or for a name that it was given for. What
    /// comes back beside the permit is the host by which it was judged.
    ///
    /// # Errors
    /// The denial if what is spoken doesn't tell more: neither TLS nor HTTP, or nothing.
    pub fn opaque(
        &self,
        policy: &AgentPolicy,
        own: &[SocketAddr],
    ) -> Result<(Host, DialPermit), Denial> {
        let address = std::iter::once(Host::Address(self.to.ip()));
        let names = self.names.iter().cloned().map(Host::Name);
        let mut nearest: Option<(Nearness, Denial)> = None;
        for host in address.chain(names) {
            let (nearness, denial) = match self.opaque_as(&host, policy, own) {
                Ok(permit) => return Ok((host, permit)),
                Err(refused) => refused,
            };
            if nearest.as_ref().is_none_or(|(best, _)| nearness < *best) {
                nearest = Some((nearness, denial));
            }
        }
        // The address is always judged, so there is one.
        Err(nearest.map_or_else(
            || {
                Denial::new(
                    Reason::Address,
                    "spec.egress.allow",
                    "nothing is known",
                    "name the host",
                )
            },
            |(_, denial)| denial,
        ))
    }

    fn opaque_as(
        &self,
        host: &Host,
        policy: &AgentPolicy,
        own: &[SocketAddr],
    ) -> Result<DialPermit, (Nearness, Denial)> {
        let attempt = Attempt { host, port: self.to.port(), channel: Channel::Tunnel };
        let unlisted = match host {
            Host::Name(_) => Nearness::Name,
            Host::Address(_) => Nearness::Address,
        };
        let permit = judge(policy, &attempt).map_err(|denial| (unlisted, denial))?;
        if !permit.rules.iter().any(|rule| rule.protocol == Protocol::Tcp) {
            return Err((Nearness::Protocol, wrong_protocol(&permit.rules, host, OPAQUE)));
        }
        let permit = permit.addresses(&[self.to.ip()], own);
        permit.and_then(|permit| permit.opaque()).map_err(|denial| (Nearness::Refused, denial))
    }

    /// Whether a rule for this port needs to see what is spoken. Where none does, only `tcp` rules could have allowed the connection.
    #[must_use]
    pub fn may_be_seen(&self, policy: &AgentPolicy) -> bool {
        let seen = |rule: &&EgressRule| match rule.protocol {
            Protocol::Tls | Protocol::Https(_) | Protocol::Http(_) => true,
            Protocol::Tcp => false,
        };
        policy.egress.iter().filter(seen).any(|rule| rule.ports.contains(&self.to.port()))
    }
}

/// How near a rule came to allowing something; the least is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// A `tcp` rule is for it, and the address is refused.
    Refused,
    /// Rules for another protocol are for it.
    Protocol,
    /// No rule is for a name of it.
    Name,
    /// No rule is for its address.
    Address,
}

impl NamePermit {
    /// As [`NamePermit::addresses`] for a connection that was going to `to`, which must be one of the addresses of the name (row 40: an allowed
    /// server name on the way to somebody else's address). That one is dialled first.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn redirected(
        self,
        to: SocketAddr,
        found: &[IpAddr],
        own: &[SocketAddr],
    ) -> Result<AddressPermit, Denial> {
        if !found.contains(&to.ip()) {
            let message = format!(
                "the connection was going to {}, which is no address of `{}`",
                to.ip(),
                self.host
            );
            let remedy = "connect to the address that the pod's DNS gives for the name";
            return Err(Denial::new(Reason::Name, self.rule(), message, remedy));
        }
        let others = found.iter().copied().filter(|address| *address != to.ip());
        let ordered: Vec<IpAddr> = std::iter::once(to.ip()).chain(others).collect();
        self.addresses(&ordered, own)
    }
}

#[cfg(test)]
mod tests;
