//! One kind's list, page by page: bounded, tried again where that can help, never silently cut short.

use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::core::{DynamicObject, ListMeta, ObjectMeta};
use kube::{Client, Error};
use serde_json::Value;

use crate::informers::{Depth, Source};

/// Objects of one page. Whole ones are larger: a page of 1.5 MiB objects, the most that etcd takes, has 375 MiB.
const PAGE_OBJECTS: u32 = 250;
const PAGE_METADATA: u32 = 1_000;
/// Most pages of one kind: a server that never ends its list is not believed.
const PAGES_MAX: u32 = 40_000;
/// How long one page may take, and how often it is tried.
const PAGE_MAX: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;
/// Pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
const GONE: u16 = 410;
const TOO_MANY_REQUESTS: u16 = 429;

/// Metadata of an object, and the rest where it is fetched.
pub(super) type Part = (ObjectMeta, Value);

/// Lists one kind.
#[derive(Debug)]
pub(super) struct Pager {
    api: Api<DynamicObject>,
    source: Source,
    token: Option<String>,
    pages_left: u32,
    listed: u64,
    remaining: Option<u64>,
}

impl Pager {
    pub(super) fn new(client: Client, source: Source) -> Self {
        let api = Api::all_with(client, &source.resource);
        Self { api, source, token: None, pages_left: PAGES_MAX, listed: 0, remaining: None }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn listed(&self) -> u64 {
        self.listed
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// The next page; `None` at the end. An error ends the list.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Part>, String>> {
        if self.pages_left == 0 {
            return None;
        }
        if self.pages_left == 1 {
            self.pages_left = 0;
            return Some(Err(format!("the list has more than {PAGES_MAX} pages")));
        }
        match self.page().await {
            Ok((parts, meta)) => {
                let more = meta.continue_.filter(|token| !token.is_empty());
                self.pages_left = match more {
                    Some(_) => self.pages_left.saturating_sub(1),
                    None => 0,
                };
                self.token = more;
                self.listed =
                    self.listed.saturating_add(u64::try_from(parts.len()).unwrap_or(u64::MAX));
                let remaining = meta.remaining_item_count.unwrap_or(0);
                self.remaining = match &self.token {
                    Some(_) => meta.remaining_item_count.and_then(|_| remaining.try_into().ok()),
                    None => Some(0),
                };
                Some(Ok(parts))
            }
            Err(reason) => {
                self.pages_left = 0;
                Some(Err(reason))
            }
        }
    }

    async fn page(&mut self) -> Result<(Vec<Part>, ListMeta), String> {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let error = match tokio::time::timeout(PAGE_MAX, self.fetch()).await {
                Ok(Ok(page)) => return Ok(page),
                Ok(Err(error)) => error,
                Err(_) => return Err(format!("no answer within {PAGE_MAX:?}")),
            };
            let goes_on = self.goes_on_after(&error);
            if attempt == ATTEMPTS || !(goes_on || is_passing(&error)) {
                return Err(explained(&error));
            }
            if !goes_on {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
        }
        Err("the list could not be read".to_owned())
    }

    /// A list that took too long goes on from where it was, by a token that comes with the refusal. What was made before that place
    /// meanwhile is missing, as it is missing from any list that ended before it was made.
    fn goes_on_after(&mut self, error: &Error) -> bool {
        let Error::Api(status) = error else { return false };
        let token = status.metadata.as_ref().and_then(|meta| meta.continue_.clone());
        let Some(token) = token.filter(|token| status.code == GONE && !token.is_empty()) else {
            return false;
        };
        self.token = Some(token);
        true
    }

    async fn fetch(&self) -> Result<(Vec<Part>, ListMeta), Error> {
        let page = match self.source.depth {
            Depth::Whole => PAGE_OBJECTS,
            Depth::Metadata => PAGE_METADATA,
        };
        let mut asked = ListParams::default().limit(page);
        asked.continue_token.clone_from(&self.token);
        Ok(match self.source.depth {
            Depth::Whole => {
                let list = self.api.list(&asked).await?;
                let parts = list.items.into_iter().map(|item| (item.metadata, item.data));
                (parts.collect(), list.metadata)
            }
            Depth::Metadata => {
                let list = self.api.list_metadata(&asked).await?;
                let parts = list.items.into_iter().map(|item| (item.metadata, Value::Null));
                (parts.collect(), list.metadata)
            }
        })
    }
}

/// Whether asking again may help.
fn is_passing(error: &Error) -> bool {
    if let Error::Api(status) = error {
        return status.code == TOO_MANY_REQUESTS || status.code >= 500;
    }
    matches!(error, Error::HyperError(_) | Error::Service(_))
}

/// What the API server said, without the client's wrapping.
pub(super) fn explained(error: &Error) -> String {
    if let Error::Api(status) = error
        && !status.message.is_empty()
    {
        return status.message.clone();
    }
    error.to_string()
}
