//! Several machines, a network that loses and reorders, and nodes that are held for dead, from a seed.
//!
//! After all is healed: every name has one living holder, the same on all nodes; every process that believes it holds a
//! name does; and whoever registered a name and neither gave it up nor holds it was told so by its own node, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::support::{Cluster, claim, key};
use horde_process::Pid;
use horde_registry::machine::{Config, Key, Message, Presence};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 33) as usize % sides
    }
}

struct World {
    cluster: Cluster,
    dice: Dice,
    mail: Vec<(usize, usize, Message)>,
    /// Who was given a name and has not given it up, ended, or been replaced by its child's next copy.
    believers: BTreeMap<(Pid, Key), Option<String>>,
    /// The newest copy of each child that was given its name.
    copies: BTreeMap<String, u64>,
    down: BTreeSet<(usize, usize)>,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = Config {
            purge_after: Duration::from_secs(3),
            sweep_interval: Duration::from_secs(2),
            ..Config::default()
        };
        let cluster = Cluster::new(&["a", "b", "c"], &config);
        let (mail, believers, copies, down) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { cluster, dice: Dice(seed), mail, believers, copies, down, next: 1 }
    }

    fn step(&mut self) {
        self.cluster.clock += Duration::from_millis(self.dice.roll(40) as u64);
        match self.dice.roll(16) {
            0..=3 => self.register(),
            4 => self.unregister(),
            5 => self.end(),
            6 => self.judge_peer(),
            _ => self.deliver(),
        }
        let now = self.cluster.now();
        let at = self.dice.roll(3);
        self.cluster.sites[at].flush(now);
        self.collect();
    }

    fn register(&mut self) {
        let (at, name) = (self.dice.roll(3), format!("name-{}", self.dice.roll(4)));
        let number = self.next;
        self.next += 1;
        let child = (self.dice.roll(3) == 0).then(|| format!("child-{name}"));
        let owner = self.cluster.sites[at].id.clone();
        let claim = child.as_ref().map(|child| claim(child, number, &owner));
        if self.cluster.register_as(at, number, &name, claim.as_ref()).is_ok() {
            self.copies.extend(child.clone().map(|child| (child, number)));
            self.believers.insert((self.cluster.pid(at, number), key(&name)), child);
        }
    }

    fn pick(&mut self) -> Option<(Pid, Key)> {
        let nth = self.dice.roll(self.believers.len().max(1));
        self.believers.keys().nth(nth).cloned()
    }

    fn site_of(&self, pid: &Pid) -> usize {
        self.cluster.at(pid.node())
    }

    fn unregister(&mut self) {
        let Some((pid, name)) = self.pick() else { return };
        let (at, now) = (self.site_of(&pid), self.cluster.now());
        let site = &mut self.cluster.sites[at];
        if site.names.unregister(now, &pid, &name).is_ok() {
            self.believers.remove(&(pid, name));
        }
        site.drain();
    }

    fn end(&mut self) {
        let Some((pid, _)) = self.pick() else { return };
        self.cluster.end(self.site_of(&pid), pid.number());
        self.believers.retain(|(holder, _), _| *holder != pid);
    }

    /// One node takes another for dead, or thinks better of it.
    fn judge_peer(&mut self) {
        let (at, other) = (self.dice.roll(3), self.dice.roll(3));
        if at != other && !self.down.remove(&(at, other)) {
            self.down.insert((at, other));
        }
        self.look(at);
    }

    fn look(&mut self, at: usize) {
        let down: Vec<_> =
            self.down.iter().filter(|(a, _)| *a == at).map(|(_, b)| (*b, Presence::Down)).collect();
        self.cluster.see(at, &down);
    }

    fn collect(&mut self) {
        for from in 0..3 {
            for (to, message) in std::mem::take(&mut self.cluster.sites[from].sent) {
                self.mail.push((from, self.cluster.at(&to), message));
            }
        }
    }

    /// Any letter, in no order; one in eight is lost.
    fn deliver(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let nth = self.dice.roll(self.mail.len());
        let (from, to, message) = self.mail.swap_remove(nth);
        if self.dice.roll(8) > 0 {
            let (now, from) = (self.cluster.now(), self.cluster.sites[from].id.clone());
            self.cluster.sites[to].names.receive(now, &from, message);
            self.cluster.sites[to].drain();
        }
    }

    fn heal(&mut self) {
        self.mail.clear();
        self.down.clear();
        (0..3).for_each(|at| self.look(at));
        self.cluster.pass(Duration::from_secs(15));
    }

    fn check(&self) {
        let sites = &self.cluster.sites;
        let (mut signalled, mut held) = (BTreeSet::new(), BTreeMap::new());
        for site in sites {
            for (loser, key, _) in &site.signals {
                assert_eq!(*loser.node(), site.id, "only its host signals a process");
                assert!(
                    signalled.insert((loser.clone(), key.clone())),
                    "{loser} was signalled twice for {key:?}"
                );
            }
            for (key, pid) in &site.shown {
                assert_eq!(
                    site.names.get(key).map(|entry| &entry.pid),
                    Some(pid),
                    "readers see what the machine holds"
                );
            }
            assert_eq!(site.shown, sites[0].shown, "{:?} and {:?} agree", site.id, sites[0].id);
        }
        for (key, pid) in &sites[0].shown {
            held.insert((pid.clone(), key.clone()), ());
            assert!(
                self.believers.contains_key(&(pid.clone(), key.clone())),
                "{pid} holds {key:?} and does not live by it"
            );
        }
        for (believer, child) in &self.believers {
            let replaced = child.as_ref().is_some_and(|child| self.newer_copy(believer, child));
            assert!(
                held.contains_key(believer) || signalled.contains(believer) || replaced,
                "{believer:?} lost its name and was not told"
            );
            assert!(
                !(held.contains_key(believer) && signalled.contains(believer)),
                "{believer:?} holds what it lost"
            );
        }
    }

    /// Whether a later copy of the same child was given the name: then nobody is told.
    fn newer_copy(&self, (pid, _): &(Pid, Key), child: &str) -> bool {
        self.copies.get(child).is_some_and(|newest| *newest > pid.number())
    }
}

#[test]
fn after_healing_every_name_has_one_living_holder_everywhere_and_each_loser_was_told_by_its_host() {
    // A thousand take a minute: SEEDS=1000 cargo test --release -p horde-registry --test machine
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..300 {
                world.step();
            }
            world.heal();
            world.check();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
