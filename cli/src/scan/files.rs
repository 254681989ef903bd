//! A scan of files: everything in them is the cluster.

use std::collections::BTreeMap;

use pinfold_engine::scan::Depth;
use pinfold_model::snapshot::Snapshot;

use super::owners::Kinds;
use super::progress::{At, Progress};
use super::survey::{Bench, Survey};
use super::{Scanned, Setting, require_namespaces};
use crate::{CliError, manifest};

pub(super) fn scan(setting: &Setting<'_>, progress: &mut Progress) -> Result<Scanned, CliError> {
    let manifests = manifest::cluster(&setting.arguments.cluster.cluster, None)?;
    // Of two with one key the later counts, as in the view.
    let manifests: BTreeMap<_, _> =
        manifests.into_iter().map(|manifest| (manifest.object.key.clone(), manifest)).collect();
    let view = Snapshot::of(manifests.values().map(|manifest| manifest.object.clone()));
    require_namespaces(&setting.filter.namespaces, &view)?;
    let kind = |manifest: &manifest::Manifest| {
        let key = &manifest.object.key;
        ((key.group.clone(), key.kind.clone()), manifest.api_version().to_owned())
    };
    let kinds: Kinds = manifests.values().map(kind).collect();
    let (policy, now, filter) = (setting.policy, setting.now, &setting.filter);
    let bench = Bench { policy, view: &view, now, filter, kinds: &kinds };
    let mut survey = Survey::new(bench);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let all = count(manifests.len());
    for (position, (key, manifest)) in manifests.into_iter().enumerate() {
        let listed = count(position);
        let remaining = Some(all.saturating_sub(listed));
        let at = At { kind: &key.kind, listed, remaining, kinds: Some((0, 1)) };
        progress.show("judging", at);
        survey.look(manifest.value, Depth::Whole, Some((manifest.file, manifest.line)));
    }
    Ok(Scanned { found: survey.finish(), ..Scanned::default() })
}
