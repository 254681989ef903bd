//! PF-POD-008: nothing leads from outside to the sidecar's ports: no Service, no endpoints that somebody writes.
//!
//! The gateway answers whoever asks it with the agent's credentials. It listens on loopback alone; this holds should a node, a mesh or a later version
//! listen wider. Metrics are for who runs the platform.

use pinfold_model::facts::{Question, Requester};
use pinfold_model::finding::RuleId;
use pinfold_model::object::Object;
use pinfold_model::object::storage::SidecarPort;
use pinfold_model::policy::inject::Profile;

use super::super::pf_rbac::deputy::administers;
use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::rbac::describe::excerpt;
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::POD_EXPOSED;
/// The same controllers where they share one identity.
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// Who writes endpoints as Services say, which were judged.
const CONTROLLERS: [&str; 3] =
    ["endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller"];

/// Judges a Service or its endpoints.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref().filter(|_| facts.brings_content()) else { return };
    let ports = ports(object);
    if ports.is_empty() || context.policy.inject.profile == Profile::None {
        return;
    }
    match scope(context, &facts.target.namespace) {
        Scope::Guarded => {}
        Scope::Unknown => found.ask(Question::Object(namespace_key(&facts.target.namespace))),
        Scope::Elsewhere | Scope::Platform => return,
    }
    let endpoints = object.key.kind != "Service";
    if endpoints && facts.requester.as_ref().is_some_and(follows_services) {
        return;
    }
    let old = facts.old_object.as_ref().map(self::ports).unwrap_or_default();
    for port in ports.iter().filter(|port| !old.contains(port)) {
        if port.metrics {
            judge_metrics(context, port, found);
        } else {
            let does = "is for its agent alone, with whose credentials it asks others";
            tell(port, does, "lead to a port of the agent's own", found);
        }
    }
}

fn ports(object: &Object) -> &[SidecarPort] {
    object.facts.referrer().map(|found| found.sidecar_ports.as_slice()).unwrap_or_default()
}

fn judge_metrics(context: &Context<'_>, port: &SidecarPort, found: &mut Found) {
    if administers(context, RULE, found) == Some(false) {
        let does = "is for the platform's administrators: it tells whom the agent talks to";
        let remedy = "have a platform administrator (`organizations.platformAdmins`) do it";
        tell(port, does, remedy, found);
    }
}

fn tell(port: &SidecarPort, does: &str, remedy: &str, found: &mut Found) {
    let message = format!("leads to port `{}` of the sidecar, which {does}", excerpt(&port.port));
    found.add(RULE, port.path.as_str(), message, remedy);
}

fn follows_services(requester: &Requester) -> bool {
    let account = requester.service_account();
    let controller =
        |(namespace, name): (&str, &str)| namespace == "kube-system" && CONTROLLERS.contains(&name);
    requester.name == CONTROLLER_MANAGER || account.is_some_and(controller)
}
