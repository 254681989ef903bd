//! A stage for attacks on the RBAC gate: the common one with people, agents and objects of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use clap::Parser as _;
use serde_json::{Value, json};

use crate::Outcome;
use crate::denial::Findings;
use crate::offline;
use crate::rbac_client::{Answer, Client, Person};
use crate::rbac_object::{collection, items, lists, path, text, whole, with_metadata};
use crate::replica::Replica;
use crate::stage::Stage;

const JSON: &str = "application/json";

/// A stage, what its webhook is, and what a case stored.
pub(crate) struct RbacStage {
    pub(crate) stage: Stage,
    pub(crate) replica: Replica,
    pub(crate) client: Client,
    people: BTreeMap<String, Person>,
    stored: RefCell<Vec<Value>>,
}

impl RbacStage {
    /// `document` may have `crds`, `world` (objects that exist), `people` and `rbac`, `agents`, `organizations` of a policy.
    pub(crate) fn open(name: &'static str, document: &Value) -> Outcome<Self> {
        let stage = Stage::prepare(name)?;
        let client = Client::new(stage.server)?;
        let crds = fs::read_to_string(crate::kubernetes::repository(
            "tests/tests/webhook/rbac/crds.yaml",
        ))?;
        stage.server.apply(&crds)?;
        let wait = ["wait", "--for=condition=Established", "crd/agentstacks.krate.a5c.ai"];
        stage.server.kubectl(&wait, "")?.ok()?;
        let world: Vec<_> = items(document, "world").iter().map(whole).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": world});
        if !items(document, "world").is_empty() {
            stage.server.apply(&list.to_string())?;
        }
        if let Some(spec) = document.get("policy") {
            let policy = json!({"apiVersion": "pinfold.dev/v1alpha1", "kind": "AdmissionPolicy",
                "metadata": {"name": "rbac"}, "spec": spec});
            fs::write(stage.path("policy").join("rbac.json"), policy.to_string())?;
        }
        let replica = stage.open_with(&stage.flags())?;
        fs::write(stage.path("cluster.json"), dump(&client)?)?;
        let people = people(name, document.get("people"))?;
        Ok(Self { stage, replica, client, people, stored: RefCell::default() })
    }

    /// A name of the file's `people`, or `{user, groups, uid, extra}`.
    pub(crate) fn person(&self, by: &Value) -> Outcome<Person> {
        match by.as_str() {
            Some(name) => {
                let person = self.people.get(name).cloned();
                person.ok_or_else(|| format!("nobody is called `{name}`").into())
            }
            None => Ok(person(by)),
        }
    }

    pub(crate) fn is_dry(&self, attempt: &Value) -> bool {
        attempt.get("dryRun").and_then(Value::as_bool) == Some(true)
    }

    /// Makes something that the webhook isn't asked about, and waits for nothing.
    pub(crate) fn store(&self, object: &Value) -> Outcome {
        let who = Person::unasked();
        let body = whole(object).to_string();
        let query = "?fieldManager=given&force=true";
        let apply = "application/apply-patch+yaml";
        let answer = self
            .client
            .send(&who, ("PATCH", &format!("{}{query}", path(object)?), apply, &body))?;
        if !answer.is_success() {
            return Err(format!("not given: {}: {object}", answer.message()).into());
        }
        self.keep(object, &answer.body);
        Ok(())
    }

    /// Remembers what has to go after the case.
    pub(crate) fn keep(&self, object: &Value, answer: &Value) {
        let name = text(answer, "/metadata/name");
        self.stored.borrow_mut().push(with_metadata(object.clone(), "name", name));
    }

    /// The object as it is, without the case's changes being watched by anybody.
    pub(crate) fn stored(&self, object: &Value) -> Outcome<Option<Value>> {
        if text(object, "/metadata/name").is_empty() {
            return Ok(None);
        }
        let answer = self.client.send(&Person::unasked(), ("GET", &path(object)?, JSON, ""))?;
        Ok(answer.is_success().then_some(answer.body))
    }

    /// With `UID-OF-name` replaced by the uid of what the case stored under that name.
    fn resolved(&self, object: &Value) -> Outcome<Value> {
        let mut text = object.to_string();
        for kept in self.stored.borrow().iter().filter(|_| object.to_string().contains("UID-OF-")) {
            let name = crate::rbac_object::text(kept, "/metadata/name");
            let stored = self.stored(kept)?.unwrap_or_default();
            let uid = crate::rbac_object::text(&stored, "/metadata/uid");
            text = text.replace(&format!("\"UID-OF-{name}\""), &format!("\"{uid}\""));
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// One try, stored or not.
    pub(crate) fn attempt(&self, who: &Person, attempt: &Value, dry: bool) -> Outcome<Answer> {
        let object = &self.resolved(&whole(attempt.get("object").ok_or("no object")?))?;
        let patch = attempt.get("patch").unwrap_or(object).to_string();
        let dry = if dry { "dryRun=All" } else { "dryRun=" };
        let dry = if dry == "dryRun=" { "" } else { dry };
        let sub = match text(attempt, "/sub") {
            "" => String::new(),
            sub => format!("/{sub}"),
        };
        let at = |query: &str| {
            Ok::<_, Box<dyn std::error::Error>>(format!("{}{sub}?{dry}&{query}", path(object)?))
        };
        match text(attempt, "/how") {
            "create" | "generate" => {
                let collection = if sub.is_empty() {
                    collection(object)?
                } else {
                    format!("{}{sub}", path(object)?)
                };
                self.client.send(who, ("POST", &format!("{collection}?{dry}"), JSON, &patch))
            }
            "put" => {
                let version = self.stored(object)?;
                let version = version.as_ref().map(|old| text(old, "/metadata/resourceVersion"));
                let body = match (version, attempt.get("patch")) {
                    (Some(version), None) => {
                        with_metadata(object.clone(), "resourceVersion", version)
                    }
                    _ => object.clone(),
                };
                self.client.send(who, ("PUT", &at("")?, JSON, &body.to_string()))
            }
            "merge" => {
                self.client.send(who, ("PATCH", &at("")?, "application/merge-patch+json", &patch))
            }
            "json" => {
                self.client.send(who, ("PATCH", &at("")?, "application/json-patch+json", &patch))
            }
            "strategic" => self
                .client
                .send(who, ("PATCH", &at("")?, "application/strategic-merge-patch+json", &patch)),
            "apply" => {
                let query = "fieldManager=attacker&force=true";
                self.client
                    .send(who, ("PATCH", &at(query)?, "application/apply-patch+yaml", &patch))
            }
            "delete" => self.client.send(who, ("DELETE", &at("")?, JSON, "")),
            how => Err(format!("no way `{how}` to try").into()),
        }
    }

    /// Denials by rule so far.
    pub(crate) fn counts(&self) -> Outcome<BTreeMap<String, f64>> {
        let mut counts = BTreeMap::new();
        for line in self.replica.exposition()?.lines() {
            let Some(labels) = line.strip_prefix("pinfold_admission_denials_total{") else {
                continue;
            };
            let rule = labels.split("rule=\"").nth(1).and_then(|rest| rest.split('"').next());
            let value = labels.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
            if let (Some(rule), Some(value)) = (rule, value) {
                *counts.entry(rule.to_owned()).or_default() += value;
            }
        }
        Ok(counts)
    }

    /// Everything that the ledger says.
    pub(crate) fn recorded(&self) -> Outcome<String> {
        let mut files: Vec<_> = fs::read_dir(self.stage.audit())?.collect::<Result<Vec<_>, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        let mut log = String::new();
        for file in files.iter().filter(|file| file.file_name() != "checkpoints") {
            let text = fs::read(file.path())?;
            if text.starts_with(b"{") {
                log.push_str(&String::from_utf8_lossy(&text));
            }
        }
        Ok(log)
    }

    /// What `pinfold check` finds, with the world, the case's objects, and the object as it was.
    pub(crate) fn check(
        &self,
        who: &Person,
        object: &Value,
        old: Option<&Value>,
    ) -> Outcome<Findings> {
        let mut given = Vec::new();
        let same = |one: &Value, other: &Value| {
            Ok::<_, Box<dyn std::error::Error>>(
                collection(one)? == collection(other)?
                    && text(one, "/metadata/name") == text(other, "/metadata/name"),
            )
        };
        for kept in self.stored.borrow().iter() {
            if !same(kept, object)? {
                given.extend(self.stored(kept)?);
            }
        }
        given.extend(old.cloned());
        let list = json!({"apiVersion": "v1", "kind": "List", "items": given});
        let (cluster, manifest) = (self.stage.path("given.json"), self.stage.path("tried.json"));
        fs::write(&cluster, list.to_string())?;
        fs::write(&manifest, self.resolved(&whole(object))?.to_string())?;
        let name = |file: std::path::PathBuf| file.to_string_lossy().into_owned();
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let mut words: Vec<String> = ["pinfold", "check", "-o", "json", "--operation", operation]
            .map(str::to_owned)
            .to_vec();
        words.extend(["-p".to_owned(), name(self.stage.path("policy"))]);
        for file in ["cluster.json", "given.json"] {
            words.extend(["--cluster".to_owned(), name(self.stage.path(file))]);
        }
        words.extend(["--as".to_owned(), who.user.clone()]);
        words.extend(who.groups.iter().flat_map(|group| ["--as-group".to_owned(), group.clone()]));
        words.push(name(manifest));
        let arguments = pinfold::Arguments::try_parse_from(words)?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        pinfold::run(&arguments, &mut out, &mut err);
        let said = String::from_utf8_lossy(&err).into_owned();
        let document: Value =
            serde_json::from_slice(&out).map_err(|error| format!("{error}: {said}"))?;
        offline::read(&document)
            .map(|checked| checked.findings)
            .ok_or_else(|| format!("no result in {document}: {said}").into())
    }

    /// Takes away what the case stored, last first.
    pub(crate) fn clean_up(&self) -> Outcome {
        let who = Person::unasked();
        for object in self.stored.take().iter().rev() {
            if text(object, "/kind") == "Namespace" {
                continue;
            }
            let path = path(object)?;
            let finalizers = json!({"metadata": {"finalizers": null}}).to_string();
            let merge = "application/merge-patch+json";
            self.client.send(&who, ("PATCH", &path, merge, &finalizers))?;
            self.client.send(&who, ("DELETE", &path, JSON, ""))?;
        }
        Ok(())
    }
}

/// Everything that decisions about rights depend on, as a List.
fn dump(client: &Client) -> Outcome<String> {
    let mut all = Vec::new();
    for (kind, version, path) in lists() {
        let answer = client.send(&Person::unasked(), ("GET", &path, JSON, ""))?;
        for item in items(&answer.body, "items") {
            let mut item = item.clone();
            if let Some(fields) = item.as_object_mut() {
                fields.insert("kind".to_owned(), json!(kind));
                fields.insert("apiVersion".to_owned(), json!(version));
            }
            all.push(item);
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string())
}

/// Who is in every stage, and who the file adds.
fn people(stage: &str, further: Option<&Value>) -> Outcome<BTreeMap<String, Person>> {
    let own = |suffix: &str| format!("{stage}-{suffix}");
    let mut people = BTreeMap::from([
        ("alice".to_owned(), Person::new("alice", &["acme:devs"])),
        ("carol".to_owned(), Person::new("carol", &["acme:devs"])),
        ("root".to_owned(), Person::new("root", &["acme:admins"])),
        ("master".to_owned(), Person::new("platform", &["system:masters"])),
        ("agent".to_owned(), Person::account(&own("acme"), "agent-coder")),
        ("controller".to_owned(), Person::account(&own("krate"), "krate-controller")),
    ]);
    for (name, value) in further.and_then(Value::as_object).into_iter().flatten() {
        people.insert(name.clone(), person(value));
    }
    Ok(people)
}

fn person(value: &Value) -> Person {
    if let Some((namespace, name)) = text(value, "/account").split_once('/') {
        return with_extra(Person::account(namespace, name), value);
    }
    let groups: Vec<_> = items(value, "groups").iter().filter_map(Value::as_str).collect();
    with_extra(Person::new(text(value, "/user"), &groups), value)
}

fn with_extra(mut person: Person, value: &Value) -> Person {
    person.uid = value.get("uid").and_then(Value::as_str).map(str::to_owned);
    for (key, values) in value.get("extra").and_then(Value::as_object).into_iter().flatten() {
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        person.extra.extend(
            values.iter().filter_map(Value::as_str).map(|value| (key.clone(), value.to_owned())),
        );
    }
    person
}
