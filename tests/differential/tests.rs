//! The tests of this target.

use std::time::Instant;

use crate::random::Random;
use crate::requests::Requests;
use crate::run::{Run, say};
use crate::world::World;

/// What `cargo test` compares; the full run is `PINFOLD_CASES=25000`.
const CASES: usize = 3_000;
const SEED: u64 = 20_261_121;

fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

#[test]
fn judges_as_the_api_server_does() {
    let seed = from_environment("PINFOLD_SEED", SEED);
    let cases = from_environment("PINFOLD_CASES", CASES);
    let again = format!("PINFOLD_SEED={seed} PINFOLD_CASES={cases}");
    let mut run = Run::open().expect("an API server");
    let began = Instant::now();
    if let Err(error) = run.compare(seed, cases) {
        panic!("{error}\nagain with {again}");
    }
    let (asking, judging) = run.took;
    say(&format!(
        "{again}: {cases} cases in {:.1?} (API server {asking:.1?}, engine {judging:.1?})\n{}",
        began.elapsed(),
        run.counts
    ));
    assert_eq!(
        run.counts.thin(),
        Vec::<String>::new(),
        "too few of these to mean something; {again}"
    );
}

#[test]
fn one_seed_makes_the_same_cases() {
    let draw = |seed| {
        let mut random = Random::new(seed);
        let world = World::draw(&mut random.fork(), "w", 0);
        let mut requests = Requests::new(&world, random.fork());
        let drawn: Vec<String> = (0..50).map(|_| format!("{:?}", requests.draw())).collect();
        (world.objects.clone(), drawn)
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7).1, draw(8).1);
}
