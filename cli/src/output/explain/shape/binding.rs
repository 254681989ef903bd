//! The answer of `pinfold explain binding`.

use pinfold_engine::explain::{self, Lacks, Shortage, Source};
use pinfold_model::finding::Finding;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Agent, ObjectName, Right, Role, Rule, Subject, unresolved};
use crate::check::Checked;
use crate::output::JSON_VERSION;

/// The answer of `binding`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Bindings {
    /// 1.
    pub(crate) version: u32,
    /// One for each proposed binding, in the order of the files.
    pub(crate) bindings: Vec<Binding>,
}

impl Bindings {
    pub(crate) fn of(bindings: Vec<Binding>) -> Self {
        Self { version: JSON_VERSION, bindings }
    }
}

/// A proposed binding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Binding {
    /// Which.
    pub(crate) binding: ObjectName,
    /// File.
    pub(crate) file: String,
    /// Line at which it begins.
    pub(crate) line: u32,
    /// `allowed`, `denied`, or `undecided` without `--as`.
    pub(crate) decision: &'static str,
    /// What the webhook would say, as in `pinfold check -o json`.
    #[schemars(with = "Vec<Value>")]
    pub(crate) findings: Vec<Finding>,
    /// Rules that need `--as`.
    pub(crate) undecided: Vec<String>,
    /// Whom it is for; none: nobody yet.
    pub(crate) receivers: Vec<Receiver>,
    /// Why it can't be told where it gives rights; null if it can.
    pub(crate) scope_error: Option<String>,
    /// What it gives, by place.
    pub(crate) grants: Vec<Grant>,
    /// Manifests that would pass instead of it, with less; none if that doesn't help.
    #[schemars(with = "Vec<Value>")]
    pub(crate) remedy: Vec<Value>,
}

/// Whom a binding is for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receiver {
    /// Who.
    pub(crate) subject: Subject,
    /// The agent identities that it is or that are in it.
    pub(crate) agents: Vec<Agent>,
    /// How many more agent identities are in it than are listed.
    pub(crate) further_agents: usize,
    /// Whether accounts that a pattern of the policy names, and that may not exist yet, would be in it.
    pub(crate) agents_by_pattern: bool,
}

/// What a binding gives in one place.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Grant {
    /// The namespace; empty for all.
    pub(crate) place: String,
    /// `Role`, `ClusterRole`, `RoleTemplate` with its name, or `resourceRules` without.
    pub(crate) source: Role,
    /// Why it can't be told what is given; null if it can.
    pub(crate) unresolved: Option<String>,
    /// What is given.
    pub(crate) rights: Vec<Right>,
    /// What of it is new, to whom.
    pub(crate) news: Vec<News>,
    /// How the author stands to it; null without `--as`.
    pub(crate) author: Option<Author>,
}

/// What is new to somebody.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct News {
    /// Who.
    pub(crate) subject: Subject,
    /// What they don't hold yet.
    pub(crate) adds: Missing,
}

/// What somebody doesn't hold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Missing {
    /// The rights, as far as they are told.
    pub(crate) rules: Vec<Rule>,
    /// Whether there are more than are told.
    pub(crate) more: bool,
}

/// How the author stands to what is given.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Author {
    /// `master` (in `system:masters`), `may-bind` (the role, whatever it holds), or `must-hold`.
    pub(crate) standing: &'static str,
    /// What it doesn't hold.
    pub(crate) lacks: Missing,
}

impl Binding {
    pub(crate) fn of(checked: &Checked, proposal: &explain::Proposal<'_>) -> Self {
        let receiver = |one: &explain::Receiver<'_>| Receiver {
            subject: Subject::of(&one.subject),
            agents: Agent::all(&one.agents),
            further_agents: one.further,
            agents_by_pattern: one.by_pattern,
        };
        let grants = proposal.grants.as_deref().unwrap_or_default();
        Self {
            binding: ObjectName::of(proposal.binding),
            file: checked.manifest.file.clone(),
            line: checked.manifest.line,
            decision: match (checked.undecided.is_empty(), checked.allowed) {
                (true, true) => "allowed",
                (true, false) => "denied",
                (false, _) => "undecided",
            },
            findings: checked.findings.clone(),
            undecided: checked.undecided.iter().map(ToString::to_string).collect(),
            receivers: proposal.receivers.iter().map(receiver).collect(),
            scope_error: proposal.grants.as_ref().err().cloned(),
            grants: grants.iter().map(Grant::of).collect(),
            remedy: Vec::new(),
        }
    }
}

impl Grant {
    fn of(grant: &explain::Grant<'_>) -> Self {
        let rights = grant.rights.as_deref().unwrap_or_default();
        let news = |news: &explain::News| News {
            subject: Subject::of(&news.holder),
            adds: Missing::of(&news.adds),
        };
        let (own, none) = (str::to_owned, String::new);
        Self {
            place: grant.place.clone(),
            source: match grant.source {
                Source::Role(role) => Role::of(role),
                Source::Template(name) => Role { kind: own("RoleTemplate"), name: own(name) },
                Source::Rules => Role { kind: own("resourceRules"), name: none() },
            },
            unresolved: grant.rights.as_ref().err().map(unresolved),
            rights: rights.iter().map(Right::of).collect(),
            news: grant.news.iter().map(news).collect(),
            author: grant.lacks.as_ref().map(Author::of),
        }
    }
}

impl Missing {
    fn of(shortage: &Shortage) -> Self {
        match shortage {
            Shortage::Nothing => Self { rules: Vec::new(), more: false },
            Shortage::Rules { rules, more } => {
                Self { rules: rules.iter().map(Rule::of).collect(), more: *more }
            }
            Shortage::CannotTell => Self { rules: Vec::new(), more: true },
        }
    }
}

impl Author {
    fn of(lacks: &Lacks) -> Self {
        let (standing, lacks) = match lacks {
            Lacks::Master => ("master", &Shortage::Nothing),
            Lacks::MayBind(shortage) => ("may-bind", shortage),
            Lacks::MustHold(shortage) => ("must-hold", shortage),
        };
        Self { standing, lacks: Missing::of(lacks) }
    }
}
