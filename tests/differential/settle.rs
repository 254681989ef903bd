//! What has to be asked besides: whether the engine is stricter as documented, no more and no less.

use serde_json::{Value, json};

use crate::Outcome;
use crate::compare::{Compared, Finding, Ground, Stricter, shadow_of};
use crate::kinds::{GROUP, set, text};
use crate::recorder::Reviews;
use crate::requests::{Request, Verb};
use crate::server::{Server, Stored};

/// A further request, and what the API server must say to it.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    request: Request,
    expected: Expected,
}

#[derive(Debug, Clone)]
enum Expected {
    /// To be denied, because the engine denied for this reason.
    Denied(Stricter),
    /// To be let by, because the engine allowed to bind an aggregate that isn't filled; or this question has the answer yes, which
    /// is asked about the name of the aggregate itself.
    Passed(Value),
}

/// What is in doubt about one comparison.
pub(crate) fn doubts(
    request: &Request,
    compared: &Compared,
    reviews: &Reviews,
    ground: &Ground<'_>,
) -> Vec<Doubt> {
    let findings = [Some(&compared.native), compared.agent.as_ref()];
    let mut doubts: Vec<Doubt> = findings
        .into_iter()
        .flatten()
        .filter_map(|finding| match finding {
            Finding::Stricter(why) => denial(request, *why, ground),
            Finding::Same | Finding::Differs(_) => None,
        })
        .collect();
    doubts.extend(allowance(request, compared, reviews, ground));
    doubts
}

/// The request that the API server must deny, if the engine is stricter for this reason.
fn denial(request: &Request, why: Stricter, ground: &Ground<'_>) -> Option<Doubt> {
    let request = match why {
        Stricter::NamedEscalate => {
            Request { verb: Verb::Post, name: String::new(), ..request.clone() }
        }
        Stricter::UnfilledAggregate => to_shadow(request, ground)?,
        Stricter::ForeignRoleRef | Stricter::AgentAbsentRole | Stricter::AgentRoleRef => {
            return None;
        }
    };
    Some(Doubt { request, expected: Expected::Denied(why) })
}

/// Who may bind an aggregate before it is filled must be able to bind what it will be.
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
    Some(Doubt { request: shadowed, expected: Expected::Passed(bind) })
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
        let settled = match (&doubt.expected, &passed) {
            (Expected::Denied(_), Ok(false)) | (Expected::Passed(_), Ok(true)) => true,
            (Expected::Passed(bind), Ok(false)) => {
                server.may(std::slice::from_ref(bind)).await? == [true]
            }
            (Expected::Denied(_), Ok(true)) | (_, Err(_)) => false,
        };
        if let Some(compared) = compared.get_mut(*number).filter(|_| !settled) {
            compared.unsettle(&doubt.expected, &format!("{answer:?}"));
        }
    }
    Ok(())
}

impl Compared {
    fn unsettle(&mut self, expected: &Expected, answer: &str) {
        let told = match expected {
            Expected::Denied(why) => {
                format!(
                    "the engine denies, but not for {why:?}, for which the API server says {answer}"
                )
            }
            Expected::Passed(_) => {
                format!(
                    "the engine allows to bind an aggregate, but to the filled one the API server says {answer}"
                )
            }
        };
        for finding in [Some(&mut self.native), self.agent.as_mut()].into_iter().flatten() {
            let concerned = match (expected, &*finding) {
                (Expected::Denied(why), Finding::Stricter(found)) => why == found,
                (Expected::Passed(_), Finding::Same) => true,
                (_, Finding::Same | Finding::Stricter(_) | Finding::Differs(_)) => false,
            };
            if concerned {
                *finding = Finding::Differs(told.clone());
            }
        }
    }
}
