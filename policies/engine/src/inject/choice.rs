//! Which AgentPolicies are a pod's, and what they are together.
//!
//! By namespace, by the stack of its record, and among those by its labels. A label is its author's word, so a policy without namespaces is
//! nobody's; the stack that a label names is nothing at all. What can't be told applies nothing.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use pinfold_model::facts::{Answers, Question};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::compile::{CompileError, Compiled};
use pinfold_model::policy::inject::{POLICY, POLICY_DIGEST, POLICY_SUBJECT};
use pinfold_model::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ANNOTATIONS;
use super::narrowing::{NO_HOSTS, narrowing};
use crate::agent_workload::service_account;
use crate::context::Context;
use crate::explain::World;
use crate::rbac::agents::{Agents, DEFAULT};
use crate::rbac::describe::{excerpt, list};
use crate::trust::record::{ATTEMPT, RUN};
use crate::trust::standing::{Actor, Standing, actor};
use crate::trust::work_of;

/// Whose a pod is by its records, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Subject {
    /// The ServiceAccount that it runs as.
    pub(super) service_account: String,
    /// The stacks of its runs, `namespace/name`.
    pub(super) stacks: Vec<String>,
}

/// Why nothing can be put into a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Unapplied {
    /// What is the matter.
    pub message: String,
    /// What would help.
    pub remedy: String,
    /// What a live answer could change.
    pub questions: Vec<Question>,
    /// It depends on who makes the pod, and nobody is known to.
    pub(crate) needs_requester: bool,
}

/// What was chosen for a pod.
pub(super) struct Chosen {
    pub(super) subject: Subject,
    pub(super) compiled: Arc<Compiled>,
}

impl Chosen {
    /// The annotations that say it.
    pub(super) fn annotations(&self) -> [(&'static str, Cow<'_, str>); ANNOTATIONS.len()] {
        annotations(&self.compiled, &self.subject)
    }
}

/// The annotations of a compiled policy and the one that it is for.
pub(super) fn annotations<'c>(
    compiled: &'c Compiled,
    subject: &Subject,
) -> [(&'static str, Cow<'c, str>); ANNOTATIONS.len()] {
    // Plain texts and lists of them can always be written.
    let subject = serde_json::to_string(subject).unwrap_or_default();
    [
        (POLICY, Cow::Borrowed(compiled.text.as_ref())),
        (POLICY_DIGEST, Cow::Owned(compiled.digest.to_string())),
        (POLICY_SUBJECT, Cow::Owned(subject)),
    ]
}

/// The compiled policy of a pod that runs, from its metadata alone; `None` for one that isn't confined by injection, or that no policy
/// applies to any more.
///
/// What tenants' records can't say any more, or say at too great length, allows nothing: else whoever takes a record away would keep what the pod has.
///
/// # Errors
/// Why the policies, which only administrators write, are none together; what the pod has then stays.
pub fn compiled_for(
    view: &Snapshot,
    policy: &AdmissionPolicy,
    pod: &Object,
) -> Result<Option<Arc<Compiled>>, Unapplied> {
    let Some(text) = pod.meta.annotations.get(POLICY_SUBJECT) else { return Ok(None) };
    let subject: Subject = serde_json::from_str(text).map_err(|_| {
        unapplied(
            format!("annotation `{POLICY_SUBJECT}` says `{}`, which is no subject", excerpt(text)),
            "delete the pod, so that it is made anew",
        )
    })?;
    let answers = Answers::default();
    let world = World { view, policy, answers: &answers, now: Timestamp::UNIX_EPOCH };
    let label = |key: &str| pod.meta.labels.get(key).map(String::as_str);
    let pod = Pod { namespace: &pod.key.namespace, label: &label, subject: &subject };
    let policies = pod.policies(&world);
    if policies.is_empty() {
        return Ok(None);
    }
    let lists = narrowing(&world, pod.namespace, &subject).unwrap_or_else(|_| vec![NO_HOSTS]);
    let memo = &policy.inject.compiled;
    let compiled = memo.compiled(&policies, &lists).or_else(|error| {
        memo.compiled(&policies, &[]).map_err(|_| error)?;
        memo.compiled(&policies, &[NO_HOSTS])
    });
    compiled.map(Some).map_err(|error| contradictory(&error))
}

/// Whether a running pod is one that Pinfold confines, as far as the view knows: annotations alone are quickly written where no pod is judged.
#[must_use]
pub fn is_confined(view: &Snapshot, policy: &AdmissionPolicy, pod: &Object) -> bool {
    let agents = Agents::new(view, policy);
    let namespace = pod.key.namespace.as_str();
    let subject = || -> Option<Subject> {
        serde_json::from_str(pod.meta.annotations.get(POLICY_SUBJECT)?).ok()
    };
    let is_agent = || match pod.facts.workload() {
        Some(workload) => agents.naming(namespace, service_account(workload)).is_some(),
        None => subject()
            .is_some_and(|subject| agents.naming(namespace, &subject.service_account).is_some()),
    };
    agents.guards(namespace) || is_agent()
}

fn contradictory(error: &CompileError) -> Unapplied {
    unapplied(error.to_string(), "have a platform administrator change the AgentPolicies")
}

/// The policy for the pod of a request.
pub(super) fn chosen(
    context: &Context<'_>,
    object: &Object,
    document: &Value,
) -> Result<Chosen, Unapplied> {
    let namespace = context.facts.target.namespace.as_str();
    let named = |field: &str| {
        document.pointer("/spec")?.get(field)?.as_str().filter(|name| !name.is_empty())
    };
    let account =
        named("serviceAccountName").or_else(|| named("serviceAccount")).unwrap_or(DEFAULT);
    let (stacks, questions) = stacks_by_record(context, object)?;
    let subject = Subject { service_account: account.to_owned(), stacks };
    let labels = document.pointer("/metadata/labels");
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    let pod = Pod { namespace, label: &label, subject: &subject };
    match pod.compiled(&context.world())? {
        Some(compiled) => Ok(Chosen { subject, compiled }),
        None => Err(Unapplied { questions, ..pod.nearest(&context.policy.inject.agents) }),
    }
}

/// The stacks of the runs that the work is for, as far as whoever makes the pod may vouch for them, and what could tell more.
fn stacks_by_record(
    context: &Context<'_>,
    object: &Object,
) -> Result<(Vec<String>, Vec<Question>), Unapplied> {
    let namespace = context.facts.target.namespace.as_str();
    let mut agents = context.policy.inject.agents.iter();
    let matters = agents.any(|policy| {
        !policy.applies_to.agent_stacks.is_empty() && in_namespace(policy, namespace)
    });
    let Some(requester) = &context.facts.requester else {
        let message = "which AgentPolicy applies depends on the run that the pod is for, and so on who makes it";
        let unknown = Unapplied {
            needs_requester: true,
            ..unapplied(message.to_owned(), "say who with `--as`")
        };
        return if matters { Err(unknown) } else { Ok((Vec::new(), Vec::new())) };
    };
    // An owner reference is quickly written: of a pod that anybody else makes no record counts.
    if actor(context, requester) == Actor::Other {
        return Ok((Vec::new(), Vec::new()));
    }
    let work = work_of(context, object, requester);
    let mut stacks: Vec<String> =
        work.runs.iter().filter_map(|run| stack_of(context, run)).collect();
    stacks.sort_unstable();
    stacks.dedup();
    let questions = match work.standing {
        Standing::Untrusted { questions, .. } if matters => questions,
        Standing::Untrusted { .. } | Standing::Trusted => Vec::new(),
    };
    Ok((stacks, questions))
}

/// The stack of a run, or of an attempt's run, as `namespace/name`.
fn stack_of(context: &Context<'_>, object: &Object) -> Option<String> {
    let Facts::Run(own) = &object.facts else { return None };
    let ObjectKey { group, kind, namespace, .. } = &object.key;
    let key = ObjectKey::new(group, RUN, namespace, &own.run);
    let run =
        Some(kind.as_str()).filter(|kind| *kind == ATTEMPT).and_then(|_| context.lookup(&key));
    let of_run = run.and_then(|run| {
        let Facts::Run(record) = &run.facts else { return None };
        Some(record.agent_stack.as_str())
    });
    let name = of_run.filter(|name| !name.is_empty()).unwrap_or(&own.agent_stack);
    match name {
        "" => None,
        name if name.contains('/') => Some(name.to_owned()),
        name => Some(format!("{namespace}/{name}")),
    }
}

fn in_namespace(policy: &AgentPolicy, namespace: &str) -> bool {
    policy.applies_to.namespaces.iter().any(|glob| glob.matches(namespace))
}

pub(super) fn unapplied(message: String, remedy: &str) -> Unapplied {
    Unapplied { message, remedy: remedy.to_owned(), questions: Vec::new(), needs_requester: false }
}

/// What policies are chosen by.
struct Pod<'p> {
    namespace: &'p str,
    label: &'p dyn Fn(&str) -> Option<&'p str>,
    subject: &'p Subject,
}

/// Which conditions of a policy hold.
#[derive(Debug, Clone, Copy)]
struct Fit {
    namespace: bool,
    stack: bool,
    labels: bool,
}

impl Fit {
    fn is_whole(self) -> bool {
        self.namespace && self.stack && self.labels
    }

    fn closeness(self) -> (bool, bool, bool) {
        (self.namespace, self.stack, self.labels)
    }
}

impl Pod<'_> {
    fn fit(&self, policy: &AgentPolicy) -> Fit {
        let applies = &policy.applies_to;
        Fit {
            namespace: in_namespace(policy, self.namespace),
            stack: applies.agent_stacks.is_empty() || self.has_stack(&applies.agent_stacks),
            labels: applies.labels.iter().all(|(key, value)| (self.label)(key) == Some(value)),
        }
    }

    /// All of its runs must be of listed stacks: one of them would not be for what the list allows.
    fn has_stack(&self, listed: &[String]) -> bool {
        let is_listed = |stack: &String| {
            let (place, name) = stack.split_once('/').unwrap_or(("", stack));
            let near = place == self.namespace;
            listed.iter().any(|one| one == stack || (near && one == name))
        };
        !self.subject.stacks.is_empty() && self.subject.stacks.iter().all(is_listed)
    }

    fn policies<'w>(&self, world: &World<'w>) -> Vec<&'w AgentPolicy> {
        world.policy.inject.agents.iter().filter(|policy| self.fit(policy).is_whole()).collect()
    }

    fn compiled(&self, world: &World<'_>) -> Result<Option<Arc<Compiled>>, Unapplied> {
        let policies = self.policies(world);
        if policies.is_empty() {
            return Ok(None);
        }
        let lists = narrowing(world, self.namespace, self.subject)?;
        let compiled = world.policy.inject.compiled.compiled(&policies, &lists);
        compiled.map(Some).map_err(|error| contradictory(&error))
    }

    /// Why no policy applies, by the one that comes nearest.
    fn nearest(&self, policies: &[AgentPolicy]) -> Unapplied {
        let what =
            format!("no AgentPolicy applies to pods of namespace `{}`", excerpt(self.namespace));
        let nearest = policies.iter().max_by(|left, right| {
            let closeness = |policy| self.fit(policy).closeness();
            closeness(left).cmp(&closeness(right)).then_with(|| right.name.cmp(&left.name))
        });
        let Some(policy) = nearest else {
            let remedy = "add an AgentPolicy whose `appliesTo.namespaces` has the namespace to the policy files";
            return unapplied(format!("{what}: there is none"), remedy);
        };
        let (name, applies, fit) = (excerpt(&policy.name), &policy.applies_to, self.fit(policy));
        let why = if applies.namespaces.is_empty() {
            "which has no `appliesTo.namespaces`, and labels alone are the word of whoever makes the pod".to_owned()
        } else if !fit.namespace {
            let globs = list(applies.namespaces.iter().map(|glob| glob.as_str()));
            format!("which is for namespaces {globs}")
        } else if !fit.stack {
            let stacks = list(applies.agent_stacks.iter().map(String::as_str));
            format!("which is for AgentStacks {stacks}, and {}", self.stacks())
        } else {
            let labels: Vec<String> =
                applies.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("which is for pods with labels {}", list(labels.iter().map(String::as_str)))
        };
        let remedy = "make the pod where and as an AgentPolicy says, or have a platform administrator change its `appliesTo`";
        unapplied(format!("{what}: the nearest is `{name}`, {why}"), remedy)
    }

    fn stacks(&self) -> String {
        match self.subject.stacks.as_slice() {
            [] => "no record of a run says that the pod is of any".to_owned(),
            stacks => {
                format!("by its records the pod is of {}", list(stacks.iter().map(String::as_str)))
            }
        }
    }
}
