//! Pods and their templates: the pools that they name are their ServiceAccount's, and their run's.

use pinfold_model::object::pod::Workload;
use pinfold_model::object::reference::member_path;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};

use super::records::Chain;
use super::{RULE, accounts, records};
use crate::agent_workload::service_account;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::rules::pf_tru::nodes::{self, Says};
use crate::rules::pf_tru::placement::POOL_LABEL;
use crate::rules::pf_tru::pools::{self, Pool};
use crate::trust::standing::Standing;
use crate::trust::{Scope, Work, scope, stamp, work_of};

const STACK_LABEL: &str = "agent-stack";

/// A field by which a workload names a pool.
struct Named<'c> {
    path: String,
    name: String,
    /// If the pool is known.
    trusted: Option<bool>,
    /// The labels of its nodes, if it is named by them; none if by its name.
    nodes: &'c [(String, String)],
}

impl Named<'_> {
    /// Whether all nodes of this pool are another's too: a policy and a RunnerPool may describe the same.
    fn is_part_of(&self, other: &Self) -> bool {
        !other.nodes.is_empty() && other.nodes.iter().all(|label| self.nodes.contains(label))
    }
}

/// Judges a workload in a guarded namespace.
pub(super) fn judge(
    context: &Context<'_>,
    object: &Object,
    workload: &Workload,
    found: &mut Found,
) {
    let namespace = context.facts.target.namespace.as_str();
    if scope(context, namespace) != Scope::Guarded {
        return;
    }
    let named = named_pools(context, namespace, object, workload);
    let accounts = service_accounts(context, namespace, workload);
    judge_account(context, namespace, (&accounts, &named), found);
    if accounts.is_empty() && !could_have_a_record(object) {
        return;
    }
    let Some(requester) = context.requester(RULE, found) else { return };
    let work = work_of(context, object, requester);
    let mut runs: Vec<&Object> = work.runs.clone();
    // A pod's labels are its own and those of what would run.
    runs.sort_by(|left, right| left.key.cmp(&right.key));
    runs.dedup_by(|left, right| left.key == right.key);
    for run in runs {
        let Facts::Run(record) = &run.facts else { continue };
        let chain = records::chain(context, &run.key, record, found);
        judge_pool(context, (&run.key, &chain), (&work, workload), &named, found);
        judge_stack(object, &chain, found);
        judge_repository((workload, &accounts), &chain.run.repository, found);
    }
    for origin in &work.origins {
        judge_repository((workload, &accounts), &origin.repository, found);
    }
}

fn judge_repository(
    (workload, accounts): (&Workload, &[accounts::Account<'_>]),
    repository: &str,
    found: &mut Found,
) {
    for account in accounts {
        if let Some(fault) = accounts::repository_fault(*account, repository) {
            let path = format!("{}.serviceAccountName", workload.spec_path);
            found.add(RULE, path, fault, "name the ServiceAccount of the run's stack");
        }
    }
}

/// Whether a run could be found for it: offline nobody is known to ask, and most pods have none.
fn could_have_a_record(object: &Object) -> bool {
    let labelled = AGENT_GROUPS.iter().any(|group| {
        let key = format!("{group}/{}", stamp::RUN_LABEL);
        labels(object, &key).next().is_some()
    });
    labelled || !object.meta.owners.is_empty() || stamp::stamps(object).next().is_some()
}

/// Path and value of a label, on the object and on its pods.
fn labels<'o>(object: &'o Object, key: &str) -> impl Iterator<Item = (String, &'o str)> {
    let own = object.meta.labels.get(key);
    let own = own.map(|value| (member_path("$.metadata.labels", key), value.as_str()));
    let workload = object.facts.workload().filter(|workload| workload.meta_path != "$.metadata");
    let of_pods = workload.and_then(|workload| {
        let (_, value) = workload.pod_labels.iter().find(|(label, _)| label == key)?;
        Some((member_path(&format!("{}.labels", workload.meta_path), key), value.as_str()))
    });
    own.into_iter().chain(of_pods)
}

/// The pools that a workload names by label, or by the labels of their nodes.
fn named_pools<'c>(
    context: &Context<'c>,
    namespace: &str,
    object: &Object,
    workload: &Workload,
) -> Vec<Named<'c>> {
    let mut named: Vec<Named<'c>> = Vec::new();
    for group in AGENT_GROUPS {
        for (path, name) in labels(object, &format!("{group}/{POOL_LABEL}")) {
            let key = ObjectKey::new(group, "RunnerPool", namespace, name);
            let known = pools::of_name(context, &key);
            let trusted = known.first().map(|_| known.iter().any(Pool::is_trusted));
            named.push(Named { path, name: name.to_owned(), trusted, nodes: &[] });
        }
    }
    for pool in pools::near(context, namespace).iter().filter(|pool| !pool.nodes().is_empty()) {
        let said = nodes::required(context, &workload.placement, pool);
        let there = said.into_iter().find_map(|says| match says {
            Says::There(path, _) => Some(path),
            Says::Off | Says::Open | Says::UnknownNode(..) => None,
        });
        named.extend(there.map(|path| Named {
            path: format!("{}{path}", workload.spec_path),
            name: pool.name().to_owned(),
            trusted: Some(pool.is_trusted()),
            nodes: pool.nodes(),
        }));
    }
    named
}

fn service_accounts<'c>(
    context: &Context<'c>,
    namespace: &str,
    workload: &Workload,
) -> Vec<accounts::Account<'c>> {
    let name = service_account(workload);
    accounts::of_service_account(context, namespace, name)
}

fn judge_account(
    context: &Context<'_>,
    namespace: &str,
    (accounts, named): (&[accounts::Account<'_>], &[Named<'_>]),
    found: &mut Found,
) {
    for account in accounts {
        let group = account.0.group.as_str();
        let fault = |pool: &Named<'_>| {
            accounts::pool_fault(context, *account, (group, namespace, pool.name.as_str()))
        };
        for pool in named {
            // The same nodes can be of several pools: one that is allowed is enough.
            let also = named.iter().any(|also| pool.is_part_of(also) && fault(also).is_none());
            if let Some(fault) = fault(pool).filter(|_| !also) {
                let remedy = "name a runner pool that the AgentServiceAccount lists, or have the list extended";
                found.add(RULE, pool.path.as_str(), fault, remedy);
            }
        }
    }
}

/// The run's pool is the only one that its work may name. Untrusted work that was moved from a trusted pool to an untrusted one (`force`) is where it belongs.
fn judge_pool(
    context: &Context<'_>,
    (run, chain): (&ObjectKey, &Chain<'_>),
    (work, workload): (&Work<'_>, &Workload),
    named: &[Named<'_>],
    found: &mut Found,
) {
    let wanted = chain.pool();
    if wanted.is_empty() {
        return;
    }
    let namespace = context.facts.target.namespace.as_str();
    let known =
        pools::of_name(context, &ObjectKey::new(&run.group, "RunnerPool", namespace, wanted));
    let untrusted = work.standing != Standing::Trusted && known.iter().any(Pool::is_trusted);
    let same_nodes = |other: &Named<'_>| {
        let nodes = known.iter().filter(|pool| !pool.nodes().is_empty());
        let mut said = nodes.map(|pool| nodes::required(context, &workload.placement, pool));
        other.path.starts_with(&workload.spec_path) && said.any(|said| !said.contains(&Says::Off))
    };
    let own = last(wanted);
    let other = named.iter().filter(|pool| pool.name != own);
    let other = other.filter(|pool| !(untrusted && pool.trusted == Some(false)));
    for pool in other.filter(|pool| !same_nodes(pool)) {
        let message = format!(
            "runner pool `{}` is named, and run `{}` belongs on `{}`",
            excerpt(&pool.name),
            excerpt(&run.name),
            excerpt(wanted)
        );
        let remedy = format!("name `{}`, or dispatch a run for this pool", excerpt(wanted));
        found.add(RULE, pool.path.as_str(), message, remedy);
    }
}

/// The name in `namespace/name`: a label holds no more.
fn last(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

/// The run's stack is the only one that its work may be labelled with.
fn judge_stack(object: &Object, chain: &Chain<'_>, found: &mut Found) {
    let wanted = last(chain.stack_name());
    if wanted.is_empty() {
        return;
    }
    for group in AGENT_GROUPS {
        let key = format!("{group}/{STACK_LABEL}");
        for (path, name) in labels(object, &key).filter(|(_, name)| *name != wanted) {
            let message = format!(
                "stack `{}` is named, and the run is of stack `{}`",
                excerpt(name),
                excerpt(wanted)
            );
            found.add(RULE, path, message, format!("label it with `{}`", excerpt(wanted)));
        }
    }
}
