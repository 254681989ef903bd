//! Decisions as audit records: durable before the answer is given or a byte is passed on.
//!
//! Names, digests and decisions only. An argument's value never gets here: of a broken argument rule the record keeps the place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use pinfold_ledger::{Decision, Event, EventKind, Gate, Ledger};
use pinfold_model::digest::Digest;
use pinfold_model::reason::{Denial, Reason};
use serde_json::{Map, Value};

use crate::policy_watch::Published;

/// Bytes of a `traceparent` (W3C Trace Context, version 00).
const TRACEPARENT_BYTES: usize = 55;

/// What a decision is about.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Joins answer, log and record.
    pub(crate) id: String,
    /// Kind of record.
    pub(crate) kind: EventKind,
    /// The policy that decides.
    pub(crate) published: Arc<Published>,
    /// Host and port asked for.
    pub(crate) endpoint: Option<(String, u16)>,
    /// As recognized so far.
    pub(crate) protocol: &'static str,
    /// HTTP or MCP method.
    pub(crate) method: Option<String>,
    /// HTTP path as judged; only while the policy learns.
    pub(crate) path: Option<String>,
    /// Names of the arguments of a call; only while the policy learns.
    pub(crate) argument_names: Vec<String>,
    /// MCP server.
    pub(crate) server: Option<String>,
    /// Tool.
    pub(crate) tool: Option<String>,
    /// Digest of the arguments.
    pub(crate) arguments_digest: Option<String>,
    /// W3C trace context of the request.
    pub(crate) traceparent: Option<String>,
    /// Id of the MCP session that the request names; it opens the session, so it is in no record.
    pub(crate) session: Option<String>,
    /// What the record of an allowed case says beside the rule.
    pub(crate) note: Option<String>,
    /// When the case was opened.
    pub(crate) started: Instant,
    /// What was found in a result: kinds and numbers.
    pub(crate) findings: Vec<String>,
    /// Whether it was allowed and what it is about is open: its end is recorded by itself.
    pub(crate) opened: bool,
    /// How many cases it stands for, if more than itself.
    pub(crate) count: Option<u64>,
}

impl Case {
    /// A case of a kind, about nothing yet.
    pub(crate) fn new(id: String, kind: EventKind, published: Arc<Published>) -> Self {
        Self {
            id,
            kind,
            published,
            endpoint: None,
            protocol: "unknown",
            method: None,
            path: None,
            argument_names: Vec::new(),
            server: None,
            tool: None,
            arguments_digest: None,
            traceparent: None,
            session: None,
            note: None,
            started: Instant::now(),
            findings: Vec::new(),
            opened: false,
            count: None,
        }
    }

    /// Whether the policy records what would be needed.
    pub(crate) fn learns(&self) -> bool {
        self.published.policy.learns()
    }

    /// Takes the trace context of a request over, if it is one.
    pub(crate) fn trace(&mut self, headers: &HeaderMap) {
        let text = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let plain = |text: &&str| {
            text.len() == TRACEPARENT_BYTES
                && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        };
        self.traceparent = text.filter(plain).map(str::to_owned);
    }

    fn event(&self, verdict: Result<&str, &Denial>, address: Option<String>) -> Event {
        let (decision, rule, reason, message) = match verdict {
            Ok(rule) => (Decision::Allow, rule, None, self.note.clone()),
            Err(denial) => (
                Decision::Deny,
                denial.rule.as_str(),
                Some(denial.reason.as_str().to_owned()),
                Some(recorded_message(denial)),
            ),
        };
        let (host, port) = self.endpoint.clone().unzip();
        let learned = verdict.is_err() && self.learns();
        Event {
            rules: (!rule.is_empty()).then(|| rule.to_owned()).into_iter().collect(),
            reason,
            message,
            agent: Some(self.published.policy.name.clone()),
            server: self.server.clone(),
            tool: self.tool.clone(),
            arguments_digest: self.arguments_digest.clone(),
            host,
            port,
            protocol: Some(self.protocol.to_owned()),
            method: self.method.clone(),
            path: self.path.clone().filter(|_| learned),
            keys: if learned { self.argument_names.clone() } else { Vec::new() },
            address,
            policy_digest: Some(self.published.digest.clone()),
            correlation_id: Some(self.id.clone()),
            traceparent: self.traceparent.clone(),
            findings: self.findings.clone(),
            duration_us: u64::try_from(self.started.elapsed().as_micros()).ok(),
            count: self.count,
            ..Event::new(Gate::Sidecar, self.kind, decision)
        }
    }
}

/// The text of a denial, without argument values.
fn recorded_message(denial: &Denial) -> String {
    if denial.reason == Reason::Argument {
        return format!("the argument at `{}` breaks a rule", denial.path);
    }
    denial.message.clone()
}

/// The digest of a call's arguments over their canonical JSON (sorted members, no blanks).
pub(crate) fn arguments_digest(arguments: &Map<String, Value>) -> String {
    Digest::of(Value::Object(arguments.clone()).to_string().as_bytes()).to_string()
}

/// Ids that are unique across processes.
#[derive(Debug)]
pub(crate) struct CaseIds {
    process: String,
    next: AtomicU64,
}

impl CaseIds {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let process = RandomState::new().hash_one(std::process::id());
        Self { process: format!("{process:016x}"), next: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> String {
        format!("{}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct Recorder {
    ledger: Option<Ledger>,
    write_max: Duration,
}

impl Recorder {
    pub(crate) fn new(ledger: Option<Ledger>, write_max: Duration) -> Self {
        Self { ledger, write_max }
    }

    /// The ledger, for readiness and metrics.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Returns once the record is durable.
    ///
    /// # Errors
    /// A denial of reason `audit`: what can't be recorded isn't done.
    pub(crate) async fn write(
        &self,
        case: &Case,
        verdict: Result<&str, &Denial>,
        address: Option<String>,
    ) -> Result<(), Denial> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let written = ledger.record(&case.event(verdict, address));
        let failed = match tokio::time::timeout(self.write_max, written).await {
            Ok(Ok(_receipt)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the audit record was not durable within {:?}", self.write_max),
        };
        tracing::error!(id = case.id, reason = failed, "not recorded, so refused");
        let message = "the decision could not be recorded, so it was not acted upon";
        Err(Denial::new(
            Reason::Audit,
            "spec.audit",
            message,
            "repair the audit directory, then try again",
        ))
    }
}

#[cfg(test)]
mod tests;
