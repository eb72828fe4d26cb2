//! The laws of a local supervisor, for any order of what it is asked and what becomes of its children.

use std::collections::{BTreeMap, BTreeSet};

use horde_transport::{NodeId, NodeName};
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

use super::*;

fn pid(number: u64) -> Pid {
    Pid::new(NodeId::new(NodeName::new("one").unwrap(), 1), number)
}

fn child(id: &str, restart: Restart) -> Traits {
    Traits {
        id: id.to_owned(),
        kind: "test".to_owned(),
        restart,
        shutdown: Shutdown::default(),
        role: Role::Worker,
        significant: false,
    }
}

/// Does what the machine says, when the test says so, and watches its laws.
struct World {
    machine: Children,
    config: Config,
    now: Duration,
    pids: u64,
    requests: u64,
    /// Asked and not answered.
    open: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    starting: BTreeSet<Key>,
    up: BTreeMap<Key, Pid>,
    /// Asked to stop, with whether a start is still under way.
    stopping: BTreeMap<Key, bool>,
    stuck: BTreeSet<Key>,
    ended: Option<ExitReason>,
    done: bool,
    stopped: Vec<Key>,
    started: Vec<Key>,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            machine: Children::new(config.clone()),
            config,
            now: Duration::ZERO,
            pids: 0,
            requests: 0,
            open: BTreeSet::new(),
            answers: BTreeMap::new(),
            starting: BTreeSet::new(),
            up: BTreeMap::new(),
            stopping: BTreeMap::new(),
            stuck: BTreeSet::new(),
            ended: None,
            done: false,
            stopped: Vec::new(),
            started: Vec::new(),
        }
    }

    fn ask(&mut self, input: impl FnOnce(u64) -> Input) -> u64 {
        self.requests += 1;
        self.open.insert(self.requests);
        self.feed(input(self.requests));
        self.requests
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        self.perform();
    }

    fn perform(&mut self) {
        self.machine.check_invariants();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Start { key } => {
                    assert!(!self.alive(key), "two processes of child {key}");
                    self.starting.insert(key);
                    self.started.push(key);
                }
                Output::Stop { key, .. } => {
                    assert!(self.alive(key) && !self.stopping.contains_key(&key));
                    if !self.config.dynamic && self.ended.is_some() {
                        let later = |(other, _): (&Key, _)| *other > key && !self.stuck.contains(other);
                        assert!(!self.stopping.iter().any(|(k, v)| later((k, v))), "not in reverse order");
                    }
                    let unborn = self.starting.remove(&key);
                    self.up.remove(&key);
                    self.stopping.insert(key, unborn);
                    self.stopped.push(key);
                }
                Output::Answer { request, answer } => {
                    assert!(self.open.remove(&request), "request {request} answered twice");
                    self.answers.insert(request, answer);
                }
                Output::End(reason) => {
                    assert!(self.ended.replace(reason).is_none(), "it ends twice");
                }
                Output::Done => {
                    assert!(!self.done && self.starting.is_empty() && self.up.is_empty());
                    assert!(self.stopping.keys().all(|key| self.stuck.contains(key)));
                    self.done = true;
                }
                Output::Forget { .. } | Output::Report(_) => {}
            }
        }
    }

    fn alive(&self, key: Key) -> bool {
        self.starting.contains(&key) || self.up.contains_key(&key) || self.stopping.contains_key(&key)
    }

    fn start(&mut self, traits: Traits) -> u64 {
        self.ask(|request| Input::Start { request, child: traits })
    }

    /// The start of this child succeeds.
    fn begin(&mut self, key: Key) -> Pid {
        assert!(self.starting.remove(&key), "child {key} does not start");
        self.pids += 1;
        let pid = pid(self.pids);
        self.up.insert(key, pid.clone());
        self.feed(Input::Started { key, outcome: Ok(pid.clone()) });
        pid
    }

    fn fail(&mut self, key: Key, failure: StartFailure) {
        assert!(self.starting.remove(&key));
        self.feed(Input::Started { key, outcome: Err(failure.into()) });
    }

    fn crash(&mut self, key: Key, reason: ExitReason) {
        assert!(self.up.remove(&key).is_some(), "child {key} does not run");
        self.feed(Input::Exited { key, reason });
    }

    /// A child that was asked to stop has.
    fn stops(&mut self, key: Key) {
        let unborn = self.stopping.remove(&key).expect("asked to stop");
        self.stuck.remove(&key);
        if unborn {
            let failure = StartFailure::Init(ExitReason::Killed);
            self.feed(Input::Started { key, outcome: Err(failure.into()) });
        } else {
            self.feed(Input::Exited { key, reason: ExitReason::Shutdown });
        }
    }

    fn time(&mut self, by: Duration) {
        self.now += by;
        self.machine.handle_timeout(self.now);
        self.perform();
    }

    fn with(strategy: Strategy, restarts: &[Restart]) -> Self {
        let mut world = Self::new(Config { strategy, ..Config::default() });
        for (at, restart) in restarts.iter().enumerate() {
            world.start(child(&format!("c{}", at + 1), *restart));
            world.begin(at as Key + 1);
        }
        world.started.clear();
        world
    }
}

#[test]
fn one_for_all_stops_the_others_in_reverse_order_and_starts_all_in_order() {
    let mut world = World::with(Strategy::OneForAll, &[Restart::Permanent; 4]);
    world.crash(2, ExitReason::Killed);
    for key in [4, 3, 1] {
        assert_eq!(world.stopped.last(), Some(&key));
        assert!(world.started.is_empty(), "started before all had stopped");
        world.stops(key);
    }
    for key in 1..=4 {
        assert_eq!(world.started.last(), Some(&key));
        world.begin(key);
    }
}

#[test]
fn rest_for_one_leaves_those_before_alone() {
    let mut world = World::with(Strategy::RestForOne, &[Restart::Permanent; 3]);
    world.crash(2, ExitReason::Killed);
    world.stops(3);
    assert_eq!((&world.stopped[..], &world.started[..]), (&[3][..], &[2][..]));
    world.begin(2);
    world.begin(3);
    assert!(world.up.contains_key(&1));
}

#[test]
fn a_group_brings_back_what_rested_and_not_what_was_temporary_or_terminated() {
    let restarts = [Restart::Permanent, Restart::Transient, Restart::Temporary, Restart::Permanent];
    let mut world = World::with(Strategy::OneForAll, &restarts);
    world.crash(2, ExitReason::Normal);
    let asked = world.ask(|request| Input::Terminate { request, which: Which::Id("c4".into()) });
    world.stops(4);
    assert_eq!(world.answers[&asked], Ok(None));
    world.crash(1, ExitReason::Killed);
    world.stops(3);
    world.begin(1);
    world.begin(2);
    assert_eq!(world.started, [1, 2]);
    let ids: Vec<_> = world.machine.iter().map(|child| child.id).collect();
    assert_eq!(ids, ["c1", "c2", "c4"]);
}

#[test]
fn a_failed_restart_is_tried_again_until_that_was_one_too_many() {
    let mut world = World::with(Strategy::OneForOne, &[Restart::Transient; 2]);
    world.crash(1, ExitReason::Killed);
    for _ in 0..3 {
        assert_eq!(world.ended, None);
        world.fail(1, StartFailure::Init(ExitReason::Error("x".into())));
    }
    assert_eq!(world.ended, Some(ExitReason::Shutdown));
    world.stops(2);
    assert!(world.done);
}

#[test]
fn a_child_whose_init_ignores_its_restart_is_kept_at_rest_or_forgotten() {
    let mut world = World::with(Strategy::OneForOne, &[Restart::Permanent]);
    world.crash(1, ExitReason::Killed);
    world.fail(1, StartFailure::Ignored);
    assert_eq!(world.machine.iter().next().map(|child| child.state), Some(ChildState::Resting));
    let mut world = World::new(Config { dynamic: true, ..Config::default() });
    world.start(child("c", Restart::Permanent));
    world.begin(1);
    world.crash(1, ExitReason::Killed);
    world.fail(1, StartFailure::Ignored);
    assert_eq!(world.machine.counts(), Counts::default());
}

#[test]
fn pauses_between_restarts_double_and_start_over_after_a_quiet_window() {
    let second = Duration::from_secs;
    let config =
        Config { backoff: second(1), max_restarts: 100, max_seconds: second(10), ..Config::default() };
    let mut world = World::new(config);
    world.start(child("c", Restart::Permanent));
    world.begin(1);
    for pause in [0, 1, 2, 4] {
        world.crash(1, ExitReason::Killed);
        assert_eq!(world.machine.poll_timeout(), (pause > 0).then(|| world.now + second(pause)));
        world.time(second(pause));
        world.begin(1);
    }
    world.time(second(11));
    world.crash(1, ExitReason::Killed);
    world.begin(1);
}

#[test]
fn a_stuck_child_keeps_its_place_and_does_not_hold_up_the_end() {
    let mut world = World::with(Strategy::OneForOne, &[Restart::Permanent; 2]);
    let asked = world.ask(|request| Input::Terminate { request, which: Which::Id("c2".into()) });
    world.stuck.insert(2);
    world.feed(Input::Stuck { key: 2 });
    assert_eq!(world.answers[&asked], Err(Refusal::Stuck(pid(2))));
    let again = world.start(child("c2", Restart::Permanent));
    assert_eq!(world.answers[&again], Err(Refusal::AlreadyStarted(pid(2))));
    assert_eq!(world.machine.counts().active, 2);
    world.feed(Input::Stop);
    world.stops(1);
    assert!(world.done);
}

#[test]
fn the_last_significant_child_ends_its_supervisor() {
    for (auto_shutdown, first_ends_it) in
        [(AutoShutdown::AnySignificant, true), (AutoShutdown::AllSignificant, false)]
    {
        let mut world = World::new(Config { auto_shutdown, ..Config::default() });
        for id in ["a", "b"] {
            world.start(Traits { significant: true, ..child(id, Restart::Transient) });
        }
        world.begin(1);
        world.begin(2);
        world.crash(1, ExitReason::Normal);
        assert_eq!(world.ended.is_some(), first_ends_it);
        if !first_ends_it {
            world.crash(2, ExitReason::Normal);
            assert!(world.ended.is_some() && world.done);
        }
    }
    let mut world = World::new(Config::default());
    let asked = world.start(Traits { significant: true, ..child("a", Restart::Transient) });
    assert!(matches!(world.answers[&asked], Err(Refusal::BadSpec(_))));
}

#[test]
fn a_dynamic_supervisor_counts_what_waits_for_its_restart_among_its_children() {
    let config =
        Config { dynamic: true, max_children: 1, backoff: Duration::from_secs(1), ..Config::default() };
    let mut world = World::new(config);
    world.start(child("c", Restart::Permanent));
    world.begin(1);
    for _ in 0..2 {
        world.crash(1, ExitReason::Killed);
        world.time(Duration::ZERO);
        if world.starting.contains(&1) {
            world.begin(1);
        }
    }
    let asked = world.start(child("c", Restart::Permanent));
    assert_eq!(world.answers[&asked], Err(Refusal::MaxChildren(1)));
    world.ask(|request| Input::Terminate { request, which: Which::Id("c".into()) });
    world.start(child("c", Restart::Permanent));
    assert!(world.starting.contains(&2));
}

fn configs() -> impl Generator<Value = Config> {
    let strategies =
        prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)];
    (any::<bool>(), strategies, 0..4_u32, prop_oneof![Just(0_u64), Just(3)]).prop_map(
        |(dynamic, strategy, max_restarts, backoff)| Config {
            dynamic,
            strategy,
            max_restarts,
            backoff: Duration::from_secs(backoff),
            max_children: 6,
            ..Config::default()
        },
    )
}

/// One thing that happens, to whichever child `at` falls on.
fn happen(world: &mut World, what: u8, at: u8) {
    let pick = |keys: Vec<Key>| keys.get(usize::from(at) % keys.len().max(1)).copied();
    let id = format!("c{}", at % 5);
    let which = || Which::Id(id.clone());
    let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary][usize::from(at) % 3];
    let reason =
        [ExitReason::Normal, ExitReason::Killed, ExitReason::Shutdown][usize::from(at / 3) % 3].clone();
    match what {
        0 => drop(world.start(child(&id, restart))),
        1 => drop(world.ask(|request| Input::Terminate { request, which: which() })),
        2 => drop(world.ask(|request| Input::Restart { request, which: which() })),
        3 => drop(world.ask(|request| Input::Delete { request, which: which() })),
        4..=7 => {
            if let Some(key) = pick(world.starting.iter().copied().collect()) {
                match what {
                    4 => world.fail(key, StartFailure::Init(reason)),
                    5 => world.fail(key, StartFailure::Ignored),
                    _ => drop(world.begin(key)),
                }
            }
        }
        8 | 9 => {
            if let Some(key) = pick(world.up.keys().copied().collect()) {
                let before: BTreeSet<Key> = world.up.keys().chain(world.starting.iter()).copied().collect();
                let group = world.config.strategy == Strategy::OneForAll && !world.config.dynamic;
                world.started.clear();
                world.crash(key, reason.clone());
                let others = before.len() > 1 && world.ended.is_none() && !world.done;
                let none_up = world.up.keys().all(|other| !before.contains(other));
                assert!(!group || !others || world.started.is_empty() || none_up, "a group starts too early");
            }
        }
        10 => {
            if let Some(key) = pick(world.stopping.keys().copied().collect()) {
                world.stops(key);
            }
        }
        11 => {
            let unborn = |key: &Key| !world.stopping[key];
            if let Some(key) = pick(world.stopping.keys().filter(|key| unborn(key)).copied().collect())
                && world.stuck.insert(key)
            {
                world.feed(Input::Stuck { key });
            }
        }
        _ => world.time(Duration::from_secs(u64::from(at % 4))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_its_laws_hold_everybody_is_answered_and_it_can_end(
        config in configs(),
        steps in prop::collection::vec((0..14_u8, any::<u8>()), 0..120),
    ) {
        let mut world = World::new(config);
        for (what, at) in steps {
            happen(&mut world, what, at);
        }
        world.feed(Input::Stop);
        world.ended.get_or_insert(ExitReason::Shutdown);
        while let Some(key) = world.stopping.keys().next_back().copied() {
            world.stops(key);
        }
        prop_assert!(world.done && world.open.is_empty(), "not done, or {:?} not answered", world.open);
        prop_assert_eq!(world.machine.counts(), Counts::default());
    }

    #[test]
    fn a_quiet_group_runs_all_that_should_run(
        all in any::<bool>(),
        crashes in prop::collection::vec(1..5_u64, 0..3),
    ) {
        let strategy = if all { Strategy::OneForAll } else { Strategy::RestForOne };
        let mut world = World::with(strategy, &[Restart::Permanent; 4]);
        for key in crashes {
            if world.up.contains_key(&key) {
                world.crash(key, ExitReason::Killed);
            }
        }
        while let Some(key) = world.stopping.keys().next_back().copied() {
            world.stops(key);
        }
        while let Some(key) = world.starting.first().copied() {
            world.begin(key);
        }
        prop_assert_eq!(world.up.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
