//! Links, monitors and ends across three nodes whose connections break, against a model of what must come of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Seen, Watch, Watchdog, id, within};
use horde_process::{ExitReason, Node, Pid, Ref, Shutdown};
use horde_transport::MemoryNetwork;

const NODES: [&str; 3] = ["one", "two", "three"];
const DOGS: usize = 6;

/// A number from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// What must be: who lives, who is linked, who monitors whom, and what each has heard, by the other's number.
#[derive(Default)]
struct Model {
    alive: BTreeSet<usize>,
    trapping: BTreeSet<usize>,
    links: BTreeSet<(usize, usize)>,
    monitors: BTreeMap<(usize, usize), usize>,
    heard: BTreeMap<usize, Vec<(&'static str, usize)>>,
}

impl Model {
    fn hear(&mut self, who: usize, what: &'static str, whom: usize, times: usize) {
        let heard = self.heard.entry(who).or_default();
        heard.extend(std::iter::repeat_n((what, whom), times));
    }

    /// An exit signal of `from`, whose link is gone.
    fn signal(&mut self, to: usize, from: usize, normal: bool) {
        if !self.alive.contains(&to) {
            return;
        }
        if self.trapping.contains(&to) {
            self.hear(to, "exit", from, 1);
        } else if !normal {
            self.end(to, false);
        }
    }

    fn end(&mut self, who: usize, normal: bool) {
        if !self.alive.remove(&who) {
            return;
        }
        let linked: Vec<usize> = (0..DOGS).filter(|other| self.links.remove(&pair(who, *other))).collect();
        for watcher in 0..DOGS {
            let times = self.monitors.remove(&(watcher, who)).unwrap_or(0);
            self.hear(watcher, "down", who, times);
            self.monitors.remove(&(who, watcher));
        }
        linked.into_iter().for_each(|other| self.signal(other, who, normal));
    }

    fn link(&mut self, one: usize, other: usize) {
        if self.alive.contains(&other) {
            self.links.insert(pair(one, other));
        } else {
            self.signal(one, other, false);
        }
    }

    fn monitor(&mut self, watcher: usize, target: usize) {
        if self.alive.contains(&target) {
            *self.monitors.entry((watcher, target)).or_default() += 1;
        } else {
            self.hear(watcher, "down", target, 1);
        }
    }

    /// The connection of two nodes broke: what went across it is over.
    fn flap(&mut self, a: usize, b: usize) {
        let across = |x: usize, y: usize| (x % 3 == a && y % 3 == b) || (x % 3 == b && y % 3 == a);
        let links: Vec<_> = self.links.iter().copied().filter(|(x, y)| across(*x, *y)).collect();
        let gone: Vec<_> = self.monitors.keys().copied().filter(|(x, y)| across(*x, *y)).collect();
        self.links.retain(|link| !links.contains(link));
        for (watcher, target) in gone {
            let times = self.monitors.remove(&(watcher, target)).unwrap_or(0);
            self.hear(watcher, "down", target, times);
        }
        for (x, y) in links {
            self.signal(x, y, false);
            self.signal(y, x, false);
        }
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

struct World {
    network: MemoryNetwork,
    nodes: Vec<Node>,
    dogs: Vec<Ref<Watchdog>>,
    pids: Vec<Pid>,
    model: Model,
}

impl World {
    async fn new() -> Self {
        let network = MemoryNetwork::new();
        let nodes: Vec<Node> = NODES
            .iter()
            .map(|name| {
                let builder = Node::builder(id(name)).network(network.attach(id(name)));
                builder.runs::<Watchdog>(()).start().unwrap()
            })
            .collect();
        let mut dogs = Vec::new();
        for at in 0..DOGS {
            dogs.push(nodes[at % 3].spawn::<Watchdog>(()).await.unwrap());
        }
        let pids = dogs.iter().map(|dog| dog.pid().unwrap()).collect();
        let model = Model { alive: (0..DOGS).collect(), ..Model::default() };
        Self { network, nodes, dogs, pids, model }
    }

    async fn step(&mut self, dice: &mut Dice) {
        let (one, other) = (dice.roll(DOGS), dice.roll(DOGS));
        let here = self.model.alive.contains(&one);
        match dice.roll(10) {
            0..=2 if here && one != other => {
                self.tell(one, Watch::link(&self.pids[other].clone())).await;
                self.model.link(one, other);
            }
            3 if here && one != other => {
                self.tell(one, Watch::unlink(&self.pids[other].clone())).await;
                self.model.links.remove(&pair(one, other));
            }
            4 | 5 if here && one != other => {
                self.tell(one, Watch::monitor(&self.pids[other].clone())).await;
                self.model.monitor(one, other);
            }
            6 if here => {
                self.tell(one, Watch::trap()).await;
                self.model.trapping.insert(one);
            }
            7 if here => {
                let normal = dice.roll(2) == 0;
                let reason = if normal { ExitReason::Normal } else { ExitReason::Error("x".into()) };
                let shutdown = [Shutdown::Infinity, Shutdown::BrutalKill][dice.roll(2)];
                self.nodes[one % 3].stop(&self.pids[one], reason, shutdown);
                self.model.end(one, normal && shutdown == Shutdown::Infinity);
            }
            8 if one % 3 != other % 3 => {
                let (a, b) = (one % 3, other % 3);
                self.network.cut(self.nodes[a].id(), self.nodes[b].id());
                self.network.heal(self.nodes[a].id(), self.nodes[b].id());
                self.model.flap(a, b);
            }
            _ => {}
        }
        self.settle().await;
    }

    async fn tell(&self, who: usize, what: Watch) {
        // It may end by what it is told; the answer is sent first.
        drop(within(self.dogs[who].call(what)).await);
    }

    /// Waits until what was sent between all nodes has arrived, and those live that must.
    async fn settle(&self) {
        within(async {
            for _ in 0..2 {
                for (from, to) in (0..9).map(|at| (at / 3, at % 3)).filter(|(from, to)| from != to) {
                    // The answer of nobody comes behind all else that was sent.
                    let nobody = Pid::new(self.nodes[to].id().clone(), u64::MAX);
                    let nobody = Ref::<Watchdog>::new(&self.nodes[from], nobody);
                    while !matches!(nobody.call(Seen).await, Err(horde_process::CallError::NoProcess(_))) {
                        tokio::task::yield_now().await;
                    }
                }
            }
            let lives = |at: usize| self.nodes[at % 3].is_alive(&self.pids[at]);
            while (0..DOGS).any(|at| lives(at) != self.model.alive.contains(&at)) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// What a dog has heard, sorted.
    async fn heard(&self, who: usize) -> Vec<(&'static str, usize)> {
        let lines = within(self.dogs[who].call(Seen)).await.unwrap();
        let mut heard: Vec<_> = lines
            .iter()
            .map(|line| {
                let what = if line.starts_with("exit") { "exit" } else { "down" };
                let whom = line[5..].split(": ").next().unwrap();
                let at = self.pids.iter().position(|pid| pid.to_string() == whom);
                (what, at.unwrap())
            })
            .collect();
        heard.sort_unstable();
        heard
    }
}

#[tokio::test]
async fn what_three_nodes_hear_of_ends_and_of_broken_connections_is_what_the_model_says() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut world = World::new().await;
        for _ in 0..30 {
            world.step(&mut dice).await;
        }
        for at in world.model.alive.clone() {
            let mut expected = world.model.heard.get(&at).cloned().unwrap_or_default();
            expected.sort_unstable();
            within(async {
                while world.heard(at).await.len() < expected.len() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(world.heard(at).await, expected, "seed {seed}: dog {at}");
        }
    }
}
