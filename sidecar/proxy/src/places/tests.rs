//! Who makes room for whom.

use super::*;

fn places() -> Arc<Places> {
    Arc::default()
}

fn take(places: &Arc<Places>, service: Service, most: u32) -> Option<Arc<Place>> {
    take_at(places, service, most, Instant::now())
}

fn take_at(places: &Arc<Places>, service: Service, most: u32, now: Instant) -> Option<Arc<Place>> {
    places.take_at(service, Err(io::ErrorKind::Unsupported.into()), most, now)
}

fn waiting(places: &Arc<Places>, service: Service, most: u32) -> Arc<Place> {
    let place = take(places, service, most).expect("a place");
    place.set_waits(true);
    place
}

/// All of so many places, each decided at once.
fn decided(places: &Arc<Places>, most: u32) -> Vec<Arc<Place>> {
    let taken = (0..most).map(|_| take(places, Service::Proxy, most).expect("a place"));
    taken.inspect(|place| place.decide().expect("decided")).collect()
}

fn is_shed(place: &Place) -> bool {
    place.shed.is.load(Ordering::Acquire)
}

#[test]
fn a_part_of_the_places_may_be_undecided() {
    // (places, of them undecided)
    let cases =
        [(0, 0), (1, 1), (8, 8), (16, 16), (64, 16), (256, 64), (4096, 1024), (100_000, 1024)];
    for (most, undecided) in cases {
        assert_eq!(silent_max(most), undecided, "{most}");
    }
}

#[test]
fn decided_connections_are_bounded_and_never_make_room() {
    let places = places();
    let held = decided(&places, 4);
    assert!(take(&places, Service::Proxy, 4).is_none() && !held.iter().any(|one| is_shed(one)));
    drop(held);
    assert!(take(&places, Service::Proxy, 4).is_some(), "and come back");
    assert_eq!(places.lock().open, 0);
}

#[test]
fn the_oldest_that_says_nothing_makes_room_then_the_oldest_that_is_judged() {
    let places = places();
    let mut held: Vec<_> = (0..256).map(|_| waiting(&places, Service::Proxy, 256)).collect();
    held[0].decide().expect("decided");
    held[1].set_waits(false);
    held.push(waiting(&places, Service::Proxy, 256));
    let shed: Vec<_> = (0..257).filter(|at| is_shed(&held[*at])).collect();
    assert_eq!(shed, [2], "not the decided, nor the one that is judged");
    for place in held.iter().skip(3) {
        place.set_waits(false);
    }
    held.push(take(&places, Service::Proxy, 256).expect("a place"));
    assert!(is_shed(&held[1]) && !is_shed(&held[0]));
    assert_eq!(held[1].decide().map_err(|denial| denial.reason), Err(Reason::Limit), "too late");
    assert_eq!(places.lock().open, 256);
    drop(held);
    assert_eq!(places.lock().open, 0);
    assert!(places.lock().undecided.is_empty());
}

#[test]
fn who_says_nothing_for_long_has_a_part_of_the_places() {
    let places = places();
    let held: Vec<_> = (0..70).map(|_| waiting(&places, Service::Proxy, 256)).collect();
    assert!(!held.iter().any(|one| is_shed(one)), "a program that opens many at once");
    let later = Instant::now() + SILENT_FOR;
    let new = take_at(&places, Service::Proxy, 256, later).expect("a place");
    assert!(is_shed(&held[0]) && !is_shed(&held[1]));
    // The rest may stay until they are 64, one for each that comes.
    let more: Vec<_> =
        (0..20).map(|_| take_at(&places, Service::Proxy, 256, later).expect("one")).collect();
    assert_eq!(held.iter().filter(|one| is_shed(one)).count(), 70 - 63);
    drop((new, more));
}

#[test]
fn where_decided_ones_fill_the_places_an_undecided_one_still_makes_room() {
    let places = places();
    let mut held = decided(&places, 64);
    held.pop();
    let silent = take(&places, Service::Transparent, 64).expect("the last");
    let new = take(&places, Service::Transparent, 64).expect("that of the silent one");
    assert!(is_shed(&silent) && !is_shed(&new));
    // A reload that leaves fewer places than are taken.
    assert!(take(&places, Service::Proxy, 10).is_none() && !is_shed(&new));
}

#[test]
fn the_listener_that_has_the_most_gives_the_place() {
    let places = places();
    let asked = waiting(&places, Service::Proxy, 256);
    let flood: Vec<_> = (0..300).map(|_| waiting(&places, Service::Transparent, 256)).collect();
    assert!(!is_shed(&asked), "the oldest of all");
    assert_eq!(flood.iter().filter(|one| is_shed(one)).count(), 300 - 255);
}

#[tokio::test]
async fn what_is_allowed_on_a_connection_keeps_its_place() {
    let places = places();
    let silent = take(&places, Service::Proxy, 1).expect("a place");
    let new = take(&places, Service::Proxy, 1).expect("its place");
    let ended = silent.serve(std::future::pending::<()>()).await;
    let denial = ended.expect_err("it had to go");
    assert_eq!(
        (denial.reason, denial.rule.as_str()),
        (Reason::Limit, "spec.egress.limits.connections")
    );
    let served = new.serve(async {
        heard();
        super::decided().map(|()| take(&places, Service::Proxy, 1).is_none())
    });
    assert!(served.await.expect("served").expect("decided"));
    assert!(super::decided().is_ok(), "outside of any connection");
}
