//! HTTPS and SVCB records (RFC 9460) cut down to what a judged connection can use.
//!
//! What stays: `alpn` without HTTP/3 (there is no way out for QUIC), `no-default-alpn`, `port` and `mandatory`. What goes: address hints,
//! which would bypass the check of addresses; ECH configurations, so that there is nothing to hide a server name with; unknown keys.

use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::SVCB;
use hickory_proto::rr::rdata::svcb::{SvcParamKey, SvcParamValue};
use pinfold_model::host::DnsName;

const KEY_MANDATORY: u16 = 0;
const KEY_ALPN: u16 = 1;
const KEY_NO_DEFAULT_ALPN: u16 = 2;
const KEY_PORT: u16 = 3;
/// Identifiers of HTTP/3 and its drafts begin so.
const HTTP3: &str = "h3";

/// A record that was cut down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The other name that it leads to, which must be judged too; `None` is the name that was asked for.
    pub target: Option<DnsName>,
    /// Its data on the wire.
    pub data: Vec<u8>,
}

/// Cuts a record down; `None` if what is left would mean something else: a client must understand a part that goes, or nothing but
/// HTTP/3 is offered.
#[must_use]
pub fn strip_service(record: &SVCB) -> Option<ServiceRecord> {
    let target = target(&record.target_name)?;
    let mut data = record.svc_priority.to_be_bytes().to_vec();
    for label in target.iter().flat_map(|name| name.as_str().split('.')) {
        data.push(u8::try_from(label.len()).ok()?);
        data.extend_from_slice(label.as_bytes());
    }
    data.push(0);
    let mut kept = Vec::new();
    for (_, value) in &record.svc_params {
        if let Some((key, value)) = parameter(value)? {
            kept.push((key, value));
        }
    }
    let has = |wanted: u16| kept.iter().any(|(key, _)| *key == wanted);
    if has(KEY_NO_DEFAULT_ALPN) && !has(KEY_ALPN) {
        return None;
    }
    for (key, value) in kept {
        data.extend_from_slice(&key.to_be_bytes());
        data.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
        data.extend_from_slice(&value);
    }
    Some(ServiceRecord { target, data })
}

/// The outer `None` is a name that no host has.
fn target(name: &Name) -> Option<Option<DnsName>> {
    if name.is_root() {
        return Some(None);
    }
    DnsName::parse(&name.to_ascii()).ok().map(Some)
}

/// A parameter that stays; the outer `None` refuses the record.
fn parameter(value: &SvcParamValue) -> Option<Option<(u16, Vec<u8>)>> {
    match value {
        SvcParamValue::Mandatory(keys) => {
            let numbers = keys.0.iter().map(|key| match key {
                SvcParamKey::Alpn => Some(KEY_ALPN),
                SvcParamKey::NoDefaultAlpn => Some(KEY_NO_DEFAULT_ALPN),
                SvcParamKey::Port => Some(KEY_PORT),
                SvcParamKey::Mandatory
                | SvcParamKey::Ipv4Hint
                | SvcParamKey::Ipv6Hint
                | SvcParamKey::EchConfigList
                | SvcParamKey::Key(_)
                | SvcParamKey::Key65535
                | SvcParamKey::Unknown(_) => None,
            });
            let numbers: Vec<u16> = numbers.collect::<Option<_>>()?;
            Some(Some((KEY_MANDATORY, numbers.into_iter().flat_map(u16::to_be_bytes).collect())))
        }
        SvcParamValue::Alpn(protocols) => {
            let mut list = Vec::new();
            for protocol in protocols.0.iter().filter(|protocol| !protocol.starts_with(HTTP3)) {
                list.push(u8::try_from(protocol.len()).ok()?);
                list.extend_from_slice(protocol.as_bytes());
            }
            Some((!list.is_empty()).then_some((KEY_ALPN, list)))
        }
        SvcParamValue::NoDefaultAlpn => Some(Some((KEY_NO_DEFAULT_ALPN, Vec::new()))),
        SvcParamValue::Port(port) => Some(Some((KEY_PORT, port.to_be_bytes().to_vec()))),
        SvcParamValue::Ipv4Hint(_)
        | SvcParamValue::Ipv6Hint(_)
        | SvcParamValue::EchConfigList(_)
        // What must be understood is refused where `mandatory` lists it.
        | SvcParamValue::Unknown(_) => Some(None),
    }
}
