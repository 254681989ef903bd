//! Credentials that the agent never sees: read from their files on every use, so that a rotated one counts at once.
//!
//! A value never gets into a log, an error, a metric or a record; its `Debug` shows nothing.

use std::fs::File;
use std::io::Read as _;

use http::{HeaderName, HeaderValue};
use pinfold_model::policy::agent::{Credential, Upstream, Via};
use pinfold_model::reason::{Denial, Reason};

/// Bytes of a credential file.
const CREDENTIAL_BYTES_MAX: u64 = 8 * 1024;

/// A credential's value.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl Secret {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// A credential ready to be set.
#[derive(Debug)]
pub(crate) struct Injected {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    /// The value alone, to find it again in replies.
    pub(crate) secret: Secret,
}

/// Reads the credential of an upstream, if it has one.
///
/// # Errors
/// A denial of reason `upstream`: without its credential nothing is sent.
pub(crate) fn read(upstream: &Upstream) -> Result<Option<Injected>, Denial> {
    let whose = format!("upstream `{}`", upstream.name);
    read_of(upstream.credential.as_ref(), &upstream.place, &whose)
}

/// Reads the credential for the proxy on the way out, if it wants one.
///
/// # Errors
/// A denial of reason `upstream`: without its credential it isn't asked.
pub(crate) fn of_proxy(via: &Via) -> Result<Option<Injected>, Denial> {
    read_of(via.credential.as_ref(), &via.place, "the proxy on the way out")
}

fn read_of(
    credential: Option<&Credential>,
    place: &str,
    whose: &str,
) -> Result<Option<Injected>, Denial> {
    let Some(credential) = credential else { return Ok(None) };
    inject(credential).map(Some).map_err(|message| {
        let rule = format!("{place}.credential");
        tracing::error!(of = whose, file = credential.file, reason = message, "credential");
        let text = format!("the credential of {whose} can't be used: {message}");
        Denial::new(Reason::Upstream, rule, text, "have the platform's operator put it in place")
    })
}

fn inject(credential: &Credential) -> Result<Injected, &'static str> {
    let mut bytes = Vec::new();
    let file = File::open(&credential.file).map_err(|_| "its file can't be read")?;
    let most = CREDENTIAL_BYTES_MAX.saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|_| "its file can't be read")?;
    if bytes.len() > usize::try_from(CREDENTIAL_BYTES_MAX).unwrap_or(usize::MAX) {
        return Err("its file is larger than 8192 bytes");
    }
    let value = trimmed(&bytes);
    if value.is_empty() {
        return Err("its file is empty");
    }
    if !value.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Err("its file holds control or non-ASCII characters");
    }
    let secret = Secret(value.to_vec());
    let whole = [credential.prefix.as_bytes(), value, credential.suffix.as_bytes()].concat();
    let mut value = HeaderValue::from_bytes(&whole).map_err(|_| "it isn't a header value")?;
    value.set_sensitive(true);
    let name = HeaderName::from_bytes(credential.header.as_bytes())
        .map_err(|_| "its header isn't a name")?;
    Ok(Injected { name, value, secret })
}

/// Without the line ending that editors and `echo` leave at the end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(content: &[u8]) -> (tempfile::TempDir, Credential) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        std::fs::write(&path, content).expect("a file");
        let credential = Credential {
            secret: None,
            header: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            suffix: String::new(),
            file: path.display().to_string(),
        };
        (directory, credential)
    }

    #[test]
    fn files_are_read_strictly() {
        let large = vec![b'a'; 8193];
        let cases: &[(&[u8], Result<&str, &str>)] = &[
            (b"t0ken\n", Ok("Bearer t0ken")),
            (b"t0ken\r\n", Ok("Bearer t0ken")),
            (b"t0 ken", Ok("Bearer t0 ken")),
            (b"", Err("its file is empty")),
            (b"\n", Err("its file is empty")),
            (b"a\nb\n", Err("its file holds control or non-ASCII characters")),
            (b"a\0b", Err("its file holds control or non-ASCII characters")),
            (b"a\xffb", Err("its file holds control or non-ASCII characters")),
            (&large, Err("its file is larger than 8192 bytes")),
        ];
        for (content, expected) in cases {
            let (_directory, credential) = credential(content);
            let found = inject(&credential);
            let found = found.as_ref().map(|injected| injected.value.to_str().expect("ASCII"));
            assert_eq!(found.map_err(|error| *error), *expected);
        }
        let (directory, credential) = credential(b"x");
        drop(directory);
        assert_eq!(inject(&credential).err(), Some("its file can't be read"));
    }

    #[test]
    fn debug_output_hides_the_value() {
        let (_directory, credential) = credential(b"t0ken");
        let shown = format!("{:?}", inject(&credential).expect("a credential"));
        assert!(!shown.contains("t0ken"), "{shown}");
    }
}
