//! The public key that checkpoints are checked with.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ring::signature::{ED25519, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use crate::format::ED25519_SPKI_PREFIX;

const KEY_BYTES: usize = 32;
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

/// Why a file is not a public key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("can't be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It holds something else.
    #[error("expected an Ed25519 public key in PEM, found something else")]
    NotAKey,
}

impl PublicKey {
    /// Reads a PEM file, such as a ledger's `key.pub`.
    ///
    /// # Errors
    /// When the file can't be read or holds no Ed25519 public key.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let mut pem = Vec::new();
        File::open(path)?.take(MAX_KEY_FILE_BYTES).read_to_end(&mut pem)?;
        Self::from_pem(&pem)
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// When there is no Ed25519 public key in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NotAKey)?;
        der.as_ref()
            .strip_prefix(&ED25519_SPKI_PREFIX)
            .and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or(KeyError::NotAKey)
    }

    /// From the 32 bytes themselves.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text, signature).is_ok()
    }
}

/// Lower-case hexadecimal, as `signer` in the genesis record.
impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}
