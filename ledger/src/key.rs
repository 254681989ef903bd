//! The signing key of checkpoints: Ed25519, made on first use, never replaced while there are records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use crate::disk::{PUBLIC_MODE, write_whole};
use crate::encode::hex;
use crate::error::OpenError;
use crate::format::{ED25519_SPKI_PREFIX, PRIVATE_KEY_FILE, PUBLIC_KEY_FILE};

/// PKCS#8 version 1 (RFC 8410) up to the 32 bytes of the seed: the form that `openssl genpkey` writes.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Both halves are this long.
const KEY_BYTES: usize = 32;
const KEY_FILE_MODE: u32 = 0o600;

/// Signs checkpoints; its `Debug` shows the public half only.
#[derive(Debug)]
pub(crate) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Loads the key and checks `key.pub`; makes both only in a directory that has no records yet.
    pub(crate) fn of(
        directory: &Path,
        given: Option<&Path>,
        has_records: bool,
    ) -> Result<Self, OpenError> {
        let key = match given {
            Some(path) => Self::load(path)?,
            None => Self::load_or_create(directory, has_records)?,
        };
        key.publish(directory, has_records)?;
        Ok(key)
    }

    /// The public key in hexadecimal.
    pub(crate) fn public_hex(&self) -> String {
        hex(&self.public())
    }

    /// The public key's 32 bytes.
    pub(crate) fn public(&self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes.iter_mut().zip(self.0.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// A signature in hexadecimal.
    pub(crate) fn sign(&self, text: &str) -> String {
        hex(self.0.sign(text.as_bytes()).as_ref())
    }

    fn load_or_create(directory: &Path, has_records: bool) -> Result<Self, OpenError> {
        let path = directory.join(PRIVATE_KEY_FILE);
        match fs::exists(&path) {
            Ok(true) => Self::load(&path),
            Ok(false) if has_records => Err(lost(path)),
            Ok(false) => Self::create(directory, &path),
            Err(source) => Err(OpenError::io("read", path, source)),
        }
    }

    fn load(path: &Path) -> Result<Self, OpenError> {
        let pem = fs::read(path).map_err(|source| OpenError::io("read", path, source))?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem)
            .map_err(|_| unusable(path, "no PKCS#8 private key in PEM"))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| unusable(path, "not an Ed25519 key"))?;
        Ok(Self(pair))
    }

    fn create(directory: &Path, path: &Path) -> Result<Self, OpenError> {
        let mut seed = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| unusable(path, "the system has no random numbers"))?;
        let der = [PKCS8_PREFIX.as_slice(), &seed].concat();
        write_whole(
            directory,
            PRIVATE_KEY_FILE,
            pem("PRIVATE KEY", &der).as_bytes(),
            KEY_FILE_MODE,
        )
        .map_err(|source| OpenError::io("create", path, source))?;
        Self::load(path)
    }

    fn publish(&self, directory: &Path, has_records: bool) -> Result<(), OpenError> {
        let path = directory.join(PUBLIC_KEY_FILE);
        let ours = pem("PUBLIC KEY", &[ED25519_SPKI_PREFIX.as_slice(), &self.public()].concat());
        match fs::read_to_string(&path) {
            Ok(found) if found == ours => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_records => Err(lost(path)),
            Ok(_) if has_records => Err(OpenError::Key {
                path,
                found: format!("is not the public half of the signing key ({})", self.public_hex()),
                remedy: "give the key that the ledger was started with, or start with an empty directory",
            }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(OpenError::io("read", path, error))
            }
            Ok(_) | Err(_) => write_whole(directory, PUBLIC_KEY_FILE, ours.as_bytes(), PUBLIC_MODE)
                .map_err(|source| OpenError::io("create", path, source)),
        }
    }
}

fn unusable(path: &Path, found: &str) -> OpenError {
    OpenError::Key {
        path: path.to_owned(),
        found: found.to_owned(),
        remedy: "make one with `openssl genpkey -algorithm ed25519`",
    }
}

fn lost(path: PathBuf) -> OpenError {
    OpenError::Key {
        path,
        found: "absent, although there are records that it signed".to_owned(),
        remedy: "put it back, or keep the directory as evidence and start with an empty one",
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    // Both keys fit on one line of base64.
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
