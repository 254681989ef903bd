//! What the guard is asked for.

use std::net::{Ipv4Addr, Ipv6Addr};

use pinfold_model::policy::inject::{self, LOOPBACK_PORTS_MAX};

use crate::encode;
use crate::error::GuardError;
use crate::netlink::{Family, Netlink};
use crate::routes;
use crate::rules::{self, Memory};
use crate::ruleset::Table;
use crate::text;

/// The sidecar's packets to this address meet the rules that agents' meet: so it sees that the rules are there. Of TEST-NET-1
/// (RFC 5737), where nothing is.
pub const PROBE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The same of the documentation prefix (RFC 3849).
pub const PROBE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Said where rules are loaded that know no timeouts.
const FORGETS_LATE: &str = "this kernel has no CONFIG_NF_CONNTRACK_TIMEOUT, so agents get 300 new connections a second (3000 at once) instead of 8000";

/// Whether the second layer, the routes, is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMode {
    /// Yes, and it has to work.
    Required,
    /// No: if the rules are flushed, nothing holds packets back.
    Off,
}

/// What is loaded.
#[derive(Debug, Clone)]
pub struct Plan {
    uid: u32,
    table: Table,
    /// The rules for a kernel without timeouts.
    plainer: Table,
    routes: RouteMode,
}

impl Plan {
    /// The rules for a sidecar of a UID; agents may use the sidecar's ports of loopback and those given.
    ///
    /// # Errors
    /// [`GuardError::Settings`]: a UID that can't be the sidecar's, a port that must stay closed, too many.
    pub fn new(uid: u32, loopback_ports: &[u16], routes: RouteMode) -> Result<Self, GuardError> {
        // The ranges of the other UIDs need one on both sides; 2^32-1 is no UID.
        if uid == 0 || uid >= u32::MAX.saturating_sub(1) {
            return Err(GuardError::Settings(format!(
                "`--uid {uid}` can't be the sidecar's: expected 1 to 4294967293"
            )));
        }
        if loopback_ports.len() > LOOPBACK_PORTS_MAX {
            let count = loopback_ports.len();
            return Err(GuardError::Settings(format!(
                "{count} `--loopback-port`s: expected at most {LOOPBACK_PORTS_MAX}"
            )));
        }
        let closed = |port: &&u16| **port == 0 || inject::CLOSED_PORTS.contains(port);
        if let Some(port) = loopback_ports.iter().find(closed) {
            return Err(GuardError::Settings(format!(
                "`--loopback-port {port}` can't be opened to agents: it is the sidecar's own, DNS or no port"
            )));
        }
        let mut ports = vec![inject::PROXY_PORT, inject::GATEWAY_PORT];
        ports.extend(loopback_ports);
        ports.sort_unstable();
        ports.dedup();
        let plainer = rules::table(uid, ports.clone(), Memory::Systems);
        Ok(Self { uid, table: rules::table(uid, ports, Memory::Short), plainer, routes })
    }

    /// The rules as `nft -f` reads them, and the routes as commands of `ip` in comments.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = text::table(&self.table);
        match self.routes {
            RouteMode::Required => text.push_str(&routes::text(self.uid)),
            RouteMode::Off => text.push_str("# no routes: --routes off\n"),
        }
        text
    }

    /// Loads rules, whole or not at all, then routes. Doing it again gives the same.
    ///
    /// # Errors
    /// What the kernel refused. What was loaded before stays: nothing is ever taken back, so that a failure doesn't open the pod.
    pub fn load(&self) -> Result<Loaded, GuardError> {
        let mut warnings = Vec::new();
        let mut socket = Netlink::open(Family::Netfilter)?;
        match socket.batch(&encode::batch(&self.table)) {
            Err(GuardError::Refused { needs: encode::NEEDS_TIMEOUTS, .. }) => {
                // What is left to read of the first answer.
                socket = Netlink::open(Family::Netfilter)?;
                socket.batch(&encode::batch(&self.plainer))?;
                warnings.push(FORGETS_LATE.to_owned());
            }
            loaded => loaded?,
        }
        if self.routes == RouteMode::Required {
            warnings.extend(routes::load(self.uid)?);
        }
        Ok(Loaded(warnings))
    }
}

/// What is to be said about what was loaded.
#[derive(Debug)]
pub struct Loaded(Vec<String>);

impl Loaded {
    /// Sentences about parts that could be loaded in a weaker form only.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
