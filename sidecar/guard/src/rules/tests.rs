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
    let table = table(64_646, vec![15_002], Memory::Short);
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
    let table = table(64_646, vec![15_002], Memory::Short);
    for (name, drops) in [("egress", true), ("through", true), ("inbound", false), ("steer", false)]
    {
        assert_eq!(chain(&table, name).hook.map(|hook| hook.drops), Some(drops), "{name}");
    }
}

#[test]
fn probes_meet_the_rules_of_agents_before_the_sidecar_is_let_through() {
    let table = table(64_646, vec![15_002], Memory::Short);
    for (name, to) in [("steer", "steered"), ("egress", "agents")] {
        let lines = lines(&table, name);
        let own = lines.iter().position(|line| line.starts_with("meta skuid 64646"));
        for probe in ["ip daddr 192.0.2.1", "ip6 daddr 2001:db8::1"] {
            let place = lines.iter().position(|line| *line == format!("{probe} goto {to}"));
            assert!(place.is_some() && place < own, "{name}: {probe}");
        }
    }
}

/// What agents may open, times the seconds that it is remembered, never uses up the 64,512 ports that a redirected connection is told apart by.
#[test]
fn no_rate_of_connections_uses_the_ports_up() {
    // (memory, the longest that an ended connection of TCP is remembered)
    for (memory, seconds) in [(Memory::Short, 4), (Memory::Systems, 120)] {
        let Over { per_second, burst } = memory.rate() else { panic!("no rate") };
        assert!(burst + per_second * seconds < 64_512 / 3 * 2, "{memory:?}");
        let longest = memory.timeouts().into_iter().find(|one| one.protocol == Protocol::Tcp);
        let longest = longest.and_then(|one| one.seconds.into_iter().map(|(_, most)| most).max());
        assert_eq!(longest.unwrap_or(120), seconds);
        let table = table(64_646, vec![15_002], memory);
        let lines = lines(&table, "agents");
        let rate = format!(
            "meta l4proto tcp ct status dnat ct state new limit rate over {per_second}/second burst {burst} packets reject with tcp reset"
        );
        assert_eq!(lines.first(), Some(&rate), "before anything is accepted");
    }
}

#[test]
fn a_kernel_without_timeouts_gets_rules_without_them() {
    let short = text::table(&table(64_646, vec![15_002], Memory::Short));
    let plain = text::table(&table(64_646, vec![15_002], Memory::Systems));
    assert_eq!(short.matches("ct timeout").count(), 5, "two and their uses:\n{short}");
    assert!(!plain.contains("ct timeout"));
    let same = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("limit rate"));
        let lines = lines.filter(|line| !line.contains("ct timeout redirected"));
        lines.count()
    };
    assert_eq!(same(&short), same(&plain) + 6, "no other rule is missing");
}

#[test]
fn chains_that_are_gone_to_exist() {
    let table = table(64_646, vec![15_002], Memory::Short);
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
