//! Bodies of HTTP/1.1 messages, decoded piece by piece as they arrive; nothing is collected.
//!
//! Chunk syntax is read strictly (RFC 9112 section 7.1): CRLF only, plain hexadecimal sizes, bounded extensions and trailers.
//! Extensions and trailers are checked and dropped; the sidecar frames anew what it passes on.

use crate::field;

#[cfg(test)]
mod tests;

/// Bytes of chunk extensions in one body. Real clients send none.
pub const EXTENSION_BYTES_MAX: usize = 1024;
/// Bytes of all trailer lines of one body.
pub const TRAILER_BYTES_MAX: usize = 4096;
/// Trailer fields of one body.
pub const TRAILERS_MAX: usize = 32;
/// Hexadecimal digits of a chunk size; enough for 64 bits.
pub const SIZE_DIGITS_MAX: u8 = 16;

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What one call of [`BodyDecoder::feed`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyEvent<'a> {
    /// All input is used up and the body goes on.
    NeedMore,
    /// A piece of the body.
    Data(&'a [u8]),
    /// The body is complete; what follows belongs to the next message.
    End,
}

/// Decodes one body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    extension_bytes_left: usize,
    trailer_bytes_left: usize,
    trailers_left: usize,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    Trailer,
    TrailerLf,
    Done,
    Failed,
}

const FIRST_DIGIT: State = State::Size { value: 0, digits: 0 };

impl BodyDecoder {
    /// A decoder at the first byte after the head.
    #[must_use]
    pub fn new(framing: BodyFraming) -> Self {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Done,
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => FIRST_DIGIT,
        };
        Self {
            state,
            extension_bytes_left: EXTENSION_BYTES_MAX,
            trailer_bytes_left: TRAILER_BYTES_MAX,
            trailers_left: TRAILERS_MAX,
            line: Vec::new(),
        }
    }

    /// Reads on: how many bytes of `input` were used, and what they were. To be called again with the rest until it says
    /// [`BodyEvent::NeedMore`] or [`BodyEvent::End`].
    ///
    /// # Errors
    /// [`BodyError`]; the connection can't be used any further.
    pub fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, BodyEvent<'a>), BodyError> {
        let mut rest = input;
        loop {
            if self.state == State::Done {
                return Ok((input.len().saturating_sub(rest.len()), BodyEvent::End));
            }
            if let State::Length(left) | State::Chunk(left) = self.state
                && !rest.is_empty()
            {
                let (data, after) = split_at_most(rest, left);
                self.state = self.after_data(left, data.len());
                return Ok((input.len().saturating_sub(after.len()), BodyEvent::Data(data)));
            }
            let [byte, after @ ..] = rest else {
                return Ok((input.len(), BodyEvent::NeedMore));
            };
            self.state = self.step(*byte).inspect_err(|_| self.state = State::Failed)?;
            rest = after;
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn after_data(&self, left: u64, taken: usize) -> State {
        let left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
        match (self.state, left) {
            (State::Chunk(_), 0) => State::ChunkCr,
            (State::Chunk(_), left) => State::Chunk(left),
            (_, 0) => State::Done,
            (_, left) => State::Length(left),
        }
    }

    /// One byte of chunk syntax.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::Size { value, digits }, b'\r') if digits > 0 => Ok(State::SizeLf { value }),
            (State::Size { value, digits }, b';') if digits > 0 => Ok(State::Extension { value }),
            (State::Size { value, digits }, _) => size_digit(value, digits, byte),
            (State::Extension { value }, b'\r') => Ok(State::SizeLf { value }),
            (State::Extension { value }, _) => self.extension(value, byte),
            (State::SizeLf { value: 0 }, b'\n') => Ok(State::Trailer),
            (State::SizeLf { value }, b'\n') => Ok(State::Chunk(value)),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(FIRST_DIGIT),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::Trailer, _) => self.trailer_byte(byte),
            (State::TrailerLf, b'\n') => self.trailer_line(),
            (State::SizeLf { .. } | State::ChunkCr | State::ChunkLf | State::TrailerLf, _) => {
                Err(BodyError::LineEnding)
            }
            (State::Length(_) | State::Chunk(_) | State::Done | State::Failed, _) => {
                Err(BodyError::Failed)
            }
        }
    }

    fn extension(&mut self, value: u64, byte: u8) -> Result<State, BodyError> {
        if !(0x20..0x7f).contains(&byte) {
            return Err(BodyError::Extension);
        }
        self.extension_bytes_left =
            self.extension_bytes_left.checked_sub(1).ok_or(BodyError::ExtensionTooLarge)?;
        Ok(State::Extension { value })
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, BodyError> {
        self.trailer_bytes_left =
            self.trailer_bytes_left.checked_sub(1).ok_or(BodyError::TrailersTooLarge)?;
        self.line.push(byte);
        Ok(State::Trailer)
    }

    fn trailer_line(&mut self) -> Result<State, BodyError> {
        if self.line.is_empty() {
            return Ok(State::Done);
        }
        self.trailers_left =
            self.trailers_left.checked_sub(1).ok_or(BodyError::TrailersTooLarge)?;
        let (name, _) = field::parse_line(&self.line).map_err(BodyError::Trailer)?;
        self.line.clear();
        if field::is_trailer(&name) { Ok(State::Trailer) } else { Err(BodyError::ForbiddenTrailer) }
    }
}

fn split_at_most(bytes: &[u8], count: u64) -> (&[u8], &[u8]) {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
    bytes.split_at_checked(count).unwrap_or((bytes, &[]))
}

fn size_digit(value: u64, digits: u8, byte: u8) -> Result<State, BodyError> {
    let digit = char::from(byte).to_digit(16).ok_or(BodyError::Size)?;
    if digits >= SIZE_DIGITS_MAX {
        return Err(BodyError::Size);
    }
    Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits.saturating_add(1) })
}

/// Why a body is refused. All are answered with 400 where an answer is still possible, and the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk size that isn't 1 to 16 hexadecimal digits.
    #[error("expected a chunk size of 1 to 16 hexadecimal digits")]
    Size,
    /// Not CRLF, or data past the announced size.
    #[error("expected CRLF")]
    LineEnding,
    /// A control or non-ASCII character in a chunk extension.
    #[error("found a control character in a chunk extension")]
    Extension,
    /// More than [`EXTENSION_BYTES_MAX`].
    #[error("chunk extensions are larger than {EXTENSION_BYTES_MAX} bytes")]
    ExtensionTooLarge,
    /// A malformed trailer line.
    #[error("malformed trailer: {0}")]
    Trailer(field::FieldError),
    /// More than [`TRAILER_BYTES_MAX`] or [`TRAILERS_MAX`].
    #[error("trailers are larger than {TRAILER_BYTES_MAX} bytes or {TRAILERS_MAX} fields")]
    TrailersTooLarge,
    /// A field that frames, routes or authenticates, in a trailer.
    #[error("found a trailer field that may only stand in the head")]
    ForbiddenTrailer,
    /// Read on after an error.
    #[error("the body was refused before")]
    Failed,
}

impl BodyError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Size | Self::LineEnding | Self::Extension | Self::Failed => "body-framing",
            Self::ExtensionTooLarge | Self::TrailersTooLarge => "body-limit",
            Self::Trailer(_) | Self::ForbiddenTrailer => "body-trailer",
        }
    }
}
