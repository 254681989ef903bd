//! The engine's side: the same AdmissionReview, judged against a snapshot of the same objects. No question of it is answered.

use jiff::Timestamp;
use pinfold_engine::admit::admit;
use pinfold_engine::rbac::resolver::Resolver;
use pinfold_model::facts::{AccessQuestion, Answers, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::from_value;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::load;
use pinfold_model::snapshot::Snapshot;
use pinfold_model::sources::SourceFile;
use pinfold_review::parse;
use serde_json::{Value, json};

use crate::Outcome;
use crate::kinds::{set, text};
use crate::world::User;

const NOW: Timestamp = Timestamp::constant(1_795_219_200, 0);
const JUDGED: [RuleId; 3] = [RuleId::RBAC_ROLE, RuleId::RBAC_BINDING, RuleId::RBAC_AGENT_BINDING];

/// What the engine says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) allowed: bool,
    /// What denied, in words.
    pub(crate) denials: Vec<String>,
}

/// A policy in which nothing but the compared rules is on.
pub(crate) fn policy() -> Outcome<AdmissionPolicy> {
    let others = RuleId::BUILT_IN.iter().filter(|rule| !JUDGED.contains(rule));
    // PF-REQ can't be switched off, and has nothing to say to reviews of a real API server.
    let off: Vec<Value> = others
        .filter(|rule| !rule.as_str().starts_with("PF-REQ"))
        .map(|rule| json!({"id": rule.as_str(), "mode": "off"}))
        .collect();
    let policy = json!({"apiVersion": "pinfold.dev/v1alpha1", "kind": "AdmissionPolicy",
        "metadata": {"name": "differential"}, "spec": {"rules": off}});
    let file = SourceFile { name: "differential.yaml".to_owned(), text: policy.to_string() };
    let read = load(&[file]).map_err(|errors| format!("{errors:?}"))?;
    read.admission.ok_or_else(|| "no policy".into())
}

/// The view of some objects.
pub(crate) fn view(objects: &[Value]) -> Outcome<Snapshot> {
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.apply(from_value(object)?);
    }
    Ok(snapshot)
}

/// Judges an AdmissionReview.
pub(crate) fn judge(
    review: &[u8],
    view: &Snapshot,
    policy: &AdmissionPolicy,
) -> Result<Judgement, String> {
    let review = parse(review).map_err(|error| error.to_string())?;
    let decision = admit(&review.facts, view, policy, NOW);
    if !decision.undecided.is_empty() {
        return Err(format!("undecided: {:?}", decision.undecided));
    }
    let denials = decision.denials().map(ToString::to_string).collect();
    Ok(Judgement { allowed: decision.allowed(), denials })
}

/// The review of an AgentRoleBinding whose controller would write the binding of this review; `None` if that isn't about a binding.
pub(crate) fn agent_review(review: &[u8]) -> Option<Vec<u8>> {
    const API: &str = "krate.a5c.ai/v1alpha1";
    let mut review: Value = serde_json::from_slice(review).ok()?;
    let kind = text(&review, "/request/kind/kind").to_owned();
    let scope = match kind.as_str() {
        "RoleBinding" => json!({"kind": "namespace", "name": text(&review, "/request/namespace")}),
        "ClusterRoleBinding" => json!({"kind": "cluster"}),
        _ => return None,
    };
    for name in ["kind", "requestKind"] {
        set(
            &mut review,
            "/request",
            name,
            json!({"group": "krate.a5c.ai", "version": "v1alpha1", "kind": "AgentRoleBinding"}),
        );
    }
    for name in ["resource", "requestResource"] {
        set(
            &mut review,
            "/request",
            name,
            json!({"group": "krate.a5c.ai", "version": "v1alpha1", "resource": "agentrolebindings"}),
        );
    }
    for name in ["object", "oldObject"] {
        let native = review.pointer("/request")?.get(name).cloned().unwrap_or_default();
        if native.is_null() {
            continue;
        }
        let subjects = native.get("subjects").cloned().unwrap_or_default().to_string();
        let spec = json!({"subject": {"kind": "group", "name": subjects}, "scope": scope, "roleRef": native.get("roleRef")});
        let object = json!({"apiVersion": API, "kind": "AgentRoleBinding", "metadata": native.get("metadata"), "spec": spec});
        set(&mut review, "/request", name, object);
    }
    serde_json::to_vec(&review).ok()
}

/// What `Resolver::authorize` says to the question of a SubjectAccessReview.
pub(crate) fn may(view: &Snapshot, user: &User, question: &AccessQuestion) -> bool {
    let User { name, groups } = user.clone();
    let requester = Requester { name, groups, ..Requester::default() };
    Resolver::new(view, &Answers::default()).authorize(&requester, question)
}
