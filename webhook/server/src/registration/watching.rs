//! One configuration, watched and looked at again and again: a watch tells within a moment, a look finds what a watch lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Error, ResourceExt};

use super::compare::{Bundles, Change, Difference, Standard, bundles_of, entries};
use super::desired::{Configuration, Wanted};
use super::named::Current;
use super::pace::Pace;
use super::report::{Outcome, Report};
use super::{NAME, POLICY_ENTRY, Registration, replicas, restore};
use crate::drain::{DrainWatch, Phase};

/// How often it is looked at without news, and how long one look may take: together below the 30 s within which a change must be found.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_MAX: Duration = Duration::from_secs(10);
/// How soon again when something is to be done that can't be done yet.
const AGAIN: Duration = Duration::from_secs(1);
/// The API server ends a watch after this.
const WATCH_SECONDS: u32 = 25;
/// A pod is ready for this long before it restores anything, so that the replicas that it replaces have seen that it is ready.
const SETTLE: Duration = Duration::from_secs(6);
/// How long replicas may have read different policies: a ConfigMap takes a minute or two to all nodes.
const APART_MAX: Duration = Duration::from_secs(150);

/// Looks after one configuration until the server leaves.
pub(super) async fn run(
    shared: Arc<Registration>,
    configuration: Configuration,
    mut drain: DrainWatch,
) {
    let api: Api<DynamicObject> = Api::all_with(shared.client.clone(), &configuration.resource());
    let mut keeper = Keeper::new(&shared, configuration, api.clone());
    // A right that is limited to a name covers lists and watches of that name.
    let config = Config::default().fields(&format!("metadata.name={NAME}")).timeout(WATCH_SECONDS);
    let mut events = std::pin::pin!(watcher(api, config));
    let mut pause = Duration::ZERO;
    loop {
        let news = tokio::select! {
            () = drain.reached(Phase::Draining) => return,
            event = events.next() => event,
            () = tokio::time::sleep(pause) => None,
        };
        pause = match news {
            Some(Ok(Event::Apply(found) | Event::InitApply(found))) => {
                keeper.judge(Some(found)).await
            }
            Some(Ok(Event::Delete(_))) => keeper.judge(None).await,
            Some(Ok(Event::Init)) => pause,
            // A list without it says that there is none, which only a look can tell.
            Some(Ok(Event::InitDone)) | None => keeper.look().await,
            Some(Err(error)) => {
                tracing::warn!(configuration = configuration.kind(), %error, "can't watch the registration");
                if !drain.pause(AGAIN).await {
                    return;
                }
                Duration::ZERO
            }
        };
    }
}

/// Whether a difference is Pinfold's own to settle: a change of the policy, not of the registration by somebody.
enum Own {
    No,
    /// Not by this replica, or not yet.
    Later,
    Now,
}

struct Keeper<'s> {
    shared: &'s Registration,
    configuration: Configuration,
    /// What is wanted as of the last look.
    current: Arc<Current>,
    /// Which of what was wanted the configuration was last known to be.
    followed: u64,
    /// Since when the policy's entry is another one than this replica wants.
    apart_since: Option<Instant>,
    api: Api<DynamicObject>,
    /// The CAs of the last time that all was well.
    known: Bundles,
    /// What was told last: of which version, if there was one, and what came of it.
    told: Option<(Option<String>, &'static str)>,
    seen: Option<String>,
    pace: Pace,
    ready_since: Option<Instant>,
}

impl<'s> Keeper<'s> {
    fn new(
        shared: &'s Registration,
        configuration: Configuration,
        api: Api<DynamicObject>,
    ) -> Self {
        Self {
            shared,
            configuration,
            current: shared.plan.current.load_full(),
            followed: 0,
            apart_since: None,
            api,
            known: Bundles::new(),
            told: None,
            seen: None,
            pace: Pace::default(),
            ready_since: None,
        }
    }

    fn wanted(&self) -> &Wanted {
        self.current.desired.of_configuration(self.configuration)
    }

    /// Reads it and judges it; the pause until the next look.
    async fn look(&mut self) -> Duration {
        match tokio::time::timeout(LOOK_MAX, self.api.get_opt(NAME)).await {
            Ok(Ok(found)) => self.judge(found).await,
            Ok(Err(error)) => {
                tracing::warn!(configuration = self.configuration.kind(), %error, "can't read the registration");
                LOOK_EVERY
            }
            Err(_) => {
                tracing::warn!(
                    configuration = self.configuration.kind(),
                    "no answer about the registration"
                );
                LOOK_EVERY
            }
        }
    }

    /// Compares, and does what is to be done; the pause until the next look.
    async fn judge(&mut self, found: Option<DynamicObject>) -> Duration {
        self.tell_certificates(found.as_ref());
        self.current = self.shared.plan.current.load_full();
        let bundles = self.wanted_bundles(found.as_ref());
        let configuration = self.configuration;
        let current = Arc::clone(&self.current);
        let wanted = current.desired.of_configuration(configuration);
        let standard = Standard { configuration, wanted, bundles: &bundles };
        let differences = standard.differences(found.as_ref());
        let intact = &self.shared.health.admission.metrics.registration.intact;
        let label = [self.configuration.label()];
        intact.with_label_values(&label).set(i64::from(differences.is_empty()));
        if let (true, Some(found)) = (differences.is_empty(), &found) {
            self.known = bundles_of(entries(found));
            self.told = None;
            self.followed = current.generation;
            self.apart_since = None;
            return LOOK_EVERY;
        }
        match self.of_policy(&differences) {
            Own::No => self.apart_since = None,
            Own::Later => return LOOK_EVERY,
            Own::Now => {
                let (outcome, pause) = self.act(found.as_ref()).await;
                tracing::info!(outcome = outcome.label(), "the registration follows the policy");
                return pause;
            }
        }
        let (outcome, pause) = self.act(found.as_ref()).await;
        if self.is_news(found.as_ref(), &outcome) {
            let (differences, found, outcome) = (differences.as_slice(), found.as_ref(), &outcome);
            Report { configuration, differences, found, outcome }.tell(self.shared).await;
        }
        pause
    }

    /// Whether nothing differs but the policy's entry. Another replica may have read a newer policy, or know of a kind that is newer, so one that wants
    /// what it always wanted waits; one whose own mind has changed, or that finds no such entry, doesn't.
    fn of_policy(&mut self, differences: &[Difference]) -> Own {
        let place = format!("webhooks[{POLICY_ENTRY}]");
        let all = differences.iter().all(|one| one.path.starts_with(&place));
        if !all || !self.shared.plan.keeps {
            return Own::No;
        }
        if self.current.generation == 0 {
            return Own::Later;
        }
        let missing = differences.iter().any(|one| one.change == Change::EntryMissing);
        if self.followed != self.current.generation && (self.followed > 0 || missing) {
            return Own::Now;
        }
        let since = *self.apart_since.get_or_insert_with(Instant::now);
        if since.elapsed() < APART_MAX { Own::Later } else { Own::No }
    }

    /// The `caBundle`s that must be there: none if the webhook sees to them itself; else those of the file; else an entry that had one must
    /// not be without, but may have another, because whoever put it there may change it.
    fn wanted_bundles(&self, found: Option<&DynamicObject>) -> Bundles {
        if self.shared.plan.self_managed {
            return Bundles::new();
        }
        let own = bundles_of(&self.wanted().entries);
        if !own.is_empty() {
            return own;
        }
        let now = found.map(|found| bundles_of(entries(found))).unwrap_or_default();
        let mut lost = self.known.clone();
        lost.retain(|name, _| !now.contains_key(name));
        lost
    }

    /// Whether this wasn't told of this version yet. That one waits a little between two attempts is no news.
    fn is_news(&mut self, found: Option<&DynamicObject>, outcome: &Outcome) -> bool {
        let version = found.and_then(ResourceExt::resource_version);
        let told = self.told.as_ref().filter(|(of, _)| *of == version).map(|(_, label)| *label);
        if told == Some(outcome.label()) || (told.is_some() && *outcome == Outcome::HeldBack) {
            return false;
        }
        self.told = Some((version, outcome.label()));
        true
    }

    /// A configuration that changed may have lost the CA.
    fn tell_certificates(&mut self, found: Option<&DynamicObject>) {
        let version = found.and_then(ResourceExt::resource_version);
        if version != self.seen {
            self.seen = version;
            if let Some(certificates) = &self.shared.certificates {
                certificates.notify_one();
            }
        }
    }

    async fn act(&mut self, found: Option<&DynamicObject>) -> (Outcome, Duration) {
        let plan = &self.shared.plan;
        if !plan.keeps {
            return (Outcome::Reported, LOOK_EVERY);
        }
        if let Some(reason) = self.not_yet() {
            return (Outcome::Waiting(reason), AGAIN);
        }
        if let Some(pod) = &plan.pod
            && let Some(newer) = replicas::newer(&self.shared.client, &plan.namespace, pod).await
        {
            return (Outcome::LeftToNewer(newer), LOOK_EVERY);
        }
        if let Some(left) = self.pace.wait(Instant::now()) {
            return (Outcome::HeldBack, left);
        }
        let outcome = self.restore(found).await;
        let pause = match outcome {
            Outcome::Failed(_) | Outcome::Outrun => AGAIN,
            Outcome::Restored
            | Outcome::Reported
            | Outcome::LeftToNewer(_)
            | Outcome::Waiting(_)
            | Outcome::HeldBack => LOOK_EVERY,
        };
        (outcome, pause)
    }

    /// Why this replica must not restore anything now: a registration leads every request to a webhook, so it must be one that decides.
    fn not_yet(&mut self) -> Option<String> {
        if let Some(reason) = self.shared.health.not_ready() {
            self.ready_since = None;
            return Some(reason.trim_end().to_owned());
        }
        let since = *self.ready_since.get_or_insert_with(Instant::now);
        (self.shared.plan.pod.is_some() && since.elapsed() < SETTLE)
            .then(|| "it has only just begun to".to_owned())
    }

    async fn restore(&mut self, found: Option<&DynamicObject>) -> Outcome {
        let now = found.map(|found| bundles_of(entries(found))).unwrap_or_default();
        let mut known = self.known.clone();
        known.extend(self.wanted_bundles(found));
        if !self.shared.plan.self_managed && known.is_empty() && now.is_empty() {
            let reason = "its `caBundle` is not known, and without one every request would be denied; apply the manifests";
            return Outcome::Failed(reason.to_owned());
        }
        let current = Arc::clone(&self.current);
        let wanted = current.desired.of_configuration(self.configuration);
        let entries = restore::with_bundles(wanted, &known, &now);
        self.pace.tried(Instant::now());
        let written = restore::write(&self.api, self.configuration, (wanted, entries), found);
        match tokio::time::timeout(LOOK_MAX, written).await {
            Ok(Ok(())) => Outcome::Restored,
            Ok(Err(Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() || status.code == 404 =>
            {
                Outcome::Outrun
            }
            Ok(Err(Error::Api(status))) => Outcome::Failed(status.message),
            Ok(Err(error)) => Outcome::Failed(error.to_string()),
            Err(_) => Outcome::Failed(format!("no answer within {LOOK_MAX:?}")),
        }
    }
}
