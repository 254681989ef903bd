//! What a scan has seen so far: every object judged, findings gathered at the object that somebody wrote, and honest counts.
//!
//! Memory grows with what is found, up to a bound, never with what is looked at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pinfold_engine::admit;
use pinfold_engine::scan::danger::{Danger, of_rule};
use pinfold_engine::scan::{self, Depth, Scan, Unjudged, Weighed};
use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::object::{self, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use super::owners::{self, Kinds};

/// Most objects with findings that are kept; further ones are counted.
pub(super) const OBJECTS_MAX: usize = 50_000;
/// Most different findings at what one object made.
const MADE_MAX: usize = 100;

/// Which findings are wanted.
#[derive(Debug)]
pub(super) struct Filter {
    /// Namespaces; none means all, and what is in no namespace.
    pub(super) namespaces: Vec<String>,
    /// Rules; none means all.
    pub(super) rules: BTreeSet<RuleId>,
    /// The least danger.
    pub(super) min_danger: Danger,
}

impl Filter {
    fn has_place(&self, key: &ObjectKey) -> bool {
        let is_namespace = key.group.is_empty() && key.kind == "Namespace";
        let place = if is_namespace { &key.name } else { &key.namespace };
        self.namespaces.is_empty() || self.namespaces.contains(place)
    }

    fn wants(&self, found: &Weighed) -> bool {
        found.danger <= self.min_danger && self.has_rule(&found.finding.rule)
    }

    fn has_rule(&self, rule: &RuleId) -> bool {
        self.rules.is_empty() || self.rules.contains(rule)
    }
}

/// What objects are judged by.
#[derive(Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) policy: &'a AdmissionPolicy,
    pub(super) view: &'a Snapshot,
    pub(super) now: Timestamp,
    pub(super) filter: &'a Filter,
    pub(super) kinds: &'a Kinds,
}

/// A finding at a reported object.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) weighed: Weighed,
    /// In how many objects that it made the same is found, by kind.
    pub(super) made: BTreeMap<String, u64>,
    /// One that it made and that has it, if the object itself doesn't.
    pub(super) example: Option<String>,
}

/// An object with findings.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) key: ObjectKey,
    pub(super) api_version: String,
    pub(super) uid: String,
    /// File and line; `None` in a running cluster.
    pub(super) place: Option<(String, u32)>,
    pub(super) findings: Vec<Told>,
}

impl Reported {
    pub(super) fn danger(&self) -> Danger {
        let dangers = self.findings.iter().map(|told| told.weighed.danger);
        dangers.min().unwrap_or(Danger::Low)
    }

    pub(super) fn has(&self, mode: Mode) -> bool {
        self.findings.iter().any(|told| told.weighed.finding.mode == mode)
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The worst first, then by namespace and name.
    pub(super) objects: Vec<Reported>,
    /// Objects with findings that are not among them.
    pub(super) beyond: u64,
    /// Whether one of those would be refused.
    pub(super) refused_beyond: bool,
    /// Objects looked at, by `apiVersion` and kind.
    pub(super) looked: BTreeMap<(String, String), u64>,
    /// Rules that were not judged, why, and on how many objects.
    pub(super) unjudged: BTreeMap<(RuleId, Unjudged), u64>,
}

#[derive(Debug, Default)]
struct Entry {
    api_version: String,
    uid: String,
    place: Option<(String, u32)>,
    own: Vec<Weighed>,
    made: BTreeMap<(RuleId, String), Told>,
}

/// The gathering.
pub(super) struct Survey<'a> {
    bench: Bench<'a>,
    entries: BTreeMap<ObjectKey, Entry>,
    found: Found,
}

impl<'a> Survey<'a> {
    pub(super) fn new(bench: Bench<'a>) -> Self {
        Self { bench, entries: BTreeMap::new(), found: Found::default() }
    }

    /// Judges one object that is stored somewhere.
    pub(super) fn look(&mut self, value: Value, depth: Depth, place: Option<(String, u32)>) {
        let key = key_of(&value);
        if !self.bench.filter.has_place(&key) {
            return;
        }
        let api_version = text(&value, "apiVersion").to_owned();
        let looked = self.found.looked.entry((api_version.clone(), key.kind.clone())).or_default();
        *looked = looked.saturating_add(1);
        let entry = Entry { api_version, place, ..Entry::default() };
        match object::from_value(&value) {
            Ok(object) => self.judge(object, value, depth, entry),
            Err(error) => {
                let refused = unreadable(&error.to_string());
                self.keep(key.clone(), &key, entry, refused);
            }
        }
    }

    /// Tells differences of one of Pinfold's own webhook configurations: the kind of change, and where.
    pub(super) fn look_at_registration(
        &mut self,
        key: &ObjectKey,
        api_version: &str,
        differences: &[(&str, String)],
    ) {
        if !self.bench.filter.has_place(key) {
            return;
        }
        let looked = (api_version.to_owned(), key.kind.clone());
        self.found.looked.insert(looked, 1);
        let Bench { policy, view, now, .. } = self.bench;
        let scan = Scan { policy, view, now, all_bindings: true };
        let told = differences.iter().filter_map(|(change, path)| scan.differs(key, change, path));
        let told = told.collect();
        let entry = Entry { api_version: api_version.to_owned(), ..Entry::default() };
        self.keep(key.clone(), key, entry, told);
    }

    fn judge(&mut self, object: Object, value: Value, depth: Depth, entry: Entry) {
        let Bench { policy, view, now, kinds, filter } = self.bench;
        let (key, uid) = (object.key.clone(), object.meta.uid.clone());
        let root = owners::root(&object, view, kinds);
        let facts = scan::creation(object, Some(value));
        let all_bindings = filter.namespaces.is_empty();
        let judged = Scan { policy, view, now, all_bindings }.judge(&facts, depth);
        for (rule, why) in judged.unjudged {
            if self.bench.filter.has_rule(&rule) {
                let count = self.found.unjudged.entry((rule, why)).or_default();
                *count = count.saturating_add(1);
            }
        }
        self.keep(root, &key, Entry { uid, ..entry }, judged.findings);
    }

    /// Puts what was found of `key` to the object that it is reported at.
    fn keep(&mut self, root: ObjectKey, key: &ObjectKey, new: Entry, findings: Vec<Weighed>) {
        let wanted = findings.into_iter().filter(|found| self.bench.filter.wants(found));
        let wanted: Vec<Weighed> = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        if self.entries.len() >= OBJECTS_MAX && !self.entries.contains_key(&root) {
            self.found.beyond = self.found.beyond.saturating_add(1);
            self.found.refused_beyond |=
                wanted.iter().any(|found| found.finding.mode == Mode::Enforce);
            return;
        }
        let is_root = root == *key;
        let entry = self.entries.entry(root).or_default();
        if is_root {
            let made = std::mem::take(&mut entry.made);
            *entry = Entry { own: wanted, made, ..new };
        } else {
            wanted.into_iter().for_each(|found| entry.count(found, key));
        }
    }

    /// The end: what an object made is told with it, and all is put in order.
    pub(super) fn finish(self) -> Found {
        let Self { bench, entries, mut found } = self;
        let reported = entries.into_iter().map(|(key, entry)| entry.report(key, &bench));
        found.objects = reported.collect();
        found.objects.sort_by(|left, right| order(left).cmp(&order(right)));
        found
    }
}

type Order<'r> = (Danger, bool, &'r str, &'r str, &'r str, &'r str);

fn order(reported: &Reported) -> Order<'_> {
    let ObjectKey { group, kind, namespace, name } = &reported.key;
    (reported.danger(), !reported.has(Mode::Enforce), namespace, name, kind, group)
}

impl Entry {
    fn count(&mut self, weighed: Weighed, of: &ObjectKey) {
        let at = (weighed.finding.rule.clone(), weighed.finding.path.clone());
        if self.made.len() >= MADE_MAX && !self.made.contains_key(&at) {
            return;
        }
        let told = self.made.entry(at).or_insert_with(|| Told {
            weighed,
            made: BTreeMap::new(),
            example: Some(of.to_string()),
        });
        let count = told.made.entry(of.kind.clone()).or_default();
        *count = count.saturating_add(1);
    }

    fn report(self, key: ObjectKey, bench: &Bench<'_>) -> Reported {
        let Self { mut api_version, mut uid, place, own, made } = self;
        if api_version.is_empty() {
            let kind = (key.group.clone(), key.kind.clone());
            api_version = bench.kinds.get(&kind).cloned().unwrap_or_default();
            uid = bench.view.get(&key).map(|owner| owner.meta.uid.clone()).unwrap_or_default();
        }
        let told = |weighed| Told { weighed, made: BTreeMap::new(), example: None };
        let mut findings: Vec<Told> = own.into_iter().map(told).collect();
        for told in made.into_values() {
            match findings.iter_mut().find(|own| is_same(&own.weighed, &told.weighed)) {
                Some(own) => told.made.into_iter().for_each(|(kind, count)| {
                    let sum = own.made.entry(kind).or_default();
                    *sum = sum.saturating_add(count);
                }),
                None => findings.push(told),
            }
        }
        findings.sort_by(|left, right| {
            let order = |told: &Told| {
                let Weighed { finding, danger, .. } = &told.weighed;
                (*danger, finding.mode, finding.rule.clone(), finding.path.clone())
            };
            order(left).cmp(&order(right))
        });
        Reported { key, api_version, uid, place, findings }
    }
}

/// Whether what a made object has is what its maker's template has: the path of the one ends in the other's.
fn is_same(own: &Weighed, made: &Weighed) -> bool {
    let below = made.finding.path.strip_prefix('$').unwrap_or(&made.finding.path);
    own.finding.rule == made.finding.rule && own.finding.path.ends_with(below)
}

/// What the webhook says of an object that it can't read.
fn unreadable(error: &str) -> Vec<Weighed> {
    let remedy = "write the field in the form that its API documents";
    let decision = admit::refuse(RuleId::REQ_OBJECT, "$", error, remedy);
    let weighed = |finding: pinfold_model::finding::Finding| {
        let danger = of_rule(&finding.rule);
        Weighed { finding, danger, leads_to: String::new() }
    };
    decision.findings.into_iter().map(weighed).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn key_of(value: &Value) -> ObjectKey {
    let api_version = text(value, "apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    ObjectKey::new(group, text(value, "kind"), text(metadata, "namespace"), text(metadata, "name"))
}
