//! What is asked to be dispatched: from the flags of a review, or from the AgentDispatchRun that is made.

use pinfold_model::facts::{AdmissionFacts, Answers, Operation, Requester};
use pinfold_model::object::agent::{AgentStack, RunRecord};
use pinfold_model::object::{AGENT_GROUPS, Change, Facts, Kind, Object, ObjectKey, decode_value};
use pinfold_model::policy::admission::{AdmissionPolicy, Controller};
use serde_json::{Map, Value, json};

use super::Assessment;
use crate::context::Context;
use crate::explain::{World, requester_of};
use crate::rbac::agents::Account;
use crate::rbac::describe::excerpt;
use crate::trust::record;
use crate::trust::standing::Standing;

/// The version of the agent resources.
const VERSION: &str = "v1alpha1";
/// The name of the run that a review imagines.
const IMAGINED: &str = "permission-review";

/// A dispatch: a stack, and what it is to work on. Empty texts are what nobody says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dispatch {
    /// Namespace of the stack, and of the run.
    pub namespace: String,
    /// The stack.
    pub stack: String,
    /// The repository that it works on.
    pub repository: String,
    /// The ref: `refs/heads/main`.
    pub git_ref: String,
    /// The repository that the code comes from, where that is another.
    pub head_repository: String,
    /// What sets it off: `manual`, `pull-request`, `comment`.
    pub trigger: String,
    /// The runner pool; empty for the stack's own.
    pub pool: String,
    /// The run, where there is one.
    pub run: Option<ObjectKey>,
    /// The run's record, where there is one: it says more than the fields above.
    pub record: Option<RunRecord>,
}

/// A stack with its key.
pub(super) struct Stack<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) facts: &'a AgentStack,
}

impl Dispatch {
    /// What a run asks for.
    #[must_use]
    pub fn of_run(key: &ObjectKey, run: &RunRecord) -> Self {
        Self {
            namespace: key.namespace.clone(),
            stack: run.agent_stack.clone(),
            repository: run.repository.clone(),
            git_ref: run.git_ref.clone(),
            head_repository: run.head_repository.clone(),
            trigger: run.trigger_source.clone(),
            pool: run.runner_pool.clone(),
            run: Some(key.clone()),
            record: Some(run.clone()),
        }
    }

    /// The stack, in whichever agent group it is; noted as missing if it isn't there.
    pub(super) fn find_stack<'c>(
        &self,
        context: &Context<'c>,
        found: &mut Assessment,
    ) -> Option<Stack<'c>> {
        let known = self.run.as_ref().map(|run| run.group.as_str());
        let groups = known.into_iter().chain(AGENT_GROUPS);
        let key = |group: &str| ObjectKey::new(group, "AgentStack", &self.namespace, &self.stack);
        let object = groups.clone().find_map(|group| context.lookup(&key(group)));
        if let Some(Object { key, facts: Facts::AgentStack(facts), .. }) = object {
            return Some(Stack { key, facts });
        }
        let message = format!(
            "AgentStack `{}/{}` isn't in the view of the cluster",
            excerpt(&self.namespace),
            excerpt(&self.stack)
        );
        let remedy = "name a stack that exists beside the run".to_owned();
        let group = groups.into_iter().next().unwrap_or_default();
        found.missing(&key(group), message, remedy);
        None
    }

    /// Why the work would be untrusted; `None` if it would be trusted.
    pub(super) fn untrusted(&self, context: &Context<'_>) -> Option<String> {
        let run = context.facts.object.as_ref()?;
        match record::judge(context, run) {
            Standing::Trusted => None,
            Standing::Untrusted { reason, .. } => Some(reason),
        }
    }

    /// The request by which a controller would make the run.
    pub(super) fn request(&self, world: &World<'_>) -> AdmissionFacts {
        let group = AGENT_GROUPS
            .into_iter()
            .find(|group| {
                let key = ObjectKey::new(group, "AgentStack", &self.namespace, &self.stack);
                world.view.get(&key).is_some()
            })
            .unwrap_or(AGENT_GROUPS[0]);
        let document = self.manifest(group);
        let kind = Kind::new(&format!("{group}/{VERSION}"), record::RUN);
        let object = decode_value(&kind, &document).ok();
        AdmissionFacts {
            uid: String::new(),
            requester: Some(controller(world.policy)),
            operation: Operation::Create,
            subresource: String::new(),
            target: ObjectKey::new(group, record::RUN, &self.namespace, IMAGINED),
            request_name: String::new(),
            dry_run: true,
            object,
            old_object: None,
            document: Some(document),
            change: Change::default(),
            answers: Answers::clone(world.answers),
        }
    }

    fn manifest(&self, group: &str) -> Value {
        let mut spec = Map::new();
        let fields = [
            ("repository", &self.repository),
            ("ref", &self.git_ref),
            ("headRepository", &self.head_repository),
            ("agentStack", &self.stack),
            ("runnerPool", &self.pool),
            ("sourceEvent", &self.trigger),
        ];
        for (field, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            spec.insert(field.to_owned(), json!(text));
        }
        json!({
            "apiVersion": format!("{group}/{VERSION}"),
            "kind": record::RUN,
            "metadata": {"namespace": self.namespace, "name": IMAGINED},
            "spec": spec,
        })
    }
}

/// The first controller of the policy: somebody who may make runs. Nobody, if the policy names none.
fn controller(policy: &AdmissionPolicy) -> Requester {
    match policy.trust.controllers.first() {
        Some(Controller::User(name)) => Requester { name: name.clone(), ..Requester::default() },
        Some(Controller::ServiceAccount { namespace, name, uid }) => {
            let account = Account { namespace: namespace.clone(), name: name.clone() };
            Requester { uid: uid.clone().unwrap_or_default(), ..requester_of(&account) }
        }
        None => Requester { name: "nobody".to_owned(), ..Requester::default() },
    }
}
