//! Whom the routes hold, and how a way out is noticed.

use super::*;

/// The sidecar's UID, the lowest that is held, the ranges that are.
type Held = (u32, u32, &'static [(u32, u32)]);

#[test]
fn every_uid_but_the_sidecars_is_held() {
    let cases: [Held; 3] = [
        (64_646, 0, &[(0, 64_645), (64_647, 4_294_967_294)]),
        (64_646, 1, &[(1, 64_645), (64_647, 4_294_967_294)]),
        (1, 1, &[(2, 4_294_967_294)]),
    ];
    for (uid, first, wanted) in cases {
        let lines = lines(Version::V4, uid, first);
        let ranges: Vec<_> = lines
            .iter()
            .filter_map(|line| match line.selector {
                Selector::Uids(first, last) => Some((first, last)),
                Selector::Mark | Selector::To(_) => None,
            })
            .collect();
        assert_eq!(ranges, wanted, "{uid} from {first}");
        let places: Vec<_> = lines.iter().map(|line| line.priority).collect();
        assert!(places.is_sorted() && places.iter().all(|place| PRIORITIES.contains(place)));
    }
}

/// Reading needs no right, and this process is in no pod: what it could send would leave.
#[test]
fn without_routes_a_way_out_is_found_or_there_is_none() {
    let held = routes_hold(64_646).expect("rtnetlink answers");
    let mut socket = Netlink::open(Family::Route).expect("rtnetlink");
    let way = leads_to_loopback(&mut socket, 10_001, ANYWHERE_V4.into(), None).expect("an answer");
    assert!(held.is_some() || way, "a route to {ANYWHERE_V4} leads out, and was not found");
    let own = leads_to_loopback(&mut socket, 10_001, Ipv4Addr::LOCALHOST.into(), None);
    assert!(own.expect("an answer"), "127.0.0.1 is by loopback");
}
