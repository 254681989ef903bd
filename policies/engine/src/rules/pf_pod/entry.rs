//! PF-POD-006: ways into a running agent's pod, from outside: exec, attach, port-forward, the proxy of the API server, ephemeral containers.
//!
//! Whoever is in the sidecar holds its credentials; whoever speaks to its gateway uses them. In the agent's own containers the guard holds for people
//! as it does for the agent. An agent enters no pod.

use pinfold_model::facts::{Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::pod::Workload;
use pinfold_model::policy::inject::{ADMIN_PORT, PORTS, Profile, RESERVED_PREFIX};

use crate::agent_workload::{Membership, membership};
use crate::context::{Context, Found};
use crate::organization::namespace_key;
use crate::rbac::agents::Agents;
use crate::rbac::describe::excerpt;
use crate::trust::{Scope, scope};

const RULE: RuleId = RuleId::POD_ENTRY;

/// Judges a connection to a pod, or a container that is added to it.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    if context.policy.inject.profile == Profile::None {
        return;
    }
    let subresource = facts.subresource.as_str();
    let options = facts.document.as_ref();
    let text = |name: &str| options.and_then(|options| options.get(name)?.as_str());
    let mut own = Found::default();
    match (facts.operation, subresource) {
        (Operation::Connect, "exec" | "attach") => {
            judge_agent(context, &mut own);
            judge_container(text("container").unwrap_or_default(), &mut own);
        }
        (Operation::Connect, "portforward") => judge_forward(&mut own),
        (Operation::Connect, "proxy") if facts.target.kind == "PodProxyOptions" => {
            judge_agent(context, &mut own);
            judge_port(&facts.target.name, &mut own);
        }
        (Operation::Update, "ephemeralcontainers") => judge_agent(context, &mut own),
        _ => return,
    }
    let nothing = own.raw.is_empty() && own.undecided.is_empty();
    if nothing || !reaches_agent(context, found) {
        return;
    }
    found.raw.append(&mut own.raw);
    own.undecided.into_iter().for_each(|rule| found.undecided(rule));
}

/// Whether the pod is an agent's, as far as anybody knows; a namespace that isn't known may be guarded.
fn reaches_agent(context: &Context<'_>, found: &mut Found) -> bool {
    let ObjectKey { namespace, name, .. } = &context.facts.target;
    match scope(context, namespace) {
        Scope::Guarded => return true,
        Scope::Unknown => {
            found.ask(Question::Object(namespace_key(namespace)));
            return true;
        }
        Scope::Elsewhere | Scope::Platform => {}
    }
    // The proxy's names are `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
    let mut parts = name.split(':');
    let first = parts.next().unwrap_or_default();
    let name = if parts.clone().count() > 1 { parts.next().unwrap_or_default() } else { first };
    let Some(pod) = context.lookup(&ObjectKey::new("", "Pod", namespace, name)) else {
        return false;
    };
    let unread = Workload::default();
    let workload = pod.facts.workload().unwrap_or(&unread);
    matches!(membership(context, pod, workload), Membership::Agent(_))
}

/// An agent that gets into another's pod is that other agent.
fn judge_agent(context: &Context<'_>, found: &mut Found) {
    let Some(requester) = context.requester(RULE, found) else { return };
    if Agents::of(context).is_agent(&requester.name) {
        let message =
            format!("`{}` is an agent identity, and agents enter no pod", excerpt(&requester.name));
        found.add(RULE, "$", message, "have somebody do it who is none");
    }
}

/// Without a name it is the only container of `containers`, among which the sidecar never is.
fn judge_container(name: &str, found: &mut Found) {
    if name.starts_with(RESERVED_PREFIX) {
        let message =
            format!("`{}` is Pinfold's container: it holds the credentials", excerpt(name));
        let remedy =
            "name a container of the agent; the sidecar is looked into by its logs and metrics";
        found.add(RULE, "$.container", message, remedy);
    }
}

/// The ports travel in the stream that follows, whatever the options say.
fn judge_forward(found: &mut Found) {
    let message = "the ports are said only in the connection that follows, and one of them could be the sidecar's \
                   gateway, with the agent's credentials";
    let remedy = "reach the agent by a Service, or by exec into its container; an exception of the policy lets this \
                  pod's ports be forwarded";
    found.add(RULE, "$", message, remedy);
}

/// The API server takes `scheme:name:port` for a name, and dials whatever stands for a port: `015080`, `+15080` and names of services too.
fn judge_port(name: &str, found: &mut Found) {
    let Some((_, port)) = name.rsplit_once(':').filter(|(_, port)| !port.is_empty()) else {
        // The first port that the pod declares, or 80.
        return;
    };
    let Some(number) = port_number(port) else {
        let message = format!("`{}` is no plain number of a port", excerpt(port));
        return found.add(RULE, "$", message, "say the number, without zeros in front");
    };
    if PORTS.iter().any(|own| *own != ADMIN_PORT && *own == number) {
        let message = format!("port {number} is the sidecar's, and for its agent alone");
        found.add(RULE, "$", message, "ask for a port of the agent's own");
    }
}

/// The number of a port, if it is written as numbers are, or the name of one that is the same everywhere.
fn port_number(text: &str) -> Option<u16> {
    match text {
        "http" => Some(80),
        "https" => Some(443),
        text => text.parse().ok().filter(|number: &u16| number.to_string() == text),
    }
}
