//! What follows from what is wished: stops, then forgets, then starts.

use std::time::Duration;

use super::child::{Life, Want};
use super::{Children, Key, Output, Refusal, Strategy};
use crate::Restart;

/// The longest pause before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

impl Children {
    /// A child that should run does not: it is started again, alone or with its group; or it was one restart too many.
    pub(super) fn restart(&mut self, now: Duration, key: Key) {
        if !self.intensity.allows(now) {
            if let Some(child) = self.children.get_mut(&key) {
                child.want = Want::Gone;
            }
            self.give_up(now, key, "more restarts than are tolerated");
            return;
        }
        let first = match self.config.strategy {
            Strategy::OneForOne => None,
            _ if self.config.dynamic => None,
            Strategy::OneForAll => Some(0),
            Strategy::RestForOne => Some(key),
        };
        if let Some(first) = first {
            for child in self.children.range_mut(first..).map(|(_, child)| child) {
                match (child.traits.restart, child.want) {
                    (_, Want::Gone | Want::Down) => {}
                    (Restart::Temporary, _) => child.want = Want::Gone,
                    _ => child.want = Want::Up,
                }
                child.bounce = child.life != Life::None;
            }
        }
        self.pause(now, key);
    }

    /// The pause before a child's next start.
    fn pause(&mut self, now: Duration, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let again = child.streak > 0 && now.saturating_sub(child.last_due) <= self.config.max_seconds;
        child.streak = if again { child.streak.saturating_add(1) } else { 1 };
        let doubled = 1_u32.checked_shl(child.streak.saturating_sub(2)).unwrap_or(u32::MAX);
        let pause =
            if again { self.config.backoff.saturating_mul(doubled).min(MAX_BACKOFF) } else { Duration::ZERO };
        child.last_due = now + pause;
        if !pause.is_zero() {
            child.due = Some(now + pause);
            self.due.insert((now + pause, key));
        }
    }

    /// Every child is to stop and be forgotten.
    pub(super) fn stop_all(&mut self, now: Duration) {
        self.stopping = true;
        for child in self.children.values_mut() {
            child.want = Want::Gone;
            child.bounce = false;
        }
        if self.config.dynamic {
            let keys: Vec<Key> = self.children.keys().copied().collect();
            keys.into_iter().for_each(|key| self.settle_one(now, key));
        } else {
            self.sweep(now);
        }
        self.finish();
    }

    /// Does what follows from a change of this child: of it alone if it is free of the others, else of all.
    pub(super) fn settle(&mut self, now: Duration, key: Key) {
        if self.config.dynamic {
            self.settle_one(now, key);
        } else {
            self.sweep(now);
        }
        self.finish();
    }

    fn settle_one(&mut self, now: Duration, key: Key) {
        self.stop_if_due(key);
        self.forget_if_gone(key);
        self.start_if_due(now, key);
    }

    /// Static children: stops in reverse order, then starts in order.
    fn sweep(&mut self, now: Duration) {
        let keys: Vec<Key> = self.children.keys().copied().collect();
        let mut turn_is_taken = false;
        for key in keys.iter().rev() {
            let Some(child) = self.children.get(key) else { continue };
            let in_turn = self.stopping || child.bounce;
            let left_behind = self.stopping && matches!(child.life, Life::Stopping { stuck: true, .. });
            let alive = child.life != Life::None && !left_behind;
            // What somebody terminated alone waits for nobody, and nobody for it.
            if !in_turn || !turn_is_taken {
                self.stop_if_due(*key);
            }
            turn_is_taken |= in_turn && alive;
        }
        for key in &keys {
            self.forget_if_gone(*key);
        }
        if self.children.values().any(|child| child.bounce && child.life != Life::None) {
            return;
        }
        self.children.values_mut().for_each(|child| child.bounce = false);
        let group = self.config.strategy != Strategy::OneForOne;
        if group && self.children.values().any(|child| child.life == Life::Starting) {
            return;
        }
        for key in &keys {
            self.start_if_due(now, *key);
            // The next of a group waits until this one runs.
            let down = |life: &Life| matches!(life, Life::Starting | Life::None);
            if group
                && self.children.get(key).is_some_and(|child| child.want == Want::Up && down(&child.life))
            {
                return;
            }
        }
    }

    fn stop_if_due(&mut self, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let unwanted = matches!(child.want, Want::Down | Want::Gone) || child.bounce;
        if !unwanted {
            return;
        }
        let pid = match &child.life {
            Life::Up(pid) => Some(pid.clone()),
            Life::Starting => None,
            Life::None | Life::Stopping { .. } => return,
        };
        child.life = Life::Stopping { pid, stuck: false };
        let shutdown = child.traits.shutdown;
        self.outputs.push_back(Output::Stop { key, shutdown });
    }

    fn forget_if_gone(&mut self, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if child.want == Want::Up || child.life != Life::None {
            return;
        }
        if let Some(at) = child.due.take() {
            self.due.remove(&(at, key));
        }
        let starter = child.starter.take();
        let gone = child.want == Want::Gone;
        self.answer_waiters(key, &Ok(None));
        let refusal = if self.stopping { Refusal::Stopping } else { Refusal::NotFound };
        self.answer(starter, Err(refusal));
        if gone {
            if let Some(child) = self.children.remove(&key) {
                self.ids.remove(&child.traits.id);
            }
            self.outputs.push_back(Output::Forget { key });
        }
    }

    fn start_if_due(&mut self, now: Duration, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if child.want != Want::Up || child.life != Life::None || child.due.is_some_and(|at| at > now) {
            return;
        }
        if let Some(at) = child.due.take() {
            self.due.remove(&(at, key));
        }
        child.life = Life::Starting;
        self.outputs.push_back(Output::Start { key });
    }

    /// Says once that nothing is left to stop. What is stuck is left behind.
    fn finish(&mut self) {
        let stuck = |life: &Life| matches!(life, Life::Stopping { stuck: true, .. });
        if self.stopping && !self.done && self.children.values().all(|child| stuck(&child.life)) {
            self.done = true;
            self.outputs.push_back(Output::Done);
        }
    }
}
