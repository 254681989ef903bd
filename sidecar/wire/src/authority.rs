//! `host:port` as it stands in request targets and in `Host`.

use std::fmt;
use std::num::NonZeroU16;

use pinfold_model::host::{Host, HostError};

/// A host with an optional port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host, normalized.
    pub host: Host,
    /// The port, where one was written.
    pub port: Option<NonZeroU16>,
}

impl Authority {
    /// Reads an authority (RFC 3986 section 3.2) without userinfo.
    ///
    /// # Errors
    /// [`AuthorityError`] for userinfo, a host in any form that could be read as another, or a port that isn't 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        if text.contains('@') {
            return Err(AuthorityError::Userinfo);
        }
        let behind_bracket = text.rfind(']').map_or(0, |at| at.saturating_add(1));
        let tail = text.get(behind_bracket..).unwrap_or_default();
        let (host, port) = match tail.find(':') {
            Some(colon) => {
                let at = behind_bracket.saturating_add(colon);
                let (host, port) = text.split_at_checked(at).unwrap_or((text, ""));
                (host, Some(read_port(port.strip_prefix(':').unwrap_or_default())?))
            }
            None => (text, None),
        };
        Ok(Self { host: Host::parse(host).map_err(AuthorityError::Host)?, port })
    }

    /// The port, or the default of the scheme.
    #[must_use]
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.map_or(default, NonZeroU16::get)
    }

    /// Whether both mean the same endpoint when `default` is the port of the scheme.
    #[must_use]
    pub fn same_endpoint(&self, other: &Self, default: u16) -> bool {
        self.host == other.host && self.port_or(default) == other.port_or(default)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(formatter)?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

fn read_port(text: &str) -> Result<NonZeroU16, AuthorityError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if !plain {
        return Err(AuthorityError::Port);
    }
    text.parse().map_err(|_| AuthorityError::Port)
}

/// Why a text is no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// `user@host`.
    #[error("found userinfo, expected `host` or `host:port`")]
    Userinfo,
    /// The host.
    #[error("host: {0}")]
    Host(HostError),
    /// The port.
    #[error("expected a port of 1 to 65535 in decimal without leading zeros")]
    Port,
}

impl AuthorityError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Userinfo => "userinfo",
            Self::Host(HostError::Numeric) => "host-numeric",
            Self::Host(HostError::NotAscii) => "host-not-ascii",
            Self::Host(HostError::Zone) => "host-zone",
            Self::Host(HostError::Length | HostError::Character | HostError::Brackets) => {
                "host-invalid"
            }
            Self::Port => "port-invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_18_to_24_53_55_authorities() {
        // text, as shown again or the reason
        let cases = [
            ("api.example:443", Ok("api.example:443")),
            ("API.Example.:8080", Ok("api.example:8080")),
            ("api.example", Ok("api.example")),
            ("192.0.2.1:80", Ok("192.0.2.1:80")),
            ("[2001:DB8::1]:443", Ok("[2001:db8::1]:443")),
            ("[::1]", Ok("[::1]")),
            ("a:65535", Ok("a:65535")),
            ("a:65536", Err("port-invalid")),
            ("a:0", Err("port-invalid")),
            ("a:080", Err("port-invalid")),
            ("a:+80", Err("port-invalid")),
            ("a:-1", Err("port-invalid")),
            ("a: 80", Err("port-invalid")),
            ("a:", Err("port-invalid")),
            ("a:80:80", Err("port-invalid")),
            ("a:99999999999999999999", Err("port-invalid")),
            ("a:\u{ff18}\u{ff10}", Err("port-invalid")),
            ("user@a:80", Err("userinfo")),
            ("allowed.example@evil.example", Err("userinfo")),
            ("::1", Err("port-invalid")),
            ("2001:db8::1", Err("port-invalid")),
            ("[::1]x:80", Err("host-invalid")),
            ("[a.example]:80", Err("host-invalid")),
            ("[[::1]]:80", Err("host-invalid")),
            ("[fe80::1%25eth0]:80", Err("host-zone")),
            ("2130706433:80", Err("host-numeric")),
            ("0x7f.1:80", Err("host-numeric")),
            ("0177.0.0.1:80", Err("host-numeric")),
            ("127.1", Err("host-numeric")),
            ("\u{ff11}27.0.0.1:80", Err("host-not-ascii")),
            ("a\0.example:80", Err("host-invalid")),
            ("a%2eexample:80", Err("host-invalid")),
            ("a/b", Err("host-invalid")),
            (":80", Err("host-invalid")),
            ("", Err("host-invalid")),
        ];
        for (text, expected) in cases {
            let found = Authority::parse(text).map(|authority| authority.to_string());
            assert_eq!(found.as_deref().map_err(|error| error.reason()), expected, "{text:?}");
        }
    }

    #[test]
    fn endpoints() {
        let parse = |text| Authority::parse(text).expect("an authority");
        assert!(parse("a.example").same_endpoint(&parse("A.example.:80"), 80));
        assert!(!parse("a.example").same_endpoint(&parse("a.example:443"), 80));
        assert!(!parse("a.example").same_endpoint(&parse("b.example"), 80));
    }
}
