//! What labels, annotations and owner references say of a piece of work: that it is trusted, or for a run.
//!
//! To name a repository or a stack claims no trust by itself; to name another than that of the run that one names does.

use pinfold_model::facts::{Operation, Question, Requester};
use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Object, ObjectKey};
use pinfold_model::policy::admission::Controller;
use pinfold_model::policy::references::members::{Member, each_member};
use serde_json::Value;

use super::RULE;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::record::{self, ATTEMPT, RUN, is_run};
use crate::trust::stamp::{PROVENANCE, RUN_LABEL, STAMP, marks};
use crate::trust::standing::{self, Actor, Standing, actor};

/// Most values of a custom kind that are looked through; a request of 3 MiB holds fewer.
const VISITS_MAX: usize = 2_000_000;
/// Most claims inside a custom kind that are judged one by one.
const NESTED_MAX: usize = 256;
/// Most bytes of the paths to them: a document can repeat one long member name in each.
const PATH_BYTES_MAX: usize = 256 * 1024;
/// Says how trusted work is.
const TIER: &str = "trust-tier";
const REPOSITORY: &str = "repository";
const STACK: &str = "agent-stack";
/// What a live pod was made for; somebody else may not say otherwise.
const BOUND: [&str; 5] = [RUN_LABEL, "session", "agent-session", "org", TIER];
/// What else is bound of work that is stamped.
const BOUND_IF_STAMPED: [&str; 4] = [REPOSITORY, STACK, "trigger-rule", "workspace"];

/// A label or annotation of an agent group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// JSON path of the metadata that it is in.
    metadata: String,
    label: bool,
    group: &'static str,
    /// What follows the group and a slash.
    name: String,
    text: String,
}

impl Word {
    fn path(&self) -> String {
        let list = if self.label { "labels" } else { "annotations" };
        format!("{}.{list}['{}/{}']", self.metadata, self.group, excerpt(&self.name))
    }

    fn shown(&self) -> String {
        let what = if self.label { "label" } else { "annotation" };
        format!("{what} `{}/{}`", self.group, excerpt(&self.name))
    }

    /// Whether it says `trusted`, however it spells it.
    fn is_trusted(&self) -> bool {
        self.name == TIER && self.text.trim().eq_ignore_ascii_case("trusted")
    }

    fn is_at(&self, other: &Self) -> bool {
        (&self.metadata, self.label, self.group, &self.name)
            == (&other.metadata, other.label, other.group, &other.name)
    }
}

pub(super) fn judge(context: &Context<'_>, object: &Object, found: &mut Found) {
    let Some(said) = Said::of(context, object) else { return };
    if said.is_empty() {
        return;
    }
    let Some(requester) = context.requester(RULE, found) else { return };
    let actor = actor(context, requester);
    if actor == Actor::BuiltIn {
        return;
    }
    let claimant = Claimant { context, object, requester, actor };
    for word in &said.new {
        claimant.judge_word(word, found);
    }
    said.nested_stamps.iter().for_each(|path| claimant.refuse_nested(path, found));
    if said.beyond {
        refuse_beyond(found);
    }
    if said.owners {
        claimant.judge_owners(found);
    }
    if actor == Actor::Other {
        said.unbound.iter().for_each(|word| claimant.refuse_change(word, found));
    }
}

/// What a request says anew.
#[derive(Default)]
struct Said {
    new: Vec<Word>,
    /// Bound words that are changed or taken away, as they were.
    unbound: Vec<Word>,
    /// JSON paths of stamps inside a custom kind.
    nested_stamps: Vec<String>,
    /// How many bytes the paths of what is said inside a custom kind have.
    path_bytes: usize,
    /// Whether a custom kind says more inside it than is judged, so that nobody can tell what.
    beyond: bool,
    /// Whether it names runs as owners that it didn't.
    owners: bool,
}

impl Said {
    /// `None` for kinds that run nothing.
    fn of(context: &Context<'_>, object: &Object) -> Option<Self> {
        let facts = context.facts;
        let custom = is_custom(&object.key);
        let runs = custom || matches!(object.facts, Facts::Workload(_) | Facts::NodeBinding(_));
        if !runs {
            return None;
        }
        let old = facts.old_object.as_ref().filter(|_| facts.operation == Operation::Update);
        let before: Vec<Word> = old.map(words).unwrap_or_default();
        let after = words(object);
        let unbound = before.iter().filter(|word| {
            let stamped = old.is_some_and(|old| marks(old).next().is_some());
            let bound = BOUND.contains(&word.name.as_str()) && object.key.kind == "Pod"
                || stamped && BOUND.iter().chain(&BOUND_IF_STAMPED).any(|name| *name == word.name);
            bound && !after.contains(word)
        });
        let unbound: Vec<Word> = unbound.cloned().collect();
        let runs_of = |object: &Object| -> Vec<String> {
            let runs = object.meta.owners.iter();
            runs.filter(|owner| is_run(&ObjectKey::new(&owner.group, &owner.kind, "", "")))
                .map(|owner| owner.uid.clone())
                .collect()
        };
        let known = old.map(runs_of).unwrap_or_default();
        let owners = runs_of(object).iter().any(|uid| !known.contains(uid));
        let new = after.into_iter().filter(|word| !before.contains(word)).collect();
        let mut said = Self { new, unbound, owners, ..Self::default() };
        said.keep_claims(object);
        // Of an update only the new form is known; what isn't content is unchanged there.
        if custom && facts.change == Change::Content {
            facts.document.iter().for_each(|document| said.read_nested(document));
        }
        Some(said)
    }

    /// Leaves out what claims no trust: a repository or stack without a run, a tier that isn't trusted.
    fn keep_claims(&mut self, object: &Object) {
        let of_run = words(object).iter().any(|word| word.name == RUN_LABEL);
        self.new.retain(|word| match word.name.as_str() {
            TIER => word.is_trusted(),
            RUN_LABEL => true,
            REPOSITORY | STACK => of_run,
            _ => false,
        });
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty()
            && self.unbound.is_empty()
            && self.nested_stamps.is_empty()
            && !self.beyond
            && !self.owners
    }

    /// Labels and annotations anywhere inside a custom kind but on itself: its controller gives them to pods (SandboxClaim
    /// `additionalPodMetadata`, PipelineRun `taskRunSpecs[].metadata`, Workflow `podMetadata`).
    fn read_nested(&mut self, document: &Value) {
        let whole = each_member("$", document, VISITS_MAX, &mut |member| self.read_member(member));
        self.beyond |= !whole;
    }

    fn read_member(&mut self, member: &Member<'_, '_>) {
        let label = match member.name {
            "labels" => true,
            "annotations" => false,
            _ => return,
        };
        for (key, text) in member.value.as_object().into_iter().flatten() {
            if self.beyond {
                return;
            }
            let Some(text) = text.as_str() else { continue };
            let claims = |word: &Word| word.name == RUN_LABEL || word.is_trusted();
            let word = word("", label, key, text).filter(claims);
            let stamp = !label && (key == STAMP || key == PROVENANCE);
            if word.is_some() || stamp {
                self.note_nested(member, word, key);
            }
        }
    }

    /// Writes the path only now, because nearly always nothing is claimed.
    fn note_nested(&mut self, member: &Member<'_, '_>, word: Option<Word>, key: &str) {
        let metadata = member.path_above();
        if metadata == "$.metadata" {
            return;
        }
        self.path_bytes = self.path_bytes.saturating_add(metadata.len());
        let count = self.new.len().saturating_add(self.nested_stamps.len());
        self.beyond = self.path_bytes > PATH_BYTES_MAX || count >= NESTED_MAX;
        if self.beyond {
            return;
        }
        match word {
            Some(word) => self.new.push(Word { metadata, ..word }),
            None => self.nested_stamps.push(format!("{metadata}.annotations['{key}']")),
        }
    }
}

/// What isn't looked through isn't "no claim".
fn refuse_beyond(found: &mut Found) {
    let message = format!(
        "nobody can tell what it says of trust: it has more than {VISITS_MAX} values, or more than {NESTED_MAX} labels and \
         annotations of that kind inside it, or {PATH_BYTES_MAX} bytes of paths to them"
    );
    found.add(RULE, "$", message, "make the object smaller");
}

/// Kinds that aren't Kubernetes' own or the control plane's: they may make pods from what is written in them.
fn is_custom(key: &ObjectKey) -> bool {
    let group = key.group.as_str();
    group.contains('.') && !group.ends_with(".k8s.io") && !AGENT_GROUPS.contains(&group)
}

/// The words on an object and on its pods.
fn words(object: &Object) -> Vec<Word> {
    let own = |label: bool| {
        let meta = &object.meta;
        let pairs = if label { &meta.labels } else { &meta.annotations };
        pairs.iter().filter_map(move |(key, text)| word("$.metadata", label, key, text))
    };
    let mut all: Vec<Word> = own(true).chain(own(false)).collect();
    let pods = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    if let Some(workload) = pods {
        let lists = [(true, &workload.pod_labels), (false, &workload.pod_annotations)];
        for (label, pairs) in lists {
            let pairs = pairs.iter();
            all.extend(pairs.filter_map(|(key, text)| word(&workload.meta_path, label, key, text)));
        }
    }
    all
}

fn word(metadata: &str, label: bool, key: &str, text: &str) -> Option<Word> {
    let (group, name) = key.rsplit_once('/')?;
    let group = AGENT_GROUPS.into_iter().find(|known| *known == group)?;
    let known = BOUND.iter().chain(&BOUND_IF_STAMPED).any(|known| *known == name);
    let (metadata, name, text) = (metadata.to_owned(), name.to_owned(), text.to_owned());
    known.then_some(Word { metadata, label, group, name, text })
}

/// Who says something, and of what.
struct Claimant<'r, 'c> {
    context: &'r Context<'c>,
    object: &'r Object,
    requester: &'r Requester,
    actor: Actor,
}

impl<'c> Claimant<'_, 'c> {
    fn judge_word(&self, word: &Word, found: &mut Found) {
        match word.name.as_str() {
            TIER => self.judge_tier(word, found),
            RUN_LABEL => self.judge_run(word, found),
            REPOSITORY => self.judge_same(word, |run| &run.repository, is_repository, found),
            STACK => self.judge_same(word, |run| &run.agent_stack, |said, is| said == is, found),
            _ => {}
        }
    }

    fn name(&self) -> String {
        excerpt(&self.requester.name)
    }

    fn judge_tier(&self, word: &Word, found: &mut Found) {
        let (shown, text) = (word.shown(), excerpt(&word.text));
        let remedy = "remove it; work is trusted by its record, not by what it says";
        if self.actor == Actor::Other {
            let name = self.name();
            let message =
                format!("{shown} says `{text}`, and `{name}` isn't one of `trust.controllers`");
            found.add(RULE, word.path(), message, remedy);
        } else if let Standing::Untrusted { reason, questions } =
            standing::of_request(self.context, self.object, self.requester)
        {
            questions.into_iter().for_each(|question| found.ask(question));
            let message =
                format!("{shown} says `{text}`, and the record says otherwise ({reason})");
            found.add(RULE, word.path(), message, remedy);
        }
    }

    fn judge_run(&self, word: &Word, found: &mut Found) {
        let keys = self.keys(word.group, &word.text);
        let runs: Vec<&Object> = keys.iter().filter_map(|key| self.context.lookup(key)).collect();
        let (shown, text) = (word.shown(), excerpt(&word.text));
        if runs.is_empty() {
            keys.into_iter()
                .filter(|key| key.kind == RUN)
                .for_each(|key| found.ask(Question::Object(key)));
            let message =
                format!("{shown} names run `{text}`, which isn't in the view of the cluster");
            found.add(RULE, word.path(), message, "remove it, or name a run that exists");
            return;
        }
        let trusted = |run: &&Object| record::judge(self.context, run) == Standing::Trusted;
        if self.actor == Actor::Other && runs.iter().any(trusted) {
            let message = format!(
                "{shown} names trusted run `{text}`, and `{}` isn't one of `trust.controllers`",
                self.name()
            );
            found.add(
                RULE,
                word.path(),
                message,
                "remove it; the control plane says which run work is for",
            );
        }
    }

    /// Where a run of that name can be: beside the work, or beside the controllers that keep the records.
    fn keys(&self, group: &str, name: &str) -> Vec<ObjectKey> {
        let mut places = vec![self.context.facts.target.namespace.as_str()];
        places.extend(self.context.policy.trust.controllers.iter().filter_map(|one| match one {
            Controller::ServiceAccount { namespace, .. } => Some(namespace.as_str()),
            Controller::User(_) => None,
        }));
        places.sort_unstable();
        places.dedup();
        let of = |place: &&str| [RUN, ATTEMPT].map(|kind| ObjectKey::new(group, kind, place, name));
        places.iter().flat_map(of).collect()
    }

    /// A word that contradicts the run that the work says it is for.
    fn judge_same(
        &self,
        word: &Word,
        of: impl Fn(&RunRecord) -> &String,
        same: impl Fn(&str, &str) -> bool,
        found: &mut Found,
    ) {
        let runs = self.named_runs();
        let records = runs.iter().filter_map(|run| {
            let Facts::Run(record) = &run.facts else { return None };
            Some((&run.key, of(record)))
        });
        let mut others = records.filter(|(_, is)| !is.is_empty() && !same(&word.text, is));
        if let Some((key, is)) = others.next() {
            let (shown, text) = (word.shown(), excerpt(&word.text));
            let (name, is) = (record::name_of(key), excerpt(is));
            let message = format!("{shown} says `{text}`, and {name} is of `{is}`");
            found.add(RULE, word.path(), message, "say what the run says, or nothing");
        }
    }

    /// The runs that the words of the object name.
    fn named_runs(&self) -> Vec<&'c Object> {
        let named = words(self.object).into_iter().filter(|word| word.name == RUN_LABEL);
        let keys = named.flat_map(|word| self.keys(word.group, &word.text));
        keys.filter_map(|key| self.context.lookup(&key)).collect()
    }

    /// Owner references to runs.
    fn judge_owners(&self, found: &mut Found) {
        let namespace = self.context.facts.target.namespace.as_str();
        for (index, owner) in self.object.meta.owners.iter().enumerate() {
            let key = ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name);
            if !is_run(&key) {
                continue;
            }
            let run = self.context.lookup(&key).filter(|run| run.meta.uid == owner.uid);
            let reason = match run {
                None => {
                    found.ask(Question::Object(key.clone()));
                    "isn't in the view of the cluster".to_owned()
                }
                Some(run)
                    if self.actor == Actor::Other
                        && record::judge(self.context, run) == Standing::Trusted =>
                {
                    format!("is trusted, and `{}` isn't one of `trust.controllers`", self.name())
                }
                Some(_) => continue,
            };
            let message = format!("{} is named as owner, which {reason}", record::name_of(&key));
            let path = format!("$.metadata.ownerReferences[{index}]");
            found.add(RULE, path, message, "leave out the owner reference");
        }
    }

    fn refuse_nested(&self, path: &str, found: &mut Found) {
        let message = "a stamp of Pinfold's is written into what becomes a pod's metadata";
        found.add(RULE, path, message, "leave the annotation out; Pinfold writes it");
    }

    fn refuse_change(&self, old: &Word, found: &mut Found) {
        let now = words(self.object).into_iter().find(|word| word.is_at(old));
        let what = match now {
            Some(word) => {
                format!("changes from `{}` to `{}`", excerpt(&old.text), excerpt(&word.text))
            }
            None => format!("`{}` is taken away", excerpt(&old.text)),
        };
        let message = format!(
            "{} {what}, and `{}` isn't one of `trust.controllers`",
            old.shown(),
            self.name()
        );
        found.add(RULE, old.path(), message, "leave it as it was made");
    }
}

/// Whether a label names a repository: a label's text can have no slash, so the last part alone, or another sign in its place, will do.
fn is_repository(said: &str, is: &str) -> bool {
    let plain = |text: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(plain).collect()
    };
    let last = is.rsplit('/').next().unwrap_or(is);
    plain(said) == plain(is) || plain(said) == plain(last)
}
