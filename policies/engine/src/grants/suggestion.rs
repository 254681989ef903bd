//! The least grant that would be enough, as a manifest.

use pinfold_model::object::agent::MountPolicy;
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use pinfold_model::object::{AGENT_GROUPS, ObjectKey};
use pinfold_model::pattern::PATTERN_BYTES_MAX;
use serde_json::{Map, Value, json};

use super::fit::PULL_KEYS;
use super::{Case, lookup, places, qualified, words};

/// The longest name that a manifest is given, in characters; its number comes after.
const NAME_CHARS_MAX: usize = 200;
/// How many names are tried.
const NAMES_MAX: u32 = 100;

/// A grant for exactly this work and use; `None` if it can't be written, because nothing says who would be its subject.
pub(super) fn grant(case: &Case<'_, '_>, near: Option<&ObjectKey>) -> Option<Value> {
    let (bearer, need) = (case.bearer, case.need);
    let subject = subject(case)?;
    let kind = words::grant_kind(need.kind);
    let group =
        near.or(bearer.run).map_or(AGENT_GROUPS.first().copied()?, |key| key.group.as_str());
    let group =
        AGENT_GROUPS.into_iter().find(|known| *known == group).or(AGENT_GROUPS.first().copied())?;
    let mut spec = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            spec.insert(name.to_owned(), value);
        }
    };
    set("organizationRef", bearer.organization.map(Value::from));
    set("subject", Some(subject));
    set(object_field(need.kind), Some(object(case)?));
    set("purpose", need.purpose.map(Value::from));
    let repository = bearer.repository.map(|name| qualified(name, bearer.organization));
    set("allowedRepositories", repository.map(|name| json!([name])));
    set("allowedRefs", refs(bearer.git_ref)?);
    set("allowedTriggerSources", bearer.trigger_source.map(|source| json!([source])));
    set("mountPolicy", mount(case).map(|policy| Value::from(words::policy(policy))));
    let untrusted = need.kind == ReferenceKind::Secret && !bearer.trusted;
    set("allowUntrustedRefs", untrusted.then_some(Value::Bool(true)));
    let name = free_name(case, (group, kind))?;
    Some(json!({
        "apiVersion": format!("{group}/v1alpha1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": bearer.namespace},
        "spec": spec,
    }))
}

fn object_field(kind: ReferenceKind) -> &'static str {
    match kind {
        ReferenceKind::Secret => "secretRef",
        ReferenceKind::ConfigMap => "configMapRef",
    }
}

/// The stack and what it runs as, else the ServiceAccount alone.
fn subject(case: &Case<'_, '_>) -> Option<Value> {
    let mut subject = Map::new();
    let account = case.bearer.service_account;
    if let Some(stack) = case.bearer.stack {
        subject.insert("kind".to_owned(), "agent-stack".into());
        subject.insert("name".to_owned(), stack.into());
        if let Some(account) = account {
            subject.insert("serviceAccountRef".to_owned(), account.into());
        }
    } else {
        subject.insert("kind".to_owned(), "service-account".into());
        subject.insert("name".to_owned(), account?.into());
    }
    Some(Value::Object(subject))
}

fn object(case: &Case<'_, '_>) -> Option<Value> {
    let need = case.need;
    if need.name.is_empty() || need.namespace.is_empty() {
        return None;
    }
    let keys: Vec<String> = match (need.keys, need.mount) {
        (Keys::Named(keys), _) => keys.clone(),
        (Keys::All, Some(Mount::ImagePull)) => {
            PULL_KEYS.first().map(|key| (*key).to_owned()).into_iter().collect()
        }
        (Keys::All, _) => Vec::new(),
    };
    let mut object = Map::new();
    object.insert("namespace".to_owned(), need.namespace.into());
    object.insert("name".to_owned(), need.name.into());
    if !keys.is_empty() {
        object.insert("keys".to_owned(), keys.into());
    }
    Some(Value::Object(object))
}

/// `allowedRefs` for a ref: nothing for one that isn't known or can't be a pattern's; `None` for one too long to write.
fn refs(git_ref: Option<&str>) -> Option<Option<Value>> {
    match git_ref.filter(|git_ref| places::is_full(git_ref)) {
        Some(long) if long.len() > PATTERN_BYTES_MAX => None,
        Some(git_ref) => Some(Some(json!({"include": [git_ref]}))),
        None => Some(None),
    }
}

/// The way that is used; what isn't mounted may be passed by reference, where there is such a policy. In a review, a file: it can be of one key, and
/// isn't inherited as an environment is.
fn mount(case: &Case<'_, '_>) -> Option<MountPolicy> {
    let secret = case.need.kind == ReferenceKind::Secret;
    match case.need.mount {
        Some(Mount::Env) => Some(MountPolicy::Env),
        Some(Mount::File) | None => Some(MountPolicy::File),
        Some(Mount::Projected) => Some(MountPolicy::ProjectedVolume),
        Some(Mount::ByReference) => Some(MountPolicy::ByReference),
        Some(Mount::ImagePull | Mount::Driver | Mount::Other) => {
            secret.then_some(MountPolicy::ByReference)
        }
    }
}

/// A name that no grant has yet: who, what and how.
fn free_name(case: &Case<'_, '_>, (group, kind): (&str, &str)) -> Option<String> {
    let (bearer, need) = (case.bearer, case.need);
    let who = bearer.stack.or(bearer.service_account)?;
    let how = mount(case).map(words::policy).unwrap_or_default();
    let text = format!("{who}-{}-{how}", need.name).to_ascii_lowercase();
    let plain: String = text
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .take(NAME_CHARS_MAX)
        .collect();
    let stem = plain.trim_matches('-');
    let stem = if stem.is_empty() { "grant" } else { stem };
    let named = |number: u32| match number {
        1 => stem.to_owned(),
        number => format!("{stem}-{number}"),
    };
    let free = |name: &String| {
        lookup(case.world, &ObjectKey::new(group, kind, bearer.namespace, name)).is_none()
    };
    (1..=NAMES_MAX).map(named).find(free)
}
