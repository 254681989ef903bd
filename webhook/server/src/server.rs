//! Start and stop: puts the parts together, and takes them down without losing a request.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pinfold_ledger::{Gate, Ledger, Settings};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::admission::{Admission, DecisionIds, Judge};
use crate::config::{Config, ViewSource};
use crate::drain::{Drain, DrainWatch, Phase};
use crate::error::StartError;
use crate::health::Health;
use crate::listen::{Port, bind};
use crate::metrics::Metrics;
use crate::policy_watch::PolicyWatch;
use crate::route::{Back, Front};
use crate::tls;
use crate::view::{self, View};

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
    drain: Drain,
    drain_max: Duration,
    finish_max: Duration,
    connections: Arc<Semaphore>,
    connections_max: usize,
    tasks: JoinSet<()>,
    ledger: Option<Ledger>,
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
    let (acceptor, serving) = tls::start(&config)?;
    let ledger = open_ledger(&config)?;
    let view = Arc::new(start_view(&config)?);
    let admission = Arc::new(Admission {
        policy: policy.current(),
        view,
        metrics: metrics.clone(),
        ledger: ledger.clone(),
        judge,
        view_lag_max: config.view_lag_max,
        audit_max: config.limits.audit_max,
        ids: DecisionIds::new(),
    });
    let health = Arc::new(Health {
        admission: Arc::clone(&admission),
        serving: Arc::clone(&serving),
        drain: watch.clone(),
    });
    let connections = Arc::new(Semaphore::new(config.limits.connections_max));
    let (listener, listen) = bind(config.listen, "admission reviews")?;
    let front = Port {
        listener,
        tls: Some(acceptor),
        route: Arc::new(front(&config, &admission, &health, &watch)),
        limits: config.limits,
        connections: Arc::clone(&connections),
        metrics: metrics.clone(),
        drain: watch.clone(),
    };
    let (back, metrics_address) = back(&config, &health, &metrics, &watch)?;
    let addresses = Addresses { listen, metrics: metrics_address };
    let mut tasks = JoinSet::new();
    tasks.spawn(policy.run(metrics, config.limits, watch.clone()));
    tasks.spawn(tls::watch(serving, watch.clone()));
    tasks.spawn(front.run());
    tasks.spawn(back.run());
    announce(&addresses, config.ready_file.as_deref())?;
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

fn start_view(config: &Config) -> Result<View, StartError> {
    match &config.view {
        ViewSource::Files(paths) => Ok(View::fixed(view::load_files(paths)?)),
        ViewSource::Kubeconfig(_) | ViewSource::InCluster => Ok(View::watched()),
    }
}

fn open_ledger(config: &Config) -> Result<Option<Ledger>, StartError> {
    match &config.audit {
        Some(directory) => Ok(Some(Ledger::open(Settings::new(directory, Gate::Webhook))?)),
        None => Ok(None),
    }
}

fn front(
    config: &Config,
    admission: &Arc<Admission>,
    health: &Arc<Health>,
    drain: &DrainWatch,
) -> Front {
    Front {
        admission: Arc::clone(admission),
        health: Arc::clone(health),
        limits: config.limits,
        requests: Arc::new(Semaphore::new(config.limits.requests_max)),
        memory: Arc::new(Semaphore::new(config.limits.body_bytes_total_max)),
        drain: drain.clone(),
    }
}

fn back(
    config: &Config,
    health: &Arc<Health>,
    metrics: &Metrics,
    drain: &DrainWatch,
) -> Result<(Port<Back>, SocketAddr), StartError> {
    let (listener, address) = bind(config.metrics, "metrics")?;
    let port = Port {
        listener,
        tls: None,
        route: Arc::new(Back { health: Arc::clone(health), drain: drain.clone() }),
        limits: config.limits,
        connections: Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX)),
        metrics: metrics.clone(),
        drain: drain.clone(),
    };
    Ok((port, address))
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
    /// Stops: not ready from now on, every answer ends its connection, and after the drain time, or once no connection is left, nothing
    /// new is taken. Requests that run are answered.
    pub async fn shutdown(mut self) {
        tracing::info!(drain_seconds = self.drain_max.as_secs(), "stopping");
        self.drain.enter(Phase::Draining);
        let _ = tokio::time::timeout(self.drain_max, self.all_gone()).await;
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
