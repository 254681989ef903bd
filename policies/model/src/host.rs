//! Hosts as they may be written: a DNS name or a literal address, and nothing that could be read as another.
//!
//! Names are lower-cased, lose one trailing dot and must be ASCII; numeric forms (decimal, octal, hexadecimal, short v4) are
//! refused, because resolvers turn them into addresses (RFC 6943 section 3.1.1). Nothing here resolves a name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name, without the trailing dot (RFC 1035 section 2.3.4).
pub const NAME_BYTES_MAX: usize = 253;
/// Longest label.
pub const LABEL_BYTES_MAX: usize = 63;

/// A DNS name: lower case, no trailing dot, labels of letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`HostError`] for anything that isn't plainly a name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if !text.is_ascii() {
            return Err(HostError::NotAscii);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(HostError::Length);
        }
        name.split('.').try_for_each(check_label)?;
        if name.rsplit('.').next().is_some_and(is_numeric_label) {
            return Err(HostError::Numeric);
        }
        Ok(Self(name))
    }

    /// The name, lower case and without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn check_label(label: &str) -> Result<(), HostError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return Err(HostError::Length);
    }
    if !label.bytes().all(plain) || label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Character);
    }
    Ok(())
}

/// "Ends in a number" of the WHATWG URL standard: such a host is an address or a mistake, never a name.
fn is_numeric_label(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || label.bytes().all(|byte| byte.is_ascii_digit())
}

/// A host: a name or a literal address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name.
    Name(DnsName),
    /// A literal address: strict dotted v4, or v6 (bracketed where it was read from an authority).
    Address(IpAddr),
}

impl Host {
    /// Reads the host part of an authority: a name, a dotted v4 address, or a v6 address in brackets (RFC 3986 section 3.2.2).
    ///
    /// # Errors
    /// [`HostError`] for numeric forms, zone ids, userinfo, brackets around anything else, control or non-ASCII characters.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Brackets)?;
            if inner.contains('%') {
                return Err(HostError::Zone);
            }
            let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Brackets)?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        if text.contains(':') {
            return Err(HostError::Brackets);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        DnsName::parse(text).map(Self::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(formatter),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Empty or too long.
    #[error("expected a name of 1 to 253 characters in labels of 1 to 63")]
    Length,
    /// A character outside letters, digits, hyphens and underscores.
    #[error("expected letters, digits, hyphens and dots")]
    Character,
    /// Not ASCII.
    #[error("expected ASCII; write an internationalized name in its `xn--` form")]
    NotAscii,
    /// A decimal, octal, hexadecimal or shortened address.
    #[error("expected a name or a full dotted address, found a number")]
    Numeric,
    /// Brackets that don't hold an IPv6 address, or an IPv6 address without them.
    #[error("expected an IPv6 address in brackets")]
    Brackets,
    /// An IPv6 zone id.
    #[error("expected an address without a zone")]
    Zone,
}

/// Which names a rule covers: one name, `*.suffix` for one label more, `**.suffix` for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(DnsName),
    /// One label before the suffix.
    OneLabel(DnsName),
    /// One or more labels before the suffix.
    AnyDepth(DnsName),
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A text with the reason: wildcards elsewhere than in front, or right above a top-level domain.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (suffix, build): (&str, fn(DnsName) -> Self) =
            match (text.strip_prefix("**."), text.strip_prefix("*.")) {
                (Some(suffix), _) => (suffix, Self::AnyDepth),
                (None, Some(suffix)) => (suffix, Self::OneLabel),
                (None, None) => (text, Self::Exact),
            };
        if suffix.contains('*') {
            return Err("expected `*.` or `**.` in front only".to_owned());
        }
        let name = DnsName::parse(suffix).map_err(|error| match suffix.parse::<IpAddr>() {
            Ok(_) => "expected a name; write an address as `cidr`".to_owned(),
            Err(_) => error.to_string(),
        })?;
        let pattern = build(name);
        if !matches!(pattern, Self::Exact(_)) && !suffix.trim_end_matches('.').contains('.') {
            return Err("expected at least two labels after the wildcard".to_owned());
        }
        Ok(pattern)
    }

    /// Whether the pattern covers `name`.
    #[must_use]
    pub fn covers(&self, name: &DnsName) -> bool {
        let labels_before = |suffix: &DnsName| {
            name.as_str().strip_suffix(suffix.as_str()).and_then(|rest| rest.strip_suffix('.'))
        };
        match self {
            Self::Exact(exact) => exact == name,
            Self::OneLabel(suffix) => {
                labels_before(suffix).is_some_and(|rest| !rest.is_empty() && !rest.contains('.'))
            }
            Self::AnyDepth(suffix) => labels_before(suffix).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(formatter, "{name}"),
            Self::OneLabel(name) => write!(formatter, "*.{name}"),
            Self::AnyDepth(name) => write!(formatter, "**.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        // Rows D.2 18 to 24 and D.5 55, 57 of the attack table.
        let cases: &[(&str, Result<&str, HostError>)] = &[
            ("api.github.com", Ok("api.github.com")),
            ("API.GitHub.com.", Ok("api.github.com")),
            ("_dmarc.example.org", Ok("_dmarc.example.org")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("192.0.2.7", Ok("192.0.2.7")),
            ("[2001:db8::1]", Ok("[2001:db8::1]")),
            ("", Err(HostError::Length)),
            (".", Err(HostError::Length)),
            ("a..b", Err(HostError::Length)),
            ("a.b..", Err(HostError::Length)),
            ("2130706433", Err(HostError::Numeric)),
            ("0x7f000001", Err(HostError::Numeric)),
            ("0x7f.1", Err(HostError::Numeric)),
            ("0177.0.0.1", Err(HostError::Numeric)),
            ("127.1", Err(HostError::Numeric)),
            ("127.0.0.1.", Err(HostError::Numeric)),
            ("1.2.3.4.5", Err(HostError::Numeric)),
            ("::1", Err(HostError::Brackets)),
            ("[::1", Err(HostError::Brackets)),
            ("[example.org]", Err(HostError::Brackets)),
            ("[[::1]]", Err(HostError::Brackets)),
            ("[127.0.0.1]", Err(HostError::Brackets)),
            ("[fe80::1%eth0]", Err(HostError::Zone)),
            ("user@example.org", Err(HostError::Character)),
            ("a b.example", Err(HostError::Character)),
            ("a\0.example", Err(HostError::Character)),
            ("-a.example", Err(HostError::Character)),
            ("exam%70le.org", Err(HostError::Character)),
            ("b\u{fc}cher.example", Err(HostError::NotAscii)),
            ("\u{ff11}27.0.0.1", Err(HostError::NotAscii)),
            ("127\u{3002}0.0.1", Err(HostError::NotAscii)),
        ];
        for (text, expected) in cases {
            let found = Host::parse(text).map(|host| host.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        }
        let long = format!("{}.example", "a".repeat(64));
        assert_eq!(Host::parse(&long), Err(HostError::Length));
    }

    #[test]
    fn patterns() {
        let cases = [
            ("example.com", "example.com", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("*.example.com", "evil-example.com", false),
            ("**.example.com", "evilexample.com", false),
            ("*.example.com", "example.com.evil.org", false),
            ("EXAMPLE.com.", "example.com", true),
        ];
        for (pattern, name, covered) in cases {
            let pattern = HostPattern::parse(pattern).expect("a pattern");
            assert_eq!(
                pattern.covers(&DnsName::parse(name).expect("a name")),
                covered,
                "{pattern} {name}"
            );
        }
        for bad in [
            "*",
            "*.com",
            "**.com",
            "*.com.",
            "a.*.com",
            "*a.example.com",
            "10.0.0.1",
            "***.a.b",
            "",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
