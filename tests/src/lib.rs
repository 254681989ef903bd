//! The harness of the tests across crates: a real etcd and kube-apiserver, kubectl, plain HTTP.
//!
//! Everything here answers with an error instead of a panic, binds only free loopback ports, and
//! leaves neither process nor directory behind, even when the test process is killed.

mod apiserver;
mod assets;
mod error;
mod http;
mod kubectl;
mod metrics;
mod pki;
mod ports;
mod supervised;
mod wait;

pub use apiserver::ApiServer;
pub use assets::KubeAssets;
pub use error::HarnessError;
pub use http::{HttpResponse, get};
pub use kubectl::{KubectlOutput, User};
pub use metrics::metric;
pub use pki::{CertificatePair, TestAuthority};
pub use ports::free_ports;
pub use supervised::Supervised;
pub use wait::until;
