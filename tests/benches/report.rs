//! What a bench says: its figures on stdout, and with `--write` in its section of `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;

use crate::material::Outcome;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// How a bench was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// By `cargo bench`: measure.
    Measure,
    /// By `cargo bench -- --write`: measure, and write the page.
    Write,
    /// By `cargo test --benches`: only show that it runs.
    Try,
}

impl Asked {
    pub(crate) fn of_arguments() -> Self {
        let has = |flag: &str| std::env::args().any(|argument| argument == flag);
        match (has("--write"), has("--bench")) {
            (true, _) => Self::Write,
            (false, true) => Self::Measure,
            (false, false) => Self::Try,
        }
    }
}

/// Prints a report; if asked to, puts it into the page's section `name`.
pub(crate) fn publish(asked: Asked, name: &str, report: &str) -> Outcome<()> {
    std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes())?;
    if asked != Asked::Write {
        return Ok(());
    }
    let page = fs::read_to_string(PAGE)?;
    Ok(fs::write(PAGE, replaced(&page, name, report)?)?)
}

fn replaced(page: &str, name: &str, report: &str) -> Outcome<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let missing = || format!("`{PAGE}` has no section `{name}` between two markers");
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{report}{end}{after}"))
}

/// When and where: the first line of a report.
pub(crate) fn machine(notes: &str) -> Outcome<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism()?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Ok(format!("Measured on {today}: {cores} cores, {model}. {notes}\n\n"))
}

/// A table in Markdown.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(titles: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.line(titles);
        table.line(&vec!["---"; titles.len()]);
        table
    }

    pub(crate) fn line<T: AsRef<str>>(&mut self, cells: &[T]) {
        for cell in cells {
            // Writing into a text can't fail.
            let _ = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}
