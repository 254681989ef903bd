//! What looks like a reference to a Secret or ConfigMap in a custom kind, at a field that neither Pinfold nor the policy's `references` know.
//!
//! A warning, never a denial, and in guarded namespaces only: names are told by their look, and nobody has said what the field means. It stops
//! an operator that came yesterday from being a way around PF-SEC-001 that nobody notices.

use std::collections::BTreeSet;

use pinfold_model::finding::RuleId;
use pinfold_model::json_path::push_member;
use pinfold_model::object::reference::ReferenceKind;
use pinfold_model::object::{Facts, Object};
use pinfold_model::policy::references::members::each_member;
use serde_json::Value;

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::{Scope, scope};

/// Most values below a member of a document's root that are looked at.
const VISITS_MAX: usize = 100_000;
/// Most bytes of paths that are written to compare them: a document can repeat one long member name in very many.
const PATH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most fields that are kept to tell the first of them.
const KEPT_MAX: usize = 256;
/// Most fields that one answer tells.
const TOLD_MAX: usize = 8;

/// Warns of fields that look like references and are at none of the `known` paths.
pub(super) fn judge(
    context: &Context<'_>,
    object: &Object,
    known: &BTreeSet<String>,
    found: &mut Found,
) {
    let target = &context.facts.target;
    let custom = target.group.contains('.') && !is_built_in(&target.group);
    let Some(document) = context.facts.document.as_ref().filter(|_| custom) else { return };
    if !may_hide(&object.facts) || scope(context, &target.namespace) != Scope::Guarded {
        return;
    }
    let mut walk = Walk { known, told: Vec::new(), path_bytes: 0, whole: true };
    walk.run(document);
    let kind = format!("{}.{}", excerpt(&target.kind), excerpt(&target.group));
    for Look { kind: what, path, name } in walk.told.iter().take(TOLD_MAX) {
        let message = format!(
            "`{}` looks like the name of a {what}, at a field of {kind} that neither Pinfold nor the \
             policy's `references` know",
            excerpt(name)
        );
        let remedy = format!(
            "if it is one, add to `references`: match {{apiGroups: [{}], kinds: [{}]}}, kind {what}, \
             name `{}`",
            excerpt(&target.group),
            excerpt(&target.kind),
            excerpt(&generic(path)),
        );
        found.warn(RuleId::SEC_CROSS_ORGANIZATION, path.as_str(), message, remedy);
    }
    if !walk.whole {
        let message = format!(
            "{kind} has more than {VISITS_MAX} values or {KEPT_MAX} such fields, or too long paths to them, and was looked \
             through for references no further"
        );
        let remedy = "add the kind to the policy's `references`";
        found.warn(RuleId::SEC_CROSS_ORGANIZATION, "$", message, remedy);
    }
}

/// Groups of Kubernetes itself, whose references are all built in (a test holds them to a real API server's schema).
fn is_built_in(group: &str) -> bool {
    const GROUPS: [&str; 15] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "storage.k8s.io",
    ];
    GROUPS.contains(&group)
}

/// Kinds of which the decoder knows at most some fields. What agent resources refer to, other rules judge.
fn may_hide(facts: &Facts) -> bool {
    matches!(facts, Facts::MetaOnly | Facts::Referrer(_))
}

/// Something that looks like a reference.
struct Look<'v> {
    kind: ReferenceKind,
    path: String,
    name: &'v str,
}

struct Walk<'k, 'v> {
    known: &'k BTreeSet<String>,
    told: Vec<Look<'v>>,
    path_bytes: usize,
    whole: bool,
}

impl<'v> Walk<'_, 'v> {
    /// Everything but metadata and status.
    fn run(&mut self, document: &'v Value) {
        for (name, value) in document.as_object().into_iter().flatten() {
            if matches!(name.as_str(), "metadata" | "status") {
                continue;
            }
            let mut root = "$".to_owned();
            push_member(&mut root, name);
            if let Some(kind) = kind_of(name) {
                self.look(kind, &root, value);
            }
            let whole = each_member(&root, value, VISITS_MAX, &mut |member| {
                if let Some(kind) = kind_of(member.name).filter(|_| !self.is_full()) {
                    self.look(kind, &member.path(), member.value);
                }
            });
            self.whole &= whole && !self.is_full();
        }
        self.told.sort_by(|left, right| left.path.cmp(&right.path));
    }

    /// The name in a member that is called like a reference: text, `{name}` or `{secretName}`, or a list of those.
    fn look(&mut self, kind: ReferenceKind, path: &str, value: &'v Value) {
        match value {
            // Text in a member called `secret` is rather the secret itself.
            Value::String(name) if !path.to_ascii_lowercase().ends_with(".secret") => {
                self.tell(kind, path.to_owned(), name);
            }
            Value::Object(members) => {
                if let Some(Value::String(name)) = members.get("name") {
                    self.tell(kind, format!("{path}.name"), name);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    let path = format!("{path}[{index}]");
                    match item {
                        Value::String(name) => self.tell(kind, path, name),
                        Value::Object(_) => self.look(kind, &path, item),
                        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn is_full(&self) -> bool {
        self.path_bytes > PATH_BYTES_MAX || self.told.len() >= KEPT_MAX
    }

    fn tell(&mut self, kind: ReferenceKind, path: String, name: &'v str) {
        self.path_bytes = self.path_bytes.saturating_add(path.len());
        if is_name(name) && !self.known.contains(&path) {
            self.told.push(Look { kind, path, name });
        }
    }
}

/// Whether text can be the name of an object (RFC 1123 subdomain); anything else may be a value, which no message repeats.
fn is_name(text: &str) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain)
}

/// What a member of this name looks like: the names that Kubernetes' own API and its conventions use.
fn kind_of(member: &str) -> Option<ReferenceKind> {
    const SECRETS: [&str; 8] = [
        "secret",
        "secretref",
        "secretrefs",
        "secretname",
        "secretnames",
        "secretkeyref",
        "imagepullsecrets",
        "imagepullsecret",
    ];
    let lower = member.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    if lower.starts_with("configmap") || ends(&["configmapref", "configmapname", "configmapkeyref"])
    {
        return Some(ReferenceKind::ConfigMap);
    }
    let secret = SECRETS.contains(&lower.as_str())
        || ends(&[
            "secretref",
            "secretrefs",
            "secretname",
            "secretkeyref",
            "secretreference",
            "secrettoref",
        ]);
    secret.then_some(ReferenceKind::Secret)
}

/// A path with `[*]` for every index.
fn generic(path: &str) -> String {
    let mut rest = path;
    let mut found = String::with_capacity(path.len());
    while let Some((before, after)) = rest.split_once('[') {
        found.push_str(before);
        let index = after.split_once(']').filter(|(index, _)| {
            !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())
        });
        match index {
            Some((_, after)) => {
                found.push_str("[*]");
                rest = after;
            }
            None => {
                found.push('[');
                rest = after;
            }
        }
    }
    found.push_str(rest);
    found
}
