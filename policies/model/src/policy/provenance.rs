//! `trust.provenance` of an AdmissionPolicy: where the objects of other runners say which repository and ref their work is of.
//!
//! An extractor only reads. What it reads counts on objects that an identity of `trust.controllers` made, and never raises what it doesn't know.

use std::borrow::Cow;

use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::admission::ObjectMatch;
use super::place::Place;
use super::raw::RawMatch;
use super::ready_admission::object_match;
use super::values::JsonPathText;
use crate::document::DocumentError;
use crate::json_path::JsonPath;
use crate::pattern::{PATTERN_BYTES_MAX, PROGRAM_BYTES_MAX};

/// Longest text that a capture looks at, in bytes.
pub const CAPTURED_BYTES_MAX: usize = 2_048;
/// Most captures of one extractor.
pub const CAPTURES_MAX: usize = 8;

/// Where another runner's object says what its work is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawProvenance {
    /// Kinds.
    #[serde(rename = "match")]
    pub applies: RawMatch,
    /// Selects the repository that the work is for; it counts if `trust.trustedRepositories` lists it.
    pub repository: Option<JsonPathText>,
    /// Selects the ref that the code is of.
    #[serde(rename = "ref")]
    pub git_ref: Option<JsonPathText>,
    /// Selects the repository that the code comes from. If given it must be there, and be the repository.
    pub head_repository: Option<JsonPathText>,
    /// Selects the kind of event that set the work off. If given it must be there, and be one of `trustedEvents`.
    pub event: Option<JsonPathText>,
    /// Events whose code was reviewed, such as `push`.
    #[serde(default)]
    pub trusted_events: Vec<String>,
    /// Selects who set the work off.
    pub actor: Option<JsonPathText>,
    /// Selects the commit.
    pub sha: Option<JsonPathText>,
    /// Takes fields out of longer texts.
    #[serde(default)]
    pub capture: Vec<RawCapture>,
    /// That a fork's work names the fork as repository. Without it, `headRepository` or `event` must tell.
    #[serde(default)]
    pub forks_run_elsewhere: bool,
    /// What the runner's own settings hold true of the objects that match, which say nothing themselves.
    pub assume: Option<RawAssumed>,
}

/// Takes fields out of a longer text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCapture {
    /// Selects the text.
    pub from: JsonPathText,
    /// A regular expression that must match the whole text, with groups named after the fields: `(?<repository>[^/]+/[^/]+)@(?<ref>.+)`.
    pub pattern: CaptureText,
}

/// What is held true of work that says nothing itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawAssumed {
    /// The repository.
    pub repository: String,
    /// The ref.
    #[serde(rename = "ref")]
    pub git_ref: String,
}

/// What an extractor tells about work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The repository that it is for.
    Repository,
    /// The ref that its code is of.
    Ref,
    /// The repository that its code comes from.
    HeadRepository,
    /// What set it off.
    Event,
    /// Who set it off.
    Actor,
    /// The commit.
    Sha,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Repository, Self::Ref, Self::HeadRepository, Self::Event, Self::Actor, Self::Sha];

    /// The name in a policy, and of a group.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Ref => "ref",
            Self::HeadRepository => "headRepository",
            Self::Event => "event",
            Self::Actor => "actor",
            Self::Sha => "sha",
        }
    }
}

/// An extractor.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// Kinds.
    pub applies: ObjectMatch,
    /// Fields that a path selects.
    pub paths: Vec<(Field, JsonPath)>,
    /// Fields that are taken out of longer texts.
    pub captures: Vec<Capture>,
    /// Events whose code was reviewed.
    pub trusted_events: Vec<String>,
    /// Whether a fork's work names the fork as repository.
    pub forks_run_elsewhere: bool,
    /// Repository and ref of all that matches.
    pub assumed: Option<(String, String)>,
}

impl Provenance {
    /// Whether the extractor looks for a field.
    #[must_use]
    pub fn looks_for(&self, field: Field) -> bool {
        let captured = self.captures.iter().any(|capture| capture.pattern.has(field));
        captured || self.paths.iter().any(|(known, _)| *known == field)
    }

    /// The extractor that a document describes.
    pub(super) fn ready(raw: &RawProvenance, place: &Place<'_>) -> Result<Self, DocumentError> {
        let selected = [
            (Field::Repository, &raw.repository),
            (Field::Ref, &raw.git_ref),
            (Field::HeadRepository, &raw.head_repository),
            (Field::Event, &raw.event),
            (Field::Actor, &raw.actor),
            (Field::Sha, &raw.sha),
        ];
        let paths = selected
            .into_iter()
            .filter_map(|(field, path)| Some((field, path.as_ref()?.0.clone())));
        let captures = raw.capture.iter();
        let captures =
            captures.map(|raw| Capture { from: raw.from.0.clone(), pattern: raw.pattern.clone() });
        let ready = Self {
            applies: object_match(&raw.applies),
            paths: paths.collect(),
            captures: captures.collect(),
            trusted_events: raw.trusted_events.clone(),
            forks_run_elsewhere: raw.forks_run_elsewhere,
            assumed: raw
                .assume
                .as_ref()
                .map(|held| (held.repository.clone(), held.git_ref.clone())),
        };
        ready.check(place).map(|()| ready)
    }

    fn check(&self, place: &Place<'_>) -> Result<(), DocumentError> {
        if self.captures.len() > CAPTURES_MAX {
            let message = format!("expected at most {CAPTURES_MAX} captures");
            return Err(place.field("capture").error(message));
        }
        let reads = !self.paths.is_empty() || !self.captures.is_empty();
        match &self.assumed {
            Some(_) if reads => {
                Err(place.field("assume").error("expected nothing else that says what the work is"))
            }
            Some((repository, git_ref)) if repository.is_empty() || git_ref.is_empty() => {
                Err(place.field("assume").error("expected a `repository` and a `ref`"))
            }
            Some(_) if self.applies.names.is_empty() && self.applies.namespaces.is_empty() => {
                let message = "would hold true of every such object; name `names` or `namespaces`";
                Err(place.field("match").error(message))
            }
            Some(_) => Ok(()),
            None if !self.looks_for(Field::Ref) => {
                Err(place
                    .error("nothing says the ref; give `ref`, or a `capture` with a group `ref`"))
            }
            None if self.looks_for(Field::Event) && self.trusted_events.is_empty() => {
                let message = "expected the events that may be trusted, such as `push`";
                Err(place.field("trustedEvents").error(message))
            }
            None => Ok(()),
        }
    }
}

/// Takes fields out of a longer text.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Selects the text.
    pub from: JsonPath,
    /// What the text must look like.
    pub pattern: CaptureText,
}

/// An anchored regular expression whose named groups are fields; linear time.
#[derive(Clone)]
pub struct CaptureText {
    text: String,
    program: PikeVM,
}

impl CaptureText {
    /// Reads an expression.
    ///
    /// # Errors
    /// A text with the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "expected at most {PATTERN_BYTES_MAX} bytes, found {}",
                text.len()
            ));
        }
        let config = thompson::Config::new().nfa_size_limit(Some(PROGRAM_BYTES_MAX));
        let program = PikeVM::builder()
            .syntax(syntax::Config::new().nest_limit(32))
            .thompson(config)
            .build(&format!("^(?:{text})$"))
            .map_err(|error| match error.size_limit() {
                Some(_) => {
                    format!("the expression compiles to more than {PROGRAM_BYTES_MAX} bytes")
                }
                None => format!("not a regular expression: {error}"),
            })?;
        let names: Vec<String> = program
            .get_nfa()
            .group_info()
            .all_names()
            .filter_map(|(_, _, name)| name.map(str::to_owned))
            .collect();
        let known = |name: &String| Field::ALL.iter().any(|field| field.name() == name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let all: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
            return Err(format!("no field `{unknown}`; groups are named {}", all.join(", ")));
        }
        if names.is_empty() {
            return Err("expected a named group, such as `(?<ref>.+)`".to_owned());
        }
        Ok(Self { text: text.to_owned(), program })
    }

    /// Whether a group takes out a field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        let groups = self.program.get_nfa().group_info();
        groups.to_index(regex_automata::PatternID::ZERO, field.name()).is_some()
    }

    /// The fields in a text; `None` if it doesn't look so, or is longer than [`CAPTURED_BYTES_MAX`].
    #[must_use]
    pub fn take<'t>(&self, text: &'t str) -> Option<Vec<(Field, &'t str)>> {
        if text.len() > CAPTURED_BYTES_MAX {
            return None;
        }
        let mut found = self.program.create_captures();
        self.program.captures(&mut self.program.create_cache(), text, &mut found);
        found.is_match().then(|| {
            let field = |field: Field| {
                let span = found.get_group_by_name(field.name())?;
                Some((field, text.get(span.range())?))
            };
            Field::ALL.into_iter().filter_map(field).collect()
        })
    }
}

impl std::fmt::Debug for CaptureText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CaptureText({})", self.text)
    }
}

impl<'de> Deserialize<'de> for CaptureText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .map_err(|error| serde::de::Error::custom(format_args!("`{text}`: {error}")))
    }
}

impl JsonSchema for CaptureText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("CaptureText")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 512,
            "description": "A regular expression that must match the whole text, with groups named repository, ref, headRepository, event, actor, sha."})
    }
}

#[cfg(test)]
mod tests;
