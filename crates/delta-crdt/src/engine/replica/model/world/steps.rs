//! What happens in a history.

use std::time::Duration;

use super::super::oracle::{Event, fold};
use super::{Flying, World};
use crate::{Key, Message, ReplicaId, Sibling, Stamp};

/// Messages on their way; of more, some are lost.
const MOST_FLYING: usize = 500;

impl World {
    /// A history of random length.
    pub(in super::super) fn live(&mut self) {
        let steps = 20 + self.random.below(150);
        self.live_for(steps);
    }

    /// A history of so many writes.
    pub(in super::super) fn live_to_write(&mut self, writes: u64) {
        while self.writes() < writes && self.wrong.is_none() {
            self.live_for(100);
        }
    }

    fn live_for(&mut self, steps: u64) {
        for _ in 0..steps {
            let i = self.random.pick(self.nodes.len());
            match self.random.below(24) {
                0..=7 => self.write(i),
                8..=15 => self.deliver_some(),
                16..=17 => self.flush(i),
                18..=19 => self.pass_time(i),
                20 => self.relink(i),
                21 => self.remember_members(i),
                22 => self.congest(i),
                _ if self.random.one_in(self.shape.restarts_one_in) => self.restart(i),
                _ if self.shape.storage.has_log() => self.save(i),
                _ => {}
            }
            while self.flying.len() > MOST_FLYING {
                let lost = self.random.pick(self.flying.len());
                self.flying.swap_remove(lost);
            }
            if !self.untold.is_empty() && self.random.one_in(8) {
                self.tell_late();
            }
            if self.random.one_in(self.shape.checks_one_in) {
                self.nodes[i].replica.check_invariants();
            }
            let compares = self.shape.compares_one_in;
            if compares > 0
                && self.random.one_in(compares)
                && let Err(wrong) = self.compare(i)
            {
                self.blame(format!("in between: {wrong}"));
            }
        }
    }

    fn write(&mut self, i: usize) {
        let now = self.now(i);
        let key = self.random.below(self.keys);
        let removes = self.random.one_in(3);
        let value = (!removes).then(|| {
            self.next_value += 1;
            self.next_value
        });
        let replica = &mut self.nodes[i].replica;
        let shard = replica.place(key.stable_hash());
        let replaces = replica.siblings(&key).map(|sibling| (shard, sibling.dot)).collect();
        let shows = replica.contains_key(&key);
        let change = match value {
            Some(value) => Some(replica.put(now, key, value)),
            None => replica.remove(now, &key),
        };
        match change {
            Some(change) => {
                if change.key() != &key || change.value() != value.as_ref() {
                    self.blame(format!("{value:?} was written to {key}, and {change:?} came of it"));
                }
                fold(&mut self.nodes[i].mirror, change, &mut self.wrong);
                let asked = Event { key, stamp: Stamp::at_unix_ms(now.unix_ms), value, replaces };
                if let Err(wrong) = self.note_write(i, shard, asked) {
                    self.blame(wrong);
                }
            }
            None if shows => self.blame(format!("{key} shows a value and was not removed")),
            None => {}
        }
        self.after(i);
    }

    /// Hands the specification a write as it was asked for. Its name and its stamp are the engine's.
    fn note_write(&mut self, i: usize, shard: usize, asked: Event) -> Result<(), String> {
        let replica = &self.nodes[i].replica;
        let id = replica.id();
        let mut siblings = replica.siblings(&asked.key);
        let (Some(written), None) = (siblings.next(), siblings.next()) else {
            return Err(format!("a write of {} did not replace all it knew", asked.key));
        };
        let count = self.kept.entry((shard, id)).or_default();
        *count += 1;
        self.durable.entry((shard, id)).or_default();
        let Sibling { dot, stamp, value } = written;
        if value != asked.value.as_ref() || dot.origin != id || dot.seq != *count || stamp < asked.stamp {
            return Err(format!("write {count} of {id:?} is {written:?}, asked was {asked:?}"));
        }
        self.oracle.add((shard, dot), Event { stamp, ..asked })
    }

    pub(in super::super) fn flush(&mut self, i: usize) {
        let now = self.now(i);
        self.nodes[i].replica.flush(now);
        self.after(i);
    }

    fn pass_time(&mut self, i: usize) {
        let most = if self.random.one_in(4) { 1_200 } else { 60 };
        self.time += Duration::from_millis(self.random.below(most));
        if self.random.one_in(16) {
            // Somebody sets its clock, by up to an hour.
            self.nodes[i].skew = self.random.below(7_200_000) as i64 - 3_600_000;
        }
        let now = self.now(i);
        self.nodes[i].replica.handle_timeout(now);
        self.after(i);
    }

    fn deliver_some(&mut self) {
        for _ in 0..=self.random.below(self.shape.most_at_once) {
            self.deliver_any();
        }
    }

    /// Delivers one message out of order; sometimes twice, sometimes never.
    fn deliver_any(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let at = self.random.pick(self.flying.len());
        let flying =
            if self.random.one_in(5) { self.flying[at].clone() } else { self.flying.swap_remove(at) };
        if !self.random.one_in(10) {
            self.deliver(flying);
        }
    }

    pub(in super::super) fn deliver(&mut self, (from, to, message): Flying) {
        let (a, b) = (from.node as usize, to.node as usize);
        if self.id(b) != to || self.cut.contains(&(a.min(b), a.max(b))) || !self.may_meet(a, b) {
            return;
        }
        // Drawn in every build, so that a seed is the same history in all.
        let coded = self.random.one_in(16);
        #[cfg(feature = "serde")]
        let message = if coded {
            Message::decode(&message.encode()).expect("what was encoded decodes")
        } else {
            message
        };
        #[cfg(not(feature = "serde"))]
        let _ = coded;
        let now = self.now(b);
        self.delivered += 1;
        if self.delivered.is_multiple_of(37) {
            self.deliver_as_of_other_shards(from, b, message.clone());
        }
        if self.untold.iter().any(|&(j, old)| j == b && old.node == from.node && old.epoch < from.epoch) {
            self.tally.heard_early += 1;
        }
        self.nodes[b].replica.receive(now, from, message);
        self.after(b);
    }

    /// The same message as of a map with another number of shards: refused, and nothing is as if it had come.
    fn deliver_as_of_other_shards(&mut self, from: ReplicaId, b: usize, mut message: Message<u64, u64>) {
        message.shards ^= 1;
        let now = self.now(b);
        let replica = &mut self.nodes[b].replica;
        let before = (replica.hash(), replica.fingerprint(), replica.to_map(), replica.poll_timeout());
        replica.receive(now, from, message);
        let after = (replica.hash(), replica.fingerprint(), replica.to_map(), replica.poll_timeout());
        if before != after {
            self.blame("a message of a map with other shards was taken".into());
        }
        self.after(b);
    }

    fn relink(&mut self, a: usize) {
        let b = self.random.pick(self.nodes.len());
        if a == b {
            return;
        }
        let pair = (a.min(b), a.max(b));
        match self.random.below(4) {
            0 => {
                self.cut.insert(pair);
                self.down(a, b);
                self.down(b, a);
            }
            1 => self.down(a, b),
            _ => {
                self.cut.remove(&pair);
                self.up(a, b);
                if self.random.one_in(2) {
                    self.up(b, a);
                }
            }
        }
    }

    /// Somebody leaves the map's members for a while, or all are members again.
    fn remember_members(&mut self, i: usize) {
        if self.random.one_in(2) {
            self.set_members();
        } else {
            let out = self.random.pick(self.nodes.len());
            let ids: Vec<_> = (0..self.nodes.len()).filter(|&j| j != out).map(|j| self.id(j)).collect();
            self.nodes[i].replica.set_members(ids);
        }
    }

    fn congest(&mut self, a: usize) {
        let b = self.random.pick(self.nodes.len());
        let (now, id, full) = (self.now(a), self.id(b), self.random.one_in(2));
        self.nodes[a].replica.set_congested(now, id, full);
        self.after(a);
    }
}
