//! Whether a TLS handshake brings a second ClientHello, and what that says: a server that wants another key share answers the first hello with
//! a HelloRetryRequest (RFC 8446 section 4.1.4), and the client says hello again, in the clear, where nobody has looked yet.
//!
//! [`AnswerReader`] reads what the server says, [`SecondHelloReader`] what the client says then; both over any segments and records. Nothing
//! here waits, changes a byte or keeps more than it must.

use crate::client_hello::{ClientHello, ClientHelloReader, HelloError, Peek};

#[cfg(test)]
mod tests;

/// Records that are neither hello nor handshake before a second hello: early data that the server refused, mostly. Servers take 16 KiB.
pub const EARLY_BYTES_MAX: usize = 128 * 1024;
/// Longest payload of one record with its encryption (RFC 8446 section 5.2).
const RECORD_BYTES_MAX: usize = 16 * 1024 + 256;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const SERVER_HELLO: u8 = 2;
const FATAL: u8 = 2;

/// What tells a HelloRetryRequest from a ServerHello (RFC 8446 section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// Type, length and version before the random of a ServerHello.
const RANDOM_AT: usize = 6;
const RECORD_HEADER_BYTES: usize = 5;
const MESSAGE_HEADER_BYTES: usize = 4;

/// What a server answers to a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Another hello must come.
    Retry,
    /// No other hello is awaited: a ServerHello, a fatal alert, or something that isn't TLS.
    Other,
}

/// Reads a server's records until it is known what the answer is; goes on behind a HelloRetryRequest.
///
/// Warnings and empty change_cipher_spec records come before an answer and are none.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// Of the record that is being read.
    header: Vec<u8>,
    /// Bytes of its payload that are still to come.
    left: usize,
    /// The message's beginning, to the end of its random.
    message: Vec<u8>,
    /// Bytes of a HelloRetryRequest that are still to come.
    rest: usize,
}

impl AnswerReader {
    /// Reads the next bytes. Behind [`Answer::Other`] nothing needs to be read.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Answer> {
        let mut found = None;
        for byte in bytes {
            found = found.or(self.byte(*byte));
            if found == Some(Answer::Other) {
                break;
            }
        }
        found
    }

    fn byte(&mut self, byte: u8) -> Option<Answer> {
        if self.left == 0 {
            return self.header(byte);
        }
        self.left = self.left.saturating_sub(1);
        let content = self.header.first().copied();
        if self.left == 0 {
            self.header.clear();
        }
        match content {
            Some(HANDSHAKE) => self.handshake(byte),
            // The first byte of an alert is its level, the second one tells nothing.
            Some(ALERT) if byte == FATAL && self.left > 0 => Some(Answer::Other),
            _ => None,
        }
    }

    fn header(&mut self, byte: u8) -> Option<Answer> {
        self.header.push(byte);
        let known = |content: &u8| [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE].contains(content);
        match self.header.as_slice() {
            [content] if known(content) => None,
            [_, 3] | [_, _, _] | [_, _, _, _] => None,
            [_, _, _, high, low] => {
                self.left = usize::from(u16::from_be_bytes([*high, *low]));
                if self.left == 0 {
                    self.header.clear();
                }
                None
            }
            _ => Some(Answer::Other),
        }
    }

    fn handshake(&mut self, byte: u8) -> Option<Answer> {
        if self.rest > 0 {
            self.rest = self.rest.saturating_sub(1);
            return None;
        }
        self.message.push(byte);
        if self.message.first() != Some(&SERVER_HELLO) {
            return Some(Answer::Other);
        }
        let random = self.message.get(RANDOM_AT..).unwrap_or_default();
        if random.len() < RETRY_RANDOM.len() {
            return None;
        }
        if random != RETRY_RANDOM {
            return Some(Answer::Other);
        }
        let length = match self.message.as_slice() {
            [_, high, middle, low, ..] => u32::from_be_bytes([0, *high, *middle, *low]),
            _ => 0,
        };
        let read = self.message.len().saturating_sub(MESSAGE_HEADER_BYTES);
        self.rest = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(read);
        self.message.clear();
        Some(Answer::Retry)
    }
}

/// What stands first in a client's bytes after a HelloRetryRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// More must come before anything may pass.
    NeedMore,
    /// So many bytes are of no hello: change_cipher_spec, early data that the server skips, an alert.
    Pass(usize),
    /// The second hello, of [`ClientHello::length`] bytes.
    Hello(ClientHello),
}

/// Finds the second hello.
#[derive(Debug, Default)]
pub struct SecondHelloReader {
    /// Bytes of a record that may pass and are still to come.
    left: usize,
    /// Bytes that passed.
    passed: usize,
    hello: ClientHelloReader,
    /// Bytes that the hello's reader has.
    fed: usize,
}

impl SecondHelloReader {
    /// Looks at `held`: all bytes that didn't pass yet.
    ///
    /// # Errors
    /// [`HelloError`]; final.
    pub fn read(&mut self, held: &[u8]) -> Result<Part, HelloError> {
        if self.fed == 0 && self.left == 0 {
            self.left = match held {
                [HANDSHAKE, ..] | [] => 0,
                [content, header @ ..] => match other_record(*content, header)? {
                    None => return Ok(Part::NeedMore),
                    Some(bytes) => bytes,
                },
            };
        }
        let pass = self.left.min(held.len());
        if pass > 0 {
            self.left = self.left.saturating_sub(pass);
            self.passed = self.passed.saturating_add(pass);
            if self.passed > EARLY_BYTES_MAX {
                return Err(HelloError::TooLarge);
            }
            return Ok(Part::Pass(pass));
        }
        let news = held.get(self.fed..).unwrap_or_default();
        self.fed = held.len();
        match self.hello.feed(news)? {
            Peek::NeedMore => Ok(Part::NeedMore),
            Peek::Done(hello) => Ok(Part::Hello(hello)),
        }
    }
}

/// Bytes of a record that isn't of the handshake, once its header is there.
fn other_record(content: u8, header: &[u8]) -> Result<Option<usize>, HelloError> {
    if ![CHANGE_CIPHER_SPEC, ALERT, APPLICATION_DATA].contains(&content) {
        return Err(HelloError::Malformed("no record of TLS where a second hello was awaited"));
    }
    let [major, _minor, high, low, ..] = header else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if *major != 3 || length > RECORD_BYTES_MAX {
        return Err(HelloError::Malformed("a record of another version, or too large"));
    }
    Ok(Some(length.saturating_add(RECORD_HEADER_BYTES)))
}
