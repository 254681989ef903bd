//! Names to records, for the DNS gate and for the sidecar's own connections alike, so that both see the same answers: the pod's hosts file
//! first, then DNS: the servers of `--resolver`, else those of the policy, else the system's. Exactly the name that was judged is asked for; never one of a search list.
//!
//! Each upstream query has an id and a source port of its own at random, and only a reply that repeats both and the question counts
//! (RFC 5452; hickory-net sees to it). Nothing here decides which name may be asked for or which address may be dialled.

mod flights;
mod hosts;
mod system;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType as WireType};
use hickory_resolver::proto::serialize::binary::BinEncodable as _;
use hickory_resolver::{TokioResolver, net::NetError};
use pinfold_engine::dns::RecordType;
use pinfold_model::host::{DnsName, Host};
use pinfold_model::reason::{Denial, Reason};

use crate::error::StartError;

use flights::Flights;
pub(crate) use hosts::Hosts;
use system::{SystemFiles, Watched};

/// Addresses of one name that are looked at; more than any real name has.
const ADDRESSES_MAX: usize = 64;
/// Service records of one name that are looked at.
const SERVICES_MAX: usize = 16;
/// Names that lead from the question to its answer (CNAME).
const CHAIN_MAX: usize = 8;

/// What a name has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether the name exists, with records of any type.
    pub(crate) exists: bool,
    /// Addresses of the type that was asked for.
    pub(crate) addresses: Vec<IpAddr>,
    /// The data of HTTPS or SVCB records.
    pub(crate) services: Vec<Vec<u8>>,
    /// Seconds that all of this holds, the names in between included; as the upstream says.
    pub(crate) ttl: u32,
}

/// Whom to ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// DNS servers; none means the system's configuration, with its hosts file.
    pub(crate) servers: Vec<SocketAddr>,
    /// Another hosts file.
    pub(crate) hosts: Option<std::path::PathBuf>,
    /// Another `resolv.conf`.
    pub(crate) resolv_conf: Option<std::path::PathBuf>,
}

/// Resolves names.
pub(crate) struct Resolver {
    /// What is asked; it changes with the system's configuration.
    state: Arc<ArcSwap<State>>,
    /// The policy's own servers.
    chosen: ArcSwapOption<Chosen>,
    /// Whether whoever started the sidecar said whom to ask.
    told: bool,
    hosts: Arc<ArcSwap<Hosts>>,
    watched: Watched,
    flights: Arc<Flights>,
    resolve_max: Duration,
}

/// Whom to ask, and what the pod's resolvers append.
struct State {
    client: TokioResolver,
    search: Vec<DnsName>,
}

/// Servers that a policy names.
struct Chosen {
    servers: Vec<SocketAddr>,
    client: TokioResolver,
}

impl Resolver {
    /// Asks the given servers, or whom the system's configuration names, which is read again when it changes.
    ///
    /// # Errors
    /// A system configuration that can't be used.
    pub(crate) fn new(sources: &Sources, resolve_max: Duration) -> Result<Self, StartError> {
        let failed = |error: NetError| StartError::Resolver(error.to_string());
        let files = SystemFiles::new(sources);
        let texts = files.read();
        let state = match &texts.resolv_conf {
            None => State { client: system::asking(&sources.servers)?, search: Vec::new() },
            Some(Ok(text)) => system::configured(text).map_err(failed)?,
            Some(Err(error)) => return Err(StartError::Resolver(error.to_string())),
        };
        let hosts = texts.hosts.as_deref().map(Hosts::parse).unwrap_or_default();
        Ok(Self {
            state: Arc::new(ArcSwap::from_pointee(state)),
            chosen: ArcSwapOption::empty(),
            told: !sources.servers.is_empty(),
            hosts: Arc::new(ArcSwap::from_pointee(hosts)),
            watched: Watched::new(files, texts),
            flights: Arc::default(),
            resolve_max,
        })
    }

    /// Asks the servers of a policy from now on, or the system's again if it names none. Answers of the servers before are forgotten.
    pub(crate) fn follow(&self, servers: &[SocketAddr]) {
        let known = self.chosen.load();
        let known = known.as_ref().map(|chosen| chosen.servers.as_slice()).unwrap_or_default();
        if self.told || known == servers {
            return;
        }
        if servers.is_empty() {
            self.chosen.store(None);
            return;
        }
        match system::asking(servers) {
            Ok(client) => {
                tracing::info!(?servers, "resolving with the policy's servers");
                self.chosen.store(Some(Arc::new(Chosen { servers: servers.to_vec(), client })));
            }
            Err(error) => tracing::error!(%error, "the policy's servers can't be asked"),
        }
    }

    /// The names of the hosts file, which need no DNS.
    pub(crate) fn hosts(&self) -> Arc<ArcSwap<Hosts>> {
        Arc::clone(&self.hosts)
    }

    /// The search list of the pod's `resolv.conf`.
    pub(crate) fn with_search<T>(&self, used: impl FnOnce(&[DnsName]) -> T) -> T {
        used(&self.state.load().search)
    }

    /// All addresses of a host; a literal is its own.
    ///
    /// # Errors
    /// A denial of reason `resolve` when the resolver doesn't answer. A name without addresses is an empty list.
    pub(crate) async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Denial> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let (v4, v6) =
            tokio::join!(self.lookup(name, RecordType::A), self.lookup(name, RecordType::AAAA));
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok([&*v4.addresses, &*v6.addresses].concat()),
            // Zones that fail for one family are common; what isn't known isn't dialled.
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.addresses.is_empty() => {
                Ok(one.addresses.clone())
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The records of one type. A name of the hosts file has what stands there, and nothing else.
    ///
    /// # Errors
    /// A denial of reason `resolve` when nobody answers, or `limit` when too many are being asked.
    pub(crate) async fn lookup(
        &self,
        name: &DnsName,
        kind: RecordType,
    ) -> Result<Arc<Found>, Denial> {
        self.refresh().await;
        if let Some(addresses) = self.hosts.load().addresses(name) {
            return Ok(Arc::new(from_hosts(addresses, kind)));
        }
        let chosen = self.chosen.load_full();
        let (state, name, max) = (self.state.load_full(), name.clone(), self.resolve_max);
        let key = (name.clone(), kind.0);
        let asked = async move {
            let client = chosen.as_ref().map_or(&state.client, |chosen| &chosen.client);
            let asked = ask(client, &name, kind);
            match tokio::time::timeout(max, asked).await {
                Ok(found) => found.map(Arc::new),
                Err(_) => Err(silent(&name, &format!("no answer within {max:?}"))),
            }
        };
        self.flights.join(key, asked).await
    }

    /// Reads the system's files again, if it is time and they changed.
    async fn refresh(&self) {
        let Some(changed) = self.watched.changed().await else { return };
        if let Some(hosts) = &changed.hosts {
            self.hosts.store(Arc::new(Hosts::parse(hosts)));
        }
        match changed.resolv_conf.map(|text| text.map(|text| system::configured(&text))) {
            None => {}
            Some(Ok(Ok(state))) => {
                tracing::info!("the system's resolver configuration changed");
                self.state.store(Arc::new(state));
            }
            Some(Ok(Err(error))) => keeps(&error.to_string()),
            Some(Err(error)) => keeps(&error.to_string()),
        }
    }
}

fn keeps(error: &str) {
    tracing::warn!(
        error,
        "the system's resolver configuration can't be used; the one before stays"
    );
}

/// The time that a name of the hosts file is told for, in seconds: the file may change.
const HOSTS_TTL: u32 = 30;

fn from_hosts(addresses: &[IpAddr], kind: RecordType) -> Found {
    let wanted = |address: &&IpAddr| {
        (kind == RecordType::A && address.is_ipv4())
            || (kind == RecordType::AAAA && address.is_ipv6())
    };
    let addresses = addresses.iter().filter(wanted).copied().collect();
    Found { exists: true, addresses, services: Vec::new(), ttl: HOSTS_TTL }
}

async fn ask(client: &TokioResolver, name: &DnsName, kind: RecordType) -> Result<Found, Denial> {
    // With a dot at the end no search list applies: what is looked up is what was judged.
    let absolute = Name::from_ascii(format!("{name}."));
    let absolute = absolute.map_err(|error| silent(name, &error.to_string()))?;
    match client.lookup(absolute.clone(), WireType::from(kind.0)).await {
        Ok(lookup) => collect(&absolute, kind, lookup.answers())
            .ok_or_else(|| silent(name, "more records or aliases than are looked at")),
        Err(error) if error.is_no_records_found() => {
            Ok(Found { exists: !error.is_nx_domain(), ..Found::default() })
        }
        Err(error) => Err(silent(name, &error.to_string())),
    }
}

/// Takes the records at the end of the chain from the name, and no others; `None` if there are too many.
fn collect(asked: &Name, kind: RecordType, records: &[Record]) -> Option<Found> {
    let mut found = Found { exists: true, ttl: u32::MAX, ..Found::default() };
    let mut name = asked;
    for _ in 0..=CHAIN_MAX {
        let mut alias = None;
        for record in records.iter().filter(|record| record.name == *name) {
            match (&record.data, kind) {
                (RData::CNAME(target), _) => alias = Some(&target.0),
                (RData::A(address), RecordType::A) => found.addresses.push(address.0.into()),
                (RData::AAAA(address), RecordType::AAAA) => found.addresses.push(address.0.into()),
                (RData::HTTPS(service), RecordType::HTTPS) => {
                    found.services.push(service.0.to_bytes().ok()?);
                }
                (RData::SVCB(service), RecordType::SVCB) => {
                    found.services.push(service.to_bytes().ok()?);
                }
                _ => continue,
            }
            found.ttl = found.ttl.min(record.ttl);
        }
        let few = found.addresses.len() <= ADDRESSES_MAX && found.services.len() <= SERVICES_MAX;
        let ended = alias.is_none() || !found.addresses.is_empty() || !found.services.is_empty();
        match alias {
            _ if !few => return None,
            Some(target) if !ended => name = target,
            Some(_) | None => return Some(found),
        }
    }
    None
}

fn silent(name: &DnsName, cause: &str) -> Denial {
    let message = format!("`{name}` can't be resolved: {cause}");
    Denial::new(
        Reason::Resolve,
        "spec.egress",
        message,
        "check the sidecar's resolver, then try again",
    )
}

#[cfg(test)]
mod tests;
