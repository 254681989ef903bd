//! How trusted a piece of work is: whose claim counts, which record it leads to, and what a pod inherits from its owner.

use pinfold_model::facts::{Operation, Question, Requester};
use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{AGENT_GROUPS, Object, ObjectKey};
use pinfold_model::policy::admission::Controller;

use super::provenance::{self, Origin};
use super::record::{self, ATTEMPT, RUN, is_run};
use super::stamp::{
    PROVENANCE, RUN_LABEL, Stamp, marks, provenance_stamps, read_provenance, stamps,
};
use super::{Scope, scope};
use crate::context::Context;
use crate::organization::ownership;
use crate::rbac::describe::excerpt;

/// How far up owners are followed.
const OWNER_LEVELS_MAX: usize = 8;

/// Identities of the API's own controllers, which make pods only from what somebody else wrote.
const BUILT_IN_CONTROLLERS: [&str; 7] = [
    "replicaset-controller",
    "deployment-controller",
    "statefulset-controller",
    "daemon-set-controller",
    "job-controller",
    "cronjob-controller",
    "replication-controller",
];

/// The same controllers where they share one identity (`--use-service-account-credentials=false`).
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";

/// Kinds of other runners that make pods, group and kind, from which these inherit if a relay of `trust.relays` makes them. The webhook is asked about
/// them in guarded namespaces, so nobody else can write their stamps.
const RUNNERS: [(&str, &str); 4] = [
    ("tekton.dev", "PipelineRun"),
    ("tekton.dev", "TaskRun"),
    ("argoproj.io", "Workflow"),
    ("actions.github.com", "EphemeralRunner"),
];

/// Whether pods inherit from objects of the kind.
pub(crate) fn passes_on(key: &ObjectKey) -> bool {
    key.is_workload() || RUNNERS.contains(&(key.group.as_str(), key.kind.as_str()))
}

const NO_RECORD: &str = "no record of a run";

/// How trusted work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A record says so.
    Trusted,
    /// Not.
    Untrusted {
        /// Why not: which record, or none.
        reason: String,
        /// What a live answer could change.
        questions: Vec<Question>,
    },
}

impl Standing {
    pub(crate) fn untrusted(reason: impl Into<String>) -> Self {
        Self::unknown(reason.into(), Vec::new())
    }

    pub(crate) fn unknown(reason: String, questions: Vec<Question>) -> Self {
        Self::Untrusted { reason, questions }
    }

    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Trusted => other(),
            Self::Untrusted { .. } => self,
        }
    }
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// One of `trust.controllers`: may claim a run.
    Controller,
    /// A controller of the API server's, or one of `trust.relays`: passes on what its owner has.
    BuiltIn,
    /// Anybody else.
    Other,
}

/// Who a requester is to this rule.
pub(crate) fn actor(context: &Context<'_>, requester: &Requester) -> Actor {
    let is = |controller: &Controller| match controller {
        Controller::User(name) => requester.name == *name,
        Controller::ServiceAccount { namespace, name, uid } => {
            requester.service_account() == Some((namespace, name))
                && uid.as_ref().is_none_or(|uid| requester.uid == *uid)
        }
    };
    let built_in = |account: Option<(&str, &str)>| {
        account.is_some_and(|(namespace, name)| {
            namespace == "kube-system" && BUILT_IN_CONTROLLERS.contains(&name)
        })
    };
    if context.policy.trust.controllers.iter().any(is) {
        Actor::Controller
    } else if built_in(requester.service_account())
        || requester.name == CONTROLLER_MANAGER
        || context.policy.trust.relays.iter().any(is)
    {
        Actor::BuiltIn
    } else {
        Actor::Other
    }
}

/// How trusted the work of a request is.
pub(crate) fn of_request(
    context: &Context<'_>,
    object: &Object,
    requester: &Requester,
) -> Standing {
    let actor = actor(context, requester);
    match (&context.facts.old_object, context.facts.operation) {
        (Some(old), Operation::Update) => of_update(context, object, old, (actor, requester)),
        _ => match actor {
            Actor::Controller => of_claims(context, object, requester),
            Actor::BuiltIn => inherited(context, object),
            Actor::Other => Standing::untrusted(no_right(object, requester)),
        },
    }
}

/// An update keeps the record that the work was made with, unless somebody changes the work who may not vouch for it.
fn of_update(
    context: &Context<'_>,
    object: &Object,
    old: &Object,
    (actor, requester): (Actor, &Requester),
) -> Standing {
    let stored = of_stored(context, old);
    match actor {
        Actor::BuiltIn => stored,
        // A controller may vouch for work by writing the stamp itself.
        Actor::Controller if marks(old).next().is_none() => of_stamps(context, object),
        Actor::Controller if marks(object).next().is_none() => stored,
        Actor::Controller => stored.and(|| of_stamps(context, object)),
        Actor::Other if context.facts.change.starts_nothing() => stored,
        Actor::Other => stored.and(|| {
            let name = excerpt(&requester.name);
            Standing::untrusted(format!("`{name}` changes it, who may not vouch for a run"))
        }),
    }
}

/// How trusted work is that is already there: by its stamp, or its owner's. Outside guarded namespaces anybody could have written either.
pub(crate) fn of_stored(context: &Context<'_>, object: &Object) -> Standing {
    if scope(context, &context.facts.target.namespace) != Scope::Guarded {
        return Standing::untrusted("no record of a run counts outside guarded namespaces");
    }
    if marks(object).next().is_some() {
        return of_stamps(context, object);
    }
    inherited(context, object)
}

fn of_stamps(context: &Context<'_>, object: &Object) -> Standing {
    let namespace = context.facts.target.namespace.as_str();
    let mut found = marks(object).peekable();
    if found.peek().is_none() {
        return Standing::untrusted(NO_RECORD);
    }
    found.fold(Standing::Trusted, |standing, mark| {
        standing.and(|| match mark.key {
            PROVENANCE => of_provenance_stamp(context, mark.text),
            _ => of_stamp(context, namespace, mark.text),
        })
    })
}

/// What an object said when it was made, judged by the policy of now.
fn of_provenance_stamp(context: &Context<'_>, text: &str) -> Standing {
    let Some(mut origin) = read_provenance(text) else {
        return Standing::untrusted(format!("its stamp `{}` is no provenance", excerpt(text)));
    };
    origin.fault = provenance::fault_now(&context.policy.trust, &origin);
    of_origin(&origin)
}

fn of_stamp(context: &Context<'_>, namespace: &str, text: &str) -> Standing {
    let Some(stamp) = Stamp::parse(text) else {
        return Standing::untrusted(format!("its stamp `{}` names no run", excerpt(text)));
    };
    match stamped_run(context, namespace, &stamp) {
        Ok(run) => record::judge(context, run),
        Err(questions) => {
            let reason = format!(
                "run `{}` of uid `{}` isn't in the view of the cluster",
                excerpt(stamp.name),
                excerpt(stamp.uid)
            );
            Standing::unknown(reason, questions)
        }
    }
}

/// The run that a stamp means: same name, same uid. A run that was deleted and made again is another one.
fn stamped_run<'c>(
    context: &Context<'c>,
    namespace: &str,
    stamp: &Stamp<'_>,
) -> Result<&'c Object, Vec<Question>> {
    let near = |group: &&str| ObjectKey::new(group, RUN, namespace, stamp.name);
    let near: Vec<ObjectKey> = AGENT_GROUPS.iter().map(near).collect();
    let known = context.view.by_uid(stamp.uid).map(|run| run.key.clone());
    let candidates = known.iter().chain(&near);
    let fits = |run: &&Object| run.meta.uid == stamp.uid && run.key.name == stamp.name;
    candidates
        .filter(|key| is_run(key))
        .find_map(|key| context.lookup(key).filter(fits))
        .filter(|run| of_organization(context, run).is_ok())
        .ok_or_else(|| near.iter().cloned().map(Question::Object).collect())
}

/// What a pod or workload made by a built-in controller has from its owner, followed by uid.
fn inherited(context: &Context<'_>, object: &Object) -> Standing {
    if scope(context, &context.facts.target.namespace) != Scope::Guarded {
        return Standing::untrusted("no record of a run counts outside guarded namespaces");
    }
    let mut below = object;
    for _ in 0..OWNER_LEVELS_MAX {
        let owner = match owner(context, below) {
            Ok(Some(owner)) => owner,
            Ok(None) => return Standing::untrusted(NO_RECORD),
            Err(key) => {
                let reason =
                    format!("its owner {} isn't in the view of the cluster", record::name_of(&key));
                return Standing::unknown(reason, vec![Question::Object(key)]);
            }
        };
        if marks(owner).next().is_some() {
            return of_stamps(context, owner);
        }
        below = owner;
    }
    Standing::untrusted(format!("its owners go up more than {OWNER_LEVELS_MAX} levels"))
}

/// The workload, or other runner's object, that controls an object; the key if there should be one of that uid and isn't. Of owners of other kinds
/// nobody guards the stamp.
pub(crate) fn owner<'c>(
    context: &Context<'c>,
    object: &Object,
) -> Result<Option<&'c Object>, ObjectKey> {
    let Some(owner) = object.meta.controller() else { return Ok(None) };
    let namespace = context.facts.target.namespace.as_str();
    let key = ObjectKey::new(&owner.group, &owner.kind, namespace, &owner.name);
    match context.lookup(&key).filter(|found| found.meta.uid == owner.uid && !owner.uid.is_empty())
    {
        Some(found) => Ok(passes_on(&found.key).then_some(found)),
        None => Err(key),
    }
}

fn no_right(object: &Object, requester: &Requester) -> String {
    let claimed =
        run_labels(object).next().map(|(group, _)| format!("label `{group}/{RUN_LABEL}`"));
    match claimed {
        Some(claim) => format!(
            "{claim} counts only if a controller of `trust.controllers` sets it, and `{}` is none",
            excerpt(&requester.name)
        ),
        None => NO_RECORD.to_owned(),
    }
}

/// Group and value of the labels that name a run, on the object and on its pods.
fn run_labels(object: &Object) -> impl Iterator<Item = (&'static str, &str)> {
    let apart = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    let pods = apart.map(|workload| workload.pod_labels.as_slice());
    let pods = pods.unwrap_or_default();
    let own = object.meta.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let pods = pods.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    own.chain(pods).filter_map(|(key, value)| {
        let (group, name) = key.rsplit_once('/')?;
        let group = AGENT_GROUPS.into_iter().find(|known| *known == group)?;
        (name == RUN_LABEL).then_some((group, value))
    })
}

/// All that a controller claims for work that it makes; the least trusted claim wins.
fn of_claims(context: &Context<'_>, object: &Object, requester: &Requester) -> Standing {
    let claims = claimed_runs(context, object, requester).into_iter().map(|claim| match claim {
        Ok(run) => record::judge(context, run),
        Err(missing) => missing,
    });
    let stamped = marks(object).next().is_some().then(|| of_stamps(context, object));
    let told = told(context);
    let all: Vec<Standing> = claims.chain(stamped).chain(told.iter().map(of_origin)).collect();
    if all.is_empty() {
        return Standing::untrusted(NO_RECORD);
    }
    all.into_iter().fold(Standing::Trusted, |standing, other| standing.and(|| other))
}

/// The runs that the labels and owners of an object name, each found or missing.
pub(crate) fn claimed_runs<'c>(
    context: &Context<'c>,
    object: &Object,
    requester: &Requester,
) -> Vec<Result<&'c Object, Standing>> {
    let own = context.facts.target.namespace.as_str();
    // A run is beside the work, or beside the controller that keeps the records.
    let mut places = vec![own];
    places.extend(requester.service_account().map(|(namespace, _)| namespace));
    places.dedup();
    let mut claims: Vec<Result<&Object, Standing>> = Vec::new();
    for (group, name) in run_labels(object) {
        let keys: Vec<ObjectKey> = places
            .iter()
            .flat_map(|place| [RUN, ATTEMPT].map(|kind| ObjectKey::new(group, kind, place, name)))
            .collect();
        let found: Vec<_> = keys.iter().filter_map(|key| context.lookup(key)).collect();
        if found.is_empty() {
            let reason = format!("run `{}` isn't in the view of the cluster", excerpt(name));
            let asked = keys.into_iter().filter(|key| key.kind == RUN).map(Question::Object);
            claims.push(Err(Standing::unknown(reason, asked.collect())));
        }
        claims.extend(found.into_iter().map(|run| of_organization(context, run)));
    }
    for owner in &object.meta.owners {
        let key = ObjectKey::new(&owner.group, &owner.kind, own, &owner.name);
        if !is_run(&key) {
            continue;
        }
        let found = context.lookup(&key).filter(|run| run.meta.uid == owner.uid);
        let missing = || {
            let reason = format!("{} isn't in the view of the cluster", record::name_of(&key));
            Standing::unknown(reason, vec![Question::Object(key.clone())])
        };
        claims.push(found.ok_or_else(missing).and_then(|run| of_organization(context, run)));
    }
    claims
}

/// A run of another organization is none of the work's, wherever its record is kept.
fn of_organization<'c>(context: &Context<'c>, run: &'c Object) -> Result<&'c Object, Standing> {
    let own = ownership(context, &context.facts.target.namespace);
    let theirs = run.facts.ties().map(|ties| ties.organization.as_str()).unwrap_or_default();
    match own.organization().filter(|own| !theirs.is_empty() && *own != theirs) {
        None => Ok(run),
        Some(own) => {
            let (run, theirs, own) = (record::name_of(&run.key), excerpt(theirs), excerpt(own));
            Err(Standing::untrusted(format!("{run} is of organization `{theirs}`, not of `{own}`")))
        }
    }
}

/// The runs that the work of a request is for: what a controller claims, else what the work or its owners are stamped with.
pub(crate) fn runs_of<'c>(
    context: &Context<'c>,
    object: &Object,
    requester: &Requester,
) -> Vec<&'c Object> {
    if actor(context, requester) == Actor::Controller && stamps(object).next().is_none() {
        return claimed_runs(context, object, requester)
            .into_iter()
            .filter_map(Result::ok)
            .collect();
    }
    let namespace = context.facts.target.namespace.as_str();
    up_from(context, object, |object| {
        stamps(object)
            .filter_map(|(_, text)| stamped_run(context, namespace, &Stamp::parse(text)?).ok())
            .collect()
    })
}

/// What the object of a request says about its work itself, by the extractors of its kind.
pub(crate) fn told(context: &Context<'_>) -> Vec<Origin> {
    let Some(document) = &context.facts.document else { return Vec::new() };
    provenance::origins(&context.policy.trust, &context.facts.target, document)
}

fn of_origin(origin: &Origin) -> Standing {
    match &origin.fault {
        None => Standing::Trusted,
        Some(fault) => Standing::untrusted(format!("by its provenance {fault}")),
    }
}

/// What other runners' objects say about the work of a request: what a controller makes says it itself, else it is what the work or its owners are
/// stamped with.
pub(crate) fn origins_of(
    context: &Context<'_>,
    object: &Object,
    requester: &Requester,
) -> Vec<RunRecord> {
    let created = context.facts.operation == Operation::Create;
    let origins = match actor(context, requester) {
        Actor::Controller if created => told(context),
        Actor::Controller | Actor::BuiltIn | Actor::Other => {
            let stamped = |object: &Object| -> Vec<Origin> {
                provenance_stamps(object).filter_map(|(_, text)| read_provenance(text)).collect()
            };
            up_from(context, object, stamped)
        }
    };
    origins.into_iter().map(|origin| origin.record).collect()
}

/// What is found on the work or else on the nearest of its owners; nothing outside guarded namespaces, where anybody could have written it.
fn up_from<'c, T>(
    context: &Context<'c>,
    object: &Object,
    look: impl Fn(&Object) -> Vec<T>,
) -> Vec<T> {
    if scope(context, &context.facts.target.namespace) != Scope::Guarded {
        return Vec::new();
    }
    let mut below = Some(object);
    for _ in 0..OWNER_LEVELS_MAX {
        let Some(object) = below else { break };
        let found = look(object);
        if !found.is_empty() {
            return found;
        }
        below = owner(context, object).ok().flatten();
    }
    Vec::new()
}
