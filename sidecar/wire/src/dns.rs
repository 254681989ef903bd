//! DNS queries (RFC 1035, RFC 6891) read strictly, and the replies to them: one question, nothing before, between or behind it that
//! could be read in another way. Names, types and answers come out as facts.
//!
//! What the agent wrote is never passed on: of a query only the judged name and type go further, of a reply only judged records.

mod reply;
mod service;

use std::fmt::Write as _;

use pinfold_model::host::DnsName;

pub use reply::{Answer, Data, EXTENDED_TEXT_BYTES_MAX, ExtendedError, Reply, ResponseCode};
pub use service::{ServiceRecord, strip_service};

/// Largest query that is read: a name of 255 bytes, and generous EDNS options.
pub const QUERY_BYTES_MAX: usize = 1232;
/// Largest reply over UDP that is sent, whatever the client says it can take: what fits a packet anywhere (RFC 9715).
pub const UDP_REPLY_BYTES_MAX: u16 = 1232;
/// Largest reply over UDP to a client without EDNS (RFC 1035 section 2.3.4).
pub const PLAIN_REPLY_BYTES_MAX: u16 = 512;
/// Bytes of a header.
const HEADER_BYTES: usize = 12;
/// Longest name on the wire, root label included.
const NAME_BYTES_MAX: usize = 255;
/// Longest label; the two higher bits say that it is none.
const LABEL_BYTES_MAX: u8 = 63;
/// Class IN.
const CLASS_IN: u16 = 1;
/// The pseudo-record of EDNS.
const TYPE_OPT: u16 = 41;
/// Flags that only replies have, reserved bits, and the response code.
const FLAGS_ZERO: u16 = 0b0000_0110_1100_1111;
const FLAG_REPLY: u16 = 0x8000;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const FLAG_CHECKING_DISABLED: u16 = 0x0010;
const OPCODE: u16 = 0x7800;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Chosen by the client.
    pub id: u16,
    /// What is asked for.
    pub name: AskedName,
    /// The record type's number.
    pub kind: u16,
    /// What the client says by EDNS; `None` if it doesn't speak it.
    pub edns: Option<Edns>,
    /// `RD` and `CD`, which replies repeat.
    echoed: u16,
    /// The question section, letter for letter (draft-vixie-dnsext-dns0x20).
    question: Vec<u8>,
}

/// A name in a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedName {
    /// One that a host can have.
    Host(DnsName),
    /// Any other, in printable ASCII with other bytes as `\DDD` (RFC 4343 section 2.1).
    Other(String),
}

impl AskedName {
    /// The name as text that can be logged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Host(name) => name.as_str(),
            Self::Other(text) => text,
        }
    }
}

/// What a client says by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Bytes that it takes over UDP.
    pub udp_bytes: u16,
}

impl Query {
    /// The bytes that a reply over UDP may have.
    #[must_use]
    pub fn udp_reply_bytes_max(&self) -> usize {
        let told = self.edns.map_or(PLAIN_REPLY_BYTES_MAX, |edns| edns.udp_bytes);
        usize::from(told.clamp(PLAIN_REPLY_BYTES_MAX, UDP_REPLY_BYTES_MAX))
    }
}

/// Why a message is no query that could be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Shorter than a header.
    #[error("shorter than a header")]
    Short,
    /// A reply.
    #[error("found a reply, expected a query")]
    Reply,
    /// An operation other than QUERY.
    #[error("the operation is not QUERY")]
    Operation,
    /// Flags that no query has.
    #[error("flags that no query has")]
    Flags,
    /// More or less than one question, or records beside it.
    #[error("expected one question and no records but EDNS")]
    Sections,
    /// A name that is cut off, too long or compressed.
    #[error("the name can't be read")]
    Name,
    /// The message ends within a field.
    #[error("the message is cut off")]
    CutOff,
    /// A class other than IN.
    #[error("the class is not IN")]
    Class,
    /// The additional record isn't EDNS, or its options don't fill it.
    #[error("the additional record is not well-formed EDNS")]
    Edns,
    /// EDNS of another version.
    #[error("the EDNS version is not 0")]
    EdnsVersion,
    /// Bytes behind the last record.
    #[error("bytes after the end")]
    Trailing,
    /// Larger than [`QUERY_BYTES_MAX`].
    #[error("larger than 1232 bytes")]
    Oversize,
}

impl Fault {
    /// The code that says so.
    #[must_use]
    pub fn code(self) -> ResponseCode {
        match self {
            Self::Operation => ResponseCode::NotImplemented,
            Self::Class => ResponseCode::Refused,
            Self::EdnsVersion => ResponseCode::BadVersion,
            Self::Short
            | Self::Reply
            | Self::Flags
            | Self::Sections
            | Self::Name
            | Self::CutOff
            | Self::Edns
            | Self::Trailing
            | Self::Oversize => ResponseCode::FormatError,
        }
    }

    /// Whether the message is plain, but asks for what is never answered.
    #[must_use]
    pub fn is_unsupported(self) -> bool {
        matches!(self, Self::Operation | Self::Class | Self::EdnsVersion)
    }

    /// The bytes that answer it; `None` for what must not be answered, because answers to answers would never end.
    #[must_use]
    pub fn reply(self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Short | Self::Reply => None,
            Self::Operation
            | Self::Flags
            | Self::Sections
            | Self::Name
            | Self::CutOff
            | Self::Class
            | Self::Edns
            | Self::EdnsVersion
            | Self::Trailing
            | Self::Oversize => {
                let mut cursor = Cursor { bytes: message };
                let (id, flags) = (cursor.u16().ok()?, cursor.u16().ok()?);
                let echoed = flags & (OPCODE | FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED);
                Some(reply::bare(id, echoed, self.code()))
            }
        }
    }
}

/// Reads one message.
///
/// # Errors
/// [`Fault`], which knows its reply.
pub fn read(message: &[u8]) -> Result<Query, Fault> {
    if message.len() < HEADER_BYTES {
        return Err(Fault::Short);
    }
    let mut cursor = Cursor { bytes: message };
    let (id, flags) = (cursor.u16()?, cursor.u16()?);
    if flags & FLAG_REPLY != 0 {
        return Err(Fault::Reply);
    }
    if flags & OPCODE != 0 {
        return Err(Fault::Operation);
    }
    if message.len() > QUERY_BYTES_MAX {
        return Err(Fault::Oversize);
    }
    if flags & FLAGS_ZERO != 0 {
        return Err(Fault::Flags);
    }
    let counts = [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?];
    let [1, 0, 0, additional @ 0..=1] = counts else { return Err(Fault::Sections) };
    let start = cursor.bytes;
    let name = read_name(&mut cursor)?;
    let (kind, class) = (cursor.u16()?, cursor.u16()?);
    let length = start.len().saturating_sub(cursor.bytes.len());
    let question = start.get(..length).unwrap_or_default().to_vec();
    let edns = if additional == 1 { Some(read_edns(&mut cursor)?) } else { None };
    if !cursor.bytes.is_empty() {
        return Err(Fault::Trailing);
    }
    if class != CLASS_IN {
        return Err(Fault::Class);
    }
    let echoed = flags & (FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED);
    Ok(Query { id, name, kind, edns, echoed, question })
}

struct Cursor<'m> {
    bytes: &'m [u8],
}

impl<'m> Cursor<'m> {
    fn take(&mut self, length: usize) -> Result<&'m [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Fault::CutOff)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.bytes.split_first().ok_or(Fault::CutOff)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(Fault::CutOff)?;
        self.bytes = rest;
        Ok(u16::from_be_bytes(*first))
    }
}

/// Reads a name. There is nothing before it that compression could point to, so a pointer is refused: no loops.
fn read_name(cursor: &mut Cursor<'_>) -> Result<AskedName, Fault> {
    let mut text = String::new();
    let mut plain = true;
    let mut left = NAME_BYTES_MAX;
    loop {
        let length = cursor.u8().map_err(|_| Fault::Name)?;
        left = left.checked_sub(usize::from(length).saturating_add(1)).ok_or(Fault::Name)?;
        if length > LABEL_BYTES_MAX {
            return Err(Fault::Name);
        }
        if length == 0 {
            break;
        }
        if !text.is_empty() {
            text.push('.');
        }
        for byte in cursor.take(usize::from(length)).map_err(|_| Fault::Name)? {
            plain &= push_byte(&mut text, *byte);
        }
    }
    match DnsName::parse(&text) {
        Ok(name) if plain => Ok(AskedName::Host(name)),
        Ok(_) | Err(_) if text.is_empty() => Ok(AskedName::Other(".".to_owned())),
        Ok(_) | Err(_) => Ok(AskedName::Other(text)),
    }
}

/// Writes a byte of a label so that no log, terminal or record can take it for anything else; whether it stands for itself.
fn push_byte(text: &mut String, byte: u8) -> bool {
    let plain = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if plain {
        text.push(char::from(byte));
    } else {
        // Writing to a text can't fail.
        let _ = write!(text, "\\{byte:03}");
    }
    plain
}

fn read_edns(cursor: &mut Cursor<'_>) -> Result<Edns, Fault> {
    let (name, kind, udp_bytes) = (cursor.u8()?, cursor.u16()?, cursor.u16()?);
    if name != 0 || kind != TYPE_OPT {
        return Err(Fault::Edns);
    }
    let (_extended_code, version, _flags) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    let length = cursor.u16()?;
    let mut options = Cursor { bytes: cursor.take(usize::from(length))? };
    if version != 0 {
        return Err(Fault::EdnsVersion);
    }
    while !options.bytes.is_empty() {
        let _code = options.u16().map_err(|_| Fault::Edns)?;
        let length = options.u16().map_err(|_| Fault::Edns)?;
        options.take(usize::from(length)).map_err(|_| Fault::Edns)?;
    }
    Ok(Edns { udp_bytes })
}

#[cfg(test)]
mod tests;
