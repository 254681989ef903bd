//! World after world: put in, asked, compared, taken out.

use std::io::Write as _;
use std::time::{Duration, Instant};

use pinfold_model::facts::AccessQuestion;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use pinfold_tests::ApiServer;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::access;
use crate::compare::{Compared, Finding, Ground, compare};
use crate::counts::Counts;
use crate::engine;
use crate::random::Random;
use crate::requests::{Request, Requests};
use crate::server::{Answered, Server, Stored};
use crate::settle::settle;
use crate::shrink::{Case, Probe, shrink, yaml};
use crate::world::{User, World};

const CASES_PER_WORLD: usize = 500;
const QUESTIONS_PER_WORLD: usize = 150;

/// A run over many worlds.
pub(crate) struct Run {
    runtime: Runtime,
    server: Server,
    policy: AdmissionPolicy,
    pub(crate) counts: Counts,
    /// How long the API server's side and the engine's side took.
    pub(crate) took: (Duration, Duration),
}

/// One world in the cluster.
struct Scene<'r> {
    world: &'r World,
    stored: Stored,
    view: Snapshot,
}

impl Scene<'_> {
    fn ground<'s>(&'s self, policy: &'s AdmissionPolicy) -> Ground<'s> {
        Ground { view: &self.view, policy, shadows: &self.world.shadows, stored: &self.stored }
    }
}

impl Run {
    pub(crate) fn open() -> Outcome<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let server = runtime.block_on(Server::open(ApiServer::shared()?))?;
        let took = (Duration::ZERO, Duration::ZERO);
        Ok(Self { runtime, server, policy: engine::policy()?, counts: Counts::default(), took })
    }

    /// Compares so many cases; ends with the first difference, made small.
    pub(crate) fn compare(&mut self, seed: u64, cases: usize) -> Outcome {
        let mut random = Random::new(seed);
        let mut number = 0_usize;
        while self.counts.cases() < cases {
            let name = format!("w{number}-{:x}", seed % 0x1_0000);
            let world = World::draw(&mut random.fork(), &name, number);
            let count = CASES_PER_WORLD.min(cases.saturating_sub(self.counts.cases()));
            self.compare_world(&world, random.fork(), count)?;
            number = number.saturating_add(1);
        }
        Ok(())
    }

    fn compare_world(&mut self, world: &World, mut random: Random, count: usize) -> Outcome {
        let began = Instant::now();
        self.runtime.block_on(self.server.make_namespaces(&world.namespaces))?;
        self.runtime.block_on(self.server.put(&world.objects))?;
        let scene = self.scene(world)?;
        let mut requests = Requests::new(world, random.fork());
        let requests: Vec<Request> = (0..count).map(|_| requests.draw()).collect();
        let answers = self.runtime.block_on(self.server.ask(&requests, &scene.stored))?;
        self.took.0 = self.took.0.saturating_add(began.elapsed());
        let mut answered = Vec::with_capacity(count);
        for (request, answer) in requests.iter().zip(answers) {
            let case = || Case { objects: Vec::new(), probe: Probe::Write(request.clone()) };
            answered.push(answer.map_err(|error| format!("{error}\n{}", yaml(&case())))?);
        }
        let began = Instant::now();
        let mut compared = judge_all(&requests, &answered, &scene.ground(&self.policy));
        self.took.1 = self.took.1.saturating_add(began.elapsed());
        self.runtime.block_on(settle(&self.server, &scene.stored, &mut compared))?;
        for ((request, answered), compared) in requests.iter().zip(&answered).zip(&compared) {
            self.counts.add(request, &answered.verdict, compared);
            if let Some(difference) = difference(compared) {
                return Err(self.shrunk(world, Probe::Write(request.clone()), difference)?.into());
            }
        }
        self.compare_access(&scene, &mut random)?;
        self.runtime.block_on(self.server.clear(&world.name, &world.namespaces))
    }

    fn scene<'r>(&self, world: &'r World) -> Outcome<Scene<'r>> {
        let stored = self.runtime.block_on(self.server.stored())?;
        let view = engine::view(&stored.objects)?;
        Ok(Scene { world, stored, view })
    }

    fn compare_access(&mut self, scene: &Scene<'_>, random: &mut Random) -> Outcome {
        let questions: Vec<(User, AccessQuestion)> =
            (0..QUESTIONS_PER_WORLD).map(|_| access::draw(random, scene.world)).collect();
        let specs: Vec<Value> =
            questions.iter().map(|(user, question)| access::spec(user, question)).collect();
        let answers = self.runtime.block_on(self.server.may(&specs))?;
        for ((user, question), answer) in questions.iter().zip(answers) {
            let counter =
                if answer { &mut self.counts.access.1 } else { &mut self.counts.access.0 };
            *counter = counter.saturating_add(1);
            if engine::may(&scene.view, user, question) != answer {
                let probe = Probe::Access(user.clone(), question.clone());
                let difference = format!("SubjectAccessReview: the API server says {answer}");
                return Err(self.shrunk(scene.world, probe, &difference)?.into());
            }
        }
        Ok(())
    }

    /// The smallest case that still differs, in words.
    fn shrunk(&self, world: &World, probe: Probe, difference: &str) -> Outcome<String> {
        let mut latest = difference.to_owned();
        let case = Case { objects: world.objects.clone(), probe };
        let small = shrink(case, |case| {
            let found = self.ask_again(world, case)?;
            latest = found.clone().unwrap_or_else(|| latest.clone());
            Ok(found.is_some())
        })?;
        Ok(format!(
            "a difference, in world {}:\n{latest}\nfirst seen as: {difference}\n{}",
            world.name,
            yaml(&small)
        ))
    }

    /// Puts a smaller cluster in the place of the other, and asks both sides.
    fn ask_again(&self, world: &World, case: &Case) -> Outcome<Option<String>> {
        // A shadow stands for its aggregate only while nothing that is aggregated changes.
        let binds_aggregate = case.is_about(|name| world.shadows.contains_key(name));
        if binds_aggregate && !world.aggregates_are_whole(&case.objects) {
            return Ok(None);
        }
        self.runtime.block_on(self.server.clear(&world.name, &world.namespaces))?;
        // What the API server doesn't take is no case.
        if self.runtime.block_on(self.server.put(&case.objects)).is_err() {
            return Ok(None);
        }
        let scene = self.scene(world)?;
        match &case.probe {
            Probe::Write(request) => {
                let requests = std::slice::from_ref(request);
                let mut answers =
                    self.runtime.block_on(self.server.ask(requests, &scene.stored))?;
                let Some(Ok(answered)) = answers.pop() else { return Ok(None) };
                let mut compared = [compare(request, &answered, &scene.ground(&self.policy))];
                self.runtime.block_on(settle(&self.server, &scene.stored, &mut compared))?;
                Ok(compared.first().and_then(difference).map(ToOwned::to_owned))
            }
            Probe::Access(user, question) => {
                let answers =
                    self.runtime.block_on(self.server.may(&[access::spec(user, question)]))?;
                let judged = engine::may(&scene.view, user, question);
                let told = format!("SubjectAccessReview: API server {answers:?}, engine {judged}");
                Ok((answers != [judged]).then_some(told))
            }
        }
    }
}

fn difference(compared: &Compared) -> Option<&str> {
    [Some(&compared.native), compared.agent.as_ref()].into_iter().flatten().find_map(|finding| {
        match finding {
            Finding::Differs(why) => Some(why.as_str()),
            Finding::Same | Finding::Listed(_) => None,
        }
    })
}

/// Compares on both cores.
fn judge_all(requests: &[Request], answered: &[Answered], ground: &Ground<'_>) -> Vec<Compared> {
    let half = requests.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = requests
            .chunks(half)
            .zip(answered.chunks(half))
            .map(|(requests, answered)| {
                scope.spawn(move || {
                    let pairs = requests.iter().zip(answered);
                    pairs
                        .map(|(request, answered)| compare(request, answered, ground))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

/// Tells people, past the test runner's capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
