//! What is checked of a match beyond its shape: checksums, and what is inside encoded parts.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::Value;

use super::name::Kind;
use super::value::{is_plausible, is_random};

/// What is checked of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// Nothing: the shape is enough.
    #[default]
    None,
    /// It is no placeholder and random.
    Random,
    /// It can be a secret that a machine made.
    Secret,
    /// It can be a password.
    Password,
    /// Its last six characters are the checksum of those before, after the prefix.
    Crc32,
    /// Its first part is the header of a JSON Web Token.
    Jwt,
    /// The same, and it is of a Kubernetes ServiceAccount.
    KubernetesJwt,
    /// Key material follows.
    Pem,
    /// It decodes to `user:password`.
    Basic,
}

/// Either alphabet, with padding or without.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Characters of a GitHub or npm checksum.
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Key material that must follow the first line of a PEM text, in base64 characters.
const PEM_CHARS_MIN: usize = 40;
/// How far that is looked for, in bytes: headers may come first.
const PEM_BYTES_MAX: usize = 512;

impl Check {
    /// Whether a match holds: the credential, and what follows it in the text.
    pub(super) fn holds(self, secret: &str, rest: &str) -> bool {
        match self {
            Self::None => true,
            Self::Random => is_random(secret),
            Self::Secret => is_plausible(Kind::Secret, secret),
            Self::Password => is_plausible(Kind::Password, secret),
            Self::Crc32 => has_checksum(secret) && is_random(secret),
            Self::Jwt => is_jwt(secret),
            Self::KubernetesJwt => is_jwt(secret) && is_kubernetes(secret),
            Self::Pem => has_key_material(rest),
            Self::Basic => is_user_and_password(secret),
        }
    }
}

/// Decodes base64 of either alphabet.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn decode_text(text: &str) -> Option<String> {
    String::from_utf8(decode(text)?).ok()
}

/// CRC-32 (ISO 3309) of the characters between prefix and checksum, in base 62.
fn has_checksum(token: &str) -> bool {
    let Some((_, body)) = token.split_once('_') else { return false };
    let Some(split) = body.len().checked_sub(CHECKSUM_CHARS) else { return false };
    let Some((random, checksum)) = body.split_at_checked(split) else { return false };
    checksum_of(random) == checksum
}

/// The checksum of a token's random part.
pub(super) fn checksum_of(random: &str) -> String {
    let mut left = crc32(random.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(left % 62).unwrap_or_default();
        *digit = BASE62.get(index).copied().unwrap_or(b'0');
        left /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

/// RFC 7515, 4.1.1: the header names its algorithm.
fn is_jwt(token: &str) -> bool {
    let Some(header) = token.split('.').next().and_then(decode_text) else { return false };
    let header: Result<Value, _> = serde_json::from_str(&header);
    header.is_ok_and(|header| header.get("alg").is_some_and(Value::is_string))
}

/// The claims may be cut off, so they are looked at as text.
fn is_kubernetes(token: &str) -> bool {
    let Some(claims) = token.split('.').nth(1) else { return false };
    let whole = claims.len().saturating_sub(claims.len() % 4);
    let claims = claims.get(..whole).and_then(decode).unwrap_or_default();
    let claims = String::from_utf8_lossy(&claims);
    claims.contains("system:serviceaccount:") || claims.contains("kubernetes.io")
}

fn has_key_material(rest: &str) -> bool {
    let mut run: usize = 0;
    for byte in rest.bytes().take(PEM_BYTES_MAX) {
        let base64 = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        run = if base64 { run.saturating_add(1) } else { 0 };
        if run >= PEM_CHARS_MIN {
            return true;
        }
    }
    false
}

fn is_user_and_password(text: &str) -> bool {
    let Some(decoded) = decode_text(text) else { return false };
    let printable = decoded.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let password = decoded.split_once(':').map(|(_, password)| password);
    printable && password.is_some_and(|password| is_plausible(Kind::Password, password))
}
