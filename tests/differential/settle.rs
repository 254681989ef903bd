//! What has to be asked besides: whether the answers differ as listed, no more and no less.

use serde_json::{Value, json};

use crate::Outcome;
use crate::compare::{Compared, Finding, Ground, Listed, shadow_of};
use crate::kinds::{GROUP, set, text};
use crate::recorder::Reviews;
use crate::requests::{Request, Verb};
use crate::server::{Answered, Server, Stored};

/// A further request, and what the API server must say to it.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    about: Listed,
    request: Request,
    /// Whether it must pass the check.
    passes: bool,
    /// A question that makes up for not passing, if the answer is yes.
    unless: Option<Value>,
}

/// What is in doubt about one comparison.
pub(crate) fn doubts(
    request: &Request,
    compared: &Compared,
    answered: &Answered,
    ground: &Ground<'_>,
) -> Vec<Doubt> {
    let findings = [Some(&compared.native), compared.agent.as_ref()];
    let mut doubts: Vec<Doubt> = findings
        .into_iter()
        .flatten()
        .filter_map(|finding| match finding {
            Finding::Listed(about) => difference(request, *about, answered, ground),
            Finding::Same | Finding::Differs(_) => None,
        })
        .collect();
    doubts.extend(allowance(request, compared, &answered.reviews, ground));
    doubts
}

/// The request to which the API server must say what the engine says to this one.
fn difference(
    request: &Request,
    about: Listed,
    answered: &Answered,
    ground: &Ground<'_>,
) -> Option<Doubt> {
    let request = match about {
        Listed::JudgedAsPost => {
            Request { verb: Verb::Post, name: String::new(), ..request.clone() }
        }
        Listed::UnfilledAggregate => to_shadow(request, ground)?,
        Listed::ForeignRoleRef | Listed::AgentAbsentRole | Listed::AgentRoleRef => {
            return None;
        }
    };
    Some(Doubt { about, request, passes: !answered.verdict.passed(), unless: None })
}

/// Who may bind an aggregate before it is filled must be able to bind what it will be, or have a right to bind it by its name.
fn allowance(
    request: &Request,
    compared: &Compared,
    reviews: &Reviews,
    ground: &Ground<'_>,
) -> Option<Doubt> {
    let shadowed = to_shadow(request, ground)?;
    if !request.creates || !matches!(compared.native, Finding::Same) {
        return None;
    }
    let review: Value = serde_json::from_slice(reviews.validating.as_ref()?).ok()?;
    let user = review.pointer("/request/userInfo")?;
    let reference = request.role_ref(ground.stored)?;
    let bind = json!({"user": user.get("username"), "groups": user.get("groups"), "resourceAttributes": {
        "verb": "bind", "group": GROUP, "version": "v1", "resource": "clusterroles",
        "namespace": request.namespace, "name": text(&reference, "/name")}});
    let about = Listed::UnfilledAggregate;
    Some(Doubt { about, request: shadowed, passes: true, unless: Some(bind) })
}

/// The binding to the filled role, as a new one, because the reference of a stored one can't change.
fn to_shadow(request: &Request, ground: &Ground<'_>) -> Option<Request> {
    let shadow = shadow_of(request, ground)?;
    let mut reference = request.role_ref(ground.stored)?;
    set(&mut reference, "", "name", json!(shadow));
    let mut body = request.kind.object(&request.namespace, "doubted");
    set(&mut body, "", "roleRef", reference);
    Some(Request { verb: Verb::Post, name: String::new(), creates: true, body, ..request.clone() })
}

/// Asks what is in doubt; what doesn't come out as expected is a difference after all.
pub(crate) async fn settle(server: &Server, stored: &Stored, compared: &mut [Compared]) -> Outcome {
    let doubts: Vec<(usize, Doubt)> = compared
        .iter()
        .enumerate()
        .flat_map(|(number, compared)| {
            compared.doubts.iter().map(move |doubt| (number, doubt.clone()))
        })
        .collect();
    let requests: Vec<Request> = doubts.iter().map(|(_, doubt)| doubt.request.clone()).collect();
    for ((number, doubt), answer) in doubts.iter().zip(server.ask(&requests, stored).await?) {
        let passed = answer.as_ref().map(|answered| answered.verdict.passed());
        let mut settled = passed == Ok(doubt.passes);
        if let (false, Some(question)) = (settled, &doubt.unless) {
            settled = server.may(std::slice::from_ref(question)).await? == [true];
        }
        if let Some(compared) = compared.get_mut(*number).filter(|_| !settled) {
            let said = answer.map(|answered| answered.verdict);
            compared.unsettle(doubt, &format!("{said:?}"));
        }
    }
    Ok(())
}

impl Compared {
    fn unsettle(&mut self, doubt: &Doubt, answer: &str) {
        let Doubt { about, passes, request, unless } = doubt;
        let told = format!(
            "not {about:?}: the API server should let by ({passes}) the `{:?}` of {}, but says {answer}",
            request.verb, request.body
        );
        for finding in [Some(&mut self.native), self.agent.as_mut()].into_iter().flatten() {
            let concerned = match finding {
                Finding::Listed(found) => found == about,
                Finding::Same => unless.is_some(),
                Finding::Differs(_) => false,
            };
            if concerned {
                *finding = Finding::Differs(told.clone());
            }
        }
    }
}
