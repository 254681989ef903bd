//! Server-sent events, read piece by piece and written anew (WHATWG HTML, "Server-sent events").
//!
//! LF, CR and CRLF end a line; an event is what stands before an empty line. The text of comments and unknown fields is dropped:
//! nobody judges it, so it isn't passed on.

#[cfg(test)]
mod tests;

/// A comment that keeps an idle stream open.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    id: Option<String>,
    name: Option<String>,
    retry_ms: Option<u64>,
    data: Option<String>,
}

impl SseEvent {
    /// An event that carries `data` alone.
    #[must_use]
    pub fn message(data: String) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// The same event with other data: what was judged, encoded anew.
    #[must_use]
    pub fn with_data(self, data: String) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The event's id, by which a stream is resumed.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The event's type; none means `message`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Milliseconds that a client waits before it reconnects.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// The data lines, joined by LF; none when the event has no such line.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The event as bytes. Line breaks of any kind in the data become data lines, so no data can forge a field.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        let mut line = |field: &str, value: &str| {
            text.push_str(field);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        };
        if let Some(id) = &self.id {
            line("id", id);
        }
        if let Some(name) = &self.name {
            line("event", name);
        }
        if let Some(retry_ms) = self.retry_ms {
            line("retry", &retry_ms.to_string());
        }
        if let Some(data) = &self.data {
            data.replace("\r\n", "\n").split(['\n', '\r']).for_each(|part| line("data", part));
        }
        text.push('\n');
        text.into_bytes()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes one line that is neither empty nor a comment.
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "event" => self.name = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
    }
}

/// What a stream consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseItem {
    /// An event.
    Event(SseEvent),
    /// One or more comments, their text dropped.
    Comment,
}

/// Reads a stream of events.
#[derive(Debug)]
pub struct SseReader {
    event: SseEvent,
    event_bytes: usize,
    event_bytes_max: usize,
    line: Vec<u8>,
    after_cr: bool,
    at_start: bool,
    failed: Option<SseError>,
}

impl SseReader {
    /// A reader at the beginning of a stream, of events of at most `event_bytes_max` bytes each.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event: SseEvent::default(),
            event_bytes: 0,
            event_bytes_max,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            failed: None,
        }
    }

    /// Reads the next piece of the stream.
    ///
    /// # Errors
    /// [`SseError`]; final, the stream must be cut.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseItem>, SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut items = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.feed_line(rest, &mut items).inspect_err(|error| {
                self.failed = Some(*error);
                self.line.clear();
            })?;
        }
        Ok(items)
    }

    /// Whether an event has begun and not ended; at the end of a stream such an event is void.
    #[must_use]
    pub fn is_inside_event(&self) -> bool {
        !self.line.is_empty() || !self.event.is_empty()
    }

    /// Reads to the end of a line or of `bytes`; returns what is left.
    fn feed_line<'a>(
        &mut self,
        bytes: &'a [u8],
        items: &mut Vec<SseItem>,
    ) -> Result<&'a [u8], SseError> {
        if std::mem::take(&mut self.after_cr)
            && let [b'\n', rest @ ..] = bytes
        {
            return Ok(rest);
        }
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
        let size = self.event_bytes.saturating_add(self.line.len()).saturating_add(part.len());
        if size > self.event_bytes_max {
            return Err(SseError::TooLarge { max: self.event_bytes_max });
        }
        self.line.extend_from_slice(part);
        let [ending, rest @ ..] = rest else {
            return Ok(rest);
        };
        self.after_cr = *ending == b'\r';
        self.end_line(items)?;
        Ok(rest)
    }

    fn end_line(&mut self, items: &mut Vec<SseItem>) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        match line {
            [] => {
                self.event_bytes = 0;
                let event = std::mem::take(&mut self.event);
                if !event.is_empty() {
                    items.push(SseItem::Event(event));
                }
            }
            [b':', ..] => {
                if items.last() != Some(&SseItem::Comment) {
                    items.push(SseItem::Comment);
                }
            }
            line => {
                self.event_bytes = self.event_bytes.saturating_add(line.len());
                self.event.take(std::str::from_utf8(line).map_err(|_| SseError::Utf8)?);
            }
        }
        Ok(())
    }
}

/// Why a stream is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event past the limit.
    #[error("an event is larger than {max} bytes")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// Not UTF-8.
    #[error("expected UTF-8 in an event")]
    Utf8,
}

impl SseError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "sse-limit",
            Self::Utf8 => "sse-encoding",
        }
    }
}
