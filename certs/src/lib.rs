//! The authority: issue certificates, load and reload them. Knows nothing of Kubernetes.
//!
//! [`authority`] makes a CA and what it signs; [`files`] reads a pair that somebody else keeps, and refuses a doubtful
//! one by name; [`reload`] serves a pair and takes a new one without a restart. Nothing here prints a private key.

pub mod authority;
pub mod files;
pub mod reload;
mod x509;

pub use authority::{Authority, AuthorityError, Issued, PrivateKey, Validity};
pub use files::{FileError, PairFiles};
pub use reload::{Reload, ServingCertificate, ServingError, client_authorities, server_config};

/// Certificates for the tests.
#[cfg(test)]
mod bench;
