//! How often the API server is asked, against one that counts.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kube::Client;
use pinfold_model::facts::Requester;

use super::*;
use crate::tests::fake::Fake;

fn question(name: &str) -> AccessQuestion {
    AccessQuestion {
        user: None,
        verb: "bind",
        group: "rbac.authorization.k8s.io".to_owned(),
        resource: "roles".to_owned(),
        namespace: "plain".to_owned(),
        name: name.to_owned(),
    }
}

fn ada() -> Requester {
    Requester { name: "ada".to_owned(), uid: "1".to_owned(), ..Requester::default() }
}

async fn client(fake: &Fake) -> (tempfile::TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    let view = crate::config::ViewSource::Kubeconfig(fake.kubeconfig(dir.path()));
    let client = crate::cluster::client(&view).await.unwrap().unwrap();
    (dir, client)
}

fn asked(fake: &Fake) -> usize {
    fake.seen().iter().filter(|(_, path, _)| path.ends_with("subjectaccessreviews")).count()
}

#[tokio::test]
async fn identical_questions_are_asked_once_and_others_each() {
    let fake = Fake::start().await;
    let (_dir, client) = client(&fake).await;
    let access = Access::new(client);
    fake.grant(true);
    let at_once = join_all((0..20).map(|_| async {
        let answer = access.ask(&ada(), &question("r")).await.unwrap();
        assert!(answer.granted);
        answer.cached
    }))
    .await;
    assert_eq!(at_once.iter().filter(|cached| !**cached).count(), 1, "one asks for all");
    assert_eq!(asked(&fake), 1);
    fake.grant(false);
    assert!(access.ask(&ada(), &question("r")).await.unwrap().granted, "as it was a moment ago");
    let scopes = BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned()])]);
    let others = [
        Requester { name: "bob".to_owned(), ..ada() },
        Requester { uid: "2".to_owned(), ..ada() },
        Requester { groups: vec!["devs".to_owned()], ..ada() },
        Requester { extra: scopes, ..ada() },
    ];
    for (number, other) in others.iter().enumerate() {
        for cached in [false, true] {
            let answer = access.ask(other, &question("r")).await.unwrap();
            assert_eq!(answer, Answer { granted: false, cached }, "{other:?}: denials too");
        }
        assert_eq!(asked(&fake), 2 + number, "{other:?}");
    }
    assert!(!access.ask(&ada(), &question("s")).await.unwrap().cached, "another role");
}

#[tokio::test]
async fn errors_are_not_kept_and_answers_not_for_long() {
    let fake = Fake::start().await;
    let (_dir, client) = client(&fake).await;
    fake.grant(true);
    fake.set_down(true);
    let access = Access::new(client.clone());
    // The client itself goes on trying for minutes; the webhook gives up sooner, in the middle of the question.
    let given_up =
        tokio::time::timeout(Duration::from_millis(200), access.ask(&ada(), &question("r"))).await;
    assert!(!matches!(given_up, Ok(Ok(_))), "{given_up:?}");
    fake.set_down(false);
    let answer = access.ask(&ada(), &question("r")).await.unwrap();
    assert_eq!(answer, Answer { granted: true, cached: false });

    let forgetful = Access::believing(client, Duration::ZERO);
    for granted in [true, false] {
        fake.grant(granted);
        let answer = forgetful.ask(&ada(), &question("r")).await.unwrap();
        assert_eq!(answer, Answer { granted, cached: false });
    }
}

#[tokio::test]
async fn the_room_is_bounded() {
    let fake = Fake::start().await;
    let (_dir, client) = client(&fake).await;
    let access = Access::new(client.clone());
    let now = Instant::now();
    let of = |name: String| Asked {
        user: Requester { name, ..Requester::default() },
        question: question("r"),
    };
    for number in 0..ANSWERS_MAX {
        assert!(access.slot(&of(number.to_string()), now).is_some(), "{number}");
    }
    assert!(access.slot(&of("one more".to_owned()), now).is_none());
    assert!(access.slot(&of("one more".to_owned()), now + LIFE).is_some(), "the others are old");
    assert!(access.slot(&of("x".repeat(QUESTION_BYTES_MAX)), now).is_none());
    let large = Requester { name: "x".repeat(QUESTION_BYTES_MAX), ..Requester::default() };
    fake.grant(true);
    for _ in 0..2 {
        let answer = access.ask(&large, &question("r")).await.unwrap();
        assert_eq!(answer, Answer { granted: true, cached: false }, "asked all the same");
    }
}

/// What is asked on behalf of somebody is asked about them, not about the deputy.
#[tokio::test]
async fn a_question_about_another_user_is_asked_about_them() {
    let fake = Fake::start().await;
    let (_dir, client) = client(&fake).await;
    let access = Access::new(client);
    fake.grant(true);
    let user = Requester { name: "grace".to_owned(), ..Requester::default() };
    let behalf = AccessQuestion { user: Some(Box::new(user.clone())), ..question("r") };
    assert!(!access.ask(&ada(), &behalf).await.unwrap().cached);
    assert_eq!(fake.last_access_review().unwrap()["spec"]["user"], "grace");
    assert!(!access.ask(&ada(), &question("r")).await.unwrap().cached, "ada is another one");
    assert_eq!(fake.last_access_review().unwrap()["spec"]["user"], "ada");
    assert!(access.ask(&user, &question("r")).await.unwrap().cached, "grace is the same");
}
