//! The TLS ClientHello, peeked at and left as it is: which name it asks for, which versions and protocols it offers.
//!
//! The hello may come in any number of segments and records (RFC 8446 section 5.1); reading stops at [`HELLO_BYTES_MAX`].
//! Nothing here answers, decrypts or changes a byte; [`ClientHelloReader::into_bytes`] gives back all that was read.

use std::net::IpAddr;

use pinfold_model::host::{DnsName, HostError};

#[cfg(test)]
mod tests;

/// Bytes read before a hello must be complete. A hello with post-quantum key shares has about 1,800.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;
/// Longest payload of one record (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HOST_NAME: u8 = 0;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
/// RFC 9849; GREASE and real ones look alike.
const EXTENSION_ECH: u16 = 0xfe0d;
/// The draft before it.
const EXTENSION_ESNI: u16 = 0xffce;

/// What a hello says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name; none when the extension is absent.
    pub sni: Option<DnsName>,
    /// The protocols offered, in order.
    pub alpn: Vec<Vec<u8>>,
    /// The version field of the hello itself.
    pub legacy_version: u16,
    /// The versions of the `supported_versions` extension, GREASE included; empty when absent.
    pub supported_versions: Vec<u16>,
    /// Whether an encrypted hello, or GREASE for one, is inside.
    pub has_ech: bool,
    /// Bytes of its records.
    pub length: usize,
}

impl ClientHello {
    /// Whether TLS 1.2 or 1.3 is offered; what offers only older versions is refused (RFC 8996).
    #[must_use]
    pub fn offers_modern_version(&self) -> bool {
        if self.supported_versions.is_empty() {
            self.legacy_version >= TLS_1_2
        } else {
            self.supported_versions.iter().any(|version| matches!(*version, TLS_1_2 | TLS_1_3))
        }
    }
}

/// How far the peek has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peek {
    /// The hello goes on.
    NeedMore,
    /// The hello is complete.
    Done(ClientHello),
}

/// Reads one hello.
#[derive(Debug, Default)]
pub struct ClientHelloReader {
    bytes: Vec<u8>,
    /// Where the first record begins that was not read yet.
    position: usize,
    handshake: Vec<u8>,
    done: bool,
}

impl ClientHelloReader {
    /// A reader at the first byte of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the connection.
    ///
    /// # Errors
    /// [`HelloError`]; final.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Peek, HelloError> {
        if self.done {
            return Err(HelloError::Malformed("bytes after the hello was read"));
        }
        self.bytes.extend_from_slice(bytes);
        check_first_bytes(&self.bytes)?;
        while let Some(record) = self.next_record()? {
            self.position = self.position.saturating_add(record.bytes);
            self.handshake.extend_from_slice(&record.payload);
            if let Some(body) = complete_hello(&self.handshake)? {
                let hello = read_hello(body)?;
                self.done = true;
                return Ok(Peek::Done(ClientHello { length: self.position, ..hello }));
            }
        }
        if self.bytes.len() >= HELLO_BYTES_MAX {
            return Err(HelloError::TooLarge);
        }
        Ok(Peek::NeedMore)
    }

    /// All bytes read, to be passed on unchanged.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn next_record(&self) -> Result<Option<Record>, HelloError> {
        let unread = self.bytes.get(self.position..).unwrap_or_default();
        let [content, major, minor, high, low, rest @ ..] = unread else {
            return Ok(None);
        };
        if *content != HANDSHAKE || *major != 3 || *minor > 4 {
            return Err(HelloError::Malformed("a record that is no handshake"));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > RECORD_BYTES_MAX {
            return Err(HelloError::Malformed("a record of 0 or more than 16384 bytes"));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        Ok(Some(Record { bytes: length.saturating_add(5), payload: payload.to_vec() }))
    }
}

struct Record {
    bytes: usize,
    payload: Vec<u8>,
}

/// Tells other protocols apart at their first bytes.
fn check_first_bytes(bytes: &[u8]) -> Result<(), HelloError> {
    match bytes {
        [] | [HANDSHAKE] | [HANDSHAKE, 3, ..] | [0x80..=0xff] | [0x80..=0xff, _] => Ok(()),
        [0x80..=0xff, _, CLIENT_HELLO, ..] => Err(HelloError::Sslv2),
        _ => Err(HelloError::NotTls),
    }
}

/// The body of the hello once all of it is there.
fn complete_hello(handshake: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if handshake.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed("a handshake that doesn't begin with a hello"));
    }
    let [_, high, middle, low, body @ ..] = handshake else {
        return Ok(None);
    };
    let length =
        usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).unwrap_or(usize::MAX);
    if length > HELLO_BYTES_MAX {
        return Err(HelloError::TooLarge);
    }
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(body)),
        std::cmp::Ordering::Greater => {
            Err(HelloError::Malformed("a hello that ends inside a record"))
        }
    }
}

/// `ClientHello` of RFC 8446 section 4.1.2.
fn read_hello(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut cursor = Cursor(body);
    let legacy_version = cursor.number_u16()?;
    cursor.take(32)?;
    let session = cursor.vector_u8()?;
    let suites = cursor.vector_u16()?;
    let compressions = cursor.vector_u8()?;
    if session.0.len() > 32 || suites.0.is_empty() || compressions.0.is_empty() {
        return Err(HelloError::Malformed("session id, cipher suites or compression methods"));
    }
    let mut hello = ClientHello {
        sni: None,
        alpn: Vec::new(),
        legacy_version,
        supported_versions: Vec::new(),
        has_ech: false,
        length: 0,
    };
    if cursor.is_empty() {
        return Ok(hello);
    }
    let mut extensions = cursor.vector_u16()?;
    cursor.end()?;
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.number_u16()?;
        let extension = extensions.vector_u16()?;
        seen.push(kind);
        read_extension(kind, extension, &mut hello)?;
    }
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(HelloError::Malformed("an extension twice"));
    }
    Ok(hello)
}

fn read_extension(
    kind: u16,
    mut extension: Cursor<'_>,
    hello: &mut ClientHello,
) -> Result<(), HelloError> {
    match kind {
        EXTENSION_SERVER_NAME => {
            if hello.sni.is_some() {
                return Err(HelloError::TwoServerNames);
            }
            hello.sni = Some(read_server_name(extension)?);
        }
        EXTENSION_ALPN => {
            let mut protocols = extension.vector_u16()?;
            extension.end()?;
            while !protocols.is_empty() {
                let protocol = protocols.vector_u8()?;
                if protocol.is_empty() {
                    return Err(HelloError::Malformed("an empty protocol name"));
                }
                hello.alpn.push(protocol.0.to_vec());
            }
        }
        EXTENSION_SUPPORTED_VERSIONS => {
            let mut versions = extension.vector_u8()?;
            extension.end()?;
            while !versions.is_empty() {
                hello.supported_versions.push(versions.number_u16()?);
            }
        }
        EXTENSION_ECH | EXTENSION_ESNI => hello.has_ech = true,
        _ => {}
    }
    Ok(())
}

/// `ServerNameList` of RFC 6066 section 3: exactly one host name.
fn read_server_name(mut extension: Cursor<'_>) -> Result<DnsName, HelloError> {
    let mut list = extension.vector_u16()?;
    extension.end()?;
    if list.is_empty() {
        return Err(HelloError::EmptyName);
    }
    if list.number_u8()? != HOST_NAME {
        return Err(HelloError::Malformed("a server name of an unknown type"));
    }
    let name = list.vector_u16()?;
    if !list.is_empty() {
        return Err(HelloError::TwoServerNames);
    }
    parse_name(name.0)
}

fn parse_name(bytes: &[u8]) -> Result<DnsName, HelloError> {
    if bytes.is_empty() {
        return Err(HelloError::EmptyName);
    }
    if bytes.contains(&0) {
        return Err(HelloError::NulInName);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| HelloError::Name(HostError::NotAscii))?;
    if text.parse::<IpAddr>().is_ok() || text.starts_with('[') {
        return Err(HelloError::AddressInName);
    }
    // RFC 6066 section 3: without a trailing dot.
    if text.ends_with('.') {
        return Err(HelloError::Name(HostError::Length));
    }
    DnsName::parse(text).map_err(|error| match error {
        HostError::Numeric => HelloError::AddressInName,
        HostError::Length
        | HostError::Character
        | HostError::NotAscii
        | HostError::Brackets
        | HostError::Zone => HelloError::Name(error),
    })
}

/// Bytes not read yet.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&self) -> Result<(), HelloError> {
        if self.is_empty() { Ok(()) } else { Err(HelloError::Malformed("bytes behind a list")) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(HelloError::Malformed("a length beyond the end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number_u8(&mut self) -> Result<u8, HelloError> {
        let (first, rest) =
            self.0.split_first().ok_or(HelloError::Malformed("a length beyond the end"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number_u16(&mut self) -> Result<u16, HelloError> {
        Ok(u16::from_be_bytes([self.number_u8()?, self.number_u8()?]))
    }

    fn vector_u8(&mut self) -> Result<Self, HelloError> {
        let length = self.number_u8()?;
        self.take(usize::from(length)).map(Cursor)
    }

    fn vector_u16(&mut self) -> Result<Self, HelloError> {
        let length = self.number_u16()?;
        self.take(usize::from(length)).map(Cursor)
    }
}

/// Why a hello is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The first bytes are of another protocol.
    #[error("expected a TLS handshake")]
    NotTls,
    /// A hello in the format of SSL 2.0.
    #[error("expected a TLS handshake, found one of SSL 2.0")]
    Sslv2,
    /// Not complete within [`HELLO_BYTES_MAX`].
    #[error("the hello is larger than {HELLO_BYTES_MAX} bytes")]
    TooLarge,
    /// Lengths or parts that don't fit.
    #[error("malformed hello: {0}")]
    Malformed(&'static str),
    /// More than one server name.
    #[error("expected one server name, found more")]
    TwoServerNames,
    /// A server name extension without a name.
    #[error("the server name is empty")]
    EmptyName,
    /// A NUL byte in the server name.
    #[error("the server name contains NUL")]
    NulInName,
    /// An address or a number as server name.
    #[error("expected a name as server name, found an address")]
    AddressInName,
    /// Not a name.
    #[error("the server name is none: {0}")]
    Name(HostError),
}

impl HelloError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotTls => "not-tls",
            Self::Sslv2 => "tls-version",
            Self::TooLarge => "hello-limit",
            Self::Malformed(_) => "hello-malformed",
            Self::TwoServerNames
            | Self::EmptyName
            | Self::NulInName
            | Self::AddressInName
            | Self::Name(_) => "sni-invalid",
        }
    }
}
