//! One kind's list and watch, as changes for the keeper.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::Api;
use kube::core::{
    ApiResource, DynamicObject, DynamicResourceScope, ObjectMeta, PartialObjectMeta, Resource,
};
use kube::runtime::watcher::{self, Config, Event, watcher as watch};
use pinfold_model::object::{self, DecodeError, Facts, Kind, Meta, Object, ObjectKey, from_value};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
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
            let api: Api<Written> = Api::all_with(client, resource);
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
    let object = |watched: T| Box::new(counted(watched.decoded(source), source, shared));
    match event {
        Event::Init => Change::ListBegins(source.clone()),
        Event::InitApply(watched) => Change::Listed(source.clone(), object(watched)),
        Event::InitDone => Change::ListEnds(source.clone()),
        Event::Apply(watched) => Change::Applied(object(watched)),
        Event::Delete(watched) => Change::Deleted(watched.key(source)),
    }
}

/// What a watch yields.
trait Watched {
    fn key(&self, source: &Source) -> ObjectKey;

    fn decoded(self, source: &Source) -> Decoded;
}

impl Watched for PartialObjectMeta<DynamicObject> {
    fn key(&self, source: &Source) -> ObjectKey {
        key(&self.metadata, source)
    }

    fn decoded(self, source: &Source) -> Decoded {
        decode(self.metadata, Value::Null, source)
    }
}

/// An object as the API server wrote it. A page of a list is kept as text, which takes a tenth of what its values would, and is read once, into
/// what rules read.
#[derive(Debug, Clone)]
struct Written {
    /// Name, namespace and version: what the watch itself needs.
    meta: ObjectMeta,
    text: Box<RawValue>,
}

/// Text is borrowed from JSON only; the API server writes the type of an event before its object, so that none is ever read ahead.
impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Place {
            name: Option<String>,
            namespace: Option<String>,
            resource_version: Option<String>,
        }
        #[derive(Deserialize)]
        struct Placed {
            metadata: Place,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Placed { metadata } =
            serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let Place { name, namespace, resource_version } = metadata;
        let meta = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Ok(Self { meta, text })
    }
}

impl Resource for Written {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl Watched for Written {
    fn key(&self, source: &Source) -> ObjectKey {
        key(&self.meta, source)
    }

    fn decoded(self, source: &Source) -> Decoded {
        let key = self.key(source);
        let read = |api_version: &str, kind: &str| {
            object::decode(&Kind::new(api_version, kind), self.text.get().as_bytes())
        };
        match read(&source.resource.api_version, &source.resource.kind) {
            Ok(object) => Decoded { object: Object { key, ..object }, fault: None },
            Err(error) => {
                let bare = read("meta.k8s.io/v1", "PartialObjectMetadata");
                let meta = bare.map(|bare| bare.meta).unwrap_or_default();
                Decoded { object: Object { key, meta, facts: Facts::MetaOnly }, fault: Some(error) }
            }
        }
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
fn counted(decoded: Decoded, source: &Source, shared: &Shared) -> Object {
    let Decoded { object, fault } = decoded;
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
