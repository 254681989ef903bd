//! The proposal allows every attempt that was recorded, and no other: over all attempts of a small world.

use std::collections::BTreeSet;

use pinfold_model::host::DnsName;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::Value;

use super::{learn, lines, policy, record, request};
use crate::learn::want::{Request, Spoken, Want};

const HOSTS: [&str; 3] = ["a.example", "b.a.example", "c.example"];
const PORTS: [u16; 3] = [80, 443, 8443];
const METHODS: [&str; 2] = ["GET", "POST"];
const PATHS: [&str; 3] = ["/", "/x", "/x/y"];

fn world() -> Vec<Want> {
    let mut all = Vec::new();
    for host in HOSTS {
        for port in PORTS {
            let want = |spoken, request| Want::Egress {
                host: DnsName::parse(host).unwrap(),
                port,
                spoken,
                request,
                assumed: false,
            };
            all.extend([want(Spoken::Tls, None), want(Spoken::Tcp, None)]);
            for method in METHODS {
                for path in PATHS {
                    let request = || Some(Request { method: method.into(), path: path.into() });
                    all.extend([Spoken::Http, Spoken::Https].map(|spoken| want(spoken, request())));
                }
            }
        }
    }
    all
}

fn recorded(want: &Want) -> Value {
    let Want::Egress { host, port, spoken, request: asked, .. } = want else {
        panic!("a connection")
    };
    match (spoken, asked) {
        (Spoken::Tls, _) => record(host.as_str(), *port, "tls", "host"),
        (Spoken::Tcp, _) => record(host.as_str(), *port, "transparent", "host"),
        (_, asked) => {
            let Request { method, path } = asked.as_ref().unwrap();
            let mut record = request(host.as_str(), *port, method, path);
            if *spoken == Spoken::Https {
                (record["protocol"], record["reason"]) = ("https".into(), "path".into());
            }
            record
        }
    }
}

/// What is to be allowed beside what was recorded, because one recorded attempt needs more than another.
fn expected(want: &Want, recorded: &BTreeSet<Want>) -> Option<bool> {
    let Want::Egress { host, port, spoken, .. } = want else { panic!("a connection") };
    let has = |wanted: Spoken| {
        recorded.iter().any(|other| {
            matches!(other, Want::Egress { host: h, port: p, spoken, .. } if h == host && p == port && *spoken == wanted)
        })
    };
    match spoken {
        // Anything is allowed where something was neither TLS nor HTTP.
        _ if has(Spoken::Tcp) => Some(true),
        // To be judged inside, TLS has to be ended.
        Spoken::Tls if has(Spoken::Https) => Some(true),
        // Where TLS is passed through nobody asks.
        Spoken::Https if has(Spoken::Tls) && !has(Spoken::Https) => None,
        Spoken::Tls | Spoken::Https | Spoken::Http | Spoken::Tcp => Some(recorded.contains(want)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_recorded_is_allowed_and_nothing_else(wants in subsequence(world(), 0..=12)) {
        let records: Vec<Value> = wants.iter().map(recorded).collect();
        let said = learn(&lines(&records), None, &[]);
        prop_assert_eq!(&said.err, "");
        let policy = policy(&said.out);
        let recorded: BTreeSet<Want> = wants.into_iter().collect();
        for want in world() {
            if let Some(expected) = expected(&want, &recorded) {
                prop_assert_eq!(want.is_allowed(&policy), expected, "{:?} by\n{}", want, said.out);
            }
        }
    }
}
