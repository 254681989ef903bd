//! Whom the system's configuration says to ask: `resolv.conf` and the hosts file, read again when they change.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use pinfold_model::host::DnsName;

use super::{Sources, State};
use crate::error::StartError;

/// Answers kept. Each is at most one DNS message.
const CACHED_ANSWERS_MAX: u64 = 256;
/// An answer is kept no longer, whatever its time to live.
const CACHED_MAX: Duration = Duration::from_secs(300);
/// Nor is one that there is nothing.
const CACHED_NOTHING_MAX: Duration = Duration::from_secs(30);
/// One try of one server.
const TRY_MAX: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// Servers that are asked at once, so that one that is gone costs no time.
const SERVERS_AT_ONCE: usize = 2;
/// Servers of a `resolv.conf` that are used; resolvers take three.
const SERVERS_MAX: usize = 8;
/// Suffixes of a search list that are used.
const SEARCH_MAX: usize = 32;
/// Bytes of a file that are read.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the system's configuration is; a part that isn't used is `None`.
#[derive(Debug, Clone)]
pub(super) struct SystemFiles {
    resolv_conf: Option<PathBuf>,
    hosts: Option<PathBuf>,
}

/// What stands in the files; `None` is not used, unreadable or, in a comparison, unchanged.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) resolv_conf: Option<io::Result<String>>,
    pub(super) hosts: Option<String>,
}

impl SystemFiles {
    pub(super) fn new(sources: &Sources) -> Self {
        let system = |path: &str| sources.servers.is_empty().then(|| PathBuf::from(path));
        let resolv_conf = sources.resolv_conf.clone().or_else(|| system("/etc/resolv.conf"));
        let resolv_conf = resolv_conf.filter(|_| sources.servers.is_empty());
        let hosts = sources.hosts.clone().or_else(|| system("/etc/hosts"));
        Self { resolv_conf, hosts }
    }

    pub(super) fn read(&self) -> Texts {
        let read = |path: &PathBuf| {
            let mut text = String::new();
            std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
            Ok(text)
        };
        Texts {
            resolv_conf: self.resolv_conf.as_ref().map(read),
            hosts: self.hosts.as_ref().and_then(|path| read(path).ok()),
        }
    }
}

/// The files as they were last seen.
pub(super) struct Watched {
    files: SystemFiles,
    seen: Mutex<Seen>,
}

struct Seen {
    resolv_conf: Option<String>,
    hosts: Option<String>,
    looked: Instant,
}

impl Watched {
    pub(super) fn new(files: SystemFiles, texts: Texts) -> Self {
        let resolv_conf = texts.resolv_conf.and_then(Result::ok);
        let seen = Seen { resolv_conf, hosts: texts.hosts, looked: Instant::now() };
        Self { files, seen: Mutex::new(seen) }
    }

    /// The next look is now.
    #[cfg(test)]
    pub(super) fn look_now(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looked = Instant::now().checked_sub(LOOK_EVERY).expect("a running machine");
    }

    /// What changed since the last look; `None` most of the time.
    pub(super) async fn changed(&self) -> Option<Texts> {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let unused = self.files.resolv_conf.is_none() && self.files.hosts.is_none();
            if unused || seen.looked.elapsed() < LOOK_EVERY {
                return None;
            }
            seen.looked = Instant::now();
        }
        let files = self.files.clone();
        let mut now = tokio::task::spawn_blocking(move || files.read()).await.ok()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.hosts == seen.hosts {
            now.hosts = None;
        } else if now.hosts.is_some() {
            seen.hosts.clone_from(&now.hosts);
        }
        match &now.resolv_conf {
            Some(Ok(text)) if Some(text) == seen.resolv_conf.as_ref() => now.resolv_conf = None,
            Some(Ok(text)) => seen.resolv_conf = Some(text.clone()),
            Some(Err(_)) | None => now.resolv_conf = None,
        }
        Some(now)
    }
}

/// Asks these servers.
///
/// # Errors
/// What the resolver can't work with.
pub(super) fn asking(servers: &[SocketAddr]) -> Result<TokioResolver, StartError> {
    let server = |server: &SocketAddr| {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
        NameServerConfig::new(server.ip(), true, connections.to_vec())
    };
    let servers = servers.iter().take(SERVERS_MAX).map(server).collect();
    client(ResolverConfig::from_parts(None, Vec::new(), servers))
        .map_err(|error| StartError::Resolver(error.to_string()))
}

/// Asks whom a `resolv.conf` names.
///
/// # Errors
/// A text that names nobody.
pub(super) fn configured(text: &str) -> Result<State, NetError> {
    let (config, _options) = parse_resolv_conf(text)?;
    let (domain, search, mut servers) = config.into_parts();
    if servers.is_empty() {
        return Err(NetError::from("no nameserver in it"));
    }
    servers.truncate(SERVERS_MAX);
    let names = search.into_iter().chain(domain).take(SEARCH_MAX);
    let search = names.filter_map(|name| DnsName::parse(&name.to_ascii()).ok()).collect();
    Ok(State { client: client(ResolverConfig::from_parts(None, Vec::new(), servers))?, search })
}

fn client(config: ResolverConfig) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    options.cache_size = CACHED_ANSWERS_MAX;
    options.positive_max_ttl = Some(CACHED_MAX);
    options.negative_max_ttl = Some(CACHED_NOTHING_MAX);
    options.timeout = TRY_MAX;
    options.attempts = TRIES;
    options.num_concurrent_reqs = SERVERS_AT_ONCE;
    options.use_hosts_file = ResolveHosts::Never;
    // The chain is followed here, so that no record beside it counts.
    options.preserve_intermediates = true;
    options.edns0 = true;
    builder.build()
}
