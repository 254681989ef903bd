//! Cases of permissions that wait for what had to be confirmed.

use pinfold_model::object::ObjectKey;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;

/// More than all rounds ask.
const MANY: usize = 40;
const REVIEW: &str = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
    "resource": {"group": "", "version": "v1", "resource": "configmaps"}, "name": "c", "namespace": "n", "operation": "CREATE", "userInfo": {"username": "dev"},
    "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}}}"#;

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("", "Namespace", "", &format!("n{number}"))
}

/// A permission of the engine's, and questions that it rests on.
fn permission() -> Decision {
    let text = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: p}\nspec: {mode: enforce}\n";
    let file = SourceFile { name: "p.yaml".to_owned(), text: text.to_owned() };
    let policy = load(&[file]).unwrap().admission.unwrap();
    let facts = parse(REVIEW.as_bytes()).unwrap().facts;
    let mut decision = admit::admit(&facts, &Snapshot::default(), &policy, now());
    assert!(decision.allowed(), "{:?}", decision.findings);
    decision.questions = (0..MANY).map(|number| Question::Object(key(number))).collect();
    decision
}

fn answered(numbers: std::ops::Range<usize>) -> Answers {
    Answers { objects: numbers.map(|number| (key(number), None)).collect(), ..Answers::default() }
}

#[test]
fn a_permission_waits_for_every_confirmation_that_can_be_asked_for() {
    let decision = permission();
    let all = |_: &Question| true;
    let none = |_: &Question| false;
    let last = |question: &Question| *question == Question::Object(key(MANY - 1));
    assert_eq!(unconfirmed(&decision, &answered(0..MANY), all), None);
    for said in [0..0, 0..24, 0..MANY - 1] {
        assert!(unconfirmed(&decision, &answered(said.clone()), all).is_some(), "{said:?}");
        assert!(unconfirmed(&decision, &answered(said.clone()), last).is_some(), "{said:?}");
        // Without an API server, and of kinds that aren't watched, there is nothing to wait for.
        assert_eq!(unconfirmed(&decision, &answered(said), none), None);
    }
    let denied = Decision { permit: None, ..decision };
    assert_eq!(unconfirmed(&denied, &Answers::default(), all), None, "denied for its own reasons");
}
