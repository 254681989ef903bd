//! Prometheus metrics. Every label takes its values from a list here or from the policy: what an agent can invent is `other`.

use std::time::Duration;

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::Denial;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::quota::Way;

/// Seconds.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
/// The label of what an agent invented.
const OTHER: &str = "other";
/// The reason of what is allowed.
const NONE: &str = "none";

/// All metrics of a sidecar; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    connections: IntCounterVec,
    bytes_out: IntCounter,
    bytes_in: IntCounter,
    pub(crate) open_connections: IntGauge,
    dns_queries: IntCounterVec,
    results: Results,
    tool_calls: IntCounterVec,
    tool_duration: Histogram,
    policy_info: IntGaugeVec,
    policy_reloads: IntCounterVec,
    pub(crate) audit_records: IntCounter,
    pub(crate) audit_failures: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) ready: IntGauge,
    pub(crate) guard_intact: IntGauge,
    pub(crate) budget_remaining: IntGaugeVec,
    pub(crate) breaker_state: IntGaugeVec,
    pub(crate) killswitch_active: IntGaugeVec,
}

/// Of what tools answer.
#[derive(Debug, Clone)]
struct Results {
    reply_drops: IntCounterVec,
    redactions: IntCounterVec,
    injections: IntCounterVec,
}

impl Results {
    fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            reply_drops: make.counters(
                "pinfold_tool_reply_drops_total",
                "Messages and listed tools of MCP servers that were not passed on.",
                &["server", "cause"],
            )?,
            redactions: make.counters(
                "pinfold_redactions_total",
                "Credentials taken out of replies: injected ones, and others by their form.",
                &["kind"],
            )?,
            injections: make.counters(
                "pinfold_injection_markers_total",
                "Replies of MCP servers that look like an injection, by what was found.",
                &["marker", "action"],
            )?,
        })
    }
}

impl Metrics {
    /// Registers every metric once.
    ///
    /// # Errors
    /// Only if two of them had one name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let make = Maker(Registry::new());
        let bytes = make.counters(
            "pinfold_egress_bytes_total",
            "Bytes passed on: `out` from the agent, `in` to it.",
            &["direction"],
        )?;
        Ok(Self {
            connections: make.counters(
                "pinfold_egress_connections_total",
                "Connections and requests out of the pod, decided.",
                &["decision", "reason", "protocol"],
            )?,
            bytes_out: bytes.with_label_values(&["out"]),
            bytes_in: bytes.with_label_values(&["in"]),
            open_connections: make.gauge(
                "pinfold_egress_open_connections",
                "Connections of the agent to the proxy.",
            )?,
            dns_queries: make.counters(
                "pinfold_dns_queries_total",
                "DNS queries of the pod, decided.",
                &["decision", "reason"],
            )?,
            tool_calls: make.counters(
                "pinfold_tool_calls_total",
                "MCP messages of the agent, decided; `tool` is empty for other methods.",
                &["server", "tool", "decision", "reason"],
            )?,
            tool_duration: make.durations(
                "pinfold_tool_duration_seconds",
                "From a forwarded tool call to the end of its reply.",
            )?,
            results: Results::new(&make)?,
            policy_info: make.gauges(
                "pinfold_policy_info",
                "1 for the policy in force.",
                &["digest"],
            )?,
            policy_reloads: make.counters(
                "pinfold_policy_reloads_total",
                "Loads of changed policy files.",
                &["result"],
            )?,
            audit_records: make
                .counter("pinfold_audit_records_total", "Audit records made durable.")?,
            audit_failures: make
                .counter("pinfold_audit_failures_total", "Audit records refused or lost.")?,
            panics: make.counter("pinfold_panics_total", "Connections that ended in a panic.")?,
            ready: make.gauge("pinfold_ready", "1 if the sidecar decides.")?,
            guard_intact: make.gauge(
                "pinfold_guard_intact",
                "1 if the pod's firewall rules and routes work; 0 also where there is no guard.",
            )?,
            budget_remaining: make.gauges(
                "pinfold_tool_budget_remaining",
                "Calls left of each budget; of the agent's with no `server`, of a server's with no `tool`.",
                &["server", "tool"],
            )?,
            breaker_state: make.gauges(
                "pinfold_breaker_state",
                "Breakers that saw a failure: 0 closed, 1 half open, 2 open.",
                &["upstream", "server", "tool"],
            )?,
            killswitch_active: make.gauges(
                "pinfold_killswitch_active",
                "1 if the kill switch is set for such a scope.",
                &["scope"],
            )?,
            registry: make.0,
        })
    }

    /// Counts one decision on a connection or request.
    pub(crate) fn egress(&self, denied: Option<&Denial>, protocol: &str) {
        let (decision, reason) = verdict(denied);
        self.connections.with_label_values(&[decision, reason, protocol]).inc();
    }

    /// Counts bytes that are passed on.
    pub(crate) fn passed(&self, way: Way, bytes: u64) {
        match way {
            Way::Out => self.bytes_out.inc_by(bytes),
            Way::In => self.bytes_in.inc_by(bytes),
        }
    }

    /// Counts one decision on a DNS query.
    pub(crate) fn dns(&self, denied: Option<&Denial>) {
        let (decision, reason) = verdict(denied);
        self.dns_queries.with_label_values(&[decision, reason]).inc();
    }

    /// Counts one decision on an MCP message.
    pub(crate) fn tool_call(
        &self,
        policy: &AgentPolicy,
        server: &str,
        tool: &str,
        denied: Option<&Denial>,
    ) {
        let (decision, reason) = verdict(denied);
        let (server, tool) = known(policy, server, tool);
        self.tool_calls.with_label_values(&[server, tool, decision, reason]).inc();
    }

    /// Notes how long a forwarded tool call took.
    pub(crate) fn tool_took(&self, time: Duration) {
        self.tool_duration.observe(time.as_secs_f64());
    }

    /// Counts what an MCP server sent and the agent doesn't get.
    pub(crate) fn reply_dropped(&self, server: &str, cause: &'static str) {
        self.results.reply_drops.with_label_values(&[server, cause]).inc();
    }

    /// Counts what was taken out of a reply.
    pub(crate) fn redacted(&self, kind: &'static str, times: u64) {
        self.results.redactions.with_label_values(&[kind]).inc_by(times);
    }

    /// Counts a reply that looks like an injection.
    pub(crate) fn injection(&self, marker: &'static str, action: &'static str) {
        self.results.injections.with_label_values(&[marker, action]).inc();
    }

    /// A policy is in force.
    pub(crate) fn policy_in_force(&self, digest: &str) {
        self.policy_info.reset();
        self.policy_info.with_label_values(&[digest]).set(1);
    }

    /// Changed policy files were read.
    pub(crate) fn policy_reloaded(&self, worked: bool) {
        let result = if worked { "success" } else { "error" };
        self.policy_reloads.with_label_values(&[result]).inc();
    }

    /// The text exposition.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "can't write metrics");
        }
        text
    }
}

fn verdict(denied: Option<&Denial>) -> (&'static str, &'static str) {
    denied.map_or(("allow", NONE), |denial| ("deny", denial.reason.as_str()))
}

/// Names that the policy has; others are one value.
fn known<'n>(policy: &AgentPolicy, server: &'n str, tool: &'n str) -> (&'n str, &'n str) {
    let Some(listed) = policy.server(server) else {
        return (OTHER, if tool.is_empty() { "" } else { OTHER });
    };
    let named = tool.is_empty()
        || listed.allow.iter().any(|allowed| allowed.name == tool)
        || listed.deny.iter().any(|denied| denied == tool);
    (server, if named { tool } else { OTHER })
}

struct Maker(Registry);

impl Maker {
    fn add<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: M,
    ) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn durations(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        self.add(Histogram::with_opts(options)?)
    }
}
