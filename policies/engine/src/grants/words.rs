//! Grants, needs and bearers in words.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::agent::MountPolicy;
use pinfold_model::object::reference::{Keys, Mount, ReferenceKind};
use serde_json::Value;

use super::{Bearer, Need, shown};
use crate::rbac::describe::{excerpt, list};

/// The kind of grant for a kind of object.
pub(super) fn grant_kind(kind: ReferenceKind) -> &'static str {
    match kind {
        ReferenceKind::Secret => "AgentSecretGrant",
        ReferenceKind::ConfigMap => "AgentConfigGrant",
    }
}

/// ``AgentSecretGrant `ns/name` ``.
pub(super) fn object(key: &ObjectKey) -> String {
    format!("{} `{}/{}`", key.kind, excerpt(&key.namespace), excerpt(&key.name))
}

/// What is to be used, and how: ``Secret `ns/name` (key `a`, in the environment)``.
pub(super) fn need(need: &Need<'_>) -> String {
    let keys = match need.keys {
        Keys::All => "whole".to_owned(),
        Keys::Named(keys) => {
            let word = if keys.len() == 1 { "key" } else { "keys" };
            format!("{word} {}", list(keys.iter().map(String::as_str)))
        }
    };
    let how = match need.mount {
        None => String::new(),
        Some(mount) => format!(", {}", self::mount(mount)),
    };
    format!("{} `{}/{}` ({keys}{how})", need.kind, excerpt(need.namespace), excerpt(need.name))
}

pub(super) fn mount(mount: Mount) -> &'static str {
    match mount {
        Mount::Env => "in the environment",
        Mount::File => "as files",
        Mount::Projected => "in a projected volume",
        Mount::ByReference => "by its sidecar alone",
        Mount::ImagePull => "to pull images",
        Mount::Driver => "for a volume driver",
        Mount::Other => "by name",
    }
}

/// Whose work it is: ``for ServiceAccount `ns/name`, repository `r` ``.
pub(super) fn bearer(bearer: &Bearer<'_>) -> String {
    let account = bearer.service_account.map(|name| format!("{}/{name}", bearer.namespace));
    let known = [
        ("ServiceAccount", account.as_deref()),
        ("AgentStack", bearer.stack),
        ("repository", bearer.repository),
        ("ref", bearer.git_ref),
        ("trigger", bearer.trigger_source),
    ];
    let known: Vec<String> = known
        .into_iter()
        .filter_map(|(what, name)| Some(format!("{what} {}", shown(name?))))
        .collect();
    match known.as_slice() {
        [] => format!("for work in namespace {}", shown(bearer.namespace)),
        known => format!("for {}", known.join(", ")),
    }
}

/// A mount policy as grants write it.
pub(super) fn policy(policy: MountPolicy) -> &'static str {
    match policy {
        MountPolicy::Env => "env",
        MountPolicy::File => "file",
        MountPolicy::ProjectedVolume => "projected-volume",
        MountPolicy::ByReference => "never-mount-pass-by-reference",
        MountPolicy::ApiRead => "api-read",
    }
}

/// What to do, and the grant that would be enough.
pub(super) fn remedy(first: &str, suggestion: Option<&Value>) -> String {
    let Some(suggestion) = suggestion else {
        return match first {
            "" => "use what a grant gives this work".to_owned(),
            first => first.to_owned(),
        };
    };
    let apply = format!("have somebody who may read it apply {}", ascii(&suggestion.to_string()));
    if first.is_empty() { apply } else { format!("{first}; or {apply}") }
}

/// JSON in which nothing hides: all but ASCII escaped.
fn ascii(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            shown.push(character);
            continue;
        }
        let mut units = [0_u16; 2];
        for unit in character.encode_utf16(&mut units) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}
