//! Cases of the self-managed authority: made, shared, rotated, published.

use super::*;

fn identity(ca_out: Option<PathBuf>) -> Identity {
    Identity { service: "hook".to_owned(), namespace: "ours".to_owned(), ca_out }
}

#[tokio::test]
async fn without_a_cluster_the_ca_is_written_and_renewed_before_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.crt");
    let mut keeper = Keeper::start(&identity(Some(path.clone())), None).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), keeper.own.certificate());
    assert!(keeper.in_place().load(Ordering::Acquire));
    let first = keeper.served_until;
    let metrics = crate::metrics::Metrics::new().unwrap().registration;
    assert!(keeper.look(&metrics).await.unwrap());
    assert_eq!(keeper.served_until, first, "nothing is due");
    keeper.served_until = SystemTime::now() + SERVING_LIFE / 4;
    assert!(keeper.look(&metrics).await.unwrap());
    assert!(keeper.served_until >= first);
}

#[test]
fn the_bundle_goes_into_every_webhook_once() {
    let configuration = json!({"webhooks": [
        {"name": "a", "clientConfig": {"service": {"name": "hook"}}, "failurePolicy": "Fail"},
        {"name": "b", "clientConfig": {"caBundle": "b2xk"}},
    ]});
    let changed = with_bundle(&configuration, "new").unwrap();
    assert_eq!(
        changed[0]["clientConfig"],
        json!({"service": {"name": "hook"}, "caBundle": "bmV3"})
    );
    assert_eq!(changed[0]["failurePolicy"], "Fail");
    assert_eq!(changed[1]["clientConfig"]["caBundle"], "bmV3");
    assert_eq!(with_bundle(&json!({"webhooks": changed}), "new"), None);
    assert_eq!(with_bundle(&json!({}), "new"), None);
}
