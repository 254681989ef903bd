//! The few things that are read out of a certificate.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// What is read out of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// DNS names and addresses, for messages.
    pub(crate) names: Vec<String>,
    pub(crate) is_ca: bool,
    /// The public key's bytes, without algorithm.
    pub(crate) public_key: Vec<u8>,
}

/// Reads DER; the error is for a message.
pub(crate) fn read(der: &[u8]) -> Result<Facts, String> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes after the certificate", rest.len()));
    }
    let validity = certificate.validity();
    Ok(Facts {
        not_before: system_time(validity.not_before),
        not_after: system_time(validity.not_after),
        names: names(&certificate)?,
        is_ca: certificate.is_ca(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
    })
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let extension = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = extension.map(|extension| extension.value.general_names.as_slice());
    Ok(names.unwrap_or_default().iter().map(name).collect())
}

fn name(name: &GeneralName<'_>) -> String {
    if let GeneralName::DNSName(name) = name {
        return (*name).to_owned();
    }
    let GeneralName::IPAddress(bytes) = name else { return name.to_string() };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
    address.map_or_else(|_| name.to_string(), |address| address.to_string())
}

/// Before 1970 counts as 1970: expired is expired.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A moment for a message.
pub(crate) fn spoken(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(|| "a time no calendar has".to_owned(), |time| time.to_string())
}
