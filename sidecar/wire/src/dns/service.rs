//! HTTPS and SVCB records (RFC 9460) cut down to what a judged connection can use.
//!
//! What stays: `alpn` without HTTP/3 (there is no way out for QUIC), `no-default-alpn`, `port` and `mandatory`. What goes: address hints,
//! which would bypass the check of addresses; ECH configurations, so that there is nothing to hide a server name with; unknown keys.

use pinfold_model::host::DnsName;

use super::{AskedName, Cursor, read_name};

const KEY_MANDATORY: u16 = 0;
const KEY_ALPN: u16 = 1;
const KEY_NO_DEFAULT_ALPN: u16 = 2;
const KEY_PORT: u16 = 3;
/// Identifiers of HTTP/3 and its drafts begin so.
const HTTP3: &[u8] = b"h3";

/// A record that was cut down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The other name that it leads to, which must be judged too; `None` is the name that was asked for.
    pub target: Option<DnsName>,
    /// Its data on the wire.
    pub data: Vec<u8>,
}

/// Cuts a record's data down; `None` if it isn't well-formed, leads to what no host is called, or what is left would mean something else: a client
/// must understand a part that goes, or nothing but HTTP/3 is offered.
#[must_use]
pub fn strip_service(data: &[u8]) -> Option<ServiceRecord> {
    let mut cursor = Cursor { bytes: data };
    let priority = cursor.u16().ok()?;
    let target = match read_name(&mut cursor).ok()? {
        AskedName::Host(name) => Some(name),
        AskedName::Other(root) if root == "." => None,
        AskedName::Other(_) => return None,
    };
    let mut out = priority.to_be_bytes().to_vec();
    for label in target.iter().flat_map(|name| name.as_str().split('.')) {
        out.push(u8::try_from(label.len()).ok()?);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    let (mut last, mut protocols, mut demands_them) = (None, false, false);
    while !cursor.bytes.is_empty() {
        let (key, length) = (cursor.u16().ok()?, cursor.u16().ok()?);
        let value = cursor.take(usize::from(length)).ok()?;
        // Rising order; so none twice.
        if last.is_some_and(|last| last >= key) {
            return None;
        }
        last = Some(key);
        if let Some(value) = parameter(key, value)? {
            protocols |= key == KEY_ALPN;
            demands_them |= key == KEY_NO_DEFAULT_ALPN;
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
            out.extend_from_slice(&value);
        }
    }
    (protocols || !demands_them).then_some(ServiceRecord { target, data: out })
}

/// What stays of a parameter, if anything; the outer `None` refuses the record.
fn parameter(key: u16, value: &[u8]) -> Option<Option<Vec<u8>>> {
    match (key, value) {
        (KEY_MANDATORY, keys) => {
            let (pairs, rest) = keys.as_chunks();
            let stays = |pair: &[u8; 2]| {
                [KEY_ALPN, KEY_NO_DEFAULT_ALPN, KEY_PORT].contains(&u16::from_be_bytes(*pair))
            };
            let whole = !pairs.is_empty() && rest.is_empty();
            (whole && pairs.iter().all(stays)).then(|| Some(keys.to_vec()))
        }
        (KEY_ALPN, list) => without_http3(list).map(|list| (!list.is_empty()).then_some(list)),
        (KEY_NO_DEFAULT_ALPN, []) | (KEY_PORT, [_, _]) => Some(Some(value.to_vec())),
        (KEY_NO_DEFAULT_ALPN | KEY_PORT, _) => None,
        // What a client must understand is refused where `mandatory` lists it.
        _ => Some(None),
    }
}

fn without_http3(list: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor { bytes: list };
    let mut kept = Vec::new();
    while !cursor.bytes.is_empty() {
        let length = cursor.u8().ok().filter(|length| *length > 0)?;
        let protocol = cursor.take(usize::from(length)).ok()?;
        if !protocol.starts_with(HTTP3) {
            kept.push(length);
            kept.extend_from_slice(protocol);
        }
    }
    Some(kept)
}
