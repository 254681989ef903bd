//! Live answers: what the API server says right now, where the view could not tell. Few, and not for long.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::{Client, Error};
use pinfold_model::facts::{AccessQuestion, Answers, Question};
use pinfold_model::object::{Object, ObjectKey};
use pinfold_review::Review;

use crate::access::Access;
use crate::informers::{Decoded, Depth, Source, Sources, decode};
use crate::metrics::Metrics;

/// Most questions of one request.
const QUESTIONS_MAX: usize = 8;
/// How long they may take together.
const ANSWERS_MAX: Duration = Duration::from_secs(1);

/// Asks the API server.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) client: Client,
    pub(crate) access: Access,
    pub(crate) sources: Sources,
    pub(crate) metrics: Metrics,
}

enum Answer {
    Access(AccessQuestion, bool),
    Object(ObjectKey, Box<Option<Object>>),
    Whole(ObjectKey, Box<Option<Object>>),
}

impl Live {
    /// Asks what can be asked: of a kind that isn't watched nothing is in the view either.
    pub(crate) async fn ask(&self, questions: &[Question], review: &Review) -> Answers {
        let mut answers = Answers::default();
        let questions = questions.iter().filter(|question| self.can_ask(question));
        let questions: Vec<_> = questions.take(QUESTIONS_MAX).collect();
        let mut asked: FuturesUnordered<_> =
            questions.iter().map(|question| self.ask_one(question, review)).collect();
        let gather = async {
            while let Some(answer) = asked.next().await {
                match answer {
                    Some(Answer::Access(question, granted)) => {
                        answers.access.push((question, granted));
                    }
                    Some(Answer::Object(key, found)) => answers.objects.push((key, *found)),
                    Some(Answer::Whole(key, found)) => answers.whole.push((key, *found)),
                    None => {}
                }
            }
        };
        if tokio::time::timeout(ANSWERS_MAX, gather).await.is_err() {
            self.count("any", "timeout");
        }
        drop(asked);
        answers
    }

    /// Whether there is anywhere to ask.
    pub(crate) fn can_ask(&self, question: &Question) -> bool {
        match question {
            Question::Access(_) => true,
            Question::Object(key) => self.sources.asked(key).is_some(),
            Question::Whole(key) => self.sources.of(key).is_some(),
        }
    }

    async fn ask_one(&self, question: &Question, review: &Review) -> Option<Answer> {
        let (name, found) = match question {
            Question::Access(access) => ("access", self.access(access, review).await),
            Question::Object(key) => {
                let source = self.sources.asked(key)?;
                let found = self.object(key, &source).await;
                let answer = found.map(|found| Answer::Object(key.clone(), Box::new(found)));
                ("object", answer.map(|answer| (answer, "answered")))
            }
            Question::Whole(key) => {
                let source = Source { depth: Depth::Whole, ..self.sources.of(key)? };
                let found = self.object(key, &source).await;
                let answer = found.map(|found| Answer::Whole(key.clone(), Box::new(found)));
                ("whole", answer.map(|answer| (answer, "answered")))
            }
        };
        match found {
            Ok((answer, result)) => {
                self.count(name, result);
                Some(answer)
            }
            Err(error) => {
                self.count(name, "error");
                tracing::warn!(question = name, %error, "the API server didn't answer a question");
                None
            }
        }
    }

    async fn access(
        &self,
        question: &AccessQuestion,
        review: &Review,
    ) -> Result<(Answer, &'static str), Error> {
        let Some(requester) = &review.facts.requester else {
            return Ok((Answer::Access(question.clone(), false), "answered"));
        };
        let answer = self.access.ask(requester, question).await?;
        let result = if answer.cached { "cached" } else { "answered" };
        Ok((Answer::Access(question.clone(), answer.granted), result))
    }

    fn count(&self, question: &str, result: &str) {
        self.metrics.live_questions.with_label_values(&[question, result]).inc();
    }

    async fn object(&self, key: &ObjectKey, source: &Source) -> Result<Option<Object>, Error> {
        let api: Api<DynamicObject> = if source.namespaced {
            Api::namespaced_with(self.client.clone(), &key.namespace, &source.resource)
        } else {
            Api::all_with(self.client.clone(), &source.resource)
        };
        let found = match source.depth {
            Depth::Whole => api.get_opt(&key.name).await?.map(|found| (found.metadata, found.data)),
            Depth::Metadata => api
                .get_metadata_opt(&key.name)
                .await?
                .map(|found| (found.metadata, serde_json::Value::Null)),
        };
        let Some((meta, data)) = found else { return Ok(None) };
        // What can't be read whole is no answer: judging by the rest would be judging by less than there is.
        match decode(meta, data, source) {
            Decoded { object, fault: None } => Ok(Some(object)),
            Decoded { fault: Some(fault), .. } => Err(Error::Service(fault.into())),
        }
    }
}
