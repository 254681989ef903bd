//! How far a scan is, on one line of a terminal; nothing where standard error is none.

use std::io::{self, IsTerminal as _, Stderr, Write as _};
use std::time::{Duration, Instant};

const BAR_WIDTH: usize = 24;
const KIND_CHARS_MAX: usize = 32;
/// Shortest time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// The line.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: Option<Stderr>,
    drawn: Option<Instant>,
}

/// Where a scan is within the kinds that it lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'k> {
    /// The kind.
    pub(super) kind: &'k str,
    /// Objects of it so far.
    pub(super) listed: u64,
    /// The server's estimate of those that remain.
    pub(super) remaining: Option<u64>,
    /// Kinds done and kinds in all; `None` while that isn't known.
    pub(super) kinds: Option<(usize, usize)>,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let stderr = io::stderr();
        Self { terminal: (!quiet && stderr.is_terminal()).then_some(stderr), drawn: None }
    }

    /// Draws, unless it has just been done.
    pub(super) fn show(&mut self, doing: &str, at: At<'_>) {
        let Some(terminal) = &mut self.terminal else { return };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE) {
            return;
        }
        self.drawn = Some(Instant::now());
        // A terminal that can't be written to is no reason to stop.
        let _ = write!(terminal, "\r\x1b[K{}", line(doing, at)).and_then(|()| terminal.flush());
    }

    /// Takes the line away, for what comes after it.
    pub(super) fn clear(&mut self) {
        if let (Some(terminal), Some(_)) = (&mut self.terminal, self.drawn.take()) {
            let _ = write!(terminal, "\r\x1b[K").and_then(|()| terminal.flush());
        }
    }
}

fn line(doing: &str, at: At<'_>) -> String {
    let At { kind, listed, remaining, kinds } = at;
    let kind: String = kind.chars().take(KIND_CHARS_MAX).collect();
    let of = match remaining {
        Some(remaining) if remaining > 0 => format!(" of {}", listed.saturating_add(remaining)),
        _ => String::new(),
    };
    match kinds {
        Some(kinds) => format!("{doing} [{}] {kind} {listed}{of}", bar(kinds, listed, remaining)),
        None => format!("{doing} {kind} {listed}{of}"),
    }
}

/// Each kind is one part of the bar, filled as its list goes on.
fn bar((done, all): (usize, usize), listed: u64, remaining: Option<u64>) -> String {
    let width = u64::try_from(BAR_WIDTH).unwrap_or(u64::MAX);
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let whole = listed.saturating_add(remaining.unwrap_or(0)).max(1);
    let parts = number(done).saturating_mul(whole).saturating_add(listed);
    let of = number(all.max(1)).saturating_mul(whole);
    let filled = parts.saturating_mul(width).checked_div(of).unwrap_or(0).min(width);
    let filled = usize::try_from(filled).unwrap_or(BAR_WIDTH);
    format!("{}{}", "#".repeat(filled), "-".repeat(BAR_WIDTH.saturating_sub(filled)))
}

#[cfg(test)]
mod tests {
    use super::{At, bar, line};

    #[test]
    fn the_bar_fills_kind_by_kind() {
        let cases = [
            ((0, 2), 0, Some(10), "------------------------"),
            ((0, 2), 5, Some(5), "######------------------"),
            ((1, 2), 0, None, "############------------"),
            ((2, 2), 7, Some(0), "########################"),
            ((0, 0), 0, None, "------------------------"),
        ];
        for (kinds, listed, remaining, expected) in cases {
            assert_eq!(bar(kinds, listed, remaining), expected, "{kinds:?} {listed}");
        }
        let at = At { kind: "Pod", listed: 250, remaining: Some(750), kinds: None };
        assert_eq!(line("reading", at), "reading Pod 250 of 1000");
    }
}
