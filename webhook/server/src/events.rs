//! Kubernetes Events of denials and of changes of the registration, where people look first. Best effort: a full queue or a spent rate loses them, never a request.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use pinfold_model::facts::AdmissionFacts;
use pinfold_model::object::ObjectKey;
use pinfold_review::first_bytes;
use tokio::sync::mpsc;

use crate::drain::{DrainWatch, Phase};
use crate::metrics::Metrics;
use crate::registration::{Configuration, NAME};

/// Events that wait to be written.
const QUEUE_MAX: usize = 256;
/// Events at once, and how long one more takes to come.
const BURST: u32 = 50;
const REFILL_EVERY: Duration = Duration::from_millis(200);
/// Most bytes of an Event's message; the API server refuses more than 1024.
const MESSAGE_BYTES_MAX: usize = 1000;
/// How long writing one may take.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Where Events about cluster-scoped objects go.
const CLUSTER_NAMESPACE: &str = "default";

/// Something to tell about.
#[derive(Debug)]
pub(crate) struct News {
    namespace: String,
    involved: ObjectReference,
    related: Option<ObjectReference>,
    reason: &'static str,
    action: &'static str,
    message: String,
}

/// Takes denials without waiting.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<News>,
    metrics: Metrics,
}

impl Events {
    /// A queue, and the task that empties it.
    pub(crate) fn new(
        client: Client,
        metrics: &Metrics,
        drain: DrainWatch,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, received) = mpsc::channel(QUEUE_MAX);
        let writer = write_all(client, received, metrics.clone(), drain);
        (Self { queue, metrics: metrics.clone() }, writer)
    }

    /// Tells about a denial, unless it was a dry run.
    pub(crate) fn denied(&self, facts: &AdmissionFacts, version: &str, message: &str) {
        if facts.dry_run {
            return;
        }
        self.tell(denial(facts, version, message));
    }

    /// Tells about a change of the registration. An Event must be in the namespace of its object, and a webhook configuration has none: so
    /// it is one of the Service that the configuration leads to.
    pub(crate) fn registration(
        &self,
        namespace: &str,
        service: &str,
        configuration: Configuration,
        message: &str,
    ) {
        let own = |text: &str| Some(text.to_owned());
        let involved = ObjectReference {
            api_version: own("v1"),
            kind: own("Service"),
            namespace: own(namespace),
            name: own(service),
            ..ObjectReference::default()
        };
        let related = ObjectReference {
            api_version: own("admissionregistration.k8s.io/v1"),
            kind: own(configuration.kind()),
            name: own(NAME),
            ..ObjectReference::default()
        };
        self.tell(News {
            namespace: namespace.to_owned(),
            involved,
            related: Some(related),
            reason: "RegistrationChanged",
            action: "Registration",
            message: first_bytes(message, MESSAGE_BYTES_MAX).to_owned(),
        });
    }

    /// Tells about a binding that gives an agent identity more than its ceiling.
    pub(crate) fn overstepped(&self, binding: &ObjectKey, message: &str) {
        let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let namespace = [binding.namespace.as_str(), CLUSTER_NAMESPACE];
        let namespace = namespace.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        self.tell(News {
            namespace: namespace.to_owned(),
            involved: ObjectReference {
                api_version: own(&format!("{}/v1", binding.group)),
                kind: own(&binding.kind),
                namespace: own(&binding.namespace),
                name: own(&binding.name),
                ..ObjectReference::default()
            },
            related: None,
            reason: "CeilingOverstepped",
            action: "Watch",
            message: first_bytes(message, MESSAGE_BYTES_MAX).to_owned(),
        });
    }

    /// Tells about the policy of a running pod.
    pub(crate) fn policy(&self, pod: &ObjectKey, uid: &str, reason: &'static str, message: &str) {
        let own = |text: &str| Some(text.to_owned());
        self.tell(News {
            namespace: pod.namespace.clone(),
            involved: ObjectReference {
                api_version: own("v1"),
                kind: own(&pod.kind),
                namespace: own(&pod.namespace),
                name: own(&pod.name),
                uid: own(uid),
                ..ObjectReference::default()
            },
            related: None,
            reason,
            action: "PolicyPush",
            message: first_bytes(message, MESSAGE_BYTES_MAX).to_owned(),
        });
    }

    fn tell(&self, news: News) {
        if self.queue.try_send(news).is_err() {
            self.metrics.events.with_label_values(&["dropped"]).inc();
        }
    }
}

fn denial(facts: &AdmissionFacts, version: &str, message: &str) -> News {
    let target = &facts.target;
    let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let api_version = if target.group.is_empty() {
        version.to_owned()
    } else {
        format!("{}/{version}", target.group)
    };
    let namespace = if target.namespace.is_empty() { CLUSTER_NAMESPACE } else { &target.namespace };
    News {
        related: None,
        reason: "Denied",
        action: "Admission",
        namespace: namespace.to_owned(),
        involved: ObjectReference {
            api_version: own(&api_version),
            kind: own(&target.kind),
            namespace: own(&target.namespace),
            name: own(&target.name),
            ..ObjectReference::default()
        },
        message: first_bytes(message, MESSAGE_BYTES_MAX).to_owned(),
    }
}

/// Lets through a burst, then one for each period.
struct Rate {
    left: u32,
    since: Instant,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_millis();
        let periods = passed.checked_div(REFILL_EVERY.as_millis()).unwrap_or(0);
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        if periods > 0 {
            self.left = self.left.saturating_add(periods).min(BURST);
            self.since = now;
        }
        let taken = self.left.checked_sub(1);
        self.left = taken.unwrap_or(0);
        taken.is_some()
    }
}

async fn write_all(
    client: Client,
    mut queue: mpsc::Receiver<News>,
    metrics: Metrics,
    mut drain: DrainWatch,
) {
    let mut rate = Rate::new(Instant::now());
    loop {
        let news = tokio::select! {
            () = drain.reached(Phase::Closing) => return,
            news = queue.recv() => news,
        };
        let Some(news) = news else { return };
        let result = if rate.take(Instant::now()) {
            let written = tokio::time::timeout(WRITE_MAX, write(&client, news)).await;
            if matches!(written, Ok(Ok(()))) { "written" } else { "error" }
        } else {
            "dropped"
        };
        metrics.events.with_label_values(&[result]).inc();
    }
}

async fn write(client: &Client, news: News) -> Result<(), kube::Error> {
    let News { namespace, involved, related, reason, action, message } = news;
    let now = Some(Time(Timestamp::now()));
    let event = Event {
        metadata: ObjectMeta {
            generate_name: Some("pinfold-".to_owned()),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        // An Event must be in the namespace of its object, and a cluster-scoped object has none.
        involved_object: involved,
        related,
        action: Some(action.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        type_: Some("Warning".to_owned()),
        source: Some(EventSource {
            component: Some("pinfold-webhook".to_owned()),
            ..EventSource::default()
        }),
        count: Some(1),
        first_timestamp: now.clone(),
        last_timestamp: now,
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    api.create(&PostParams::default(), &event).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_trickle() {
        let begin = Instant::now();
        let mut rate = Rate::new(begin);
        let passed = (0..BURST * 2).filter(|_| rate.take(begin)).count();
        assert_eq!(passed, usize::try_from(BURST).unwrap());
        assert!(!rate.take(begin + REFILL_EVERY / 2));
        assert!(rate.take(begin + REFILL_EVERY));
        assert!(!rate.take(begin + REFILL_EVERY));
        let later = begin + REFILL_EVERY * 10_000;
        assert_eq!((0..BURST * 2).filter(|_| rate.take(later)).count(), 50, "no more than a burst");
    }
}
