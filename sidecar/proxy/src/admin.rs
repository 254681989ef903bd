//! `/metrics`, `/healthz` and `/readyz`: read only, no body taken, for Prometheus and the kubelet.

use std::sync::Arc;

use http::{Method, StatusCode};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::head::{Head, Target};

use crate::answer::Answer;
use crate::client::Client;
use crate::drain::DrainWatch;
use crate::gate::Gate;

const TEXT: &str = "text/plain; charset=utf-8";
/// The exposition format of Prometheus.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves one connection.
pub(crate) async fn serve(gate: &Arc<Gate>, mut client: Client, mut drain: DrainWatch) {
    while let Ok(head) = client.read_head(&gate.limits, &mut drain).await {
        let keep_alive = head.keep_alive && head.body == BodyFraming::None && drain.is_serving();
        let answer = answer(gate, &head, &drain);
        let bytes = answer.encode(head.method == Method::HEAD, keep_alive);
        if client.write(&bytes, gate.limits.write_max).await.is_err() {
            return;
        }
        if !keep_alive {
            break;
        }
    }
    client.close().await;
}

fn answer(gate: &Gate, head: &Head, drain: &DrainWatch) -> Answer {
    if ![Method::GET, Method::HEAD].contains(&head.method) {
        let text = b"expected GET\n".to_vec();
        return Answer::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    }
    let path = match &head.target {
        Target::Origin(raw) => raw.normalize().ok(),
        Target::Absolute(_) | Target::Authority | Target::Asterisk => None,
    };
    match path.as_ref().map(|path| path.decoded()) {
        Some("/metrics") => Answer::new(StatusCode::OK, EXPOSITION, metrics(gate, drain)),
        Some("/healthz") => Answer::new(StatusCode::OK, TEXT, b"ok\n".to_vec()),
        Some("/readyz") => match not_ready(gate, drain) {
            None => Answer::new(StatusCode::OK, TEXT, b"ok\n".to_vec()),
            Some(why) => {
                Answer::new(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n").into_bytes())
            }
        },
        Some("/guardz") => match gate.guard.state() {
            Ok(state) => Answer::new(StatusCode::OK, TEXT, format!("{state}\n").into_bytes()),
            Err(why) => {
                Answer::new(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n").into_bytes())
            }
        },
        Some(_) | None => {
            let text = b"expected /metrics, /healthz, /readyz or /guardz\n".to_vec();
            Answer::new(StatusCode::NOT_FOUND, TEXT, text)
        }
    }
}

/// Policy and listeners are there, or the sidecar would not have started; the ledger and the end can still change.
fn not_ready(gate: &Gate, drain: &DrainWatch) -> Option<String> {
    let healthy = gate.recorder.ledger().is_none_or(|ledger| ledger.stats().healthy);
    if !drain.is_serving() {
        Some("shutting down".to_owned())
    } else if !gate.policy.load().in_force {
        Some("there is no policy".to_owned())
    } else if !healthy {
        Some("audit records can't be written".to_owned())
    } else {
        gate.guard.fault()
    }
}

/// The text exposition, with everything that is read off brought up to date.
fn metrics(gate: &Gate, drain: &DrainWatch) -> Vec<u8> {
    let metrics = &gate.metrics;
    metrics.ready.set(i64::from(not_ready(gate, drain).is_none()));
    if let Some(ledger) = gate.recorder.ledger() {
        let stats = ledger.stats();
        // Counters only grow, and both sides do.
        let grow = |counter: &prometheus::IntCounter, to: u64| {
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        grow(&metrics.audit_records, stats.records);
        grow(&metrics.audit_failures, stats.refused.saturating_add(stats.mirror_dropped));
    }
    let policy = &gate.policy.load().policy;
    gate.budgets.report(policy, metrics);
    gate.breakers.report(policy, metrics);
    gate.kills.report(metrics);
    metrics.text()
}
