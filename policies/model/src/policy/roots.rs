//! Authorities of a policy's own, `spec.tls.roots`: certificates in PEM by which upstreams may also be signed.
//!
//! They stand in the policy itself, not in a ConfigMap of the pod's namespace: who may add an authority can speak for every host that it is for, and in that
//! namespace tenants write. Only authorities are taken: with the certificate of a server as a root, whoever has its key could sign for others.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

use super::place::Place;
use super::values::HostText;
use crate::digest::Digest;
use crate::document::DocumentError;
use crate::host::{Host, HostPattern};

/// Most entries of one policy.
pub const ROOTS_MAX: usize = 16;
/// Most certificates of one policy.
pub const CERTIFICATES_MAX: usize = 64;
/// Most bytes of PEM of one policy: a third of what a pod can carry.
pub const PEM_BYTES_MAX: usize = 64 * 1024;
/// Most host patterns of one entry.
pub const HOSTS_MAX: usize = 64;

/// TLS to upstreams.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawTls {
    /// Authorities that upstreams may also be signed by, beside the public ones.
    pub roots: Vec<RawRoot>,
}

/// Some authorities.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawRoot {
    /// The hosts that they count for; all if left out.
    pub hosts: Option<Vec<HostText>>,
    /// Their certificates, PEM.
    pub pem: String,
}

/// Some authorities, ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// Its place in the document: `spec.tls.roots[0]`.
    pub place: String,
    /// The hosts that they count for; `None` means all.
    pub hosts: Option<Vec<HostPattern>>,
    /// Their certificates, DER.
    pub certificates: Vec<Arc<[u8]>>,
    /// Of the certificates.
    pub digest: Digest,
}

impl Root {
    /// Whether they count for a host. Addresses are in no pattern.
    #[must_use]
    pub fn counts_for(&self, host: &Host) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        match host {
            Host::Name(name) => hosts.iter().any(|pattern| pattern.covers(name)),
            Host::Address(_) => false,
        }
    }
}

/// What is wrong with a text of certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum PemError {
    #[error("expected certificates in PEM (`-----BEGIN CERTIFICATE-----`), found none")]
    Nothing,
    #[error("PEM block {0} can't be read: {1}")]
    Unreadable(usize, String),
    #[error(
        "PEM block {0} is a private key, which no policy may hold: take it out and replace the key, because it has been shown"
    )]
    PrivateKey(usize),
    #[error("PEM block {0} is no certificate: expected `-----BEGIN CERTIFICATE-----`")]
    Other(usize),
    #[error(
        "certificate {0} is no authority's (basicConstraints CA:TRUE): expected the certificate that signs the servers', not a server's own"
    )]
    NoAuthority(usize),
}

/// All entries of a policy.
pub(super) fn roots(raw: &RawTls, place: &Place<'_>, errors: &mut Vec<DocumentError>) -> Vec<Root> {
    let place = place.field("roots");
    let bytes: usize = raw.roots.iter().map(|root| root.pem.len()).sum();
    if raw.roots.len() > ROOTS_MAX || bytes > PEM_BYTES_MAX {
        let text = format!(
            "expected at most {ROOTS_MAX} entries with {PEM_BYTES_MAX} bytes of PEM together, found {} with {bytes}",
            raw.roots.len()
        );
        errors.push(place.error(text));
        return Vec::new();
    }
    let mut roots = Vec::with_capacity(raw.roots.len());
    for (index, root) in raw.roots.iter().enumerate() {
        match one(root, &place.item(index)) {
            Ok(root) => roots.push(root),
            Err(error) => errors.push(error),
        }
    }
    let certificates: usize = roots.iter().map(|root| root.certificates.len()).sum();
    if certificates > CERTIFICATES_MAX {
        let text =
            format!("expected at most {CERTIFICATES_MAX} certificates, found {certificates}");
        errors.push(place.error(text));
    }
    roots
}

fn one(raw: &RawRoot, place: &Place<'_>) -> Result<Root, DocumentError> {
    let hosts = raw.hosts.as_ref().map(|hosts| hosts.iter().map(|host| host.0.clone()).collect());
    let hosts: Option<Vec<HostPattern>> = hosts;
    let few = |hosts: &Vec<HostPattern>| (1..=HOSTS_MAX).contains(&hosts.len());
    if hosts.as_ref().is_some_and(|hosts| !few(hosts)) {
        let text = format!("expected 1 to {HOSTS_MAX} hosts; leave it out for all");
        return Err(place.field("hosts").error(text));
    }
    let certificates =
        read(&raw.pem).map_err(|error| place.field("pem").error(error.to_string()))?;
    let digest = Digest::of_parts(certificates.iter().map(AsRef::as_ref));
    Ok(Root { place: place.path(), hosts, certificates, digest })
}

/// The authorities' certificates of a text. What stands between the blocks is for people.
fn read(text: &str) -> Result<Vec<Arc<[u8]>>, PemError> {
    let mut found = Vec::new();
    for (index, pem) in Pem::iter_from_buffer(text.as_bytes()).enumerate() {
        let number = index.saturating_add(1);
        let unreadable = |error: String| PemError::Unreadable(number, error);
        let pem = pem.map_err(|error| unreadable(error.to_string()))?;
        if pem.label.contains("PRIVATE KEY") {
            return Err(PemError::PrivateKey(number));
        }
        if pem.label != "CERTIFICATE" {
            return Err(PemError::Other(number));
        }
        let (rest, certificate) =
            parse_x509_certificate(&pem.contents).map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("bytes follow the certificate".to_owned()));
        }
        if !certificate.is_ca() {
            return Err(PemError::NoAuthority(number));
        }
        found.push(pem.contents.into());
    }
    if found.is_empty() { Err(PemError::Nothing) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
