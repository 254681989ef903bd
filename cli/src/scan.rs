//! `pinfold scan`: what a cluster already has that would be refused today, by the same engine as the webhook.
//!
//! Nothing is guessed: what isn't judged, can't be listed or was cut off is said at the end, and changes the exit code where it matters.

mod files;
mod json;
mod owners;
mod progress;
mod report;
mod running;
mod survey;
mod table;

use std::io::Write;
use std::time::Instant;

use jiff::Timestamp;
use pinfold_model::document::nearest;
use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;

use crate::arguments::{ScanArguments, ScanOutput};
use crate::{CliError, Outcome, check, policies};
use progress::Progress;
use survey::{Filter, Found};

/// The policy without `-p`: what ships for every cluster.
const BASELINE: [(&str, &str); 2] = [
    ("baseline.yaml", include_str!("../../policies/library/baseline.yaml")),
    ("references.yaml", include_str!("../../policies/library/references.yaml")),
];

/// What a scan is made with.
struct Setting<'a> {
    arguments: &'a ScanArguments,
    policy: &'a AdmissionPolicy,
    filter: Filter,
    now: Timestamp,
}

/// A kind that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Unlisted {
    api_version: String,
    kind: String,
    /// The right that it takes.
    right: String,
    /// What the API server said.
    reason: String,
}

/// What came of a scan.
#[derive(Debug, Default)]
struct Scanned {
    found: Found,
    unlisted: Vec<Unlisted>,
    /// Resources that were not wanted.
    without: Vec<String>,
    interrupted: bool,
}

/// A scan as it is printed.
struct Summary<'a> {
    scanned: &'a Scanned,
    policy_digest: String,
    seconds: f64,
}

pub(crate) fn run(arguments: &ScanArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let began = Instant::now();
    let set = policy_set(arguments)?;
    let Some(policy) = &set.admission else {
        let text = "no AdmissionPolicy among the policies: everything would be denied; add one";
        return Err(CliError::Input(text.to_owned()));
    };
    let filter = Filter {
        namespaces: arguments.namespaces.clone(),
        rules: arguments.rules.iter().map(|id| rule(id, policy)).collect::<Result<_, _>>()?,
        min_danger: arguments.min_danger.get(),
    };
    let setting = Setting { arguments, policy, filter, now: check::now() };
    let mut progress = Progress::new(arguments.quiet);
    let scanned = if arguments.cluster.cluster.is_empty() {
        running::scan(&setting, &mut progress)
    } else {
        files::scan(&setting, &mut progress)
    };
    progress.clear();
    let scanned = scanned?;
    let (policy_digest, seconds) = (policy.digest.to_string(), began.elapsed().as_secs_f64());
    write(arguments.output, &Summary { scanned: &scanned, policy_digest, seconds }, out)?;
    Ok(scanned.outcome())
}

fn policy_set(arguments: &ScanArguments) -> Result<PolicySet, CliError> {
    if !arguments.policies.is_empty() {
        return policies::read(&arguments.policies);
    }
    let file =
        |(name, text): (&str, &str)| SourceFile { name: name.to_owned(), text: text.to_owned() };
    Ok(pinfold_model::policy::load(&BASELINE.map(file))?)
}

/// The rule of an id that a user wrote.
fn rule(id: &str, policy: &AdmissionPolicy) -> Result<RuleId, CliError> {
    let custom = || policy.custom.iter().find(|rule| rule.id.as_str() == id);
    let known = RuleId::built_in(id).or_else(|| custom().map(|rule| rule.id.clone()));
    known.ok_or_else(|| {
        let built_in = RuleId::BUILT_IN.iter().map(RuleId::as_str);
        let names = built_in.chain(policy.custom.iter().map(|rule| rule.id.as_str()));
        let near = nearest(id, names).map(|near| format!("; did you mean `{near}`?"));
        CliError::Input(format!("no rule `{id}`{}", near.unwrap_or_default()))
    })
}

/// A namespace that isn't there would otherwise be one without findings.
fn require_namespaces(wanted: &[String], view: &Snapshot) -> Result<(), CliError> {
    let missing = wanted.iter().find(|name| {
        let known = view.get(&ObjectKey::new("", "Namespace", "", name)).is_some();
        !known && !view.iter().any(|object| object.key.namespace == **name)
    });
    match missing {
        Some(name) => Err(CliError::Input(format!("no namespace `{name}` in the cluster"))),
        None => Ok(()),
    }
}

fn write(format: ScanOutput, summary: &Summary<'_>, out: &mut dyn Write) -> Result<(), CliError> {
    match format {
        ScanOutput::Table => table::write(summary, out)?,
        ScanOutput::Json => json::write(summary, out)?,
        ScanOutput::PolicyReport => report::write(&report::POLICY_REPORT, summary, out)?,
        ScanOutput::OpenReports => report::write(&report::OPEN_REPORTS, summary, out)?,
    }
    Ok(())
}

impl Scanned {
    fn is_complete(&self) -> bool {
        self.unlisted.is_empty() && !self.interrupted
    }

    /// How many reported objects have a finding of a mode.
    fn count(&self, mode: Mode) -> usize {
        self.found.objects.iter().filter(|object| object.has(mode)).count()
    }

    fn outcome(&self) -> Outcome {
        if !self.is_complete() {
            Outcome::Undecided
        } else if self.count(Mode::Enforce) > 0 || self.found.refused_beyond {
            Outcome::Denied
        } else {
            Outcome::Passed
        }
    }
}
