//! Replicas of the CRDT that write, lose, reorder and restart; in the end all must be equal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use delta_crdt::{Config, LastWriter, Message, Now, Output, Record, Replica, ReplicaId, Warning};

use crate::queue::Queue;
use crate::{Broken, History, Outcome, Rng};

type Map = Replica<u64, u64, LastWriter>;

#[derive(Debug)]
enum Happening {
    Deliver { from: ReplicaId, to: ReplicaId, message: Message<u64, u64> },
    Write(usize),
    Restart(usize),
    Cut,
    Heal,
    Wake(usize, u64),
}

/// What a replica has on its disk: the end of the log may be lost with a crash.
#[derive(Debug, Clone, Default)]
struct Disk {
    log: Vec<Record<u64, u64>>,
    durable: usize,
}

struct World {
    rng: Rng,
    queue: Queue<Happening>,
    history: History,
    replicas: Vec<Map>,
    /// Which side of the partition a replica is on.
    side: Vec<u64>,
    /// In runs with storage: what each replica has written to its disk, and how much of that would survive a crash.
    disks: Option<Vec<Disk>>,
    skew: Vec<u64>,
    wakes: Vec<u64>,
    loss: u64,
    keys: u64,
    /// Whoever is out of sight is no member: nobody waits for it with a tombstone.
    forgets: bool,
    events: u64,
    broken: Option<Broken>,
    /// What went wrong on the way, first.
    wrong: Option<String>,
    /// Two replicas said that they differ under equal vectors.
    diverged: Option<String>,
    /// One of them lost a write, on purpose: now they do.
    damaged: bool,
}

/// Faults end after this, and quiet must bring all replicas together.
const BUSY: Duration = Duration::from_secs(20);
/// How many events pass between two looks at all replicas.
const EACH: u64 = 16;
const QUIET: Duration = Duration::from_secs(20);

/// Runs the replicas of a seed. With `damage`, one of them loses a write at the end behind the machine's back.
pub(crate) fn run(seed: u64, nodes: Option<usize>, broken: Option<Broken>, damage: bool) -> Outcome {
    let mut world = World::new(seed, nodes, broken);
    world.pass(BUSY);
    world.loss = 0;
    world.side.fill(0);
    world.reconnect();
    world.pass(BUSY + QUIET);
    let failure = world.verdict().or_else(|| damage.then(|| world.damage()).flatten());
    Outcome { failure, history: world.history, events: world.events, ..Outcome::default() }
}

impl World {
    fn new(seed: u64, nodes: Option<usize>, broken: Option<Broken>) -> Self {
        let mut rng = Rng::new(seed, 1);
        let count = nodes.unwrap_or_else(|| rng.between(2, 5) as usize);
        let shards = if rng.chance(50) { 1 } else { 4 };
        let small = rng.chance(50);
        let config = Config {
            shards,
            max_batch_ops: if small { 2 } else { 1_024 },
            max_fragment_keys: if small { 1 } else { 1_024 },
            session_window: if small { 2 } else { 32 },
            ..Config::default()
        };
        let id = |node: usize| ReplicaId { node: node as u64 + 1, epoch: 1 };
        let mut world = Self {
            queue: Queue::new(),
            history: History::new(count),
            replicas: (0..count).map(|node| replica(id(node), config.clone(), broken)).collect(),
            broken,
            side: vec![0; count],
            disks: None,
            skew: (0..count)
                .map(|_| if rng.chance(20) { rng.below(7_200_000) } else { rng.below(50) })
                .collect(),
            wakes: vec![0; count],
            loss: if rng.chance(70) { rng.below(40) } else { 0 },
            keys: if rng.chance(30) { rng.between(20, 200) } else { rng.between(1, 6) },
            forgets: rng.chance(30),
            events: 0,
            wrong: None,
            diverged: None,
            damaged: false,
            rng,
        };
        if world.rng.chance(40) && broken != Some(Broken::OneEpoch) {
            world.disks = Some(vec![Disk::default(); count]);
            world.replicas.iter_mut().for_each(Map::record);
        }
        world.reconnect();
        let most = if world.keys > 6 { 600 } else { 120 };
        for _ in 0..world.rng.between(5, most) {
            let (node, at) = (world.rng.index(count), world.rng.below(BUSY.as_millis() as u64));
            let happening = match world.rng.below(40) {
                0 => Happening::Restart(node),
                1 => Happening::Cut,
                2 | 3 => Happening::Heal,
                _ => Happening::Write(node),
            };
            world.queue.after(Duration::from_millis(at), happening);
        }
        world
    }

    fn now(&self, node: usize) -> Now {
        let unix_ms = 1_700_000_000_000 + self.skew[node] + self.queue.now.as_millis() as u64;
        Now { monotonic: self.queue.now, unix_ms }
    }

    fn node_of(&self, id: ReplicaId) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.id() == id)
    }

    /// Everybody on one side sees everybody else on it; all replicas that live are the members.
    fn reconnect(&mut self) {
        let ids: Vec<ReplicaId> = self.replicas.iter().map(Map::id).collect();
        for node in 0..self.replicas.len() {
            let now = self.now(node);
            for (other, id) in ids.iter().enumerate().filter(|(other, _)| *other != node) {
                if self.side[node] == self.side[other] {
                    self.replicas[node].peer_up(now, *id);
                } else {
                    self.replicas[node].peer_down(now, *id);
                }
            }
            let members = ids
                .iter()
                .enumerate()
                .filter(|(other, _)| !self.forgets || self.side[*other] == self.side[node]);
            self.replicas[node].set_members(members.map(|(_, id)| *id));
            self.drain(node);
        }
    }

    fn pass(&mut self, until: Duration) {
        while let Some(happening) = self.queue.next(until) {
            self.events += 1;
            self.happen(happening);
            if self.events.is_multiple_of(EACH) && !self.damaged {
                self.compare();
            }
        }
        if self.queue.stands_still() {
            self.wrong.get_or_insert_with(|| "replicas: virtual time stands still".to_owned());
        }
    }

    /// Equal vectors mean equal states, at any moment.
    fn compare(&mut self) {
        for (at, one) in self.replicas.iter().enumerate() {
            for other in &self.replicas[at + 1..] {
                let told = one.witness().into_iter().zip(other.witness());
                let differs = |((vector, state), (same, another)): &((u64, u64), (u64, u64))| {
                    vector == same && state != another
                };
                if let Some(shard) = told.enumerate().find(|(_, pair)| differs(pair)).map(|(shard, _)| shard)
                {
                    let (one, other) = (one.id(), other.id());
                    let text = format!(
                        "replicas: shard {shard} of {one:?} and {other:?} differs under equal vectors"
                    );
                    self.wrong.get_or_insert(text);
                }
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { from, to, message } => {
                let Some(node) = self.node_of(to) else { return };
                let now = self.now(node);
                self.replicas[node].receive(now, from, message);
                self.drain(node);
            }
            Happening::Write(node) => self.write(node),
            Happening::Restart(node) => self.restart(node),
            Happening::Cut => {
                let sides: Vec<u64> = (0..self.side.len()).map(|_| self.rng.below(2)).collect();
                self.history.note(self.queue.now, 0, || format!("cut {sides:?}"));
                self.side = sides;
                self.reconnect();
            }
            Happening::Heal => {
                self.history.note(self.queue.now, 0, || "heal".to_owned());
                self.side.fill(0);
                self.reconnect();
            }
            Happening::Wake(node, number) => {
                if self.wakes[node] == number {
                    let now = self.now(node);
                    self.replicas[node].handle_timeout(now);
                    self.drain(node);
                }
            }
        }
    }

    fn write(&mut self, node: usize) {
        let (key, now) = (self.rng.below(self.keys), self.now(node));
        if self.rng.chance(30) {
            self.replicas[node].remove(now, &key);
            self.history.note(self.queue.now, node, || format!("remove {key}"));
        } else {
            let value = self.rng.below(1_000);
            let _shown = self.replicas[node].put(now, key, value);
            self.history.note(self.queue.now, node, || format!("{key} := {value}"));
        }
        if self.rng.chance(80) {
            self.replicas[node].flush(now);
        }
        self.drain(node);
    }

    /// A crash: a new epoch, and nothing known but what was durable, if there is storage.
    fn restart(&mut self, node: usize) {
        let old = self.replicas[node].id();
        let epoch = if self.broken == Some(Broken::OneEpoch) { old.epoch } else { old.epoch + 1 };
        let id = ReplicaId { node: old.node, epoch };
        let config = self.replicas[node].config().clone();
        self.history.note(self.queue.now, node, || format!("restarts as epoch {}", id.epoch));
        self.replicas[node] = match self.disks.as_mut().map(|disks| &mut disks[node]) {
            Some(disk) => {
                disk.log.truncate(disk.durable);
                let now = Now { monotonic: self.queue.now, unix_ms: self.skew[node] + 1_700_000_000_000 };
                let restored = Map::restore(now, id, config, LastWriter, disk.log.clone());
                let mut restored = restored.unwrap_or_else(|error| panic!("a log is not read: {error:?}"));
                if let Some(Broken::Replica(rule)) = self.broken {
                    restored.break_rule(rule);
                }
                restored.record();
                restored
            }
            None => replica(id, config, self.broken),
        };
        for other in (0..self.replicas.len()).filter(|other| *other != node) {
            let now = self.now(other);
            self.replicas[other].peer_down(now, old);
        }
        self.reconnect();
    }

    fn drain(&mut self, node: usize) {
        let from = self.replicas[node].id();
        while let Some(output) = self.replicas[node].poll_output() {
            if let Output::Warning(Warning::Diverged { peer, shard }) = output {
                let told = || {
                    format!("replicas: shard {shard} of {from:?} and {peer:?} differs under equal vectors")
                };
                self.diverged.get_or_insert_with(told);
            }
            let Output::Send { to, message } = output else { continue };
            let reachable = self.node_of(to).is_some_and(|other| self.side[other] == self.side[node]);
            if reachable && !self.rng.chance(self.loss) {
                let delay = Duration::from_micros(self.rng.between(100, 30_000));
                self.queue.after(delay, Happening::Deliver { from, to, message });
            }
        }
        self.save(node);
        if let Some(at) = self.replicas[node].poll_timeout() {
            self.wakes[node] += 1;
            let wake = Happening::Wake(node, self.wakes[node]);
            self.queue.after(at.saturating_sub(self.queue.now), wake);
        }
    }

    /// R9: a write that one replica lost is found to be missing, and comes back.
    fn damage(&mut self) -> Option<String> {
        let node = self.rng.index(self.replicas.len());
        let keys = |map: &Map| map.iter().map(|(key, _)| *key).collect::<BTreeSet<u64>>();
        let shown = keys(&self.replicas[node]);
        let key = *shown.iter().nth(self.rng.index(shown.len()))?;
        self.history.note(self.queue.now, node, || format!("loses {key}"));
        if !self.replicas[node].lose(&key) {
            return None;
        }
        self.damaged = true;
        self.pass(self.queue.now + QUIET);
        let told = self.diverged.take().is_some();
        let wrong = match self.replicas.iter().all(|map| keys(map) == shown) {
            true if told => return None,
            true => "nobody said so",
            false => "it did not come back",
        };
        Some(format!("replicas: {key} was lost behind the machine's back, and {wrong}"))
    }

    /// Writes down what has changed, a while before it is durable; a long log is replaced by a snapshot.
    fn save(&mut self, node: usize) {
        let Some(disk) = self.disks.as_mut().map(|disks| &mut disks[node]) else { return };
        disk.log.extend(self.replicas[node].take_log());
        if disk.log.len() > 200 && self.rng.chance(10) {
            disk.log = self.replicas[node].snapshot();
            disk.durable = disk.log.len();
        }
        if self.rng.chance(60) {
            disk.durable = disk.log.len();
        }
    }

    fn verdict(&self) -> Option<String> {
        let shown: BTreeSet<BTreeMap<u64, u64>> = self
            .replicas
            .iter()
            .map(|replica| replica.iter().map(|(key, value)| (*key, *value)).collect())
            .collect();
        self.replicas.iter().for_each(Map::check_invariants);
        if self.wrong.is_some() || self.diverged.is_some() {
            return self.wrong.clone().or_else(|| self.diverged.clone());
        }
        (shown.len() > 1)
            .then(|| format!("replicas: {} different states after heal and quiet: {shown:?}", shown.len()))
    }
}

fn replica(id: ReplicaId, config: Config, broken: Option<Broken>) -> Map {
    let mut replica = Replica::new(id, config, LastWriter);
    if let Some(Broken::Replica(rule)) = broken {
        replica.break_rule(rule);
    }
    replica
}
