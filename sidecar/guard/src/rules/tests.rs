//! The rules as a table of chains: what agents may, in which order.

use super::*;
use crate::text;

fn chain<'a>(table: &'a Table, name: &str) -> &'a Chain {
    table.chains.iter().find(|chain| chain.name == name).expect(name)
}

fn lines(table: &Table, name: &str) -> Vec<String> {
    chain(table, name).rules.iter().map(text::rule).collect()
}

/// What a packet with a socket of another UID can be accepted by is this, and every line of it is argued in `agents`.
#[test]
fn agents_are_accepted_by_these_rules_alone() {
    let table = table(64_646, vec![15_002]);
    let accepting: Vec<_> =
        lines(&table, "agents").into_iter().filter(|line| line.ends_with("accept")).collect();
    assert_eq!(
        accepting,
        [
            "ct status dnat tcp dport 15001 accept",
            "ct status dnat tcp dport 15053 accept",
            "ct status dnat udp dport 15053 accept",
            "ip daddr 127.0.0.0/8 tcp dport @loopback_ports accept",
            "ip6 daddr ::1 tcp dport @loopback_ports accept",
            "meta l4proto tcp ct direction reply accept",
        ]
    );
    let egress = lines(&table, "egress");
    let other = egress.iter().position(|line| line == "meta skuid != 64646 goto agents");
    let before = egress.get(..other.expect("the rule")).expect("those before");
    let accepting: Vec<_> = before.iter().filter(|line| line.ends_with("accept")).collect();
    assert_eq!(accepting, ["meta skuid 64646 accept"], "before agents are sent on");
}

#[test]
fn what_no_rule_decides_is_dropped() {
    let table = table(64_646, vec![15_002]);
    for (name, drops) in [("egress", true), ("through", true), ("inbound", false), ("steer", false)]
    {
        assert_eq!(chain(&table, name).hook.map(|hook| hook.drops), Some(drops), "{name}");
    }
}

#[test]
fn probes_meet_the_rules_of_agents_before_the_sidecar_is_let_through() {
    let table = table(64_646, vec![15_002]);
    for (name, to) in [("steer", "steered"), ("egress", "agents")] {
        let lines = lines(&table, name);
        let own = lines.iter().position(|line| line.starts_with("meta skuid 64646"));
        for probe in ["ip daddr 192.0.2.1", "ip6 daddr 2001:db8::1"] {
            let place = lines.iter().position(|line| *line == format!("{probe} goto {to}"));
            assert!(place.is_some() && place < own, "{name}: {probe}");
        }
    }
}

#[test]
fn chains_that_are_gone_to_exist() {
    let table = table(64_646, vec![15_002]);
    let names: Vec<_> = table.chains.iter().map(|chain| chain.name).collect();
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        for action in &rule.actions {
            if let Goto(chain) = action {
                assert!(names.contains(chain), "{chain}");
            }
        }
    }
    assert!(usize::try_from(table.set.size).expect("a size") >= LOOPBACK_PORTS_MAX);
}
