//! A scan of a running cluster: first the view that the webhook would have of it, then every object, page by page.

use std::collections::BTreeSet;

use pinfold_engine::scan::Depth;
use pinfold_model::document::nearest;
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::{AdmissionPolicy, ObjectMatch};
use pinfold_webhook::cluster::{
    Cluster, ClusterError, ListedKind, Page, Pages, Registered, Unread, View,
};

use super::owners::Kinds;
use super::progress::{At, Progress};
use super::survey::{Bench, Survey};
use super::{Scanned, Setting, Unlisted, require_namespaces};
use crate::{CliError, live};

/// The name of Pinfold's own webhook configurations.
const NAME: &str = "pinfold";

pub(super) fn scan(setting: &Setting<'_>, progress: &mut Progress) -> Result<Scanned, CliError> {
    live::block_on(listen(setting, progress))?
}

fn fail(error: &ClusterError) -> CliError {
    CliError::Input(error.to_string())
}

/// Scans until the end or until the user interrupts; what was found by then is told.
async fn listen(setting: &Setting<'_>, progress: &mut Progress) -> Result<Scanned, CliError> {
    let arguments = &setting.arguments.cluster;
    let (file, context) = (arguments.kubeconfig.as_deref(), arguments.context.as_deref());
    let cluster = Cluster::connect(file, context).await.map_err(|error| fail(&error))?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let view = tokio::select! {
        view = read(&cluster, progress) => view?,
        _ = &mut interrupted => return Ok(Scanned { interrupted: true, ..Scanned::default() }),
    };
    require_namespaces(&setting.filter.namespaces, &view.snapshot)?;
    let mut pages = pages(&cluster, setting.policy).await.map_err(|error| fail(&error))?;
    let without = leave_out(&setting.arguments.without, &mut pages)?;
    let kinds: Kinds = pages.kinds().iter().map(api_version).collect();
    let (policy, now, filter) = (setting.policy, setting.now, &setting.filter);
    let bench = Bench { policy, view: &view.snapshot, now, filter, kinds: &kinds };
    let mut walk = Walk {
        survey: Survey::new(bench),
        unlisted: view.unread.iter().map(unlisted).collect(),
        kinds: pages.kinds().to_vec(),
        progress,
    };
    if setting.filter.namespaces.is_empty() {
        walk.registration(cluster.registration().await.map_err(|error| fail(&error))?);
    }
    let interrupted = tokio::select! {
        () = walk.all(&mut pages) => false,
        _ = &mut interrupted => true,
    };
    let Walk { survey, mut unlisted, .. } = walk;
    unlisted.sort();
    unlisted.dedup();
    Ok(Scanned { found: survey.finish(), unlisted, without, interrupted })
}

/// Leaves out the resources that aren't wanted, and says which those are.
fn leave_out(unwanted: &[String], pages: &mut Pages) -> Result<Vec<String>, CliError> {
    let known: Vec<String> = pages.kinds().iter().map(resource).collect();
    if let Some(name) = unwanted.iter().find(|name| !known.contains(name)) {
        let near = nearest(name, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(CliError::Input(format!("no resource `{name}` would be looked at{near}")));
    }
    pages.leave_out(|kind| unwanted.contains(&resource(kind)));
    let mut without = unwanted.to_vec();
    without.sort();
    without.dedup();
    Ok(without)
}

/// `roles.rbac.authorization.k8s.io`, as kubectl writes it.
fn resource(kind: &ListedKind) -> String {
    match kind.group.as_str() {
        "" => kind.plural.clone(),
        group => format!("{}.{group}", kind.plural),
    }
}

async fn read(cluster: &Cluster, progress: &mut Progress) -> Result<View, CliError> {
    let view = cluster.view(|at| {
        let (listed, remaining) = (at.listed, at.remaining);
        progress.show("reading", At { kind: at.kind, listed, remaining, kinds: None });
    });
    view.await.map_err(|error| fail(&error))
}

/// One walk over all pages.
struct Walk<'a, 'p> {
    survey: Survey<'a>,
    unlisted: Vec<Unlisted>,
    kinds: Vec<ListedKind>,
    progress: &'p mut Progress,
}

impl Walk<'_, '_> {
    async fn all(&mut self, pages: &mut Pages) {
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => self.judge(page),
                Err(unread) => self.unlisted.push(unlisted(&unread)),
            }
        }
    }

    /// A cluster without Pinfold has neither configuration, and nothing to tell.
    fn registration(&mut self, found: Vec<Result<Registered, Unread>>) {
        let is_there = found.iter().flatten().any(|one| one.exists);
        for one in found {
            match one {
                Ok(one) if is_there => {
                    let key = ObjectKey::new(&one.kind.group, &one.kind.kind, "", one.name);
                    let version = version(&one.kind);
                    self.survey.look_at_registration(&key, &version, &one.differences);
                }
                Ok(_) => {}
                Err(unread) => {
                    let right = format!("get {} `{NAME}`", resource(&unread.kind));
                    self.unlisted.push(Unlisted { right, ..unlisted(&unread) });
                }
            }
        }
    }

    fn judge(&mut self, page: Page) {
        let Page { kind, objects, listed, remaining } = page;
        let done = self.kinds.iter().position(|other| *other == kind).unwrap_or(0);
        let kinds = Some((done, self.kinds.len()));
        self.progress.show("judging", At { kind: &kind.kind, listed, remaining, kinds });
        let depth = if kind.metadata_only { Depth::Metadata } else { Depth::Whole };
        objects.into_iter().for_each(|object| self.survey.look(object, depth, None));
    }
}

fn api_version(kind: &ListedKind) -> ((String, String), String) {
    ((kind.group.clone(), kind.kind.clone()), version(kind))
}

fn version(kind: &ListedKind) -> String {
    match kind.group.as_str() {
        "" => kind.version.clone(),
        group => format!("{group}/{}", kind.version),
    }
}

fn unlisted(unread: &Unread) -> Unlisted {
    let kind = &unread.kind;
    Unlisted {
        api_version: version(kind),
        kind: kind.kind.clone(),
        right: format!("list {} in all namespaces", resource(kind)),
        reason: unread.reason.clone(),
    }
}

/// Every kind that the registration names, and those that the policy's own rules and references are about.
async fn pages(cluster: &Cluster, policy: &AdmissionPolicy) -> Result<Pages, ClusterError> {
    let registered = cluster.whole_objects(&[]).await?;
    let groups: BTreeSet<&String> =
        matches_of(policy).flat_map(|applies| applies.api_groups.iter()).collect();
    if groups.is_empty() {
        return Ok(registered);
    }
    let groups: Vec<String> = groups.into_iter().cloned().collect();
    let mut pages = cluster.whole_objects(&groups).await?;
    let wanted = |kind: &ListedKind, applies: &ObjectMatch| {
        applies.api_groups.contains(&kind.group)
            && (applies.kinds.is_empty() || applies.kinds.contains(&kind.kind))
    };
    let is_registered = |kind: &ListedKind| registered.kinds().contains(kind);
    pages.leave_out(|kind| {
        !is_registered(kind) && !matches_of(policy).any(|applies| wanted(kind, applies))
    });
    Ok(pages)
}

fn matches_of(policy: &AdmissionPolicy) -> impl Iterator<Item = &ObjectMatch> {
    let custom = policy.custom.iter().map(|rule| &rule.applies);
    custom.chain(policy.references.iter().map(|field| &field.applies))
}
