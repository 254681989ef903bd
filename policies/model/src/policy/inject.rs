//! Section `inject` of an AdmissionPolicy: what is put into agents' pods; and the names by which all of Pinfold knows it.
//!
//! Names, ports and paths are promises to pods that run already: a sidecar, its guard and the webhook that made them may be of
//! different versions. Nothing here makes a pod.

use schemars::JsonSchema;
use serde::Deserialize;

use super::agent::AgentPolicy;
use super::compile::Memo;

/// UID and GID of the sidecar if the policy says nothing; not 1001, which popular images use.
pub const UID_DEFAULT: u32 = 64_646;
/// Image of guard and sidecar if the policy says nothing.
pub const IMAGE_DEFAULT: &str = concat!("pinfold-sidecar:", env!("CARGO_PKG_VERSION"));
/// The init container that loads the firewall rules and ends.
pub const GUARD: &str = "pinfold-guard";
/// The native sidecar: an init container that is restarted always.
pub const SIDECAR: &str = "pinfold-sidecar";
/// Names of containers, volumes and ports that begin so are Pinfold's.
pub const RESERVED_PREFIX: &str = "pinfold-";
/// Annotation with the compiled policy: an AgentPolicy document as canonical JSON.
pub const POLICY: &str = "pinfold.dev/policy";
/// Annotation with the digest of the compiled policy.
pub const POLICY_DIGEST: &str = "pinfold.dev/policy-digest";
/// Annotation that says whose pod it was by its records when it was made, as canonical JSON: what its policy is chosen by as long as it runs.
pub const POLICY_SUBJECT: &str = "pinfold.dev/policy-subject";
/// Volume of the downward API with both annotations, in the sidecar alone.
pub const POLICY_VOLUME: &str = "pinfold-policy";
/// Where [`POLICY_VOLUME`] is mounted.
pub const POLICY_DIR: &str = "/etc/pinfold/policy";
/// File of the compiled policy in [`POLICY_DIR`].
pub const POLICY_FILE: &str = "policy.json";
/// File of its digest in [`POLICY_DIR`].
pub const DIGEST_FILE: &str = "digest";
/// Volume of the credentials, in the sidecar alone.
pub const SECRETS_VOLUME: &str = "pinfold-secrets";
/// Where it is mounted; below it `SECRET/KEY`.
pub const SECRETS_DIR: &str = "/var/run/pinfold/secrets";
/// Volume of the sidecar's own state: the audit ledger, what was learned.
pub const STATE_VOLUME: &str = "pinfold-state";
/// Where it is mounted.
pub const STATE_DIR: &str = "/var/lib/pinfold";
/// Volume through which agents get the certificate of the pod's own authority.
pub const TRUST_VOLUME: &str = "pinfold-trust";
/// Where it is mounted: writable in the sidecar, read-only in the agents.
pub const TRUST_DIR: &str = "/etc/pinfold/trust";
/// Public roots and the pod's own authority, PEM, in [`TRUST_DIR`].
pub const TRUST_BUNDLE: &str = "bundle.crt";
/// The pod's own authority alone, PEM, in [`TRUST_DIR`].
pub const TRUST_AUTHORITY: &str = "authority.crt";
/// Volume for `/tmp` of agents' containers whose root was made read-only.
pub const TMP_VOLUME: &str = "pinfold-tmp";
/// Transparent listener: connections that the guard redirects.
pub const TRANSPARENT_PORT: u16 = 15_001;
/// Explicit proxy: CONNECT, absolute-form HTTP, SOCKS5.
pub const PROXY_PORT: u16 = 15_002;
/// DNS, UDP and TCP.
pub const DNS_PORT: u16 = 15_053;
/// Gateway.
pub const GATEWAY_PORT: u16 = 15_080;
/// Metrics and readiness.
pub const ADMIN_PORT: u16 = 15_090;
/// The name of that port in the sidecar's container.
pub const ADMIN_PORT_NAME: &str = "pinfold-admin";
/// Every port of the sidecar.
pub const PORTS: [u16; 5] = [TRANSPARENT_PORT, PROXY_PORT, DNS_PORT, GATEWAY_PORT, ADMIN_PORT];
/// Ports of loopback that no policy may open to agents: listeners that only the guard leads to, the admin port, and DNS, which is the
/// sidecar's wherever its server is said to be.
pub const CLOSED_PORTS: [u16; 4] = [TRANSPARENT_PORT, DNS_PORT, ADMIN_PORT, 53];
/// Most ports of loopback that a policy may open to agents.
pub const LOOPBACK_PORTS_MAX: usize = 64;
/// Largest compiled policy that an annotation takes.
pub const POLICY_BYTES_MAX: usize = 200 * 1024;

/// What is put into agents' pods.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawInject {
    /// `default`, or `none`: nothing is injected, and pods aren't asked for it.
    pub profile: Option<Profile>,
    /// Image of guard and sidecar.
    pub image: Option<String>,
    /// UID and GID of the sidecar; 64646 if left out.
    pub uid: Option<u32>,
}

/// What is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Guard, sidecar, hardening, compiled policy.
    #[default]
    Default,
    /// Nothing. Agents' pods are then confined by nobody.
    None,
}

/// What is put into agents' pods, ready.
#[derive(Debug, Clone)]
pub struct Inject {
    /// What is injected.
    pub profile: Profile,
    /// Image of guard and sidecar.
    pub image: String,
    /// UID and GID of the sidecar.
    pub uid: u32,
    /// The AgentPolicies of the same documents; those that apply to a pod are compiled for it.
    pub agents: Vec<AgentPolicy>,
    /// What was compiled of them.
    pub compiled: Memo,
}

impl Default for Inject {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            image: IMAGE_DEFAULT.to_owned(),
            uid: UID_DEFAULT,
            agents: Vec::new(),
            compiled: Memo::default(),
        }
    }
}
