//! One kind's list and watch, as changes for the keeper.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::Api;
use kube::core::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, Event, watcher as watch};
use pinfold_model::object::{DecodeError, Facts, Meta, Object, ObjectKey, from_value};
use serde_json::{Map, Value};

use super::Shared;
use super::keeper::Change;
use super::kinds::{Depth, Source};
use crate::metrics::{KINDS, known};

/// The API server ends a watch after this; a watch that was cut off in silence is found 5 s later. It bounds how long an
/// unnoticed loss can make the view wrong.
const WATCH_SECONDS: u32 = 30;
/// Objects of one page of a list.
const PAGE_OBJECTS: u32 = 500;
/// First and longest pause before a failed watch is begun anew.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Watches one kind until the server closes or the kind is gone.
pub(super) async fn run(source: Source, shared: Shared) {
    let mut pause = PAUSE_MIN;
    let mut drain = shared.drain.clone();
    loop {
        let failure = once(&source, &shared, &mut pause).await;
        shared.freshness.broken(&source);
        let kind = known(KINDS, &source.resource.kind);
        shared.metrics.cache.watch_errors.with_label_values(&[kind]).inc();
        if is_gone(&failure) {
            shared.discover.notify_one();
        }
        tracing::warn!(kind = source.resource.kind, reason = %failure, "watch failed");
        if !drain.pause(pause).await {
            return;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// Lists and watches until something fails, and returns why.
async fn once(source: &Source, shared: &Shared, pause: &mut Duration) -> Failure {
    let (client, resource) = (shared.client.clone(), &source.resource);
    let config = Config::default().timeout(WATCH_SECONDS).page_size(PAGE_OBJECTS);
    match source.depth {
        Depth::Whole => {
            let api: Api<DynamicObject> = Api::all_with(client, resource);
            forward(watch(api, config), source, shared, pause).await
        }
        Depth::Metadata => {
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, resource);
            forward(watch(api, config), source, shared, pause).await
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Watch(#[from] Box<watcher::Error>),
    #[error("the watch ended")]
    Ended,
    #[error("the view is not kept any more")]
    NoKeeper,
}

/// Whether the API server says that there is no such resource.
fn is_gone(failure: &Failure) -> bool {
    let Failure::Watch(error) = failure else { return false };
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error.as_ref()
    else {
        return false;
    };
    status.code == 404
}

async fn forward<T: Watched>(
    events: impl Stream<Item = watcher::Result<Event<T>>>,
    source: &Source,
    shared: &Shared,
    pause: &mut Duration,
) -> Failure {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => return Failure::Watch(Box::new(error)),
        };
        let listed = matches!(event, Event::InitDone);
        if shared.changes.send(change(event, source, shared)).await.is_err() {
            return Failure::NoKeeper;
        }
        if listed {
            *pause = PAUSE_MIN;
            shared.freshness.listed(source);
        }
    }
    Failure::Ended
}

fn change<T: Watched>(event: Event<T>, source: &Source, shared: &Shared) -> Change {
    let object = |watched: T| Box::new(decoded(watched, source, shared));
    match event {
        Event::Init => Change::ListBegins(source.clone()),
        Event::InitApply(watched) => Change::Listed(source.clone(), object(watched)),
        Event::InitDone => Change::ListEnds(source.clone()),
        Event::Apply(watched) => Change::Applied(object(watched)),
        Event::Delete(watched) => Change::Deleted(key(&watched.into_parts().0, source)),
    }
}

/// What a watch yields: metadata, and the rest where it is fetched.
pub(crate) trait Watched {
    fn into_parts(self) -> (ObjectMeta, Value);
}

impl Watched for DynamicObject {
    fn into_parts(self) -> (ObjectMeta, Value) {
        (self.metadata, self.data)
    }
}

impl Watched for PartialObjectMeta<DynamicObject> {
    fn into_parts(self) -> (ObjectMeta, Value) {
        (self.metadata, Value::Null)
    }
}

fn key(meta: &ObjectMeta, source: &Source) -> ObjectKey {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    ObjectKey {
        group: source.resource.group.clone(),
        kind: source.resource.kind.clone(),
        namespace: text(&meta.namespace),
        name: text(&meta.name),
    }
}

/// An object as the rules read it. One of an unreadable shape keeps what is readable and is counted.
fn decoded<T: Watched>(watched: T, source: &Source, shared: &Shared) -> Object {
    let (meta, data) = watched.into_parts();
    let Decoded { object, fault } = decode(meta, data, source);
    if let Some(error) = fault {
        let kind = known(KINDS, &source.resource.kind);
        shared.metrics.cache.undecodable.with_label_values(&[kind]).inc();
        let object = &object.key;
        tracing::warn!(%object, %error, "watched object can't be read, kept as metadata");
    }
    object
}

/// What was fetched of an object, as rules read it.
pub(crate) struct Decoded {
    /// With empty metadata if not even that can be read.
    pub(crate) object: Object,
    /// What could not be read.
    pub(crate) fault: Option<DecodeError>,
}

/// Decodes what was fetched of an object, as far as it can be read.
pub(crate) fn decode(mut meta: ObjectMeta, data: Value, source: &Source) -> Decoded {
    meta.managed_fields = None;
    let key = key(&meta, source);
    let meta = serde_json::to_value(meta).unwrap_or_default();
    let mut fault = None;
    if let (Depth::Whole, Value::Object(fields)) = (source.depth, data) {
        let whole = value(fields, &source.resource.api_version, &source.resource.kind, &meta);
        match from_value(&whole) {
            Ok(object) => return Decoded { object: Object { key, ..object }, fault },
            Err(error) => fault = Some(error),
        }
    }
    let partial = value(Map::new(), "meta.k8s.io/v1", "PartialObjectMetadata", &meta);
    match from_value(&partial) {
        Ok(object) => Decoded { object: Object { key, ..object }, fault },
        Err(error) => {
            let object = Object { key, meta: Meta::default(), facts: Facts::MetaOnly };
            Decoded { object, fault: Some(error) }
        }
    }
}

fn value(mut fields: Map<String, Value>, api_version: &str, kind: &str, meta: &Value) -> Value {
    fields.insert("apiVersion".to_owned(), api_version.into());
    fields.insert("kind".to_owned(), kind.into());
    fields.insert("metadata".to_owned(), meta.clone());
    Value::Object(fields)
}
