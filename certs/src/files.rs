//! A certificate and its key in two PEM files: read, paired and judged. What is doubtful is refused by the file's name.
//!
//! No text of a key file ever gets into a message.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::authority::Issued;
use crate::x509::{self, Facts, spoken};

/// Largest file read, in bytes; a chain of certificates has a few thousand.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most certificates in one file.
pub const MAX_CERTIFICATES: usize = 1000;

/// How often the pair is read anew because it changed while being read.
const READ_ATTEMPTS: u32 = 3;

/// Why a pair is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not give it.
    #[error("can't read `{}`: {source}; check that the file exists, is mounted and readable", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Larger than any such file.
    #[error("`{}`: expected at most {MAX_FILE_BYTES} bytes and {MAX_CERTIFICATES} certificates, found more; is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in it.
    #[error("`{}`: expected {expected} in PEM, found an empty file; write it again, or wait for who does", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// Something else in it, or half of it.
    #[error("`{}`: expected {expected} in PEM, found {found}; write it again", path.display())]
    Garbage {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// Certificate and key don't belong together.
    #[error("`{}`: expected the key of the certificate in `{}`, found another key; write both anew", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Over.
    #[error("`{}`: expected a certificate that is valid now ({now}), found one that expired {not_after}; renew it, or set the clock", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When it ended.
        not_after: String,
        /// What the clock says.
        now: String,
    },
    /// Still to come.
    #[error("`{}`: expected a certificate that is valid now ({now}), found one that starts {not_before}; set the clock, or wait", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it starts.
        not_before: String,
        /// What the clock says.
        now: String,
    },
    /// For somebody else.
    #[error("`{}`: expected a certificate for `{expected}`, found one for {found}; issue it with that name", path.display())]
    WrongName {
        /// The file.
        path: PathBuf,
        /// The name that clients use.
        expected: String,
        /// The names in it.
        found: String,
    },
}

/// Where a pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, and the chain after it, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// The content of both files, not yet judged.
pub(crate) struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A pair fit to be served.
#[derive(Debug, Clone)]
pub struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) not_after: SystemTime,
}

impl Pair {
    /// Certificate chain and key, as rustls wants them.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// When the first of its certificates ends.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl PairFiles {
    /// Reads and judges the pair: it belongs together, is valid at `now`, and is good for each of `names`.
    ///
    /// # Errors
    /// What is wrong, with which file, and the fix.
    pub fn load(
        &self,
        now: SystemTime,
        names: &[ServerName<'static>],
        provider: &CryptoProvider,
    ) -> Result<Pair, FileError> {
        self.judge(&self.read()?, now, names, provider)
    }

    /// Reads both files such that the certificate did not change while the key was read: the kubelet swaps both at
    /// once, others don't.
    pub(crate) fn read(&self) -> Result<Content, FileError> {
        self.read_with(read_bounded)
    }

    fn read_with(
        &self,
        mut read: impl FnMut(&Path) -> Result<Vec<u8>, FileError>,
    ) -> Result<Content, FileError> {
        let mut certificate = read(&self.certificate)?;
        let mut key = read(&self.key)?;
        for _ in 1..READ_ATTEMPTS {
            let again = read(&self.certificate)?;
            if again == certificate {
                break;
            }
            certificate = again;
            key = read(&self.key)?;
        }
        Ok(Content { certificate, key })
    }

    pub(crate) fn judge(
        &self,
        content: &Content,
        now: SystemTime,
        names: &[ServerName<'static>],
        provider: &CryptoProvider,
    ) -> Result<Pair, FileError> {
        let (chain, facts) = certificates(&self.certificate, &content.certificate)?;
        let key = private_key(&self.key, &content.key)?;
        let certified = self.paired(chain, key, provider)?;
        for facts in &facts {
            self.valid(facts, now)?;
        }
        self.named(&certified, &facts, names)?;
        let not_after = facts.iter().map(|facts| facts.not_after).min().unwrap_or(now);
        Ok(Pair { certified: Arc::new(certified), not_after })
    }

    fn paired(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, FileError> {
        let signer = provider.key_provider.load_private_key(key).map_err(|_| {
            garbage(&self.key, KEY, "a key of a kind that TLS can't use".to_owned())
        })?;
        let certified = CertifiedKey::new(chain, signer);
        // Unknown counts as a mismatch too: what can't be paired is not served.
        certified.keys_match().map_err(|_| FileError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        })?;
        Ok(certified)
    }

    fn valid(&self, facts: &Facts, now: SystemTime) -> Result<(), FileError> {
        let path = self.certificate.clone();
        if now > facts.not_after {
            let not_after = spoken(facts.not_after);
            return Err(FileError::Expired { path, not_after, now: spoken(now) });
        }
        if now < facts.not_before {
            let not_before = spoken(facts.not_before);
            return Err(FileError::NotYetValid { path, not_before, now: spoken(now) });
        }
        Ok(())
    }

    fn named(
        &self,
        certified: &CertifiedKey,
        facts: &[Facts],
        names: &[ServerName<'static>],
    ) -> Result<(), FileError> {
        let leaf = certified
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from)
            .map_err(|error| garbage(&self.certificate, CERTIFICATE, error.to_string()))?;
        let missing = names.iter().find(|name| verify_server_name(&leaf, name).is_err());
        let Some(missing) = missing else { return Ok(()) };
        let found = facts.first().map(|facts| facts.names.join("`, `")).unwrap_or_default();
        Err(FileError::WrongName {
            path: self.certificate.clone(),
            expected: missing.to_str().into_owned(),
            found: if found.is_empty() { "no name".to_owned() } else { format!("`{found}`") },
        })
    }
}

impl Content {
    /// A pair that was never in a file.
    pub(crate) fn of_issued(issued: &Issued) -> Self {
        let certificate = issued.certificate.as_bytes().to_vec();
        Self { certificate, key: issued.key.expose().as_bytes().to_vec() }
    }

    /// Tells one content from another, without keeping the key.
    pub(crate) fn fingerprint(&self) -> [Vec<u8>; 2] {
        [&self.certificate, &self.key].map(|bytes| digest(&SHA256, bytes).as_ref().to_vec())
    }
}

const CERTIFICATE: &str = "a certificate";
const KEY: &str = "a private key";

/// All certificates of a file, at least one, each of them readable.
pub(crate) fn certificates(
    path: &Path,
    text: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, Vec<Facts>), FileError> {
    let mut chain = Vec::new();
    let mut facts = Vec::new();
    for section in CertificateDer::pem_slice_iter(text) {
        let der = section.map_err(|error| refused(path, CERTIFICATE, text, &error))?;
        facts.push(x509::read(&der).map_err(|found| garbage(path, CERTIFICATE, found))?);
        chain.push(der);
        if chain.len() > MAX_CERTIFICATES {
            return Err(FileError::TooLarge { path: path.to_owned() });
        }
    }
    if chain.is_empty() {
        return Err(refused(path, CERTIFICATE, text, &pem::Error::NoItemsFound));
    }
    Ok((chain, facts))
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| refused(path, KEY, text, &error))
}

fn refused(path: &Path, expected: &'static str, text: &[u8], error: &pem::Error) -> FileError {
    if text.trim_ascii().is_empty() {
        return FileError::Empty { path: path.to_owned(), expected };
    }
    // Not the error's own text, which quotes the file.
    let found = if matches!(error, pem::Error::NoItemsFound) {
        "none"
    } else if matches!(error, pem::Error::MissingSectionEnd { .. }) {
        "one that is cut off"
    } else {
        "broken PEM"
    };
    garbage(path, expected, found.to_owned())
}

fn garbage(path: &Path, expected: &'static str, found: String) -> FileError {
    FileError::Garbage { path: path.to_owned(), expected, found }
}

pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
