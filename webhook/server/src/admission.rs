//! One request from its bytes to the bytes of its answer: read, judge, ask live if that could help, record, answer.
//!
//! Every way out of here that isn't the engine's permit is a denial.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use pinfold_engine::admit;
use pinfold_engine::decision::{Decision, Mutation};
use pinfold_ledger::Ledger;
use pinfold_model::facts::{AdmissionFacts, Answers, Question};
use pinfold_model::finding::{Finding, Mode, RuleId};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use pinfold_review::respond::Reasons;
use pinfold_review::{Review, ReviewError, explain, parse};

use crate::answer;
use crate::audit::{self, Verdict};
use crate::events::Events;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::policy_watch::Published;
use crate::view::View;

/// Bodies beyond this many bytes are read on a thread for long work, so that they don't hold up others.
const LARGE_BODY_BYTES: usize = 256 * 1024;
/// How often one request is judged again with live answers: an owner leads to its run, and a run to what is behind it.
const LIVE_ROUNDS_MAX: usize = 3;

/// Which of the two questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// May it pass?
    Validate,
    /// What must be changed?
    Mutate,
}

impl Endpoint {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// See [`admit::admit_amid_change`].
type AmidChange =
    fn(&AdmissionFacts, &Snapshot, (&AdmissionPolicy, &AdmissionPolicy), Timestamp) -> Decision;

/// The engine's functions. Tests put others here; a permit still comes from the engine alone.
#[derive(Clone, Copy)]
pub(crate) struct Judge {
    pub(crate) admit: fn(&AdmissionFacts, &Snapshot, &AdmissionPolicy, Timestamp) -> Decision,
    /// For [`admit::admit_amid_change`].
    pub(crate) amid: AmidChange,
    pub(crate) mutate: fn(&AdmissionFacts, &Snapshot, &AdmissionPolicy, Timestamp) -> Mutation,
}

impl Default for Judge {
    fn default() -> Self {
        Self { admit: admit::admit, amid: admit::admit_amid_change, mutate: admit::mutate }
    }
}

/// Everything that a request is judged with.
pub(crate) struct Admission {
    pub(crate) policy: Arc<ArcSwap<Published>>,
    pub(crate) view: Arc<View>,
    pub(crate) metrics: Metrics,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) judge: Judge,
    pub(crate) live: Option<Live>,
    pub(crate) events: Option<Events>,
    pub(crate) view_lag_max: Duration,
    pub(crate) audit_max: Duration,
    pub(crate) ids: DecisionIds,
}

/// An answer and whether its request was readable enough to be answered by uid.
pub(crate) struct Answered {
    pub(crate) body: Vec<u8>,
    pub(crate) has_uid: bool,
}

/// What comes with the body.
pub(crate) struct Call {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Bytes,
    pub(crate) traceparent: Option<String>,
    pub(crate) began: Instant,
}

/// Numbers decisions: unique in a cluster, short, and without meaning.
#[derive(Debug)]
pub(crate) struct DecisionIds {
    process: String,
    next: AtomicU64,
}

impl DecisionIds {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let process = RandomState::new().hash_one(std::process::id());
        Self { process: format!("{process:016x}"), next: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        format!("{}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// What was decided on a readable request.
struct Outcome {
    decision: Decision,
    mutation: Option<Mutation>,
    /// Whether the answer must be recorded first.
    bears_state: bool,
}

impl Outcome {
    fn refused(message: &str, remedy: &str) -> Self {
        let decision = admit::refuse(RuleId::REQ_NOT_READY, "$", message, remedy);
        Self { decision, mutation: None, bears_state: true }
    }

    fn passes(&self) -> bool {
        self.mutation.is_some() || self.decision.allowed()
    }

    /// Findings that people are told: of mutation, its notes.
    fn told(&self) -> Vec<Finding> {
        match &self.mutation {
            Some(mutation) => mutation.notes.clone(),
            None => answer::told(&self.decision),
        }
    }
}

impl Admission {
    /// Answers one request. `uid` is set as soon as it is known, for the case that this panics.
    pub(crate) async fn answer(self: &Arc<Self>, call: Call, uid: &OnceLock<String>) -> Answered {
        let published = self.policy.load_full();
        let decision_id = self.ids.next();
        let answered = match read(call.body.clone()).await {
            Ok(review) => {
                // Set once for each call, so it can't be there already.
                let _ = uid.set(review.facts.uid.clone());
                self.judged(&call, review, &published, &decision_id).await
            }
            Err(error) => self.unreadable(&call, &error, &published, &decision_id).await,
        };
        self.metrics.took(call.endpoint.as_str(), call.began.elapsed());
        answered
    }

    async fn judged(
        &self,
        call: &Call,
        mut review: Review,
        published: &Published,
        decision_id: &str,
    ) -> Answered {
        let mut outcome = self.decide(call.endpoint, &mut review, published).await;
        let mut told = outcome.told();
        if outcome.bears_state {
            let verdict = Verdict {
                endpoint: call.endpoint,
                allowed: outcome.passes(),
                findings: &told,
                decision_id,
                policy_digest: &published.digest,
                traceparent: call.traceparent.as_deref(),
                took: call.began.elapsed(),
            };
            let event = audit::event(&review.facts, &review.version, &verdict);
            if let Err(message) = self.record(&event).await {
                outcome = Outcome::refused(&message, "repair or free the audit directory's disk");
                told = outcome.told();
            }
        }
        self.answered(&review, &outcome, &told);
        let reasons = Reasons { findings: &told, decision_id, policy_digest: &published.digest };
        let uid = &review.facts.uid;
        let body = match &outcome.mutation {
            Some(mutation) => answer::mutated(uid, mutation, &reasons),
            None => answer::validated(uid, &outcome.decision, &reasons),
        };
        Answered { body, has_uid: true }
    }

    async fn decide(
        &self,
        endpoint: Endpoint,
        review: &mut Review,
        published: &Published,
    ) -> Outcome {
        let policy = match self.ready(published) {
            Ok(policy) => policy,
            Err(NotReady { message, remedy }) => return Outcome::refused(&message, remedy),
        };
        let view = self.view.snapshot();
        let now = now();
        match endpoint {
            Endpoint::Mutate => {
                let mut mutation = (self.judge.mutate)(&review.facts, &view, policy, now);
                for _ in 0..LIVE_ROUNDS_MAX {
                    if !self.ask(&mutation.questions, review).await {
                        break;
                    }
                    mutation = (self.judge.mutate)(&review.facts, &view, policy, now);
                }
                let bears_state = !mutation.patch.is_empty() || !mutation.notes.is_empty();
                let decision = Decision {
                    permit: None,
                    findings: Vec::new(),
                    questions: Vec::new(),
                    undecided: Vec::new(),
                };
                Outcome { decision, mutation: Some(mutation), bears_state }
            }
            Endpoint::Validate => {
                let judge = |facts: &AdmissionFacts| match published.amid_change() {
                    None => (self.judge.admit)(facts, &view, policy, now),
                    Some(former) => (self.judge.amid)(facts, &view, (policy, former), now),
                };
                let mut decision = judge(&review.facts);
                for _ in 0..LIVE_ROUNDS_MAX {
                    if !self.ask(&decision.questions, review).await {
                        break;
                    }
                    decision = judge(&review.facts);
                }
                let can_ask = |question: &Question| {
                    self.live.as_ref().is_some_and(|live| live.can_ask(question))
                };
                if let Some(message) = unconfirmed(&decision, &review.facts.answers, can_ask) {
                    return Outcome::refused(&message, CONFIRM_REMEDY);
                }
                let bears_state = audit::bears_state(&review.facts, &decision, &view, policy);
                Outcome { decision, mutation: None, bears_state }
            }
        }
    }

    /// Asks the API server what isn't answered yet. Whether anything was answered, so that judging again could help.
    async fn ask(&self, questions: &[Question], review: &mut Review) -> bool {
        let Some(live) = &self.live else { return false };
        let open = questions.iter().filter(|question| !review.facts.answers.has(question));
        let open: Vec<Question> = open.cloned().collect();
        if open.is_empty() {
            return false;
        }
        let answers = live.ask(&open, review).await;
        let news = !answers.is_empty();
        review.facts.answers.extend(answers);
        news
    }

    /// The policy, if there is one and the view is good enough to decide by it.
    pub(crate) fn ready<'p>(
        &self,
        published: &'p Published,
    ) -> Result<&'p AdmissionPolicy, NotReady> {
        let not = |message: &str, remedy| Err(NotReady { message: message.to_owned(), remedy });
        let Some(policy) = &published.policy.admission else {
            return not(
                "there is no AdmissionPolicy document, so nothing may pass",
                "put an AdmissionPolicy into the files of `--policy`",
            );
        };
        if !self.view.is_synced() {
            let cause = self.view.lag_cause();
            let cause = if cause.is_empty() { String::new() } else { format!(": {cause}") };
            return not(
                &format!("the view of the cluster is not complete yet{cause}"),
                "try again in a few seconds; if it stays so, see the webhook's log for kinds that it may not list",
            );
        }
        let lag = self.view.lag();
        if lag > self.view_lag_max {
            let message = format!(
                "the view of the cluster is {} s old, at most {} s are allowed: {}",
                lag.as_secs(),
                self.view_lag_max.as_secs(),
                self.view.lag_cause()
            );
            return not(&message, "restore the webhook's connection to the API server");
        }
        Ok(policy)
    }

    async fn unreadable(
        &self,
        call: &Call,
        error: &ReviewError,
        published: &Published,
        decision_id: &str,
    ) -> Answered {
        let ReviewError { uid, fault } = error;
        let decision =
            admit::refuse(fault.rule(), fault.path(), &fault.to_string(), fault.remedy());
        let mut findings = decision.findings;
        let verdict = Verdict {
            endpoint: call.endpoint,
            allowed: false,
            findings: &findings,
            decision_id,
            policy_digest: &published.digest,
            traceparent: call.traceparent.as_deref(),
            took: call.began.elapsed(),
        };
        let event = audit::unreadable(uid.as_deref(), &verdict);
        if let Err(message) = self.record(&event).await {
            findings.extend(Outcome::refused(&message, "repair the audit directory").told());
        }
        self.metrics.unreadable(&findings);
        let reasons =
            Reasons { findings: &findings, decision_id, policy_digest: &published.digest };
        let body = pinfold_review::respond::denied(uid.as_deref().unwrap_or_default(), &reasons);
        Answered { body, has_uid: uid.is_some() }
    }

    async fn record(&self, event: &pinfold_ledger::Event) -> Result<(), String> {
        match &self.ledger {
            Some(ledger) => audit::record(ledger, event, self.audit_max).await,
            None => Ok(()),
        }
    }

    fn answered(&self, review: &Review, outcome: &Outcome, told: &[Finding]) {
        let facts = &review.facts;
        self.metrics.answered(facts, outcome.passes(), told);
        if !outcome.passes() {
            if let Some(events) = &self.events {
                let denials = told.iter().filter(|finding| finding.mode == Mode::Enforce);
                events.denied(facts, &review.version, &explain(denials));
            }
            tracing::info!(
                uid = facts.uid,
                operation = facts.operation.as_str(),
                object = %facts.target,
                dry_run = facts.dry_run,
                rules = ?told.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(),
                "denied"
            );
        }
    }
}

/// Ends the message of [`unconfirmed`].
const CONFIRM_REMEDY: &str =
    "try again; if it stays so, restore the webhook's connection to the API server";

/// Why a permission doesn't count: it rests on something that had to be read as it is now, and the API server didn't say, or wasn't asked because there
/// was too much to ask. What can't be asked at all isn't in the view either.
fn unconfirmed(
    decision: &Decision,
    answers: &Answers,
    can_ask: impl Fn(&Question) -> bool,
) -> Option<String> {
    if !decision.allowed() {
        return None;
    }
    let mut open = decision.questions.iter().filter(|question| !answers.has(question));
    let open = open.find(|question| can_ask(question))?;
    Some(match open {
        Question::Object(key) | Question::Whole(key) => {
            format!("this rests on {key} as it is now, and the API server didn't tell")
        }
        Question::Access(_) => {
            "this rests on what somebody may do now, and the API server didn't tell".to_owned()
        }
    })
}

/// Why nothing can be decided now.
#[derive(Debug)]
pub(crate) struct NotReady {
    pub(crate) message: String,
    pub(crate) remedy: &'static str,
}

async fn read(body: Bytes) -> Result<Review, ReviewError> {
    if body.len() <= LARGE_BODY_BYTES {
        return parse(&body);
    }
    match tokio::task::spawn_blocking(move || parse(&body)).await {
        Ok(result) => result,
        // A panic there is a panic here: the net around the request counts it and denies.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ReviewError { uid: None, fault: pinfold_review::Fault::Empty }),
        },
    }
}

/// The time that exceptions and grants end by.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
