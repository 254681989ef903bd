//! Prometheus metrics. Every label takes its values from a list here or from the policy: what a requester can invent is `other`.

use std::time::Duration;

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::finding::Finding;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Kinds with a label value of their own.
pub(crate) const KINDS: &[&str] = &[
    "AgentApproval",
    "AgentConfigGrant",
    "AgentDispatchAttempt",
    "AgentDispatchRun",
    "AgentRoleBinding",
    "AgentSecretGrant",
    "AgentServiceAccount",
    "AgentStack",
    "Binding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Ingress",
    "Job",
    "Namespace",
    "Node",
    "NodeProxyOptions",
    "OrgNamespaceBinding",
    "OrgSharingPolicy",
    "Organization",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pipeline",
    "Pod",
    "PodAttachOptions",
    "PodExecOptions",
    "PodPortForwardOptions",
    "PodProxyOptions",
    "PodTemplate",
    "PullRequest",
    "ReplicaSet",
    "ReplicationController",
    "Role",
    "RoleBinding",
    "RunnerPool",
    "Scale",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
    "StorageClass",
    "TokenRequest",
];

/// Groups with a label value of their own.
const GROUPS: &[&str] = &[
    "",
    "apps",
    "authentication.k8s.io",
    "autoscaling",
    "batch",
    "kradle.a5c.ai",
    "krate.a5c.ai",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
];

const OTHER: &str = "other";

/// Upper bounds of the duration histogram in seconds: fine below a millisecond, where decisions are.
const DURATION_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_75, 0.001, 0.002, 0.003, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// All metrics of one server.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    denials: IntCounterVec,
    duration: HistogramVec,
    policy_info: IntGaugeVec,
    policy_reloads: IntCounterVec,
    pub(crate) cache: CacheMetrics,
    pub(crate) certificate_expiry: GaugeVec,
    pub(crate) audit_records: IntCounter,
    pub(crate) audit_failures: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) refusals: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) live_questions: IntCounterVec,
    pub(crate) events: IntCounterVec,
    pub(crate) registration: RegistrationMetrics,
    pub(crate) ceiling: CeilingMetrics,
    pub(crate) policy_push: PolicyPushMetrics,
    pub(crate) ready: IntGauge,
}

/// Metrics of the view of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct CacheMetrics {
    pub(crate) objects: IntGaugeVec,
    pub(crate) undecodable: IntCounterVec,
    pub(crate) lag: Gauge,
    pub(crate) watch_errors: IntCounterVec,
}

/// Metrics of the webhook configurations.
#[derive(Debug, Clone)]
pub(crate) struct RegistrationMetrics {
    pub(crate) changes: IntCounterVec,
    pub(crate) intact: IntGaugeVec,
}

/// Metrics of what agent identities have come to hold.
#[derive(Debug, Clone)]
pub(crate) struct CeilingMetrics {
    pub(crate) identities_over: IntGauge,
    pub(crate) oversteps: IntCounter,
}

/// Metrics of the policies of running pods.
#[derive(Debug, Clone)]
pub(crate) struct PolicyPushMetrics {
    pub(crate) writes: IntCounterVec,
    pub(crate) behind: IntGauge,
}

impl PolicyPushMetrics {
    fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            writes: make.counters(
                "pinfold_policy_push_total",
                "New policies for running pods, and what came of them.",
                &["result"],
            )?,
            behind: make.int_gauge(
                "pinfold_policy_push_pods_behind",
                "Running pods whose policy isn't the one that they should have.",
            )?,
        })
    }
}

impl CeilingMetrics {
    fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            identities_over: make.int_gauge(
                "pinfold_agent_identities_over_ceiling",
                "Agent identities that hold more than their ceiling.",
            )?,
            oversteps: make.counter(
                "pinfold_ceiling_oversteps_total",
                "Bindings found to give an agent identity more than its ceiling.",
            )?,
        })
    }
}

impl RegistrationMetrics {
    fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            changes: make.counters(
                "pinfold_registration_changes_total",
                "Changes of Pinfold's own webhook configurations, and what came of them.",
                &["configuration", "change", "result"],
            )?,
            intact: make.gauges(
                "pinfold_registration_intact",
                "1 if a webhook configuration is as it should be.",
                &["configuration"],
            )?,
        })
    }
}

impl CacheMetrics {
    fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            objects: make.gauges(
                "pinfold_cache_objects",
                "Objects in the view of the cluster.",
                &["kind"],
            )?,
            undecodable: make.counters(
                "pinfold_cache_undecodable_total",
                "Watched objects of a shape that rules can't read, kept as metadata.",
                &["kind"],
            )?,
            lag: make.gauge(
                "pinfold_cache_lag_seconds",
                "Age of the oldest part of the view of the cluster.",
            )?,
            watch_errors: make.counters(
                "pinfold_watch_errors_total",
                "Failed lists and watches.",
                &["kind"],
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
        let registry = Registry::new();
        let make = Maker { registry: &registry };
        let metrics = Self {
            requests: make.counters(
                "pinfold_admission_requests_total",
                "Admission requests decided.",
                &["operation", "group", "kind", "decision"],
            )?,
            denials: make.counters(
                "pinfold_admission_denials_total",
                "Findings by rule, also of modes that only warn or record.",
                &["rule", "mode", "kind"],
            )?,
            duration: make.durations()?,
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
            cache: CacheMetrics::new(&make)?,
            certificate_expiry: make.float_gauges(
                "pinfold_certificate_expiry_timestamp_seconds",
                "When a certificate expires, as Unix time.",
                &["certificate"],
            )?,
            audit_records: make
                .counter("pinfold_audit_records_total", "Audit records made durable.")?,
            audit_failures: make
                .counter("pinfold_audit_failures_total", "Audit records refused or lost.")?,
            panics: make.counter("pinfold_panics_total", "Requests that ended in a panic.")?,
            refusals: make.counters(
                "pinfold_http_refusals_total",
                "Requests and connections refused before a decision.",
                &["reason"],
            )?,
            connections: make.int_gauge("pinfold_http_connections", "Open connections.")?,
            live_questions: make.counters(
                "pinfold_live_questions_total",
                "Questions put to the API server for a decision.",
                &["question", "result"],
            )?,
            events: make.counters(
                "pinfold_events_total",
                "Kubernetes Events of denials.",
                &["result"],
            )?,
            registration: RegistrationMetrics::new(&make)?,
            ceiling: CeilingMetrics::new(&make)?,
            policy_push: PolicyPushMetrics::new(&make)?,
            ready: make.int_gauge("pinfold_ready", "1 if the webhook decides.")?,
            registry: registry.clone(),
        };
        Ok(metrics)
    }

    /// Counts one answered request.
    pub(crate) fn answered(&self, facts: &AdmissionFacts, passed: bool, findings: &[Finding]) {
        let kind = known(KINDS, &facts.target.kind);
        let verdict = if passed { "allow" } else { "deny" };
        let group = known(GROUPS, &facts.target.group);
        self.requests.with_label_values(&[facts.operation.as_str(), group, kind, verdict]).inc();
        self.count_findings(findings, kind);
    }

    /// Counts a request that could not be read.
    pub(crate) fn unreadable(&self, findings: &[Finding]) {
        self.requests.with_label_values(&[OTHER, OTHER, OTHER, "deny"]).inc();
        self.count_findings(findings, OTHER);
    }

    fn count_findings(&self, findings: &[Finding], kind: &str) {
        for finding in findings {
            let labels = [finding.rule.as_str(), finding.mode.as_str(), kind];
            self.denials.with_label_values(&labels).inc();
        }
    }

    /// Notes how long an answer took.
    pub(crate) fn took(&self, path: &str, time: Duration) {
        self.duration.with_label_values(&[path]).observe(time.as_secs_f64());
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

/// The label value of a name that a requester chose.
pub(crate) fn known<'n>(list: &[&'static str], name: &'n str) -> &'n str {
    if list.contains(&name) { name } else { OTHER }
}

struct Maker<'r> {
    registry: &'r Registry,
}

impl Maker<'_> {
    fn add<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: M,
    ) -> Result<M, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
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

    fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(name, help)?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn durations(&self) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(
            "pinfold_admission_duration_seconds",
            "From the read body to the answer.",
        );
        self.add(HistogramVec::new(options.buckets(DURATION_BUCKETS.to_vec()), &["path"])?)
    }
}
