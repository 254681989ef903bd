//! Probes: what counts as one of ours, and what the guard says of itself.

use std::io;

use tokio::net::TcpListener;

use super::*;

/// A listener as the rules would make it: whoever comes was on the way to the probed address.
async fn arrives(told: fn(SocketAddr) -> Option<SocketAddr>) -> (bool, Guard) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let guard = Guard::required(&[address], Original::Told(told), false).expect("a guard");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (stream, peer) = listener.accept().await.expect("its other end");
    drop(client);
    (guard.takes(&stream, peer), guard)
}

#[tokio::test]
async fn a_connection_that_no_probe_waits_for_is_an_agents() {
    let probed = SocketAddr::from((pinfold_guard::PROBE_V4, 443));
    assert_eq!(probed.port(), 443);
    let (taken, guard) = arrives(|_| Some(SocketAddr::from((pinfold_guard::PROBE_V4, 443)))).await;
    assert!(!taken, "its destination makes no connection a probe");
    assert!(!guard.is_intact(), "and nothing was verified by it");
}

#[tokio::test]
async fn until_the_first_look_nothing_is_served() {
    let (_, guard) = arrives(|_| None).await;
    let denial = guard.holds().expect_err("unverified");
    assert_eq!(denial.reason, Reason::Guard);
    assert_eq!(guard.state(), Err("the guard was not verified yet".to_owned()));
}

#[test]
fn without_a_guard_all_is_served_and_check_guard_says_so() {
    let guard = Guard::off();
    assert!(guard.is_intact() && guard.holds().is_ok());
    assert!(guard.state().expect_err("no guard").contains("--guard off"));
}

#[test]
fn a_required_guard_needs_the_listener_that_it_is_seen_through() {
    let refused = Guard::required(&[], Original::Kernel, true).map_err(|error| error.exit_code());
    assert_eq!(refused.map(|_| ()), Err(2));
}

/// Without rules (nobody may load any here) the probes find nothing that redirects or refuses them.
#[tokio::test]
async fn a_pod_without_rules_is_broken() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let guard = Guard::required(&[address], Original::Kernel, false).expect("a guard");
    let Guard(Some(watched)) = &guard else { panic!("watched") };
    let found = watched.look().await.expect_err("no rules");
    assert!(found.contains("192.0.2.1:443"), "{found}");
    let nobody = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(nobody.map_err(io::Error::from).is_err());
}
