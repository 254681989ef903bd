//! For people: one line an object, one block a finding; colour only on a terminal.

use std::io::{self, IsTerminal, Write};

use pinfold_model::finding::{Finding, Mode};
use pinfold_model::policy::agent::AgentPolicy;

use crate::attempt::{Answer, Limit, Most};
use crate::case::Ran;
use crate::check::Checked;
use crate::output::printable;

/// Terminal colours, or nothing where the output is no terminal.
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none();
        Self(wanted && io::stdout().is_terminal())
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn good(&self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn doubt(&self, text: &str) -> String {
        self.wrap("33", text)
    }
}

pub(crate) fn check(results: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    for result in results {
        let verdict = match (result.undecided.is_empty(), result.allowed) {
            (false, _) => paint.doubt("UNDECIDED"),
            (true, true) => paint.good("ALLOWED"),
            (true, false) => paint.bad("DENIED"),
        };
        let manifest = &result.manifest;
        writeln!(out, "{verdict} {} ({}:{})", manifest.object.key, manifest.file, manifest.line)?;
        for finding in &result.findings {
            write_finding(finding, &paint, out)?;
        }
        for rule in &result.undecided {
            writeln!(out, "  {rule} can't be judged without the requester; say who with --as")?;
        }
        if !result.patch.is_empty() {
            let steps = result.patch.len();
            writeln!(
                out,
                "  the webhook would change the object in {steps} places (-o json shows how)"
            )?;
        }
    }
    let denied = results.iter().filter(|result| !result.allowed).count();
    let allowed = results.len().saturating_sub(denied);
    writeln!(out, "{} objects: {allowed} allowed, {denied} not", results.len())
}

pub(super) fn write_finding(
    finding: &Finding,
    paint: &Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Finding { rule, mode, path, message, remedy } = finding;
    let rule = match mode {
        Mode::Enforce => paint.bad(rule.as_str()),
        Mode::Warn => paint.doubt(&format!("{rule} (warning)")),
        Mode::Audit => paint.doubt(&format!("{rule} (recorded)")),
    };
    let [path, message, remedy] = [path, message, remedy].map(|text| printable(text));
    writeln!(out, "  {rule} {path}\n    {message}\n    fix: {remedy}")
}

pub(crate) fn answer(
    answer: &Answer,
    limits: &[Limit],
    policy: &AgentPolicy,
    out: &mut dyn Write,
) -> io::Result<()> {
    let paint = Paint::new();
    match answer {
        Ok(rule) => {
            let verdict = paint.good("ALLOWED");
            writeln!(out, "{verdict} by {rule} of policy `{}`", policy.name)?;
            for Limit { rule, most } in limits {
                match most {
                    Most::Rate(rate) => writeln!(out, "  within {rate} ({rule})")?,
                    Most::Calls(calls) => {
                        writeln!(out, "  within {calls} calls of a pod's life ({rule})")?;
                    }
                }
            }
        }
        Err(denial) => {
            writeln!(out, "{} {} ({})", paint.bad("DENIED"), denial.reason, denial.rule)?;
            if !denial.path.is_empty() {
                writeln!(out, "  {}", denial.path)?;
            }
            writeln!(out, "    {}\n    fix: {}", denial.message, denial.remedy)?;
        }
    }
    writeln!(out, "policy digest {}", policy.digest)
}

pub(crate) fn cases(ran: &[Ran], out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::new();
    for case in ran.iter().filter(|case| !case.passed) {
        writeln!(out, "{} {}: {}", paint.bad("FAILED"), case.file, case.name)?;
        writeln!(out, "  expected {}\n  found    {}", case.expected, case.actual)?;
    }
    let failed = ran.iter().filter(|case| !case.passed).count();
    writeln!(out, "{} passed, {failed} failed", ran.len().saturating_sub(failed))
}
