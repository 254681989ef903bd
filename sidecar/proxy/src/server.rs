//! Start and stop: puts the parts together, and takes them down without losing a record.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pinfold_engine::switches::kill::{Latch, Scope, Way};
use pinfold_ledger::{EventKind, Gate as GateKind, Ledger, Settings};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bindings::Bindings;
use crate::breakers::Breakers;
use crate::budget::Budgets;
use crate::bursts::Bursts;
use crate::config::{Config, GuardMode, Routes};
use crate::dns;
use crate::drain::{Drain, DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;
use crate::guard::Guard;
use crate::kill::{self, Kills};
use crate::learn::Sinkhole;
use crate::listen::{Port, Service, bind, bind_udp};
use crate::metrics::Metrics;
use crate::places::Places;
use crate::policy_watch::PolicyWatch;
use crate::quota::Quota;
use crate::record::{CaseIds, Recorder};
use crate::relay::Pipes;
use crate::resolve::Resolver;
use crate::schemas::Schemas;
use crate::sessions::Sessions;
use crate::terminate::Trust;
use crate::tunnels::Tunnels;
use crate::upstream::Upstreams;

/// The addresses that a sidecar got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Redirected connections.
    pub transparent: Vec<SocketAddr>,
    /// The proxy.
    pub proxy: Vec<SocketAddr>,
    /// DNS, UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// The gateway.
    pub gateway: Vec<SocketAddr>,
    /// Metrics and health.
    pub admin: Vec<SocketAddr>,
}

/// A running sidecar. Dropping it ends it at once; [`Running::shutdown`] lets open connections finish.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    drain: Drain,
    drain_max: Duration,
    ports: JoinSet<()>,
    admin: JoinSet<()>,
    watch: JoinSet<()>,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

struct Bound {
    sockets: Vec<(TcpListener, Service)>,
    addresses: Addresses,
}

/// Bytes of one file of the ledger, and how many are kept: half of what the volume of an injected pod takes, because the kubelet ends a pod
/// that fills its volume.
const AUDIT_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// See [`AUDIT_FILE_BYTES`].
const AUDIT_FILES_MAX: u32 = 16;

/// Starts a sidecar in the current tokio runtime.
///
/// # Errors
/// [`StartError`] for whatever is wrong with the configuration or the system.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let ledger = match &config.audit {
        Some(directory) => Some(Ledger::open(Settings {
            rotate_bytes: AUDIT_FILE_BYTES,
            retain_files: Some(AUDIT_FILES_MAX),
            ..Settings::new(directory, GateKind::Sidecar)
        })?),
        None => None,
    };
    start_with(config, ledger).await
}

/// Starts with a ledger that is open already.
pub(crate) async fn start_with(
    config: Config,
    ledger: Option<Ledger>,
) -> Result<Running, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::System {
        action: "register metrics",
        message: error.to_string(),
    })?;
    let policy = PolicyWatch::start(&config).await?;
    metrics.policy_in_force(&policy.current().load().digest);
    let Bound { sockets, addresses } = bind_all(&config)?;
    let resolver = Resolver::new(&config.sources(), config.limits.resolve_max)?;
    resolver.follow(&policy.current().load().policy.dns.resolvers);
    let bindings = Bindings::new(resolver.hosts());
    let (drain, watched) = Drain::new();
    let gate = Arc::new(Gate {
        policy: policy.current(),
        resolver,
        own: own(&addresses),
        metrics,
        recorder: Recorder::new(ledger, config.limits.audit_max),
        denials: Bursts::default(),
        tunnels: Arc::new(Tunnels::default()),
        limits: config.limits,
        ids: CaseIds::new(),
        upstreams: Upstreams::new(config.upstream_ca.as_deref())?,
        sessions: Sessions::default(),
        schemas: Schemas::default(),
        bindings,
        dns: dns::State::default(),
        sinkhole: (!addresses.transparent.is_empty()).then(Sinkhole::default),
        quota: Quota::open(config.state.as_deref())?,
        budgets: Arc::new(Budgets::open(config.state.as_deref())?),
        breakers: Breakers::default(),
        kills: Kills::open(config.state.as_deref()),
        trust: Trust::start(
            config.trust.as_deref(),
            config.upstream_ca.as_deref(),
            &policy.current().load().policy.roots,
        )?,
        pipes: Pipes::default(),
        drain: watched.clone(),
        guard: guard(&config, &addresses)?,
        original: config.original,
    });
    let admin_socket = config.admin_socket().map(|path| kill::Socket::bind(&path)).transpose()?;
    gate.note(EventKind::Start).await;
    let (mut ports, mut admin, mut watch) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    watch.spawn(Guard::watch(Arc::clone(&gate), watched.clone()));
    watch.spawn(Arc::clone(&gate).keep_denials(watched.clone()));
    watch.spawn(Quota::keep(Arc::clone(&gate), watched.clone()));
    watch.spawn(Budgets::keep(Arc::clone(&gate), watched.clone()));
    watch.spawn(kill::watch(Arc::clone(&gate), watched.clone()));
    if let Some(socket) = admin_socket {
        watch.spawn(kill::serve(Arc::clone(&gate), socket, watched.clone()));
    }
    if let Some(trust) = &gate.trust {
        watch.spawn(Arc::clone(trust).keep(watched.clone()));
    }
    watch.spawn(policy.run(Arc::clone(&gate), config.limits.policy_poll, watched.clone()));
    for address in &addresses.dns {
        let socket = bind_udp(*address)?;
        ports.spawn(dns::serve_udp(Arc::clone(&gate), socket, watched.clone()));
    }
    listen(sockets, &gate, &watched, (&mut ports, &mut admin));
    announce(&addresses, config.ready_file.as_deref())?;
    Ok(Running { addresses, drain, drain_max: config.drain, ports, admin, watch, gate })
}

/// Serves what was bound, admin in tasks of its own.
fn listen(
    sockets: Vec<(TcpListener, Service)>,
    gate: &Arc<Gate>,
    drain: &DrainWatch,
    (ports, admin): (&mut JoinSet<()>, &mut JoinSet<()>),
) {
    // What leaves the pod counts together, whichever way it came.
    let out = Arc::<Places>::default();
    let counts = [
        (Service::Transparent, Arc::clone(&out)),
        (Service::Proxy, out),
        (Service::Dns, Arc::default()),
        (Service::Gateway, Arc::default()),
        (Service::Admin, Arc::default()),
    ];
    for (listener, service) in sockets {
        let places = counts.iter().find(|(counted, _)| *counted == service);
        let places = places.map(|(_, places)| Arc::clone(places)).unwrap_or_default();
        let (gate, drain) = (Arc::clone(gate), drain.clone());
        let port = Port { listener, service, gate, drain, places };
        let tasks = if service == Service::Admin { &mut *admin } else { &mut *ports };
        tasks.spawn(port.run());
    }
}

fn guard(config: &Config, addresses: &Addresses) -> Result<Guard, StartError> {
    match config.guard {
        GuardMode::Off => Ok(Guard::off()),
        GuardMode::Required => {
            let routes = config.guard_routes == Routes::Required;
            Guard::required(&addresses.transparent, config.original, routes)
        }
    }
}

fn bind_all(config: &Config) -> Result<Bound, StartError> {
    let mut sockets = Vec::new();
    let mut all = |wanted: &[SocketAddr], service| {
        let (mut chosen, mut missing) = (Vec::new(), None);
        for address in wanted {
            match bind(*address, service) {
                Ok((listener, address)) => {
                    sockets.push((listener, service));
                    chosen.push(address);
                }
                // Nodes without IPv6 are common; nobody can come that way there.
                Err(error) if address.is_ipv6() && error.is_missing_address() => {
                    tracing::warn!(%error, "going on without this address");
                    missing = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if chosen.is_empty() => Err(error),
            Some(_) | None => Ok(chosen),
        }
    };
    let addresses = Addresses {
        transparent: all(&config.transparent, Service::Transparent)?,
        proxy: all(&config.proxy, Service::Proxy)?,
        dns: all(&config.dns, Service::Dns)?,
        gateway: all(&config.gateway, Service::Gateway)?,
        admin: all(&config.admin, Service::Admin)?,
    };
    Ok(Bound { sockets, addresses })
}

fn own(addresses: &Addresses) -> Vec<SocketAddr> {
    let Addresses { transparent, proxy, dns, gateway, admin } = addresses;
    [transparent, proxy, dns, gateway, admin].into_iter().flatten().copied().collect()
}

/// Logs the addresses and writes them to a file, whole or not at all.
fn announce(addresses: &Addresses, file: Option<&Path>) -> Result<(), StartError> {
    let Addresses { transparent, proxy, dns, gateway, admin } = addresses;
    tracing::info!(?transparent, ?proxy, ?dns, ?gateway, ?admin, "listening");
    let Some(path) = file else { return Ok(()) };
    let failed = |source| StartError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec(addresses).map_err(|error| failed(error.into()))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

impl Running {
    /// Pulls the kill switch for everything, as SIGUSR1 does.
    pub async fn kill(&self) {
        let latch = Latch { of: Scope::All, way: Way::Signal };
        kill::pull(&self.gate, vec![latch]).await;
    }

    /// Stops: nothing new is accepted, open connections get the drain time, then they are cut, and the last record is written.
    pub async fn shutdown(mut self) {
        tracing::info!(drain_seconds = self.drain_max.as_secs(), "stopping");
        self.drain.enter(Phase::Draining);
        let ended = async { while self.ports.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_max, ended).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain time");
        }
        self.drain.enter(Phase::Cut);
        for tasks in [&mut self.ports, &mut self.admin, &mut self.watch] {
            while tasks.join_next().await.is_some() {}
        }
        self.gate.summarize(true).await;
        self.gate.note(EventKind::Stop).await;
        if let Some(ledger) = self.gate.recorder.ledger().cloned() {
            let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
            if let Ok(Err(error)) = closed {
                tracing::error!(%error, "the audit ledger was not closed cleanly");
            }
        }
        tracing::info!("stopped");
    }
}
