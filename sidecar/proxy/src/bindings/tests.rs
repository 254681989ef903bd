//! Cases of bindings: what holds and for how long, and who can push out whom.
#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a finding")]

use super::*;

const LIFE: Duration = Duration::from_secs(60);

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn ip(index: u32) -> IpAddr {
    IpAddr::from((0x0100_0000 + index).to_be_bytes())
}

#[test]
fn an_address_has_the_names_that_it_was_told_for() {
    let bindings = Bindings::default();
    let (api, cdn) = (name("api.example"), name("cdn.example"));
    bindings.bind("api.example", &api, &[ip(1), ip(2)], LIFE);
    bindings.bind("cdn.example", &cdn, &[ip(2)], LIFE);
    bindings.bind("api.example", &api, &[ip(2)], LIFE);
    assert_eq!(bindings.names_of(ip(1)), std::slice::from_ref(&api));
    assert_eq!(bindings.names_of(ip(2)), [api, cdn]);
    assert_eq!(bindings.names_of(ip(3)), []);
    assert_eq!(bindings.table.lock().expect("a lock").entries, 3);
}

#[test]
fn a_binding_ends() {
    let bindings = Bindings::default();
    bindings.bind("api.example", &name("api.example"), &[ip(1)], Duration::ZERO);
    assert_eq!(bindings.names_of(ip(1)), []);
    bindings.bind("api.example", &name("api.example"), &[ip(1)], LIFE);
    // A shorter life told later doesn't shorten what was promised.
    bindings.bind("api.example", &name("api.example"), &[ip(1)], Duration::ZERO);
    assert_eq!(bindings.names_of(ip(1)), [name("api.example")]);
}

#[test]
fn the_hosts_file_binds_for_good() {
    let hosts = Arc::new(ArcSwap::from_pointee(Hosts::parse("1.0.0.1 pod.example pod\n")));
    let bindings = Bindings::new(Arc::clone(&hosts));
    assert_eq!(bindings.names_of(ip(1)), [name("pod.example"), name("pod")]);
    bindings.bind("pod", &name("pod"), &[ip(1)], LIFE);
    assert_eq!(bindings.names_of(ip(1)).len(), 2, "each once");
    hosts.store(Arc::default());
    assert_eq!(bindings.names_of(ip(1)), [name("pod")]);
}

#[test]
fn who_asks_for_many_names_pushes_out_only_names_of_the_same_wildcard() {
    let bindings = Bindings::default();
    bindings.bind("api.example", &name("api.example"), &[ip(1)], LIFE);
    bindings.bind("w0", &name("first.w.example"), &[ip(2)], LIFE);
    for index in 0..3_000 {
        let name = name(&format!("n{index}.w.example"));
        bindings.bind("w0", &name, &[ip(10 + index)], LIFE);
    }
    assert_eq!(bindings.names_of(ip(1)), [name("api.example")]);
    assert_eq!(bindings.names_of(ip(2)), [], "the oldest of its group");
    assert_eq!(bindings.names_of(ip(10 + 2_999)).len(), 1, "the newest is there");
    assert_eq!(bindings.table.lock().expect("a lock").groups["w0"], GROUP_MAX);
}

#[test]
fn the_table_is_bounded_and_the_largest_group_gives_way() {
    let bindings = Bindings::default();
    bindings.bind("api.example", &name("api.example"), &[ip(1)], LIFE);
    for group in 0..10_u32 {
        let addresses: Vec<IpAddr> =
            (0..1_000).map(|index| ip(10_000 * (group + 1) + index)).collect();
        bindings.bind(&format!("w{group}"), &name("a.example"), &addresses, LIFE);
    }
    let table = bindings.table.lock().expect("a lock");
    assert_eq!(table.entries, ENTRIES_MAX);
    assert_eq!(table.groups.values().sum::<usize>(), ENTRIES_MAX);
    assert_eq!(table.by_address.values().map(Vec::len).sum::<usize>(), ENTRIES_MAX);
    let wildcards = table.groups.iter().filter(|(group, _)| group.starts_with('w'));
    let shares: Vec<usize> = wildcards.map(|(_, count)| *count).collect();
    assert!(shares.iter().all(|share| (818..=820).contains(share)), "equal shares: {shares:?}");
    drop(table);
    assert_eq!(bindings.names_of(ip(1)), [name("api.example")]);
}

#[test]
fn what_is_over_goes_first() {
    let bindings = Bindings::default();
    let addresses: Vec<IpAddr> = (0..u32::try_from(GROUP_MAX).expect("few")).map(ip).collect();
    bindings.bind("w", &name("old.example"), &addresses, Duration::ZERO);
    bindings.bind("w", &name("new.example"), &[ip(9_999)], LIFE);
    let table = bindings.table.lock().expect("a lock");
    assert_eq!((table.entries, table.groups["w"]), (1, 1));
}
