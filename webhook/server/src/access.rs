//! Access questions to the API server (SubjectAccessReview), each asked once in a few seconds: a rollout repeats one question for every
//! object. Both answers are kept, errors never, and of identical questions at the same time one is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use pinfold_model::facts::{AccessQuestion, Requester};

/// How long an answer is believed, counted from the question: as long as a right that was taken away may still count.
const LIFE: Duration = Duration::from_secs(5);
/// Most answers that are kept, and the most bytes of one question; beyond either a question is simply asked.
const ANSWERS_MAX: usize = 1_024;
const QUESTION_BYTES_MAX: usize = 8 * 1024;

/// An answer, and whether it was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) granted: bool,
    pub(crate) cached: bool,
}

/// Everything that the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    /// Who is asked about.
    user: Requester,
    question: AccessQuestion,
}

/// An answer and when it was asked for. Whoever holds the lock asks; the others wait for the answer.
type Slot = Arc<tokio::sync::Mutex<Option<(Instant, bool)>>>;

/// Asks, and remembers for a moment.
#[derive(Clone)]
pub(crate) struct Access {
    client: Client,
    life: Duration,
    answers: Arc<Mutex<HashMap<Asked, Kept>>>,
}

struct Kept {
    since: Instant,
    slot: Slot,
}

impl Access {
    pub(crate) fn new(client: Client) -> Self {
        Self::believing(client, LIFE)
    }

    fn believing(client: Client, life: Duration) -> Self {
        Self { client, life, answers: Arc::default() }
    }

    /// Whether the requester, or whom the question is about, may, by the whole authorizer chain and not by RBAC alone.
    ///
    /// # Errors
    /// If the API server doesn't say.
    pub(crate) async fn ask(
        &self,
        requester: &Requester,
        question: &AccessQuestion,
    ) -> Result<Answer, Error> {
        let user = question.user.as_deref().unwrap_or(requester).clone();
        let asked = Asked { user, question: AccessQuestion { user: None, ..question.clone() } };
        let Some(slot) = self.slot(&asked, Instant::now()) else {
            let granted = self.review(&asked).await?;
            return Ok(Answer { granted, cached: false });
        };
        let mut answer = slot.lock().await;
        if let Some((since, granted)) = *answer
            && since.elapsed() < self.life
        {
            return Ok(Answer { granted, cached: true });
        }
        let since = Instant::now();
        let granted = self.review(&asked).await?;
        *answer = Some((since, granted));
        Ok(Answer { granted, cached: false })
    }

    /// The place of an answer; `None` if there is no room.
    fn slot(&self, asked: &Asked, now: Instant) -> Option<Slot> {
        if asked.bytes() > QUESTION_BYTES_MAX {
            return None;
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |kept: &Kept| now.saturating_duration_since(kept.since) < self.life;
        if let Some(kept) = answers.get(asked)
            && young(kept)
        {
            return Some(Arc::clone(&kept.slot));
        }
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, kept| young(kept));
        }
        if answers.len() >= ANSWERS_MAX {
            return None;
        }
        let slot = Slot::default();
        answers.insert(asked.clone(), Kept { since: now, slot: Arc::clone(&slot) });
        Some(slot)
    }

    async fn review(&self, asked: &Asked) -> Result<bool, Error> {
        let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let Asked { user, question } = asked;
        let spec = SubjectAccessReviewSpec {
            user: own(&user.name),
            uid: own(&user.uid),
            groups: Some(user.groups.clone()),
            extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(question.verb.to_owned()),
                group: own(&question.group),
                resource: own(&question.resource),
                namespace: own(&question.namespace),
                name: own(&question.name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answered = api.create(&PostParams::default(), &review).await?;
        Ok(answered.status.is_some_and(|status| {
            status.allowed && !status.denied.unwrap_or(false) && status.evaluation_error.is_none()
        }))
    }
}

impl Asked {
    fn bytes(&self) -> usize {
        let Self { user, question } = self;
        let extra = user.extra.iter().flat_map(|(key, values)| std::iter::once(key).chain(values));
        let question = [&question.group, &question.resource, &question.namespace, &question.name];
        let parts = [&user.name, &user.uid].into_iter().chain(&user.groups).chain(extra);
        parts.chain(question).fold(0, |sum, part| sum.saturating_add(part.len()))
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
