//! A sidecar with a policy of its own, a DNS server and upstreams that tell what they saw.

pub(crate) mod asking;
mod dns;
mod raw;
pub(crate) mod tls;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_sidecar::{Config, Original, Running, start};
use tempfile::TempDir;

pub(crate) use dns::{Dns, Trick, labels};
pub(crate) use raw::{Raw, Reply};
pub(crate) use upstream::{Request, Upstream};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An AgentPolicy whose egress rules are these lines; further lines of `egress` may follow them.
pub(crate) fn allowing(rules: &str) -> String {
    format!(
        "\napiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: tester}}\nspec:\n  egress:\n    allow:{rules}"
    )
}

/// A running sidecar with its files.
pub(crate) struct Sidecar {
    pub(crate) running: Running,
    pub(crate) dns: Dns,
    pub(crate) files: TempDir,
}

/// A sidecar that is being set up.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) dns: Dns,
    pub(crate) files: TempDir,
}

impl Setup {
    pub(crate) async fn new(policy: &str) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let path = files.path().join("policy.yaml");
        std::fs::write(&path, policy).expect("a policy");
        let dns = Dns::start().await;
        let mut config = Config::on_loopback(vec![path]);
        config.resolver = vec![dns.address];
        Self { config, dns, files }
    }

    /// Every name of these leads to these addresses.
    pub(crate) fn name(self, name: &str, addresses: &[&str]) -> Self {
        self.dns.set(name, addresses);
        self
    }

    pub(crate) fn audited(mut self) -> Self {
        self.config.audit = Some(self.files.path().join("audit"));
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// With a listener for redirected connections, which go where [`Raw::redirected`] says.
    pub(crate) fn transparent(self) -> Self {
        self.with(|config| {
            config.transparent = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
            config.original = Original::Told(raw::destination);
        })
    }

    /// With the DNS gate.
    pub(crate) fn with_dns(self) -> Self {
        self.with(|config| config.dns = vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    }

    pub(crate) async fn start(self) -> Sidecar {
        let running = start(self.config).await.expect("a sidecar");
        Sidecar { running, dns: self.dns, files: self.files }
    }
}

impl Sidecar {
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.running.addresses.proxy[0]
    }

    pub(crate) fn transparent(&self) -> SocketAddr {
        self.running.addresses.transparent[0]
    }

    pub(crate) fn dns_gate(&self) -> SocketAddr {
        self.running.addresses.dns[0]
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        self.running.addresses.gateway[0]
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.running.addresses.admin[0]
    }

    pub(crate) fn audit_directory(&self) -> PathBuf {
        self.files.path().join("audit")
    }

    /// Replaces the policy as a text editor would.
    pub(crate) fn rewrite(&self, policy: &str) {
        std::fs::write(self.files.path().join("policy.yaml"), policy).expect("a policy");
    }

    /// The value of a metric's series, 0 if there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let reply = Raw::connect(self.admin()).await.get("/metrics").await;
        let text = String::from_utf8(reply.body).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Ends the sidecar and verifies its records; those of decisions come back.
    pub(crate) async fn verified_records(self) -> Vec<serde_json::Value> {
        let directory = self.audit_directory();
        self.running.shutdown().await;
        let report = pinfold_ledger::verify::verify(std::slice::from_ref(&directory), None);
        let report = report.expect("an intact ledger");
        let mut records = read_records(&directory);
        assert_eq!(report.records(), u64::try_from(records.len()).expect("a number"));
        records.retain(|record| {
            !["genesis", "start", "stop", "reload"].map(Some).contains(&record["event"].as_str())
        });
        records
    }

    /// Waits until a metric's series has a value.
    pub(crate) async fn until_metric(&self, series: &str, wanted: f64) {
        let reached = async {
            while self.metric(series).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{series} is {}, not {wanted}", self.metric(series).await);
        }
    }
}

/// How many decisions a record stands for.
pub(crate) fn stands_for(record: &serde_json::Value) -> u64 {
    record.get("count").map_or(1, |count| count.as_u64().expect("a number"))
}

/// So many decisions of each reason, `allow` for none: equal ones of a second share a record.
pub(crate) fn by_reason(records: &[serde_json::Value]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for record in records {
        let reason = record["reason"].as_str().unwrap_or("allow");
        *found.entry(reason.to_owned()).or_default() += stands_for(record);
    }
    found
}

/// The same of what is expected.
pub(crate) fn count<'r>(reasons: impl IntoIterator<Item = &'r str>) -> BTreeMap<String, u64> {
    let mut wanted = BTreeMap::new();
    for reason in reasons {
        *wanted.entry(reason.to_owned()).or_default() += 1;
    }
    wanted
}

fn read_records(directory: &std::path::Path) -> Vec<serde_json::Value> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the audit directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    paths.sort();
    let texts = paths.iter().map(|path| std::fs::read_to_string(path).expect("a log"));
    let text: String = texts.collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
