//! Places in a text, in order and apart from each other.

/// From and to, not included, in bytes from the beginning of the text.
pub(crate) type Span = (u64, u64);

/// The places.
#[derive(Debug, Default)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Adds one; it becomes one with those that it overlaps. Cheap if it is behind all others but a few.
    pub(crate) fn add(&mut self, mut span: Span) {
        let mut behind = Vec::new();
        while let Some(last) = self.0.pop_if(|last| last.1 > span.0) {
            if last.0 < span.1 {
                span = (span.0.min(last.0), span.1.max(last.1));
            } else {
                behind.push(last);
            }
        }
        self.0.push(span);
        self.0.extend(behind.into_iter().rev());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// Where a cut at `at` would go through no place: there, or at the beginning of the one that it would go through.
    pub(crate) fn uncut(&self, at: u64) -> u64 {
        self.0.iter().find(|span| span.0 < at && span.1 > at).map_or(at, |span| span.0)
    }

    /// Takes out the places that end by `to`.
    pub(crate) fn take_until(&mut self, to: u64) -> Self {
        let ended = self.0.partition_point(|span| span.1 <= to);
        Self(self.0.drain(..ended).collect())
    }

    /// Bytes with another text in the places.
    pub(crate) fn replace(&self, bytes: &[u8], by: &str) -> Vec<u8> {
        self.replace_from(0, bytes, by)
    }

    /// The same of bytes that begin at `base`.
    pub(crate) fn replace_from(&self, base: u64, bytes: &[u8], by: &str) -> Vec<u8> {
        let index = |at: u64| usize::try_from(at.saturating_sub(base)).unwrap_or(usize::MAX);
        let mut replaced = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for (start, end) in &self.0 {
            replaced.extend_from_slice(bytes.get(from..index(*start)).unwrap_or_default());
            replaced.extend_from_slice(by.as_bytes());
            from = index(*end);
        }
        replaced.extend_from_slice(bytes.get(from..).unwrap_or_default());
        replaced
    }
}
