//! `pinfold explain binding`: what the webhook says to a proposed binding, and why.

mod remedy;

use std::collections::BTreeMap;
use std::io::Write;

use pinfold_engine::explain::{self, NotNative, World};
use pinfold_model::facts::{Answers, Operation, Requester};
use pinfold_model::object::{AGENT_GROUPS, ObjectKey};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};
use serde_json::Value;

use super::{policy, world};
use crate::arguments::{BindingArguments, BindingOutput};
use crate::check::{self, Bench, Checked, Request, identity, now};
use crate::manifest::{self, Manifest};
use crate::output::explain::{dot, native, shape, table};
use crate::output::json;
use crate::{CliError, Outcome, live};

/// One proposed binding with the webhook's decision.
struct Judged {
    checked: Checked,
    shape: shape::Binding,
    /// Whether it can't be told what it gives.
    unclear: bool,
}

pub(super) fn run(
    arguments: &BindingArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let manifests = manifest::read(&arguments.manifests, &arguments.namespace)?;
    let bindings: Vec<&Manifest> =
        manifests.iter().filter(|one| is_binding(&one.object.key)).collect();
    if bindings.is_empty() {
        let text = "no RoleBinding, ClusterRoleBinding or AgentRoleBinding among the manifests";
        return Err(CliError::Input(text.to_owned()));
    }
    let policy = policy(&arguments.policies)?;
    let seen = live::read(&arguments.cluster, err)?;
    let stored: BTreeMap<ObjectKey, Manifest> = bindings
        .iter()
        .filter_map(|one| Some((one.object.key.clone(), stored(&seen.view, one)?)))
        .collect();
    let mut view = seen.view;
    manifests.iter().for_each(|manifest| view.apply(manifest.object.clone()));
    if arguments.render || arguments.output == BindingOutput::Yaml {
        return render(&policy, &view, &bindings, out);
    }
    let author =
        arguments.user.clone().map(|user| identity(user, String::new(), arguments.groups.clone()));
    let desk = Desk { policy: &policy, view: &view, author: author.as_ref(), stored: &stored };
    let judged: Vec<Judged> =
        bindings.iter().map(|binding| desk.judge(binding)).collect::<Result<_, _>>()?;
    let outcome = outcome(&judged, seen.complete);
    let answer = shape::Bindings::of(judged.into_iter().map(|one| one.shape).collect());
    match arguments.output {
        BindingOutput::Table | BindingOutput::Yaml => table::bindings(&answer, out)?,
        BindingOutput::Json => json::write(&answer, out)?,
        BindingOutput::Dot => dot::bindings(&answer, out)?,
    }
    Ok(outcome)
}

fn is_binding(key: &ObjectKey) -> bool {
    match key.kind.as_str() {
        "RoleBinding" | "ClusterRoleBinding" => key.group == RBAC_GROUP,
        "AgentRoleBinding" => AGENT_GROUPS.contains(&key.group.as_str()),
        _ => false,
    }
}

/// The binding as it is now, if it is there. Of a cluster only its facts are known, so that anything may have changed.
fn stored(view: &Snapshot, new: &Manifest) -> Option<Manifest> {
    let object = view.get(&new.object.key)?.clone();
    Some(Manifest { file: "cluster".to_owned(), line: 0, value: Value::Null, object })
}

fn outcome(judged: &[Judged], complete: bool) -> Outcome {
    if !complete || judged.iter().any(|one| one.unclear || !one.checked.undecided.is_empty()) {
        Outcome::Undecided
    } else if judged.iter().any(|one| !one.checked.allowed) {
        Outcome::Denied
    } else {
        Outcome::Passed
    }
}

/// What bindings are judged by.
struct Desk<'d> {
    policy: &'d AdmissionPolicy,
    view: &'d Snapshot,
    author: Option<&'d Requester>,
    stored: &'d BTreeMap<ObjectKey, Manifest>,
}

impl Desk<'_> {
    fn judge(&self, binding: &Manifest) -> Result<Judged, CliError> {
        let checked = self.check(self.view, binding)?;
        let answers = Answers::default();
        let world = world(self.view, self.policy, &answers);
        let key = &binding.object.key;
        let proposal = explain::proposal(&world, key, self.author)
            .ok_or_else(|| CliError::Input(format!("{key}: not a binding that can be read")))?;
        let unclear = match &proposal.grants {
            Ok(grants) => grants.iter().any(|grant| grant.rights.is_err()),
            Err(_) => true,
        };
        let mut shape = shape::Binding::of(&checked, &proposal);
        if !checked.allowed {
            shape.remedy = remedy::remedy(self, &world, binding, &proposal)?;
        }
        Ok(Judged { checked, shape, unclear })
    }

    /// The webhook's decision on a binding, in a view that holds it.
    fn check(&self, view: &Snapshot, binding: &Manifest) -> Result<Checked, CliError> {
        let old = self.stored.get(&binding.object.key).cloned();
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let bench = Bench { policy: self.policy, view, now: now() };
        let (subresource, dry_run) = ("", false);
        let requester = self.author.cloned();
        let request =
            Request { manifest: binding, old, operation, subresource, requester, dry_run };
        check::judge(&bench, request)
    }
}

fn render(
    policy: &AdmissionPolicy,
    view: &Snapshot,
    bindings: &[&Manifest],
    out: &mut dyn Write,
) -> Result<Outcome, CliError> {
    let answers = Answers::default();
    let world: World<'_> = world(view, policy, &answers);
    for binding in bindings {
        let key = &binding.object.key;
        let natives = explain::natives(&world, key).map_err(|why| not_native(binding, &why))?;
        native::write(&format!("{key} ({}:{})", binding.file, binding.line), &natives, out)?;
    }
    Ok(Outcome::Passed)
}

fn not_native(binding: &Manifest, why: &NotNative) -> CliError {
    let why = match why {
        NotNative::Scope(why) => format!("cannot tell where it gives rights: {why}"),
        NotNative::Nobody => {
            "its subject leads to nobody: name a subject that exists, with a ServiceAccount"
                .to_owned()
        }
        NotNative::NoTemplate(name) => {
            format!(
                "no role template `{name}` in `rbac.roleTemplates` of the policies; name them with `-p`"
            )
        }
    };
    CliError::Input(format!("{}:{}: {}: {why}", binding.file, binding.line, binding.object.key))
}
