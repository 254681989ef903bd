//! The pod's own authority: certificates for the names of `https` rules, made when a connection asks for one.
//!
//! Its keys are made at start, are nowhere but in memory, and end with the process. Only an [`EndPermit`] gets a certificate, for exactly
//! its host. The authority isn't name-constrained: a reload may add names, and a process that read the bundle before would refuse them;
//! whoever held the key could only deceive this pod, whose every connection passes here anyway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use pinfold_engine::egress::EndPermit;
use pinfold_model::host::Host;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

#[cfg(test)]
mod tests;

/// How long the authority's certificate counts. What reads it seldom has it for at least two thirds of that.
const AUTHORITY_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How often it is issued anew, for the same key.
pub(super) const AUTHORITY_RENEWAL: Duration = Duration::from_secs(30 * 86_400);
/// How long a name's certificate counts.
const NAME_LIFE: Duration = Duration::from_secs(86_400);
/// A name's certificate that counts for less is made anew.
const NAME_LEFT_MIN: Duration = Duration::from_secs(43_200);
/// How far before now certificates start.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// Certificates kept; the one that was not used for longest goes first.
const NAMES_MAX: usize = 256;
/// Longest common name (X.520).
const COMMON_NAME_MAX: usize = 64;
/// Bytes of a serial number (RFC 5280 section 4.1.2.2: 20 at most, positive).
const SERIAL_BYTES: usize = 16;
/// What is spoken inside (RFC 7301), best first.
pub(super) const SPOKEN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    /// The certificate.
    #[error("a certificate can't be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Its use.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// The authority.
pub(crate) struct Authority {
    name: DistinguishedName,
    key: KeyPair,
    /// Of all names' certificates, so that making one is a single signature.
    leaf: KeyPair,
    signer: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    minted: Mutex<Minted>,
}

/// Certificates in use.
#[derive(Default)]
struct Minted {
    names: HashMap<Host, Kept>,
    uses: u64,
}

struct Kept {
    config: Arc<ServerConfig>,
    renewed_at: SystemTime,
    used: u64,
}

impl Authority {
    /// Makes the keys.
    ///
    /// # Errors
    /// [`MintError`].
    pub(crate) fn new() -> Result<Self, MintError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // rcgen's default: ECDSA P-256.
        let (key, leaf) = (KeyPair::generate()?, KeyPair::generate()?);
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf.serialize_der()));
        let signer = any_ecdsa_type(&der)?;
        let mark: String =
            random(&provider)?.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let name = common_name(&format!("Pinfold pod authority {mark}"));
        Ok(Self { name, key, leaf, signer, provider, minted: Mutex::default() })
    }

    /// The authority's certificate, starting now.
    ///
    /// # Errors
    /// [`MintError`].
    pub(super) fn certificate(&self, now: SystemTime) -> Result<Certificate, MintError> {
        let mut params = self.issuing()?;
        (params.not_before, params.not_after) = validity(now, AUTHORITY_LIFE);
        Ok(params.self_signed(&self.key)?)
    }

    fn issuing(&self) -> Result<CertificateParams, MintError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = self.name.clone();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(serial(&self.provider)?);
        Ok(params)
    }

    /// What answers a handshake in the permitted host's name.
    ///
    /// # Errors
    /// [`MintError`].
    pub(crate) fn config(
        &self,
        permit: &EndPermit,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, MintError> {
        let mut minted = self.lock();
        let used = minted.uses.saturating_add(1);
        minted.uses = used;
        if let Some(kept) = minted.names.get_mut(permit.host())
            && now < kept.renewed_at
        {
            kept.used = used;
            return Ok(Arc::clone(&kept.config));
        }
        let config = Arc::new(self.mint(permit.host(), now)?);
        if minted.names.len() >= NAMES_MAX && !minted.names.contains_key(permit.host()) {
            let oldest = minted.names.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                minted.names.remove(&oldest);
            }
        }
        let lasting = NAME_LIFE.saturating_sub(NAME_LEFT_MIN);
        let renewed_at = now.checked_add(lasting).unwrap_or(now);
        let kept = Kept { config: Arc::clone(&config), renewed_at, used };
        minted.names.insert(permit.host().clone(), kept);
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, Minted> {
        self.minted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mint(&self, host: &Host, now: SystemTime) -> Result<ServerConfig, MintError> {
        let certificate = self.leaf_for(host, now)?;
        let key = CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&self.signer));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = SPOKEN.iter().map(|protocol| protocol.to_vec()).collect();
        // Nothing is resumed: a handshake costs little here, and a ticket would outlive what was judged.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn leaf_for(&self, host: &Host, now: SystemTime) -> Result<Certificate, MintError> {
        let mut params = CertificateParams::default();
        let alternative = match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        };
        params.subject_alt_names = vec![alternative];
        let text = Some(host.to_string()).filter(|text| text.len() <= COMMON_NAME_MAX);
        params.distinguished_name = common_name(text.as_deref().unwrap_or("pinfold"));
        (params.not_before, params.not_after) = validity(now, NAME_LIFE);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        // Clients refuse two certificates of one issuer with one serial number.
        params.serial_number = Some(serial(&self.provider)?);
        let issuing = self.issuing()?;
        let issuer = Issuer::from_params(&issuing, &self.key);
        Ok(params.signed_by(&self.leaf, &issuer)?)
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// Start and end of a certificate, in whatever type the library has for them.
fn validity<T: From<SystemTime>>(now: SystemTime, life: Duration) -> (T, T) {
    let start = now.checked_sub(CLOCK_SKEW).unwrap_or(now);
    (start.into(), now.checked_add(life).unwrap_or(now).into())
}

fn random(provider: &CryptoProvider) -> Result<[u8; SERIAL_BYTES], MintError> {
    let mut bytes = [0; SERIAL_BYTES];
    provider.secure_random.fill(&mut bytes).map_err(|_| MintError::Random)?;
    Ok(bytes)
}

fn serial(provider: &CryptoProvider) -> Result<SerialNumber, MintError> {
    let mut bytes = random(provider)?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::from(bytes.to_vec()))
}
