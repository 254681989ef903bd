//! SOCKS5 (RFC 1928) as a client speaks it: the greeting, the request, and the answers to both.
//!
//! Only what can be judged is read: no authentication, CONNECT, one host in one spelling. Nothing here holds more than
//! [`REQUEST_BYTES_MAX`] bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use pinfold_model::host::{DnsName, Host, HostError};

#[cfg(test)]
mod tests;

/// The first byte of SOCKS5.
pub const VERSION_5: u8 = 5;
/// The first byte of SOCKS4 and 4a, which have no reason codes and no IPv6, and aren't served.
pub const VERSION_4: u8 = 4;
/// Longest greeting: version, count, 255 methods.
pub const GREETING_BYTES_MAX: usize = 257;
/// Longest request: a name of 255 bytes.
pub const REQUEST_BYTES_MAX: usize = 262;

const NO_AUTHENTICATION: u8 = 0;
const COMMAND_CONNECT: u8 = 1;
const ADDRESS_V4: u8 = 1;
const ADDRESS_NAME: u8 = 3;
const ADDRESS_V6: u8 = 4;

/// The answer to a greeting that offers to go without authentication.
pub const METHOD_NONE: [u8; 2] = [VERSION_5, NO_AUTHENTICATION];
/// The answer to one that doesn't.
pub const METHOD_REFUSED: [u8; 2] = [VERSION_5, 0xff];
/// SOCKS4's "rejected", without an address.
pub const REJECTED_4: [u8; 8] = [0, 91, 0, 0, 0, 0, 0, 0];

/// Where a client asks to be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The host: a name, or an address in its binary form.
    pub host: Host,
    /// The port.
    pub port: NonZeroU16,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The connection is open.
    Succeeded,
    /// Something that no other code says.
    Failure,
    /// The policy doesn't allow it.
    NotAllowed,
    /// The name leads nowhere.
    HostUnreachable,
    /// The destination doesn't answer.
    Refused,
    /// A command other than CONNECT.
    Command,
    /// An address of an unknown kind.
    AddressType,
}

impl Reply {
    /// The bytes. The bound address is left out: it is the sidecar's, and nobody's business.
    #[must_use]
    pub fn encode(self) -> [u8; 10] {
        let code = match self {
            Self::Succeeded => 0,
            Self::Failure => 1,
            Self::NotAllowed => 2,
            Self::HostUnreachable => 4,
            Self::Refused => 5,
            Self::Command => 7,
            Self::AddressType => 8,
        };
        [VERSION_5, code, 0, ADDRESS_V4, 0, 0, 0, 0, 0, 0]
    }
}

/// Reads a greeting: whether it offers to go without authentication, and its length in bytes; nothing while it is incomplete.
///
/// # Errors
/// [`SocksError`]; final.
pub fn greeting(bytes: &[u8]) -> Result<Option<(bool, usize)>, SocksError> {
    let [version, rest @ ..] = bytes else { return Ok(None) };
    check_version(*version)?;
    let [count, rest @ ..] = rest else { return Ok(None) };
    if *count == 0 {
        return Err(SocksError::NoMethods);
    }
    let methods = rest.get(..usize::from(*count));
    let length = usize::from(*count).saturating_add(2);
    Ok(methods.map(|methods| (methods.contains(&NO_AUTHENTICATION), length)))
}

/// Reads a request and its length in bytes; nothing while it is incomplete.
///
/// # Errors
/// [`SocksError`]; final.
pub fn request(bytes: &[u8]) -> Result<Option<(Request, usize)>, SocksError> {
    if let Some(version) = bytes.first() {
        check_version(*version)?;
    }
    let [_, command, reserved, kind, rest @ ..] = bytes else { return Ok(None) };
    if *command != COMMAND_CONNECT {
        return Err(SocksError::Command);
    }
    if *reserved != 0 {
        return Err(SocksError::Reserved);
    }
    let Some((host, rest)) = read_host(*kind, rest)? else { return Ok(None) };
    let [high, low, ..] = rest else { return Ok(None) };
    let port = NonZeroU16::new(u16::from_be_bytes([*high, *low])).ok_or(SocksError::Port)?;
    let length = bytes.len().saturating_sub(rest.len()).saturating_add(2);
    Ok(Some((Request { host, port }, length)))
}

fn check_version(version: u8) -> Result<(), SocksError> {
    if version == VERSION_5 { Ok(()) } else { Err(SocksError::Version) }
}

/// The host and what follows it.
fn read_host(kind: u8, bytes: &[u8]) -> Result<Option<(Host, &[u8])>, SocksError> {
    match kind {
        ADDRESS_V4 => Ok(bytes
            .split_first_chunk::<4>()
            .map(|(octets, rest)| (Host::Address(IpAddr::V4(Ipv4Addr::from(*octets))), rest))),
        ADDRESS_V6 => Ok(bytes
            .split_first_chunk::<16>()
            .map(|(octets, rest)| (Host::Address(IpAddr::V6(Ipv6Addr::from(*octets))), rest))),
        ADDRESS_NAME => {
            let Some((length, rest)) = bytes.split_first() else { return Ok(None) };
            if *length == 0 {
                return Err(SocksError::EmptyName);
            }
            let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else {
                return Ok(None);
            };
            Ok(Some((Host::Name(read_name(name)?), rest)))
        }
        _ => Err(SocksError::AddressType),
    }
}

/// A name, and nothing that a resolver would turn into an address: those have a form of their own.
fn read_name(bytes: &[u8]) -> Result<DnsName, SocksError> {
    if bytes.contains(&0) {
        return Err(SocksError::NulInName);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SocksError::Name(HostError::NotAscii))?;
    DnsName::parse(text).map_err(SocksError::Name)
}

/// Why a greeting or request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// Another version.
    #[error("expected SOCKS version 5")]
    Version,
    /// A greeting without methods.
    #[error("expected at least one authentication method")]
    NoMethods,
    /// BIND, UDP ASSOCIATE or an unknown command.
    #[error("expected CONNECT; BIND and UDP ASSOCIATE are not served")]
    Command,
    /// The reserved byte.
    #[error("expected 0 in the reserved byte")]
    Reserved,
    /// An unknown kind of address.
    #[error("expected a name, an IPv4 or an IPv6 address")]
    AddressType,
    /// A name of no bytes.
    #[error("the name is empty")]
    EmptyName,
    /// A NUL byte in the name: what reads it as a C string sees another name.
    #[error("the name contains NUL")]
    NulInName,
    /// Not a name; an address in text form, too.
    #[error("the name is none: {0}")]
    Name(HostError),
    /// Port 0.
    #[error("expected a port of 1 to 65535")]
    Port,
}

impl SocksError {
    /// The name in rules of records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::NoMethods => "methods",
            Self::Command => "command",
            Self::Reserved => "request",
            Self::AddressType => "address-type",
            Self::EmptyName | Self::NulInName | Self::Name(_) => "name",
            Self::Port => "port",
        }
    }

    /// The answer that says so.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            Self::Command => Reply::Command,
            Self::AddressType => Reply::AddressType,
            Self::Version
            | Self::NoMethods
            | Self::Reserved
            | Self::EmptyName
            | Self::NulInName
            | Self::Name(_)
            | Self::Port => Reply::Failure,
        }
    }
}
