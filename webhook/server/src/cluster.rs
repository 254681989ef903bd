//! A cluster, read once: the view that the webhook would have of it, and its whole objects page by page. For `pinfold explain` and `pinfold scan`.
//!
//! What can't be read is said, never left out in silence; values of Secrets and ConfigMaps are not asked for. Nothing is written or watched here.
//!
//! ```no_run
//! # async fn example() -> Result<(), pinfold_webhook::cluster::ClusterError> {
//! use pinfold_webhook::cluster::Cluster;
//! let cluster = Cluster::connect(None, None).await?;
//! let view = cluster.view(|progress| println!("{}: {}", progress.kind, progress.listed)).await?;
//! let mut pages = cluster.whole_objects(&[]).await?;
//! while let Some(page) = pages.next().await {
//!     // judge `page.objects` by `view.snapshot`
//! }
//! # Ok(())
//! # }
//! ```

mod paging;
mod registered;
mod scanned;

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pinfold_model::object::ObjectKey;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use crate::config::ViewSource;
use crate::error::StartError;
use crate::informers::{self, Decoded, Source, decode};
use paging::{Pager, explained};
pub use registered::Registered;

/// How long a connection to the API server may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The client, if there is a cluster.
///
/// # Errors
/// The file and what is wrong with it. Whether the cluster answers is not tried here.
pub(crate) async fn client(view: &ViewSource) -> Result<Option<Client>, StartError> {
    let (place, config) = match view {
        ViewSource::Files(_) => return Ok(None),
        ViewSource::InCluster => {
            let place = "of the pod's ServiceAccount".to_owned();
            (place, Config::incluster().map_err(|error| error.to_string()))
        }
        ViewSource::Kubeconfig(path) => (format!("`{}`", path.display()), read(path, None).await),
    };
    let client = config.and_then(client_of);
    client.map(Some).map_err(|message| StartError::Cluster { place, message })
}

fn client_of(mut config: Config) -> Result<Client, String> {
    config.connect_timeout = Some(CONNECT_MAX);
    Client::try_from(config).map_err(|error| error.to_string())
}

async fn read(path: &Path, context: Option<&str>) -> Result<Config, String> {
    let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
    Config::from_custom_kubeconfig(file, &in_context(context))
        .await
        .map_err(|error| error.to_string())
}

/// As kubectl finds it: `KUBECONFIG`, else the file in the home directory, else the pod's ServiceAccount.
async fn found(context: Option<&str>) -> Result<Config, String> {
    let read = match context {
        Some(_) => {
            Config::from_kubeconfig(&in_context(context)).await.map_err(|error| error.to_string())
        }
        None => Config::infer().await.map_err(|error| error.to_string()),
    };
    read.map_err(|message| format!("{message}; name a file with `--kubeconfig`"))
}

fn in_context(context: Option<&str>) -> KubeConfigOptions {
    KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() }
}

/// Why a cluster can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable configuration.
    #[error("can't use the cluster configuration {place}: {message}")]
    Configuration {
        /// The file, or where it was looked for.
        place: String,
        /// The reason.
        message: String,
    },
    /// It isn't known which kinds there are, so that nothing could be called complete.
    #[error("can't ask the API server which kinds it has: {0}")]
    Discovery(String),
    /// More objects than are held at once.
    #[error("the cluster has more than {OBJECTS_MAX} objects of the kinds that rules read")]
    TooManyObjects,
    /// The registration that ships with this version can't be read; always a bug.
    #[error("{0}")]
    Registration(String),
}

/// A cluster that can be read.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// A kind that the cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKind {
    /// API group; empty for the core group.
    pub group: String,
    /// The version that is listed.
    pub version: String,
    /// Kind, as in `Role`.
    pub kind: String,
    /// Plural, as in `roles`.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether only metadata is asked for.
    pub metadata_only: bool,
}

/// How far a list is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'p> {
    /// The kind, as in `Role`.
    pub kind: &'p str,
    /// Objects of it that were listed so far.
    pub listed: u64,
    /// The API server's estimate of those that remain, where it gives one.
    pub remaining: Option<u64>,
}

/// A kind that could not be listed to its end: whatever is judged by it can't be told.
#[derive(Debug, Clone)]
pub struct Unread {
    /// The kind.
    pub kind: ListedKind,
    /// What the API server said.
    pub reason: String,
}

/// An object of a shape that rules can't read; the view has its key and, where that could be read, its metadata.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The object.
    pub key: ObjectKey,
    /// What is wrong with it.
    pub reason: String,
}

/// The view of a cluster as the webhook has it.
#[derive(Debug)]
pub struct View {
    /// Everything that rules look at beside the object that is judged.
    pub snapshot: Snapshot,
    /// Kinds that could not be listed. The view is complete only without any.
    pub unread: Vec<Unread>,
    /// Objects kept by metadata alone; at most [`UNREADABLE_MAX`] are named.
    pub unreadable: Vec<Unreadable>,
}

/// One page of whole objects, as the API server would send them for admission.
#[derive(Debug)]
pub struct Page {
    /// Their kind.
    pub kind: ListedKind,
    /// The objects, each with `apiVersion` and `kind`, without `managedFields`; of Secrets and ConfigMaps the metadata alone.
    pub objects: Vec<Value>,
    /// Objects of the kind that were listed so far, this page included.
    pub listed: u64,
    /// The API server's estimate of those that remain, where it gives one.
    pub remaining: Option<u64>,
}

/// Whole objects, page by page; one page is in memory at a time.
#[derive(Debug)]
pub struct Pages {
    kinds: Vec<ListedKind>,
    todo: std::vec::IntoIter<Pager>,
    current: Option<Pager>,
}

/// Most objects of a view.
pub const OBJECTS_MAX: usize = 4_000_000;
/// Most unreadable objects that are named.
pub const UNREADABLE_MAX: usize = 1_000;

impl Cluster {
    /// Uses the cluster of a kubeconfig, else the one that kubectl would use, else the one around this pod. `context` chooses one of a
    /// kubeconfig's. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ClusterError::Configuration`].
    pub async fn connect(
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let (place, config) = match kubeconfig {
            Some(path) => (format!("`{}`", path.display()), read(path, context).await),
            None => ("that kubectl would use".to_owned(), found(context).await),
        };
        let client = config.and_then(client_of);
        let client = client.map_err(|message| ClusterError::Configuration { place, message })?;
        Ok(Self { client })
    }

    /// Reads what the webhook's informers watch: the built-in kinds and the agent resources that exist. `progress` is called after every page.
    /// What may not be listed is named in [`View::unread`]: rules can't tell by a view that lacks it.
    ///
    /// # Errors
    /// [`ClusterError::Discovery`] and [`ClusterError::TooManyObjects`].
    pub async fn view(
        &self,
        mut progress: impl FnMut(Progress<'_>) + Send,
    ) -> Result<View, ClusterError> {
        let sources = informers::sources(&self.client)
            .await
            .map_err(|error| ClusterError::Discovery(explained(&error)))?;
        let mut view =
            View { snapshot: Snapshot::default(), unread: Vec::new(), unreadable: Vec::new() };
        for source in sources {
            let mut pager = Pager::new(self.client.clone(), source);
            while let Some(page) = pager.next().await {
                match page {
                    Ok(objects) => view.take(pager.source(), objects)?,
                    Err(reason) => {
                        view.unread.push(Unread { kind: ListedKind::of(pager.source()), reason });
                        break;
                    }
                }
                progress(Progress {
                    kind: &pager.source().resource.kind,
                    listed: pager.listed(),
                    remaining: pager.remaining(),
                });
            }
        }
        Ok(view)
    }

    /// Begins to read the whole objects of every kind that the registration of this version sends to be judged, and that the cluster has; of
    /// `further_groups`, which a policy may name in `references` and `custom`, every kind.
    ///
    /// # Errors
    /// [`ClusterError::Discovery`].
    pub async fn whole_objects(&self, further_groups: &[String]) -> Result<Pages, ClusterError> {
        let sources = scanned::sources(&self.client, further_groups).await?;
        let kinds = sources.iter().map(ListedKind::of).collect();
        let pagers = sources.into_iter().map(|source| Pager::new(self.client.clone(), source));
        let todo = pagers.collect::<Vec<_>>().into_iter();
        Ok(Pages { kinds, todo, current: None })
    }
}

impl Pages {
    /// Every kind that is going to be listed, in order.
    #[must_use]
    pub fn kinds(&self) -> &[ListedKind] {
        &self.kinds
    }

    /// Leaves out kinds that aren't wanted: nothing is asked about them. For kinds of which nothing has been listed yet.
    pub fn leave_out(&mut self, unwanted: impl Fn(&ListedKind) -> bool) {
        self.kinds.retain(|kind| !unwanted(kind));
        let todo = std::mem::take(&mut self.todo);
        let wanted = todo.filter(|pager| !unwanted(&ListedKind::of(pager.source())));
        self.todo = wanted.collect::<Vec<_>>().into_iter();
    }

    /// The next page, or the kind that can't be read (on); `None` at the end. After an [`Unread`] it goes on with the next kind.
    pub async fn next(&mut self) -> Option<Result<Page, Unread>> {
        loop {
            if self.current.is_none() {
                self.current = Some(self.todo.next()?);
            }
            let pager = self.current.as_mut()?;
            let Some(page) = pager.next().await else {
                self.current = None;
                continue;
            };
            let kind = ListedKind::of(pager.source());
            let (listed, remaining) = (pager.listed(), pager.remaining());
            return Some(match page {
                Ok(parts) => {
                    let source = pager.source();
                    let whole = parts.into_iter().map(|part| scanned::whole(part, source));
                    Ok(Page { objects: whole.collect(), kind, listed, remaining })
                }
                Err(reason) => {
                    self.current = None;
                    Err(Unread { kind, reason })
                }
            });
        }
    }
}

impl View {
    fn take(&mut self, source: &Source, parts: Vec<paging::Part>) -> Result<(), ClusterError> {
        for (meta, data) in parts {
            let Decoded { object, fault } = decode(meta, data, source);
            if let Some(fault) = fault
                && self.unreadable.len() < UNREADABLE_MAX
            {
                let (key, reason) = (object.key.clone(), fault.to_string());
                self.unreadable.push(Unreadable { key, reason });
            }
            self.snapshot.apply(object);
        }
        if self.snapshot.len() > OBJECTS_MAX {
            return Err(ClusterError::TooManyObjects);
        }
        Ok(())
    }
}

impl ListedKind {
    fn of(source: &Source) -> Self {
        let resource = &source.resource;
        Self {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind: resource.kind.clone(),
            plural: resource.plural.clone(),
            namespaced: source.namespaced,
            metadata_only: source.depth == informers::Depth::Metadata,
        }
    }
}
