//! Links, monitors, names and ends of processes under random schedules, against what each must have come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use horde_transport::{NodeId, NodeName};

use crate::cell::{AnyCell, Cell, Core, Inbox, Look, Options, Shared};
use crate::mailbox::Item;
use crate::{Context, ExitReason, Name, Node, Pid, Process, Stop, schedule};

/// A process without a task: its thread of the schedule is it.
struct Bare;

impl Process for Bare {
    const KIND: &'static str = "bare";
    type Args = ();
    type Deps = ();
    type Messages = ();

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

/// A number from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }
}

/// One process, and what it did and heard.
struct Actor {
    at: usize,
    cell: Arc<Cell<Bare>>,
    trap: bool,
    /// Whom it links; nobody else links it back.
    linked: BTreeSet<usize>,
    /// Its monitors that it has not ended, by reference.
    monitors: BTreeMap<u64, usize>,
    ended_monitors: BTreeSet<u64>,
    downs: BTreeMap<u64, usize>,
    exits: BTreeSet<Pid>,
    alive: bool,
}

impl Actor {
    fn new(node: &Node, at: usize, trap: bool) -> Self {
        let pid = Pid::new(node.id().clone(), at as u64 + 1);
        let cell = Arc::new(Cell::<Bare>::new(Core::new(pid.clone(), node.clone(), Options::default())));
        let shared = Shared(Arc::clone(&cell) as Arc<_>);
        node.0.table.insert(pid.number(), shared.clone());
        AnyCell::control(&*cell, &mut |control| control.trap = trap);
        node.name_process(&shared, &Name::local(format!("n{at}")), &[]).expect("a free name");
        Self {
            at,
            cell,
            trap,
            linked: BTreeSet::new(),
            monitors: BTreeMap::new(),
            ended_monitors: BTreeSet::new(),
            downs: BTreeMap::new(),
            exits: BTreeSet::new(),
            alive: true,
        }
    }

    fn core(&self) -> &Core {
        AnyCell::core(&*self.cell)
    }

    fn node(&self) -> Node {
        self.core().node.clone()
    }

    fn shared(&self) -> Shared {
        Shared(Arc::clone(&self.cell) as Arc<_>)
    }

    /// Ends as the task of a process does.
    fn end(&mut self, reason: ExitReason) {
        self.alive = false;
        let reason = self.core().publish(reason).clone();
        let control = self.cell.close();
        self.node().bury(self.core(), control, &reason);
    }

    /// Looks at its signals and its mailbox as the task of a process does.
    fn turn(&mut self) {
        while self.alive && self.core().take_urgent() {
            let (mut stop, mut exits) = (None, VecDeque::new());
            Inbox::control(&*self.cell, &mut |control| {
                let Some(rare) = control.known() else { return };
                stop = rare.stop.take();
                exits = std::mem::take(&mut rare.exits);
            });
            self.exits.extend(exits.into_iter().map(|exit| exit.from));
            if let Some(reason) = stop {
                self.end(reason);
            }
        }
        let mut batch = VecDeque::new();
        while self.alive && matches!(self.cell.look(0, &mut batch), Look::Batch) && !batch.is_empty() {
            for item in batch.drain(..) {
                let Item::Down(down) = item else { continue };
                let number = down.monitor.number();
                let mut known = false;
                Inbox::control(&*self.cell, &mut |control| {
                    known = control.known().is_some_and(|rare| rare.monitors.remove(&number).is_some());
                });
                if known {
                    *self.downs.entry(number).or_default() += 1;
                }
            }
        }
    }

    /// Does some things at random, and ends or not.
    fn live(&mut self, others: &[Pid], mut dice: Dice) {
        for _ in 0..6 {
            self.turn();
            if !self.alive {
                return;
            }
            let (node, shared, other) = (self.node(), self.shared(), dice.roll(others.len()));
            // Only the lower links the higher, so that the last word is one process's.
            match dice.roll(8) {
                0..=2 if other > self.at => {
                    node.link(&shared, &others[other]);
                    self.linked.insert(other);
                }
                3 if self.linked.remove(&other) => node.unlink(&shared, &others[other]),
                4 | 5 if other != self.at => {
                    let monitor = node.monitor(&shared, &Name::Pid(others[other].clone()));
                    self.monitors.insert(monitor.number(), other);
                }
                6 => {
                    if let Some((number, _)) = self.monitors.pop_first() {
                        let monitor = crate::MonitorRef::of(number);
                        node.demonitor(&shared, monitor);
                        self.ended_monitors.insert(number);
                        // What had come before was heard before.
                        self.downs.remove(&number);
                    }
                }
                7 if dice.roll(3) == 0 => {
                    let reasons = [ExitReason::Normal, ExitReason::Killed, ExitReason::Error("x".into())];
                    return self.end(reasons[dice.roll(3)].clone());
                }
                _ => {}
            }
        }
        self.turn();
    }
}

fn check(actors: &[Actor], node: &Node, seed: u64) {
    let ended = |at: usize| actors[at].core().ended();
    for one in actors {
        let pid = one.core().pid();
        assert_eq!(node.is_alive(pid), one.alive, "seed {seed}: {pid} in the table");
        let name = node.resolve(&Name::local(format!("n{}", one.at)));
        assert_eq!(name.is_some(), one.alive, "seed {seed}: the name of {pid}");
        assert!(
            one.ended_monitors.iter().all(|number| !one.downs.contains_key(number)),
            "seed {seed}: {pid}"
        );
        if one.alive {
            alive(one, actors, seed);
        }
        for other in &one.linked {
            let (mine, theirs) = (one.core().ended(), ended(*other));
            let both = [(one, mine, theirs), (&actors[*other], theirs, mine)];
            for (survivor, own, others) in both {
                let (None, Some(reason)) = (own, others) else { continue };
                let from = if survivor.at == one.at { actors[*other].core().pid() } else { pid };
                assert!(
                    survivor.trap || *reason == ExitReason::Normal,
                    "seed {seed}: {from} ended, the linked lives"
                );
                assert!(
                    !survivor.trap || survivor.exits.contains(from),
                    "seed {seed}: the end of {from} not heard"
                );
            }
        }
    }
}

/// What holds for one that lives: one notice for each monitor of an ended one, none else, and nothing of an ended one left.
fn alive(one: &Actor, actors: &[Actor], seed: u64) {
    let pid = one.core().pid();
    for (number, target) in &one.monitors {
        let expected = usize::from(!actors[*target].alive);
        let heard = one.downs.get(number).copied().unwrap_or(0);
        assert_eq!(heard, expected, "seed {seed}: notices of monitor {number} of {pid}");
    }
    let number_of = |pid: &Pid| pid.number() as usize - 1;
    AnyCell::control(&*one.cell, &mut |control| {
        let Some(rare) = control.known() else { return };
        for other in &rare.links {
            let other = &actors[number_of(other)];
            let (low, high) = if one.at < other.at { (one, other) } else { (other, one) };
            assert!(other.alive, "seed {seed}: {pid} keeps a link to an ended one");
            assert!(low.linked.contains(&high.at), "seed {seed}: {pid} keeps a link that was taken away");
        }
        for (watcher, _) in &rare.watchers {
            assert!(actors[number_of(watcher)].alive, "seed {seed}: {pid} keeps a watcher that has ended");
        }
        for (number, target) in &rare.monitors {
            assert!(
                actors[number_of(target)].alive && one.monitors.contains_key(number),
                "seed {seed}: {pid}"
            );
        }
    });
}

fn play(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let node = Node::builder(NodeId::new(NodeName::new("one").expect("a name"), 1)).start().expect("a node");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut actors: Vec<_> = (0..4).map(|at| Actor::new(&node, at, dice.roll(3) == 0)).collect();
    let pids: &Vec<Pid> = &actors.iter().map(|actor| actor.core().pid().clone()).collect();
    let threads = actors.iter_mut().map(|actor| {
        let dice = Dice(dice.roll(usize::MAX) as u64);
        Box::new(move || actor.live(pids, dice)) as Box<dyn FnOnce() + Send>
    });
    let threads = threads.collect();
    schedule::run(seed, threads);
    // What is under way arrives; each end may be another's signal.
    for _ in 0..=actors.len() {
        actors.iter_mut().for_each(Actor::turn);
    }
    check(&actors, &node, seed);
}

#[test]
fn under_any_schedule_links_monitors_and_names_come_to_what_they_must() {
    for seed in 0..600 {
        play(seed);
    }
}
