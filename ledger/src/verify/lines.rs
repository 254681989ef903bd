//! Lines of a file, one at a time, each with a bound: no file is ever loaded as a whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

/// How long a line that a live writer has half written may take to become whole.
const PATIENCE: Duration = Duration::from_millis(2);

/// What a read found; the bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A line; its newline is not in the buffer.
    Whole,
    /// Bytes without a newline at the end of the file.
    Torn,
    /// A line longer than the bound; skipped.
    TooLong,
    /// No more bytes.
    End,
}

pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    retries: u32,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of at most `limit` bytes; a torn one is looked at `retries` times more.
    pub(crate) fn new(reader: R, limit: usize, retries: u32) -> Self {
        Self { reader: BufReader::new(reader), limit, retries, number: 0 }
    }

    /// The number of the line read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Shape> {
        line.clear();
        self.fill(line)?;
        if line.is_empty() {
            return Ok(Shape::End);
        }
        self.number = self.number.saturating_add(1);
        for _ in 0..self.retries {
            if line.ends_with(b"\n") || line.len() > self.limit {
                break;
            }
            std::thread::sleep(PATIENCE);
            self.fill(line)?;
        }
        if line.ends_with(b"\n") {
            line.pop();
            return Ok(Shape::Whole);
        }
        if line.len() <= self.limit {
            return Ok(Shape::Torn);
        }
        self.reader.skip_until(b'\n')?;
        Ok(Shape::TooLong)
    }

    fn fill(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        let room = self.limit.saturating_add(1).saturating_sub(line.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        self.reader.by_ref().take(room).read_until(b'\n', line).map(|_| ())
    }
}

/// How often a line that does not end is looked at again.
pub(crate) const RETRIES: u32 = 5;

/// The length of a file that may be being appended to: at the end of a line, if one comes within the patience.
pub(crate) fn settled_length(file: &mut File) -> io::Result<u64> {
    let mut length = file.metadata()?.len();
    for _ in 0..RETRIES {
        if length == 0 || ends_line(file, length)? {
            break;
        }
        std::thread::sleep(PATIENCE);
        length = file.metadata()?.len();
    }
    file.rewind()?;
    Ok(length)
}

fn ends_line(file: &mut File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::Start(length.saturating_sub(1)))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &[u8], limit: usize) -> Vec<(Shape, Vec<u8>)> {
        let mut lines = Lines::new(text, limit, 0);
        let mut found = Vec::new();
        let mut line = Vec::new();
        loop {
            let shape = lines.next(&mut line).unwrap();
            if shape == Shape::End {
                return found;
            }
            found.push((shape, line.clone()));
        }
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(shapes(b"", 3), vec![]);
        assert_eq!(
            shapes(b"ab\n\nc", 3),
            vec![
                (Shape::Whole, b"ab".to_vec()),
                (Shape::Whole, b"".to_vec()),
                (Shape::Torn, b"c".to_vec())
            ]
        );
        assert_eq!(
            shapes(b"abcdefgh\nabc\n", 3),
            vec![(Shape::TooLong, b"abcd".to_vec()), (Shape::Whole, b"abc".to_vec())]
        );
    }
}
