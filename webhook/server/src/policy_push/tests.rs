//! Cases of the loop: two replicas, one cluster that is a map, time that doesn't pass by itself.

mod pods;
mod steps;

use std::collections::BTreeMap;
use std::sync::Mutex;

use arc_swap::ArcSwap;
use pinfold_model::digest::Digest;
use pinfold_model::object::{Facts, Meta};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::policy::inject::POLICY_DIGEST;
use pinfold_model::policy::{PolicySet, load};
use pinfold_model::sources::SourceFile;

use super::*;
use crate::admission::{DecisionIds, Judge};
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::policy_watch::{FORMER_MAX, Former};
use crate::view::View;

/// A pod as the view has it, with the policy of that text.
pub(super) fn pod(name: &str, uid: &str, text: &str) -> Object {
    let digest = Digest::of(text.as_bytes()).to_string();
    let mut meta = Meta { uid: uid.to_owned(), ..Meta::default() };
    meta.annotations.insert(POLICY.to_owned(), digest.clone());
    meta.annotations.insert(POLICY_DIGEST.to_owned(), digest);
    Object { key: ObjectKey::new("", "Pod", "n", name), meta, facts: Facts::MetaOnly }
}

/// A policy that allows one host; none for an empty name.
fn policies(host: &str) -> PolicySet {
    let mut text = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: p}, spec: {mode: enforce}}\n".to_owned();
    if !host.is_empty() {
        text.push_str(&format!(
            "---\n{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: a}}, spec: {{egress: {{allow: [{{host: {host}, ports: [443], protocol: tls}}]}}}}}}\n"
        ));
    }
    load(&[SourceFile { name: "p.yaml".to_owned(), text }]).unwrap()
}

fn published(host: &str, generation: u64) -> Arc<Published> {
    let policy = policies(host);
    let digest = policy.digest.to_string();
    Arc::new(Published { policy, digest, generation, former: None })
}

/// What pods should have by the policy of a host.
fn text(host: &str) -> String {
    let policy = policies(host);
    policy
        .agents
        .first()
        .map_or_else(|| Wish::of(None).text.to_string(), |agent| agent.source.to_string())
}

/// The one AgentPolicy there is; pods named `odd` can't have one, those named `foreign` aren't Pinfold's.
fn compile(_: &Snapshot, policy: &AdmissionPolicy, pod: &Object) -> Result<Option<Wish>, String> {
    if pod.key.name == "odd" {
        return Err("two contents of one upstream".to_owned());
    }
    if pod.key.name == "foreign" {
        return Ok(None);
    }
    Ok(Some(Wish::of(policy.inject.agents.first().map(|agent| agent.source.as_ref()))))
}

/// A cluster: its pods, the views of it, and every write that it took.
#[derive(Default)]
struct Cluster {
    pods: Mutex<BTreeMap<ObjectKey, Object>>,
    views: Mutex<Vec<Arc<View>>>,
    writes: Mutex<Vec<(String, String)>>,
    /// Answers that come instead of writes, the next one last.
    answers: Mutex<Vec<Outcome>>,
    /// Views don't learn of writes.
    blind: std::sync::atomic::AtomicBool,
}

struct Client(Arc<Cluster>);

impl Write for Client {
    async fn write(&self, order: &Order) -> Outcome {
        if let Some(answer) = self.0.answers.lock().unwrap().pop() {
            return answer;
        }
        {
            let mut pods = self.0.pods.lock().unwrap();
            let Some(pod) = pods.get_mut(&order.pod) else { return Outcome::Gone };
            let there = pod.meta.annotations.get(POLICY_DIGEST).cloned().unwrap_or_default();
            if pod.meta.uid != order.uid || there != order.written {
                return Outcome::Outrun;
            }
            let digest = Digest::of(order.text.as_bytes()).to_string();
            pod.meta.annotations.insert(POLICY.to_owned(), digest);
            pod.meta.annotations.insert(POLICY_DIGEST.to_owned(), order.digest.clone());
        }
        self.0.writes.lock().unwrap().push((order.pod.name.clone(), order.digest.clone()));
        if !self.0.blind.load(std::sync::atomic::Ordering::Relaxed) {
            self.0.publish();
        }
        Outcome::Written
    }
}

impl Cluster {
    fn of(pods: impl IntoIterator<Item = Object>) -> Arc<Self> {
        let pods = pods.into_iter().map(|pod| (pod.key.clone(), pod)).collect();
        Arc::new(Self { pods: Mutex::new(pods), ..Self::default() })
    }

    fn publish(&self) {
        let pods = self.pods.lock().unwrap();
        for view in self.views.lock().unwrap().iter() {
            view.publish(Snapshot::of(pods.values().cloned()));
            view.confined.add(pods.keys().cloned());
        }
    }

    fn put(&self, pod: Object) {
        self.pods.lock().unwrap().insert(pod.key.clone(), pod);
        self.publish();
    }

    fn writes(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.writes.lock().unwrap())
    }

    fn has(&self, name: &str) -> String {
        let key = ObjectKey::new("", "Pod", "n", name);
        self.pods.lock().unwrap()[&key].meta.annotations[POLICY_DIGEST].clone()
    }

    fn replica(self: &Arc<Self>, host: &str) -> Push<Client> {
        let view = Arc::new(View::fixed(Snapshot::default()));
        self.views.lock().unwrap().push(Arc::clone(&view));
        self.publish();
        let admission = Admission {
            policy: Arc::new(ArcSwap::new(published(host, 1))),
            view,
            metrics: Metrics::new().unwrap(),
            ledger: None,
            judge: Judge::default(),
            live: None,
            events: None,
            view_lag_max: Duration::from_secs(60),
            audit_max: Duration::from_secs(1),
            ids: DecisionIds::new(),
        };
        Push::by(Arc::new(admission), Client(Arc::clone(self)), compile)
    }
}

fn reload(replica: &Push<Client>, host: &str) {
    let before = replica.admission.policy.load_full();
    let policy = policies(host);
    let former = Former::of(&before.policy, &policy, FORMER_MAX);
    let (digest, generation) = (policy.digest.to_string(), before.generation.saturating_add(1));
    replica.admission.policy.store(Arc::new(Published { policy, digest, generation, former }));
}

/// Looks and writes until nothing is due.
async fn settle(mut replica: Push<Client>) -> Push<Client> {
    for _ in 0..1_000 {
        replica = replica.look();
        if replica.write_some().await == LOOK_EVERY {
            return replica;
        }
    }
    panic!("it never ends");
}

fn counted(replica: &Push<Client>, result: &str) -> u64 {
    replica.admission.metrics.policy_push.writes.with_label_values(&[result]).get()
}

fn digest(host: &str) -> String {
    Digest::of(text(host).as_bytes()).to_string()
}

#[tokio::test]
async fn a_changed_policy_comes_to_every_pod_once_whoever_is_first() {
    let cluster = Cluster::of((0..20).map(|at| pod(&format!("p{at}"), "u", &text("old.example"))));
    let (one, two) = (cluster.replica("old.example"), cluster.replica("old.example"));
    let (one, two) = tokio::join!(settle(one), settle(two));
    assert!(cluster.writes().is_empty(), "all have what they should have");
    reload(&one, "new.example");
    reload(&two, "new.example");
    let (one, two) = tokio::join!(settle(one), settle(two));
    let mut writes = cluster.writes();
    writes.sort();
    writes.dedup();
    assert_eq!(writes.len(), 20);
    assert!(writes.iter().all(|(_, to)| *to == digest("new.example")));
    let by_each = [counted(&one, "written"), counted(&two, "written")];
    assert_eq!(by_each.iter().sum::<u64>(), 20);
    assert_eq!(one.admission.metrics.policy_push.behind.get(), 0);
}

#[tokio::test]
async fn at_the_start_what_was_missed_is_made_up_for() {
    let cluster = Cluster::of([pod("p", "u", &text("old.example"))]);
    let replica = settle(cluster.replica("new.example")).await;
    assert_eq!(cluster.writes(), [("p".to_owned(), digest("new.example"))]);
    assert_eq!(counted(&replica, "written"), 1);
}

#[tokio::test]
async fn a_replica_that_lags_behind_does_not_take_a_newer_policy_back() {
    let cluster = Cluster::of([pod("p", "u", &text("old.example"))]);
    let ahead = settle(cluster.replica("old.example")).await;
    let behind = settle(cluster.replica("old.example")).await;
    reload(&ahead, "new.example");
    let _ahead = settle(ahead).await;
    // Also a pod that is made meanwhile by the one that knows more.
    cluster.put(pod("later", "v", &text("new.example")));
    let behind = settle(behind).await;
    assert_eq!(cluster.writes(), [("p".to_owned(), digest("new.example"))]);
    assert_eq!(behind.admission.metrics.policy_push.behind.get(), 2, "it knows, and waits");
    reload(&behind, "new.example");
    let behind = settle(behind).await;
    assert!(cluster.writes().is_empty());
    assert_eq!(behind.admission.metrics.policy_push.behind.get(), 0);
}

/// The first pod of all, made by a replica that didn't know the new policy yet, and let pass by this one (`admit_amid_change`).
#[tokio::test]
async fn what_the_policy_before_gives_is_known_although_no_pod_had_it() {
    let cluster = Cluster::of([]);
    let replica = settle(cluster.replica("old.example")).await;
    reload(&replica, "new.example");
    let replica = settle(replica).await;
    cluster.put(pod("amid", "u", &text("old.example")));
    cluster.put(pod("newer", "v", &text("newest.example")));
    let replica = settle(replica).await;
    assert_eq!(cluster.writes(), [("amid".to_owned(), digest("new.example"))]);
    assert_eq!(replica.admission.metrics.policy_push.behind.get(), 1, "the other may be newer");
}

#[tokio::test]
async fn a_pod_that_was_made_by_the_former_policy_gets_the_new_one() {
    let cluster = Cluster::of([pod("p", "u", &text("old.example"))]);
    let replica = settle(cluster.replica("old.example")).await;
    reload(&replica, "new.example");
    let replica = settle(replica).await;
    cluster.writes();
    cluster.put(pod("late", "v", &text("old.example")));
    let _replica = settle(replica).await;
    assert_eq!(cluster.writes(), [("late".to_owned(), digest("new.example"))]);
}

#[tokio::test]
async fn no_policy_any_more_is_a_policy_that_allows_nothing() {
    let cluster = Cluster::of([pod("p", "u", &text("old.example"))]);
    let replica = settle(cluster.replica("old.example")).await;
    reload(&replica, "");
    let _replica = settle(replica).await;
    assert_eq!(cluster.writes().len(), 1);
    let nothing = Wish::of(None);
    assert_eq!(cluster.has("p"), nothing.digest.to_string());
    let file = SourceFile { name: "n.json".to_owned(), text: nothing.text.to_string() };
    let loaded = load(&[file]).unwrap();
    let agent = loaded.agents.first().unwrap();
    assert!(agent.egress.is_empty() && agent.upstreams.is_empty() && agent.servers.is_empty());
    assert_eq!(agent.source, nothing.text, "canonical");
}

#[tokio::test]
async fn what_cannot_be_compiled_leaves_the_pod_as_it_is_and_is_told_once() {
    let cluster = Cluster::of([pod("odd", "u", &text("old.example")), pod("p", "v", "x")]);
    let replica = settle(cluster.replica("new.example")).await;
    assert_eq!(cluster.has("odd"), digest("old.example"));
    assert_eq!(cluster.has("p"), digest("new.example"), "others are not held up");
    cluster.publish();
    let replica = settle(replica).await;
    assert_eq!(counted(&replica, "refused"), 1);
}

#[tokio::test]
async fn what_only_says_that_it_is_ours_is_never_written_to() {
    let cluster = Cluster::of([pod("foreign", "u", "x"), pod("p", "v", "x")]);
    let replica = settle(cluster.replica("new.example")).await;
    assert_eq!(cluster.writes(), [("p".to_owned(), digest("new.example"))]);
    assert_eq!(counted(&replica, "refused"), 0);
    assert_eq!(replica.admission.metrics.policy_push.behind.get(), 0);
}

#[tokio::test]
async fn failures_are_tried_again_later_and_hold_nobody_up() {
    let cluster = Cluster::of([pod("p", "u", "x"), pod("q", "v", "x")]);
    cluster.answers.lock().unwrap().push(Outcome::Failed("forbidden".to_owned()));
    let mut replica = settle(cluster.replica("new.example")).await;
    assert_eq!(cluster.writes().len(), 1, "the other one");
    assert_eq!(counted(&replica, "failed"), 1);
    assert_eq!(replica.admission.metrics.policy_push.behind.get(), 1);
    // Not at once, but within a second.
    assert_eq!(replica.write_some().await, LOOK_EVERY);
    tokio::time::sleep(Duration::from_millis(900)).await;
    replica = settle(replica).await;
    assert_eq!(cluster.writes().len(), 1);
    assert_eq!(replica.admission.metrics.policy_push.behind.get(), 0);
}

#[tokio::test]
async fn a_view_that_does_not_follow_leads_to_no_second_write() {
    let cluster = Cluster::of([pod("p", "u", "x")]);
    cluster.blind.store(true, std::sync::atomic::Ordering::Relaxed);
    let replica = settle(cluster.replica("new.example")).await;
    let replica = settle(replica).await;
    assert_eq!(cluster.writes().len(), 1);
    assert_eq!(counted(&replica, "written"), 1);
}

#[tokio::test]
async fn a_busy_api_server_is_left_in_peace() {
    let cluster = Cluster::of([pod("p", "u", "x")]);
    cluster.answers.lock().unwrap().push(Outcome::Busy("too many requests".to_owned()));
    let mut replica = cluster.replica("new.example").look();
    assert_eq!(replica.write_some().await, PAUSE_MAX);
    assert_eq!(counted(&replica, "busy"), 1);
    assert!(pace(Duration::ZERO, false) == BATCH_MIN && pace(BATCH_MIN, false).is_zero());
    assert_eq!(pace(Duration::from_secs(2), false), Duration::from_secs(2));
    assert_eq!(pace(Duration::from_secs(60), false), PAUSE_MAX);
}

#[tokio::test]
async fn it_runs_until_the_server_leaves() {
    let cluster = Cluster::of([pod("p", "u", "x")]);
    let replica = cluster.replica("new.example");
    let (drain, watch) = Drain::new();
    let running = tokio::spawn(replica.run(watch));
    let wanted = digest("new.example");
    tokio::time::timeout(Duration::from_secs(10), async {
        while cluster.has("p") != wanted {
            tokio::task::yield_now().await;
        }
        drain.enter(Phase::Draining);
        running.await.unwrap();
    })
    .await
    .unwrap();
}
