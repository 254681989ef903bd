//! What the webhook is started with: flags, each also an environment variable, and the bounds of the server.
//!
//! Nothing here opens a file or a socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};

use crate::policy_watch::FORMER_MAX;

/// Flags of `pinfold-webhook`.
#[derive(Debug, Parser)]
#[command(
    name = "pinfold-webhook",
    version,
    about = "Admission webhook for AI-agent workloads: refuses what escalates, crosses organizations or is misplaced",
    group(ArgGroup::new("view").required(true)),
    group(ArgGroup::new("serving").required(true))
)]
pub struct Flags {
    /// Files and directories with AdmissionPolicy documents; reloaded when they change
    #[arg(long, env = "PINFOLD_POLICY", value_name = "PATH", num_args = 1.., value_delimiter = ',', required = true)]
    policy: Vec<PathBuf>,
    /// Watch the cluster of this kubeconfig
    #[arg(long, env = "PINFOLD_KUBECONFIG", value_name = "FILE", group = "view")]
    kubeconfig: Option<PathBuf>,
    /// Watch the cluster that this pod runs in
    #[arg(long, env = "PINFOLD_IN_CLUSTER", group = "view")]
    in_cluster: bool,
    /// Judge by the objects in these files and directories, without a cluster
    #[arg(long, env = "PINFOLD_CLUSTER", value_name = "PATH", num_args = 1.., value_delimiter = ',', group = "view")]
    cluster: Vec<PathBuf>,
    /// Address of /validate and /mutate; port 0 chooses one
    #[arg(long, env = "PINFOLD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz without TLS; port 0 chooses one
    #[arg(long, env = "PINFOLD_METRICS", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    metrics: SocketAddr,
    /// Serving certificate chain, PEM; reloaded when it changes
    #[arg(
        long,
        env = "PINFOLD_TLS_CERT",
        value_name = "FILE",
        group = "serving",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, env = "PINFOLD_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make and rotate the CA and certificate, and publish the CA to the webhook configurations
    #[arg(long, env = "PINFOLD_TLS_SELF_MANAGED", group = "serving")]
    tls_self_managed: bool,
    /// With --tls-self-managed: write the CA certificates here
    #[arg(long, env = "PINFOLD_TLS_CA_OUT", value_name = "FILE", requires = "tls_self_managed")]
    tls_ca_out: Option<PathBuf>,
    /// The Service that the API server calls, for the certificate's names
    #[arg(long, env = "PINFOLD_SERVICE", value_name = "NAME", default_value = "pinfold-webhook")]
    service: String,
    /// Namespace of that Service and of the Secret with the CA
    #[arg(long, env = "PINFOLD_NAMESPACE", value_name = "NAME", default_value = "pinfold-system")]
    namespace: String,
    /// Only clients with a certificate of these authorities (PEM) may ask
    #[arg(long, env = "PINFOLD_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Directory of the audit ledger; without it nothing is recorded
    #[arg(long, env = "PINFOLD_AUDIT", value_name = "DIR")]
    audit: Option<PathBuf>,
    /// Written with the chosen addresses, as JSON, once they are bound
    #[arg(long, env = "PINFOLD_READY_FILE", value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Form of the log lines on stderr
    #[arg(long, env = "PINFOLD_LOG", value_enum, default_value = "json")]
    log: LogFormat,
    /// Seconds to keep serving after SIGTERM while clients move on
    #[arg(long, env = "PINFOLD_DRAIN", value_name = "SECONDS", default_value_t = 15)]
    drain: u16,
    /// What to do when somebody changes Pinfold's own webhook configurations; keep with --in-cluster, off otherwise
    #[arg(long, env = "PINFOLD_REGISTRATION", value_enum)]
    registration: Option<RegistrationMode>,
    /// The two webhook configurations as they should be, instead of those that ship with this version
    #[arg(long, env = "PINFOLD_REGISTRATION_FILE", value_name = "FILE")]
    registration_file: Option<PathBuf>,
    /// Whether running pods get the new policy when it changes; on with --in-cluster, off otherwise
    #[arg(long, env = "PINFOLD_POLICY_PUSH", value_enum)]
    policy_push: Option<Switch>,
    /// Name of this pod, so that replicas of two versions leave the registration to the newer
    #[arg(long, env = "PINFOLD_POD", value_name = "NAME")]
    pod: Option<String>,
    /// Seconds without news from the API server after which everything is denied
    #[arg(long, env = "PINFOLD_VIEW_LAG_MAX", value_name = "SECONDS", default_value_t = 60)]
    view_lag_max: u16,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What happens to Pinfold's own webhook configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegistrationMode {
    /// Changes are told and undone, a deleted one is made again.
    Keep,
    /// Changes are told.
    Watch,
    /// Nobody looks.
    Off,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is done.
    On,
    /// It isn't.
    Off,
}

/// Where the view of the cluster comes from.
#[derive(Debug, Clone)]
pub enum ViewSource {
    /// The cluster of a kubeconfig.
    Kubeconfig(PathBuf),
    /// The cluster around this pod.
    InCluster,
    /// Files and directories of objects; nothing is watched or asked live.
    Files(Vec<PathBuf>),
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum ServingSource {
    /// PEM files, reloaded when they change.
    Files {
        /// Certificate chain.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Made here.
    SelfManaged {
        /// Where the CA certificates are written, if anywhere.
        ca_out: Option<PathBuf>,
    },
}

/// Everything that a webhook is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Policy files and directories.
    pub policy: Vec<PathBuf>,
    /// The cluster.
    pub view: ViewSource,
    /// Address of the webhook.
    pub listen: SocketAddr,
    /// Address of the metrics.
    pub metrics: SocketAddr,
    /// Serving certificate.
    pub serving: ServingSource,
    /// What happens to the webhook configurations.
    pub registration: RegistrationMode,
    /// The webhook configurations as they should be, if not those of this version.
    pub registration_file: Option<PathBuf>,
    /// Whether running pods get the new policy when it changes.
    pub policy_push: bool,
    /// The name of this pod, if it is one.
    pub pod: Option<String>,
    /// Service that the API server calls.
    pub service: String,
    /// Namespace of that Service.
    pub namespace: String,
    /// Authorities of clients; none means anybody may ask.
    pub client_ca: Option<PathBuf>,
    /// Audit directory.
    pub audit: Option<PathBuf>,
    /// File for the chosen addresses.
    pub ready_file: Option<PathBuf>,
    /// How long to keep serving after a stop is asked for.
    pub drain: Duration,
    /// Oldest view that is decided by.
    pub view_lag_max: Duration,
    /// Bounds of the server.
    pub limits: Limits,
}

impl Config {
    /// A webhook on loopback that judges by files, with every port chosen by the system, for tests and demonstrations. `ca_out` is written
    /// with the authority that clients must trust.
    #[must_use]
    pub fn on_loopback(policy: Vec<PathBuf>, cluster: Vec<PathBuf>, ca_out: PathBuf) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            policy,
            view: ViewSource::Files(cluster),
            listen: any,
            metrics: any,
            serving: ServingSource::SelfManaged { ca_out: Some(ca_out) },
            registration: RegistrationMode::Off,
            registration_file: None,
            policy_push: false,
            pod: None,
            service: "pinfold-webhook".to_owned(),
            namespace: "pinfold-system".to_owned(),
            client_ca: None,
            audit: None,
            ready_file: None,
            drain: Duration::ZERO,
            view_lag_max: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// Bounds of the server. The defaults are the documented ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; further ones are closed at once.
    pub connections_max: usize,
    /// Requests decided at the same time; further ones are answered 503 at once.
    pub requests_max: usize,
    /// Bytes of one body: two objects of 3 MiB and what is around them. Larger ones are answered 413.
    pub body_bytes_max: usize,
    /// Bytes of all bodies held at the same time.
    pub body_bytes_total_max: usize,
    /// From the connection to the end of the TLS handshake.
    pub handshake_max: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_max: Duration,
    /// From the head to the end of the body.
    pub body_max: Duration,
    /// A connection that never asked anything is closed after this.
    pub unused_max: Duration,
    /// An idle connection is closed after this; longer than the API server keeps one (90 s), so that it closes first.
    pub idle_max: Duration,
    /// Requests still running at the end of the drain time get this long.
    pub finish_max: Duration,
    /// How long an audit record may take.
    pub audit_max: Duration,
    /// How often policy files are looked at.
    pub policy_poll: Duration,
    /// How long after a change of the policy a new pod may carry what the one before injects.
    pub former_max: Duration,
    /// How often the agent resources of a cluster are discovered.
    pub discovery_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 3_584,
            requests_max: 512,
            body_bytes_max: 7 * 1024 * 1024,
            body_bytes_total_max: 64 * 1024 * 1024,
            handshake_max: Duration::from_secs(5),
            head_max: Duration::from_secs(5),
            body_max: Duration::from_secs(10),
            unused_max: Duration::from_secs(30),
            idle_max: Duration::from_secs(180),
            finish_max: Duration::from_secs(15),
            audit_max: Duration::from_secs(3),
            policy_poll: Duration::from_millis(200),
            former_max: FORMER_MAX,
            discovery_every: Duration::from_secs(5),
        }
    }
}

impl Flags {
    /// Form of the log.
    #[must_use]
    pub fn log(&self) -> LogFormat {
        self.log
    }

    /// The configuration that the flags ask for.
    #[must_use]
    pub fn into_config(self) -> Config {
        let view = match self.kubeconfig {
            Some(file) => ViewSource::Kubeconfig(file),
            None if self.in_cluster => ViewSource::InCluster,
            None => ViewSource::Files(self.cluster),
        };
        let serving = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => ServingSource::Files { cert, key },
            _ => ServingSource::SelfManaged { ca_out: self.tls_ca_out },
        };
        // One that runs beside a cluster is not the one that the registration leads to, unless somebody says so.
        let own = if self.in_cluster { RegistrationMode::Keep } else { RegistrationMode::Off };
        let push = if self.in_cluster { Switch::On } else { Switch::Off };
        Config {
            policy_push: self.policy_push.unwrap_or(push) == Switch::On,
            registration: self.registration.unwrap_or(own),
            registration_file: self.registration_file,
            pod: self.pod,
            policy: self.policy,
            view,
            listen: self.listen,
            metrics: self.metrics,
            serving,
            service: self.service,
            namespace: self.namespace,
            client_ca: self.client_ca,
            audit: self.audit,
            ready_file: self.ready_file,
            drain: Duration::from_secs(self.drain.into()),
            view_lag_max: Duration::from_secs(self.view_lag_max.into()),
            limits: Limits::default(),
        }
    }
}
