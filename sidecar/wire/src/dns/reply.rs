//! Replies: the question as it was asked, the judged records, and why there are none (RFC 8914).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{FLAG_REPLY, Query, TYPE_OPT, UDP_REPLY_BYTES_MAX};

/// Longest text of an extended error.
pub const EXTENDED_TEXT_BYTES_MAX: usize = 240;
/// A pointer to the name of the question, which directly follows the header.
const QUESTION_NAME: u16 = 0xc00c;
const CLASS_IN: u16 = 1;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_AVAILABLE: u16 = 0x0080;
/// The option that carries an extended error.
const OPTION_EXTENDED_ERROR: u16 = 15;

/// The codes that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// Answered; perhaps with nothing.
    NoError,
    /// The query can't be read.
    FormatError,
    /// The upstream doesn't answer.
    ServerFailure,
    /// There is no such name.
    NameError,
    /// The operation isn't supported.
    NotImplemented,
    /// Policy doesn't allow it.
    Refused,
    /// The EDNS version isn't supported.
    BadVersion,
}

impl ResponseCode {
    fn number(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormatError => 1,
            Self::ServerFailure => 2,
            Self::NameError => 3,
            Self::NotImplemented => 4,
            Self::Refused => 5,
            Self::BadVersion => 16,
        }
    }
}

/// A record that answers the question; its name is the question's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A.
    V4(Ipv4Addr),
    /// AAAA.
    V6(Ipv6Addr),
    /// The data of an HTTPS or SVCB record, as [`super::strip_service`] left it.
    Service(Vec<u8>),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError<'t> {
    /// The registered number.
    pub code: u16,
    /// For a person; ASCII, cut at [`EXTENDED_TEXT_BYTES_MAX`].
    pub text: &'t str,
}

/// A reply.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'r> {
    /// What it replies to.
    pub query: &'r Query,
    /// How it went.
    pub code: ResponseCode,
    /// Records.
    pub answers: &'r [Answer],
    /// Why there are none.
    pub error: Option<ExtendedError<'r>>,
}

impl Reply<'_> {
    /// The bytes, at most `bytes_max` of them: first the explanation is left out, then the answer (TC: ask again over TCP).
    #[must_use]
    pub fn encode(&self, bytes_max: usize) -> Vec<u8> {
        let bytes_max = bytes_max.min(usize::from(u16::MAX));
        let whole = self.message(self.answers, self.error, 0);
        if whole.len() <= bytes_max {
            return whole;
        }
        let unexplained = self.message(self.answers, None, 0);
        if unexplained.len() <= bytes_max {
            return unexplained;
        }
        self.message(&[], None, FLAG_TRUNCATED)
    }

    fn message(
        &self,
        answers: &[Answer],
        error: Option<ExtendedError<'_>>,
        truncated: u16,
    ) -> Vec<u8> {
        let Query { id, edns, echoed, question, kind, .. } = self.query;
        let counts = [1, saturated(answers.len()), 0, u16::from(edns.is_some())];
        let mut out = header(*id, *echoed | truncated, self.code, counts);
        out.extend_from_slice(question);
        for Answer { ttl, data } in answers {
            for half in [QUESTION_NAME, *kind, CLASS_IN] {
                out.extend_from_slice(&half.to_be_bytes());
            }
            out.extend_from_slice(&ttl.to_be_bytes());
            match data {
                Data::V4(address) => counted(&mut out, &address.octets()),
                Data::V6(address) => counted(&mut out, &address.octets()),
                Data::Service(data) => counted(&mut out, data),
            }
        }
        if edns.is_some() {
            push_edns(&mut out, self.code, error);
        }
        out
    }
}

/// A reply without a question, to what has none that could be read.
pub(super) fn bare(id: u16, echoed: u16, code: ResponseCode) -> Vec<u8> {
    // A code above 15 needs the record that carries its higher bits.
    let extended = code.number() > 0xf;
    let mut out = header(id, echoed, code, [0, 0, 0, u16::from(extended)]);
    if extended {
        push_edns(&mut out, code, None);
    }
    out
}

fn header(id: u16, echoed: u16, code: ResponseCode, counts: [u16; 4]) -> Vec<u8> {
    let flags = FLAG_REPLY | FLAG_RECURSION_AVAILABLE | echoed | (code.number() & 0xf);
    let mut out = Vec::with_capacity(usize::from(super::PLAIN_REPLY_BYTES_MAX));
    for field in [id, flags].into_iter().chain(counts) {
        out.extend_from_slice(&field.to_be_bytes());
    }
    out
}

fn push_edns(out: &mut Vec<u8>, code: ResponseCode, error: Option<ExtendedError<'_>>) {
    let [_, extended] = (code.number() >> 4).to_be_bytes();
    out.push(0);
    out.extend_from_slice(&TYPE_OPT.to_be_bytes());
    out.extend_from_slice(&UDP_REPLY_BYTES_MAX.to_be_bytes());
    out.extend_from_slice(&[extended, 0, 0, 0]);
    let mut options = Vec::new();
    if let Some(ExtendedError { code, text }) = error {
        options.extend_from_slice(&OPTION_EXTENDED_ERROR.to_be_bytes());
        let mut option = code.to_be_bytes().to_vec();
        let printable = text.bytes().filter(|byte| *byte == b' ' || byte.is_ascii_graphic());
        option.extend(printable.take(EXTENDED_TEXT_BYTES_MAX));
        counted(&mut options, &option);
    }
    counted(out, &options);
}

/// Writes bytes behind their number.
fn counted(out: &mut Vec<u8>, data: &[u8]) {
    let length = saturated(data.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data.get(..usize::from(length)).unwrap_or_default());
}

fn saturated(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
