//! Start and stop: puts the parts together, and takes them down without losing a request.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use pinfold_ledger::{Gate, Ledger, Settings};
use pinfold_model::snapshot::Snapshot;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::admission::{Admission, DecisionIds, Judge};
use crate::config::{Config, ViewSource};
use crate::drain::{Drain, DrainWatch, Phase};
use crate::error::StartError;
use crate::events::Events;
use crate::health::Health;
use crate::informers::{Informers, Sources};
use crate::listen::{Port, bind};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::policy_push::{ApiServer, Push};
use crate::policy_watch::PolicyWatch;
use crate::registration::{Plan, Registration};
use crate::route::{Back, Front};
use crate::self_managed::Keeper;
use crate::standing::Standing;
use crate::view::{self, View};
use crate::{cluster, tls};

/// Connections to the metrics port.
const METRICS_CONNECTIONS_MAX: usize = 64;
/// How often shutdown looks whether clients are gone.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// The addresses that a server got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// `/validate` and `/mutate`, with TLS.
    pub listen: SocketAddr,
    /// `/metrics`, without.
    pub metrics: SocketAddr,
}

/// A running webhook. Dropping it ends it at once; [`Running::shutdown`] ends it without losing a request.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    pub(crate) drain: Drain,
    drain_max: Duration,
    finish_max: Duration,
    connections: Arc<Semaphore>,
    connections_max: usize,
    tasks: JoinSet<()>,
    pub(crate) ledger: Option<Ledger>,
}

/// Starts a webhook in the current tokio runtime.
///
/// # Errors
/// [`StartError`] for whatever is wrong with the configuration or the system.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Judge::default()).await
}

pub(crate) async fn start_with(config: Config, judge: Judge) -> Result<Running, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::System {
        action: "register metrics",
        message: error.to_string(),
    })?;
    let (drain, watch) = Drain::new();
    let policy = PolicyWatch::start(config.policy.clone())?;
    metrics.policy_in_force(&policy.current().load().digest);
    let plan = Plan::of(&config)?;
    let client = cluster::client(&config.view).await?;
    let serving = tls::start(&config, client.clone())?;
    let ledger = open_ledger(&config)?;
    let mut tasks = JoinSet::new();
    let parts = Parts { config: &config, metrics: &metrics, drain: &watch };
    let (view, live, events) = parts.cluster(client.clone(), &mut tasks)?;
    let admission = Arc::new(Admission {
        policy: policy.current(),
        view,
        metrics: metrics.clone(),
        ledger: ledger.clone(),
        judge,
        live,
        events,
        view_lag_max: config.view_lag_max,
        audit_max: config.limits.audit_max,
        ids: DecisionIds::new(),
    });
    if let Some(client) = &client {
        tasks.spawn(Standing::new(Arc::clone(&admission)).run(watch.clone()));
        if config.policy_push {
            let push = Push::new(Arc::clone(&admission), ApiServer(client.clone()));
            tasks.spawn(push.run(watch.clone()));
        }
    }
    let health = Arc::new(Health {
        admission,
        serving: Arc::clone(&serving.certificate),
        drain: watch.clone(),
        certificate_in_place: serving.keeper.as_ref().map(Keeper::in_place),
    });
    let connections = Arc::new(Semaphore::new(config.limits.connections_max));
    let (front, listen) = parts.front(&health, serving.acceptor, &connections)?;
    let (back, metrics_address) = parts.back(&health)?;
    let addresses = Addresses { listen, metrics: metrics_address };
    announce(&addresses, config.ready_file.as_deref())?;
    if let (Some(plan), Some(client)) = (plan, client) {
        let certificates = serving.keeper.as_ref().map(Keeper::nudge);
        let registration = Registration { plan, client, health, certificates };
        registration.start(&watch, &mut tasks);
    }
    match serving.keeper {
        Some(keeper) => tasks.spawn(keeper.run(watch.clone(), metrics.registration.clone())),
        None => tasks.spawn(tls::watch(serving.certificate, watch.clone())),
    };
    tasks.spawn(policy.run(metrics.clone(), config.limits, watch));
    tasks.spawn(front.run());
    tasks.spawn(back.run());
    Ok(Running {
        addresses,
        drain,
        drain_max: config.drain,
        finish_max: config.limits.finish_max,
        connections,
        connections_max: config.limits.connections_max,
        tasks,
        ledger,
    })
}

/// What most parts need.
struct Parts<'c> {
    config: &'c Config,
    metrics: &'c Metrics,
    drain: &'c DrainWatch,
}

type ClusterParts = (Arc<View>, Option<Live>, Option<Events>);

impl Parts<'_> {
    /// The view, and in a cluster the watches that fill it, live questions and Events.
    fn cluster(
        &self,
        client: Option<Client>,
        tasks: &mut JoinSet<()>,
    ) -> Result<ClusterParts, StartError> {
        let Some(client) = client else {
            let snapshot = match &self.config.view {
                ViewSource::Files(paths) => view::load_files(paths)?,
                ViewSource::Kubeconfig(_) | ViewSource::InCluster => Snapshot::default(),
            };
            return Ok((Arc::new(View::fixed(snapshot)), None, None));
        };
        let view = Arc::new(View::watched());
        let sources = Sources::new();
        let metrics = self.metrics;
        let informers = Informers {
            client: client.clone(),
            sources: sources.clone(),
            view: &view,
            metrics,
            drain: self.drain,
            discovery_every: self.config.limits.discovery_every,
        };
        informers.start(tasks);
        let (events, writer) = Events::new(client.clone(), metrics, self.drain.clone());
        tasks.spawn(writer);
        let access = Access::new(client.clone());
        let live = Live { client, access, sources, metrics: metrics.clone() };
        Ok((view, Some(live), Some(events)))
    }

    fn front(
        &self,
        health: &Arc<Health>,
        acceptor: TlsAcceptor,
        connections: &Arc<Semaphore>,
    ) -> Result<(Port<Front>, SocketAddr), StartError> {
        let limits = self.config.limits;
        let (listener, address) = bind(self.config.listen, "admission reviews")?;
        let route = Front {
            health: Arc::clone(health),
            limits,
            requests: Arc::new(Semaphore::new(limits.requests_max)),
            memory: Arc::new(Semaphore::new(limits.body_bytes_total_max)),
            drain: self.drain.clone(),
        };
        Ok((self.port(listener, Some(acceptor), route, Arc::clone(connections)), address))
    }

    fn back(&self, health: &Arc<Health>) -> Result<(Port<Back>, SocketAddr), StartError> {
        let (listener, address) = bind(self.config.metrics, "metrics")?;
        let route = Back { health: Arc::clone(health), drain: self.drain.clone() };
        let connections = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
        Ok((self.port(listener, None, route, connections), address))
    }

    fn port<R>(
        &self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        route: R,
        connections: Arc<Semaphore>,
    ) -> Port<R> {
        Port {
            listener,
            tls,
            route: Arc::new(route),
            limits: self.config.limits,
            connections,
            metrics: self.metrics.clone(),
            drain: self.drain.clone(),
        }
    }
}

fn open_ledger(config: &Config) -> Result<Option<Ledger>, StartError> {
    match &config.audit {
        Some(directory) => Ok(Some(Ledger::open(Settings::new(directory, Gate::Webhook))?)),
        None => Ok(None),
    }
}

/// Logs the addresses and writes them to a file, whole or not at all.
fn announce(addresses: &Addresses, file: Option<&Path>) -> Result<(), StartError> {
    let Addresses { listen, metrics } = addresses;
    tracing::info!(%listen, %metrics, "listening");
    let Some(path) = file else { return Ok(()) };
    let failed = |source| StartError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec(addresses).map_err(|error| failed(error.into()))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

impl Running {
    /// Stops as a replica: not ready from now on, every answer ends its connection, and new connections are served for the whole drain time,
    /// because the API server may learn only at its end that the endpoint is gone. Requests that run are answered.
    pub async fn shutdown(self) {
        tracing::info!(drain_seconds = self.drain_max.as_secs(), "stopping");
        self.drain.enter(Phase::Draining);
        tokio::time::sleep(self.drain_max).await;
        self.stop().await;
    }

    /// Stops without waiting for anybody else: nothing new is taken, requests that run are answered.
    pub async fn stop(mut self) {
        self.drain.enter(Phase::Closing);
        let grace = self.finish_max.saturating_add(DRAIN_LOOK);
        if tokio::time::timeout(grace, self.all_gone()).await.is_err() {
            tracing::warn!("connections were still open at the end");
        }
        while self.tasks.join_next().await.is_some() {}
        if let Some(ledger) = self.ledger.take() {
            let closed = tokio::task::spawn_blocking(move || ledger.close()).await;
            if let Ok(Err(error)) = closed {
                tracing::error!(%error, "the audit ledger was not closed cleanly");
            }
        }
        tracing::info!("stopped");
    }

    async fn all_gone(&self) {
        while self.connections.available_permits() < self.connections_max {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }
}
