//! A certificate authority of our own: ECDSA P-256, serving and client certificates, PEM in and out.
//!
//! It never signs what would outlive it, and never shows a private key but to who asks for exactly that.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::x509::{self, spoken};

/// How far before now a certificate starts, for clients whose clock is behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Longest common name (X.520, `ub-common-name`), in characters.
const MAX_COMMON_NAME: usize = 64;

/// The last moment that a certificate can express (RFC 5280, 4.1.2.5): the end of 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// Subject of serving certificates whose first name is too long for one.
const FALLBACK_COMMON_NAME: &str = "pinfold";

/// Why nothing was issued or loaded.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A validity that ends before it starts, or that a certificate can't express.
    #[error("validity from {from} to {to}: expected an end after the start, between 1970 and 9999")]
    Validity {
        /// Start.
        from: String,
        /// End.
        to: String,
    },
    /// A certificate would outlive its authority.
    #[error(
        "certificate until {leaf}, but its authority ends {authority}: renew the authority first"
    )]
    Outlives {
        /// End of the certificate.
        leaf: String,
        /// End of the authority.
        authority: String,
    },
    /// Not a DNS name or IP address.
    #[error("`{name}`: expected a DNS name or an IP address")]
    Name {
        /// What was given.
        name: String,
    },
    /// No name at all.
    #[error("a serving certificate needs at least one DNS name or IP address")]
    NoName,
    /// A common name that X.520 does not allow.
    #[error("common name `{name}`: expected 1 to {MAX_COMMON_NAME} characters")]
    CommonName {
        /// What was given.
        name: String,
    },
    /// What is to be loaded is not a CA certificate with its key.
    #[error("authority can't be loaded: expected {expected}, found {found}")]
    Load {
        /// What should be there.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// The library failed.
    #[error("certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// From when until when a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Validity {
    /// From one moment to another.
    ///
    /// # Errors
    /// When the end is not after the start, or either is outside of 1970 to 9999.
    pub fn new(not_before: SystemTime, not_after: SystemTime) -> Result<Self, AuthorityError> {
        let epoch = SystemTime::UNIX_EPOCH;
        let last = epoch.checked_add(Duration::from_secs(LAST_SECOND)).unwrap_or(epoch);
        if epoch <= not_before && not_before < not_after && not_after <= last {
            return Ok(Self { not_before, not_after });
        }
        Err(AuthorityError::Validity { from: spoken(not_before), to: spoken(not_after) })
    }

    /// From shortly before `now` ([`CLOCK_SKEW`]) for `lifetime`.
    ///
    /// # Errors
    /// As [`Validity::new`].
    pub fn starting(now: SystemTime, lifetime: Duration) -> Result<Self, AuthorityError> {
        let not_before = now.checked_sub(CLOCK_SKEW).unwrap_or(SystemTime::UNIX_EPOCH);
        let not_after = now.checked_add(lifetime).unwrap_or(SystemTime::UNIX_EPOCH);
        Self::new(not_before, not_after)
    }

    /// The start.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The end.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// A private key in PEM (PKCS#8). `Debug` hides it, `Display` does not exist.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(String);

impl PrivateKey {
    /// Takes PEM as it is; whether it is a key shows when it is used.
    #[must_use]
    pub fn from_pem(pem: String) -> Self {
        Self(pem)
    }

    /// The PEM itself, for a Secret or a file of mode 0600, and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey([hidden])")
    }
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key.
    pub key: PrivateKey,
    /// Its validity.
    pub validity: Validity,
}

/// A CA that signs.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: PrivateKey,
    issuer: Issuer<'static, KeyPair>,
    validity: Validity,
}

impl Authority {
    /// Makes a CA with a new key.
    ///
    /// # Errors
    /// When the common name is empty or too long, or the system has no random numbers.
    pub fn create(common_name: &str, validity: Validity) -> Result<Self, AuthorityError> {
        let mut params = params(common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&pair)?.pem();
        let key = PrivateKey(pair.serialize_pem());
        Ok(Self { certificate, key, issuer: Issuer::new(params, pair), validity })
    }

    /// Loads a CA that was made before.
    ///
    /// # Errors
    /// When it is not one CA certificate with its own key.
    pub fn from_pem(certificate: &str, key: &PrivateKey) -> Result<Self, AuthorityError> {
        let load = |expected, found: String| AuthorityError::Load { expected, found };
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| load("a certificate in PEM", error.to_string()))?;
        let facts = x509::read(&der).map_err(|error| load("an X.509 certificate", error))?;
        // The key's own text stays out of the message.
        let pair = KeyPair::from_pem(key.expose())
            .map_err(|_| load("a private key in PEM (PKCS#8)", "something else".to_owned()))?;
        if !facts.is_ca {
            return Err(load("a CA certificate", "one that may not sign".to_owned()));
        }
        if facts.public_key != pair.public_key_raw() {
            return Err(load("the certificate's own key", "another key".to_owned()));
        }
        let validity = Validity::new(facts.not_before, facts.not_after)?;
        let issuer = Issuer::from_ca_cert_der(&der, pair)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.clone(), issuer, validity })
    }

    /// The CA certificate, PEM: what goes into a `caBundle`.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The CA's key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The CA's validity.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Issues a certificate that a server shows, for DNS names and IP addresses.
    ///
    /// # Errors
    /// When there is no name or a bad one, or when it would outlive the CA.
    pub fn issue_serving(
        &self,
        names: &[&str],
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        let first = names.first().ok_or(AuthorityError::NoName)?;
        for name in names {
            ServerName::try_from(*name)
                .map_err(|_| AuthorityError::Name { name: (*name).to_owned() })?;
        }
        let fits = first.chars().count() <= MAX_COMMON_NAME;
        let mut params = params(if fits { first } else { FALLBACK_COMMON_NAME }, validity)?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, validity)
    }

    /// Issues a certificate that a client shows: the common name is its user name, as in Kubernetes.
    ///
    /// # Errors
    /// When the common name is empty or too long, or when it would outlive the CA.
    pub fn issue_client(
        &self,
        common_name: &str,
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        let mut params = params(common_name, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, validity)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        if validity.not_after > self.validity.not_after {
            return Err(AuthorityError::Outlives {
                leaf: spoken(validity.not_after),
                authority: spoken(self.validity.not_after),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&pair, &self.issuer)?.pem();
        Ok(Issued { certificate, key: PrivateKey(pair.serialize_pem()), validity })
    }
}

fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    if common_name.is_empty() || common_name.chars().count() > MAX_COMMON_NAME {
        return Err(AuthorityError::CommonName { name: common_name.to_owned() });
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    Ok(params)
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
