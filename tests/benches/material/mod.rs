//! What the benches send and what it is judged by: a cluster, policies, an agent's pod and a role binding.
//!
//! Everything enters as text, as it does in production. The pod is honest, because honest ones are nearly all that a gate ever sees, and
//! because an allowance has to pass every rule, where a denial could come early.

pub(crate) mod admin_role;
pub(crate) mod cluster;
pub(crate) mod reviews;

use std::path::PathBuf;

/// Whatever goes wrong ends the bench.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The part of the policy that a site writes itself.
pub(crate) const SITE_POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: bench-site}
spec:
  inject: {profile: none}
  agents:
    serviceAccounts: ["*/runner-*"]
  trust:
    controllers: [{serviceAccount: krate-system/krate-controller}]
    trustedRefs: [refs/heads/main, "refs/heads/release/*"]
"#;

/// The policies that ship: the baseline and the catalogue of references.
pub(crate) fn library() -> Vec<PathBuf> {
    let library = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/library"));
    ["baseline.yaml", "references.yaml"].map(|name| library.join(name)).to_vec()
}
