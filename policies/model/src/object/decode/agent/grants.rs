//! AgentSecretGrant and AgentConfigGrant. What can't be read as what it should be is a fault: a grant that has any grants nothing.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::wire::{Block, Link, List, Many, Named, Text, Written};
use super::Spec;
use super::links::{Instant, Links, instant, repository_name};
use crate::object::agent::{
    Grant as Ready, GrantObject, GrantPattern, GrantSubject, MountPolicy, RequiredApproval, Ties,
};
use crate::object::reference::ReferenceKind;
use crate::object::{Facts, ObjectKey};
use crate::pattern::Pattern;

/// Who may use a Secret or ConfigMap, for what, and how.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Grant<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// `deny` makes it an explicit denial of what it names; `allow` if it is left out.
    #[serde(borrow)]
    effect: Text<'a>,
    /// The same as `effect: deny`.
    deny: Option<bool>,
    /// Who may.
    #[serde(borrow)]
    subject: Block<Subject<'a>>,
    /// The Secret, of an AgentSecretGrant.
    #[serde(borrow)]
    secret_ref: Written<'a, ObjectParts<'a>>,
    /// The ConfigMap, of an AgentConfigGrant.
    #[serde(borrow)]
    config_map_ref: Written<'a, ObjectParts<'a>>,
    /// What for.
    #[serde(borrow)]
    purpose: Text<'a>,
    /// Repositories whose work may; none means any of the organization.
    #[serde(borrow)]
    allowed_repositories: List<Link<'a>>,
    /// Refs whose work may: `{include, exclude}` of globs, or a list of those included.
    #[serde(borrow)]
    allowed_refs: Refs<'a>,
    /// Kinds of events whose work may; none means any.
    #[serde(borrow)]
    allowed_trigger_sources: List<Text<'a>>,
    /// How it may be used: `env`, `file`, `projected-volume`, `never-mount-pass-by-reference`, and `api-read` of a ConfigMap; one or a list.
    #[serde(borrow)]
    mount_policy: Many<Text<'a>>,
    /// When an approval is needed: `never`, `on-untrusted-ref`, `always`.
    #[serde(borrow)]
    required_approval: Text<'a>,
    /// How old the value may become.
    rotation_policy: Block<Rotation>,
    /// Whether untrusted work may use it too.
    allow_untrusted_refs: Option<bool>,
    /// The grant begins at this instant (RFC 3339).
    #[serde(borrow)]
    not_before: Instant<'a>,
    /// The grant ends at this instant (RFC 3339).
    #[serde(borrow)]
    expires_at: Instant<'a>,
    /// Whether it is taken back.
    revoked: Option<bool>,
}

/// What is known of a grant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct GrantStatus<'a> {
    /// `Revoked` takes it back.
    #[serde(borrow)]
    phase: Text<'a>,
    /// When it was taken back.
    #[serde(borrow)]
    revoked_at: Instant<'a>,
    /// When the value was last changed (RFC 3339).
    #[serde(borrow)]
    last_rotated_at: Instant<'a>,
}

/// Who may use it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Subject<'a> {
    /// `agent-stack`, `service-account`, `runner-pool`, `user`, `group`, `team`, `tool-profile`, `mcp-server`, `skill`, `subagent`, `repository`,
    /// `organization`.
    #[serde(borrow)]
    kind: Text<'a>,
    /// Name.
    #[serde(borrow)]
    name: Text<'a>,
    /// Namespace; the grant's if it is left out.
    #[serde(borrow)]
    namespace: Text<'a>,
    /// An AgentServiceAccount or ServiceAccount.
    #[serde(borrow)]
    service_account_ref: Link<'a>,
    /// An AgentStack.
    #[serde(borrow)]
    stack_ref: Link<'a>,
}

/// A Secret or ConfigMap, and which of its keys.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct ObjectParts<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    keys: List<Text<'a>>,
}

/// How old the value may become.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Rotation {
    /// Days after its last change.
    max_age_days: Option<i64>,
}

/// Globs of refs: both lists, or the first alone.
#[derive(Debug, Default)]
struct Refs<'a>(RefLists<'a>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RefLists<'a> {
    #[serde(borrow)]
    include: List<Text<'a>>,
    #[serde(borrow)]
    exclude: List<Text<'a>>,
}

impl JsonSchema for Refs<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Refs".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true})
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Refs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RefsVisitor)
    }
}

struct RefsVisitor;

impl<'de> Visitor<'de> for RefsVisitor {
    type Value = Refs<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `include` and `exclude`, or a list of refs")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Refs::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        RefLists::deserialize(MapAccessDeserializer::new(map)).map(Refs)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let include = Vec::deserialize(SeqAccessDeserializer::new(items)).map(List)?;
        Ok(Refs(RefLists { include, exclude: List::default() }))
    }
}

impl<'a> Spec for Grant<'a> {
    type Status = GrantStatus<'a>;

    fn facts(&self, status: &GrantStatus<'a>, key: &ObjectKey) -> Facts {
        let mut faults = Vec::new();
        let refs = &self.allowed_refs.0;
        Facts::Grant(Box::new(Ready {
            ties: self.ties(),
            denies: self.denies(&mut faults),
            subject: self.subject.get().map(|subject| subject.ready(key)).unwrap_or_default(),
            object: self.object(key),
            purpose: self.purpose.owned(),
            repositories: self.allowed_repositories.0.iter().map(repository_name).collect(),
            refs_included: patterns(&refs.include, "$.spec.allowedRefs.include", &mut faults),
            refs_excluded: patterns(&refs.exclude, "$.spec.allowedRefs.exclude", &mut faults),
            trigger_sources: self.allowed_trigger_sources.owned(),
            mounts: self.mounts(key, &mut faults),
            approval: self.approval(&mut faults),
            max_age_days: self.max_age_days(&mut faults),
            untrusted: self.allow_untrusted_refs == Some(true),
            not_before: instant(&self.not_before, "$.spec.notBefore", &mut faults),
            expires_at: instant(&self.expires_at, "$.spec.expiresAt", &mut faults),
            revoked: self.revoked == Some(true) || status.revokes(),
            rotated_at: instant(&status.last_rotated_at, "$.status.lastRotatedAt", &mut faults),
            faults,
        }))
    }
}

impl GrantStatus<'_> {
    /// A time of revocation revokes, whatever it says.
    fn revokes(&self) -> bool {
        self.phase.as_str().eq_ignore_ascii_case("revoked") || self.revoked_at.is_some()
    }
}

impl Grant<'_> {
    fn ties(&self) -> Ties {
        let none = Subject::default();
        let subject = self.subject.get().unwrap_or(&none);
        let parts = [&subject.kind, &subject.namespace, &subject.name];
        Links::default()
            .subject("$.spec.subject.name", parts)
            .one("AgentStack", "$.spec.subject.stackRef", &subject.stack_ref)
            .one(
                "AgentServiceAccount",
                "$.spec.subject.serviceAccountRef",
                &subject.service_account_ref,
            )
            .ties(&self.organization_ref)
    }

    fn denies(&self, faults: &mut Vec<String>) -> bool {
        let denies = match self.effect.as_str() {
            "" | "allow" | "Allow" => false,
            "deny" | "Deny" => true,
            _ => {
                faults.push("`$.spec.effect`: expected `allow` or `deny`, found other text".into());
                false
            }
        };
        denies || self.deny == Some(true)
    }

    fn object(&self, key: &ObjectKey) -> GrantObject {
        let (kind, written) = if key.kind == "AgentConfigGrant" {
            (ReferenceKind::ConfigMap, &self.config_map_ref)
        } else {
            (ReferenceKind::Secret, &self.secret_ref)
        };
        let none = String::new();
        match written {
            Written::Text(name) => {
                GrantObject { kind, namespace: none, name: name.owned(), keys: Vec::new() }
            }
            Written::Parts(parts) => GrantObject {
                kind,
                namespace: parts.namespace.owned(),
                name: parts.name.owned(),
                keys: parts.key.some().into_iter().chain(parts.keys.owned()).collect(),
            },
        }
    }

    fn mounts(&self, key: &ObjectKey, faults: &mut Vec<String>) -> Vec<MountPolicy> {
        let config = key.kind == "AgentConfigGrant";
        let mut found = Vec::new();
        let left_out = self.mount_policy.0.iter().all(Text::is_empty);
        for written in self.mount_policy.0.iter().filter(|_| !left_out) {
            match written.as_str() {
                "env" => found.push(MountPolicy::Env),
                "file" => found.push(MountPolicy::File),
                "projected-volume" => found.push(MountPolicy::ProjectedVolume),
                "never-mount-pass-by-reference" => found.push(MountPolicy::ByReference),
                "api-read" if config => found.push(MountPolicy::ApiRead),
                _ => faults.push(format!(
                    "`$.spec.mountPolicy`: expected `env`, `file`, `projected-volume` or {}, found other text",
                    if config { "`api-read`" } else { "`never-mount-pass-by-reference`" }
                )),
            }
        }
        found
    }

    fn approval(&self, faults: &mut Vec<String>) -> RequiredApproval {
        match self.required_approval.as_str() {
            "" | "never" => RequiredApproval::Never,
            "on-untrusted-ref" => RequiredApproval::OnUntrustedRef,
            "always" => RequiredApproval::Always,
            _ => {
                faults.push(
                    "`$.spec.requiredApproval`: expected `never`, `on-untrusted-ref` or `always`, found other text"
                        .to_owned(),
                );
                RequiredApproval::Always
            }
        }
    }

    fn max_age_days(&self, faults: &mut Vec<String>) -> Option<u32> {
        let days = self.rotation_policy.get()?.max_age_days?;
        let ready = u32::try_from(days).ok().filter(|days| *days > 0);
        if ready.is_none() {
            faults.push(format!(
                "`$.spec.rotationPolicy.maxAgeDays`: expected 1 to {}, found {days}",
                u32::MAX
            ));
        }
        ready
    }
}

impl Subject<'_> {
    fn ready(&self, key: &ObjectKey) -> GrantSubject {
        GrantSubject {
            kind: self.kind.owned(),
            name: self.name.owned(),
            namespace: self.namespace.owned(),
            service_account: self.service_account_ref.placed(&key.namespace),
            stack: self.stack_ref.placed(&key.namespace),
        }
    }
}

/// Globs over refs; an empty one is none.
fn patterns(list: &List<Text<'_>>, path: &str, faults: &mut Vec<String>) -> Vec<GrantPattern> {
    let mut found = Vec::new();
    for (index, text) in list.0.iter().enumerate() {
        let pattern = Pattern::path_glob(text.as_str());
        if let Err(reason) = &pattern {
            faults.push(format!(
                "`{path}[{index}]`: expected a glob over refs, found other text: {reason}"
            ));
        }
        found.push(GrantPattern { text: text.owned(), pattern: pattern.ok() });
    }
    found
}
