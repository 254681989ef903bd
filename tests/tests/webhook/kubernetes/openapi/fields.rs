//! The fields of a group's OpenAPI v3 document that look as if they named a Secret or ConfigMap, each with a smallest object that has it.
//!
//! By the look of names and by the types that the API uses for references. Everything else is left to the eye.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The name in the objects.
pub(super) const CANARY: &str = "pinfold-canary";

/// Deepest field that is looked at, in steps; the deepest of Kubernetes 1.35 has 14.
const DEPTH_MAX: usize = 32;

/// Types whose `name` may be that of a Secret or ConfigMap.
const TYPES: [&str; 17] = [
    "SecretReference",
    "LocalObjectReference",
    "SecretKeySelector",
    "ConfigMapKeySelector",
    "SecretEnvSource",
    "ConfigMapEnvSource",
    "SecretProjection",
    "ConfigMapProjection",
    "SecretVolumeSource",
    "ConfigMapVolumeSource",
    "ConfigMapNodeConfigSource",
    "TypedObjectReference",
    "TypedLocalObjectReference",
    "ObjectReference",
    "BoundObjectReference",
    "ParamRef",
    "CrossVersionObjectReference",
];

/// One step of a field's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Member(String),
    /// Any item of a list.
    Item,
    /// Any value of a map.
    Any,
}

/// A field that looks like a reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    api_version: String,
    kind: String,
    steps: Vec<Step>,
    /// Whether the object that has the name says the kind of what it names.
    says_kind: bool,
}

impl Candidate {
    /// `apps/v1 Deployment.spec.template...`.
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("{} {}", self.api_version, self.kind);
        for step in &self.steps {
            match step {
                Step::Member(name) => shown.push_str(&format!(".{name}")),
                Step::Item => shown.push_str("[*]"),
                Step::Any => shown.push_str(".*"),
            }
        }
        shown
    }

    /// An object of the kind with nothing but the canary at the field.
    pub(super) fn object(&self) -> Value {
        let mut value = json!(CANARY);
        for (index, step) in self.steps.iter().enumerate().rev() {
            value = match step {
                Step::Item => json!([value]),
                Step::Any => json!({ "any": value }),
                Step::Member(name) => {
                    let mut members = Map::from_iter([(name.clone(), value)]);
                    if self.says_kind && index.saturating_add(1) == self.steps.len() {
                        members.insert("kind".to_owned(), json!("Secret"));
                    }
                    Value::Object(members)
                }
            };
        }
        if let Value::Object(members) = &mut value {
            members.insert("apiVersion".to_owned(), json!(self.api_version));
            members.insert("kind".to_owned(), json!(self.kind));
        }
        value
    }
}

/// The candidates of all kinds of a document.
pub(super) fn candidates(document: &Value) -> BTreeSet<Candidate> {
    let mut found = BTreeSet::new();
    let Some(schemas) = document.pointer("/components/schemas") else { return found };
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        // Options and watch events are of every group and name nothing; a list's items are the kind itself.
        let Some(own) = kinds.and_then(|kinds| kinds.first()).filter(|_| !name.ends_with("List"))
        else {
            continue;
        };
        let text = |field: &str| own[field].as_str().unwrap_or_default();
        let api_version = match text("group") {
            "" => text("version").to_owned(),
            group => format!("{group}/{}", text("version")),
        };
        let kind = text("kind").to_owned();
        let mut walk = Walk { schemas, found: Vec::new(), within: vec![name.clone()] };
        walk.members(schema, &[]);
        for (steps, says_kind) in walk.found {
            let (api_version, kind) = (api_version.clone(), kind.clone());
            found.insert(Candidate { api_version, kind, steps, says_kind });
        }
    }
    found
}

struct Walk<'s> {
    schemas: &'s Value,
    found: Vec<(Vec<Step>, bool)>,
    /// Types that are being walked: one within itself says nothing new.
    within: Vec<String>,
}

impl<'s> Walk<'s> {
    /// The type behind a `$ref`, alone or in `allOf`, with its name.
    fn resolve(&self, schema: &'s Value) -> (Option<String>, &'s Value) {
        let all = schema["allOf"].as_array().into_iter().flatten();
        let reference = std::iter::once(schema).chain(all).find_map(|part| part["$ref"].as_str());
        match reference.and_then(|path| path.rsplit('/').next()) {
            Some(name) => (Some(name.to_owned()), &self.schemas[name]),
            None => (None, schema),
        }
    }

    fn walk(&mut self, schema: &'s Value, steps: &[Step]) {
        let (name, schema) = self.resolve(schema);
        let again = name.as_ref().is_some_and(|name| self.within.contains(name));
        if again || steps.len() > DEPTH_MAX {
            return;
        }
        let kind = name.as_deref().and_then(|name| name.rsplit('.').next());
        if kind.is_some_and(|kind| TYPES.contains(&kind)) {
            self.named(schema, steps);
        }
        let depth = self.within.len();
        self.within.extend(name);
        self.members(schema, steps);
        self.within.truncate(depth);
    }

    fn members(&mut self, schema: &'s Value, steps: &[Step]) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let steps = with(steps, Step::Member(name.clone()));
            let lower = name.to_ascii_lowercase();
            if lower.contains("secret") || lower.contains("configmap") {
                self.looks(member, &steps);
            }
            self.walk(member, &steps);
        }
        if schema["items"].is_object() {
            self.walk(&schema["items"], &with(steps, Step::Item));
        }
        if schema["additionalProperties"].is_object() {
            self.walk(&schema["additionalProperties"], &with(steps, Step::Any));
        }
    }

    /// A member that is called like a reference: text, an object with a name, or a list of either.
    fn looks(&mut self, schema: &'s Value, steps: &[Step]) {
        let (_, schema) = self.resolve(schema);
        match schema["type"].as_str() {
            Some("string") => self.found.push((steps.to_vec(), false)),
            Some("array") => self.looks(&schema["items"], &with(steps, Step::Item)),
            _ => self.named(schema, steps),
        }
    }

    fn named(&mut self, schema: &'s Value, steps: &[Step]) {
        let properties = &schema["properties"];
        for name in ["name", "secretName"] {
            if properties[name].is_object() {
                let steps = with(steps, Step::Member(name.to_owned()));
                self.found.push((steps, properties["kind"].is_object()));
            }
        }
    }
}

fn with(steps: &[Step], step: Step) -> Vec<Step> {
    steps.iter().cloned().chain([step]).collect()
}
