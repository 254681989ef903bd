//! Certificates for tests: one authority, serving and client certificates. Valid for ever, kept
//! nowhere else; nothing that ships may use it.

use crate::HarnessError;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct CertificatePair {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

/// A certificate authority that a test trusts.
pub struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestAuthority {
    /// A new authority with a key of its own.
    pub fn new(name: &str) -> Result<Self, HarnessError> {
        let make = || {
            let mut params = CertificateParams::default();
            params.distinguished_name = subject(name, None);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        Ok(Self { issuer: make().map_err(certificate_error(name))? })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A serving certificate for DNS names and addresses.
    pub fn serving(&self, names: &[&str]) -> Result<CertificatePair, HarnessError> {
        let common_name = names.first().copied().unwrap_or("server");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).map_err(certificate_error(common_name))?;
        self.issue(params, common_name, None, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate: the API server takes the common name for the user and the
    /// organization for the group.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<CertificatePair, HarnessError> {
        let params = CertificateParams::default();
        self.issue(params, user, group, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        organization: Option<&str>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<CertificatePair, HarnessError> {
        params.distinguished_name = subject(common_name, organization);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let make = || {
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(CertificatePair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
        };
        make().map_err(certificate_error(common_name))
    }
}

/// The key pair that signs ServiceAccount tokens: private, then public, both PEM.
pub(crate) fn signing_key() -> Result<(String, String), HarnessError> {
    let key = KeyPair::generate().map_err(certificate_error("service account tokens"))?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn certificate_error(name: &str) -> impl FnOnce(rcgen::Error) -> HarnessError {
    move |source| HarnessError::Certificate { name: name.to_owned(), source }
}
