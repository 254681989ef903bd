//! Both answers to one request side by side, and the few places where they differ on purpose.

use std::collections::BTreeMap;

use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use crate::engine::{self, Judgement};
use crate::kinds::{Identity, text};
use crate::requests::Request;
use crate::server::{Answered, Stored, Verdict};
use crate::settle::{Doubt, doubts};

/// Where the answers may differ, on purpose; everything else that differs is a difference. But for the first, the engine is the stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Listed {
    /// A Role or ClusterRole created by PUT or apply, which say its name where POST has none, so that rights to `escalate` that are limited
    /// to names count differently. A review doesn't say how a creation was sent, so the engine judges all as POST. Held to: the API
    /// server says what the engine says, if the same is sent by POST.
    JudgedAsPost,
    /// A ClusterRole that aggregates and that the controller hasn't filled gives nothing yet; the engine judges what it will give. Held
    /// to: the API server denies the same with a role that the controller did fill.
    UnfilledAggregate,
    /// A roleRef of a foreign API group. Both refuse: the API server by validation, after its check.
    ForeignRoleRef,
    /// An AgentRoleBinding to a role that doesn't exist: `bind` is enough for the native one.
    AgentAbsentRole,
    /// An AgentRoleBinding to what can't be bound. Both refuse, as above.
    AgentRoleRef,
}

impl Listed {
    pub(crate) const ALL: [Self; 5] = [
        Self::JudgedAsPost,
        Self::UnfilledAggregate,
        Self::ForeignRoleRef,
        Self::AgentAbsentRole,
        Self::AgentRoleRef,
    ];
}

/// What came of one request.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The same.
    Same,
    /// Listed, in this way.
    Listed(Listed),
    /// Not the same.
    Differs(String),
}

/// What the comparison of one request needs of the rest of the world.
pub(crate) struct Ground<'a> {
    pub(crate) view: &'a Snapshot,
    pub(crate) policy: &'a AdmissionPolicy,
    pub(crate) shadows: &'a BTreeMap<String, String>,
    pub(crate) stored: &'a Stored,
}

/// Both sides of one request.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) native: Finding,
    /// Of the AgentRoleBinding that leads to the same binding.
    pub(crate) agent: Option<Finding>,
    /// What else has to be asked to know that the answers differ as listed, no more and no less.
    pub(crate) doubts: Vec<Doubt>,
}

/// Compares; whether what differs does so as listed is still in doubt.
pub(crate) fn compare(request: &Request, answered: &Answered, ground: &Ground<'_>) -> Compared {
    let mut compared = Compared { native: Finding::Same, agent: None, doubts: Vec::new() };
    let Answered { verdict, reviews } = answered;
    for review in [&reviews.mutating, &reviews.validating].into_iter().flatten() {
        if matches!(compared.native, Finding::Same) {
            compared.native =
                native(request, verdict, engine::judge(review, ground.view, ground.policy), ground);
        }
    }
    let agent = reviews.mutating.as_ref().and_then(|review| engine::agent_review(review));
    if let Some(agent) = agent {
        compared.agent = Some(agent_binding(
            request,
            verdict,
            engine::judge(&agent, ground.view, ground.policy),
            ground,
        ));
    }
    compared.doubts = doubts(request, &compared, answered, ground);
    compared
}

fn native(
    request: &Request,
    verdict: &Verdict,
    judged: Result<Judgement, String>,
    ground: &Ground<'_>,
) -> Finding {
    side_by_side("binding or role", verdict, judged, || {
        if request.kind.is_role() && request.creates && !request.name.is_empty() {
            Some(Listed::JudgedAsPost)
        } else if !verdict.passed() {
            None
        } else if verdict.refused_for(&["roleRef.apiGroup"]) {
            Some(Listed::ForeignRoleRef)
        } else {
            shadow_of(request, ground).map(|_| Listed::UnfilledAggregate)
        }
    })
}

fn agent_binding(
    request: &Request,
    verdict: &Verdict,
    judged: Result<Judgement, String>,
    ground: &Ground<'_>,
) -> Finding {
    side_by_side("AgentRoleBinding", verdict, judged, || {
        let role = role_of(request, ground);
        if !verdict.passed() {
            None
        } else if verdict.refused_for(&["roleRef.apiGroup", "roleRef.kind"]) {
            Some(Listed::AgentRoleRef)
        } else if role.is_some_and(|role| ground.stored.object(&role).is_none()) {
            Some(Listed::AgentAbsentRole)
        } else {
            shadow_of(request, ground).map(|_| Listed::UnfilledAggregate)
        }
    })
}

/// The same, or not for a listed reason, or a difference.
fn side_by_side(
    what: &str,
    verdict: &Verdict,
    judged: Result<Judgement, String>,
    listed: impl FnOnce() -> Option<Listed>,
) -> Finding {
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => {
            return Finding::Differs(format!("{what}: the engine can't read it: {error}"));
        }
    };
    if judged.allowed == verdict.passed() {
        return Finding::Same;
    }
    listed().map_or_else(
        || Finding::Differs(format!("{what}: API server {verdict:?}; engine {judged:?}")),
        Finding::Listed,
    )
}

/// The role that a binding names.
fn role_of(request: &Request, ground: &Ground<'_>) -> Option<Identity> {
    let reference = request.role_ref(ground.stored)?;
    let kind = text(&reference, "/kind").to_owned();
    let namespace = if kind == "Role" { request.namespace.clone() } else { String::new() };
    Some((kind, namespace, text(&reference, "/name").to_owned()))
}

/// The filled role in the place of an unfilled aggregate that a binding names.
pub(crate) fn shadow_of<'g>(request: &Request, ground: &'g Ground<'_>) -> Option<&'g String> {
    let (kind, _, name) = role_of(request, ground)?;
    ground.shadows.get(&name).filter(|_| kind == "ClusterRole")
}
