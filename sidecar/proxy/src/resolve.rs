//! Names to addresses: every address, A and AAAA, of exactly the name that was judged; never one of a search list.
//!
//! Nothing here decides which address may be dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use pinfold_model::host::{DnsName, Host};
use pinfold_model::reason::{Denial, Reason};

use crate::answer::denial;
use crate::error::StartError;

/// Answers kept, so that a page of requests to one host is one lookup.
const CACHED_ANSWERS_MAX: u64 = 256;
/// An answer is kept no longer, whatever its time to live.
const CACHED_MAX: Duration = Duration::from_secs(60);
/// One try of one server.
const TRY_MAX: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// Addresses of one name that are looked at; more than any real name has.
const ADDRESSES_MAX: usize = 64;

/// Resolves names.
pub(crate) struct Resolver {
    inner: TokioResolver,
    resolve_max: Duration,
}

impl Resolver {
    /// Asks `server`, or whom the system's configuration names.
    ///
    /// # Errors
    /// A system configuration that can't be used.
    pub(crate) fn new(
        server: Option<SocketAddr>,
        resolve_max: Duration,
    ) -> Result<Self, StartError> {
        let failed =
            |error: hickory_resolver::net::NetError| StartError::Resolver(error.to_string());
        let mut builder = match server {
            Some(server) => asking(server),
            None => TokioResolver::builder_tokio().map_err(failed)?,
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = CACHED_ANSWERS_MAX;
        options.positive_max_ttl = Some(CACHED_MAX);
        options.negative_max_ttl = Some(CACHED_MAX);
        options.timeout = TRY_MAX;
        options.attempts = TRIES;
        options.use_hosts_file =
            if server.is_some() { ResolveHosts::Never } else { ResolveHosts::Always };
        let inner = builder.build().map_err(failed)?;
        Ok(Self { inner, resolve_max })
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
        let lookup = self.inner.lookup_ip(absolute(name));
        let found = match tokio::time::timeout(self.resolve_max, lookup).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
            Ok(Err(error)) => return Err(silent(name, &error.to_string())),
            Err(_) => {
                return Err(silent(name, &format!("no answer within {:?}", self.resolve_max)));
            }
        };
        let addresses: Vec<IpAddr> = found.iter().take(ADDRESSES_MAX.saturating_add(1)).collect();
        if addresses.len() > ADDRESSES_MAX {
            return Err(silent(name, "more addresses than are looked at"));
        }
        Ok(addresses)
    }
}

fn asking(server: SocketAddr) -> ResolverBuilder<TokioRuntimeProvider> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

/// With a dot at the end no search list applies: what is looked up is what was judged.
fn absolute(name: &DnsName) -> String {
    format!("{name}.")
}

fn silent(name: &DnsName, cause: &str) -> Denial {
    let message = format!("`{name}` can't be resolved: {cause}");
    denial(Reason::Resolve, "spec.egress", message, "check the sidecar's resolver, then try again")
}
