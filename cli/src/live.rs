//! The cluster that a command looks at: files, or one reading of a running cluster as the webhook would see it.

use std::io::Write;

use pinfold_model::snapshot::Snapshot;
use pinfold_webhook::cluster::{Cluster, View};

use crate::arguments::ClusterArguments;
use crate::{CliError, manifest};

/// Most kinds and objects that a warning names.
const NAMED_MAX: usize = 8;

/// What is known of a cluster.
pub(crate) struct Seen {
    /// The objects.
    pub(crate) view: Snapshot,
    /// Whether everything that rules read could be read.
    pub(crate) complete: bool,
}

/// Reads the cluster that the arguments name; what can't be read of a running one is told on `err`.
pub(crate) fn read(arguments: &ClusterArguments, err: &mut dyn Write) -> Result<Seen, CliError> {
    if !arguments.cluster.is_empty() {
        let objects = manifest::cluster(&arguments.cluster, None)?;
        let view = Snapshot::of(objects.into_iter().map(|manifest| manifest.object));
        return Ok(Seen { view, complete: true });
    }
    let view = block_on(connect_and_read(arguments))??;
    let complete = view.unread.is_empty() && view.unreadable.is_empty();
    warn(&view, err)?;
    Ok(Seen { view: view.snapshot, complete })
}

async fn connect_and_read(arguments: &ClusterArguments) -> Result<View, CliError> {
    let fail = |error: pinfold_webhook::cluster::ClusterError| CliError::Input(error.to_string());
    let (file, context) = (arguments.kubeconfig.as_deref(), arguments.context.as_deref());
    let cluster = Cluster::connect(file, context).await.map_err(fail)?;
    cluster.view(|_| ()).await.map_err(fail)
}

/// Runs what needs a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

fn warn(view: &View, err: &mut dyn Write) -> Result<(), CliError> {
    for unread in view.unread.iter().take(NAMED_MAX) {
        let kind = &unread.kind;
        let name = if kind.group.is_empty() {
            kind.plural.clone()
        } else {
            format!("{}.{}", kind.plural, kind.group)
        };
        writeln!(
            err,
            "warning: can't list {name}, so the answer is incomplete: {}",
            unread.reason
        )?;
    }
    for unreadable in view.unreadable.iter().take(NAMED_MAX) {
        writeln!(err, "warning: can't read {}: {}", unreadable.key, unreadable.reason)?;
    }
    let told =
        view.unread.len().min(NAMED_MAX).saturating_add(view.unreadable.len().min(NAMED_MAX));
    let all = view.unread.len().saturating_add(view.unreadable.len());
    if all > told {
        writeln!(err, "warning: and {} more", all.saturating_sub(told))?;
    }
    Ok(())
}
