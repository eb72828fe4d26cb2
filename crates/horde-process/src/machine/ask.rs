//! What users ask a supervisor for.

use std::time::Duration;

use super::child::{Child, Life, Traits, Want};
use super::{AutoShutdown, Children, Key, Refusal, Which};
use crate::Restart;

impl Children {
    pub(super) fn ask_start(&mut self, now: Duration, request: u64, traits: Traits) {
        if let Err(refusal) = self.admit(&traits) {
            self.answer(Some(request), Err(refusal));
            return;
        }
        self.last += 1;
        let key = self.last;
        if !self.config.dynamic {
            self.ids.insert(traits.id.clone(), key);
        }
        self.children.insert(key, Child::new(traits, request));
        self.settle(now, key);
    }

    fn admit(&self, traits: &Traits) -> Result<(), Refusal> {
        if self.stopping {
            return Err(Refusal::Stopping);
        }
        if let Some(there) = self.ids.get(&traits.id).and_then(|key| self.children.get(key)) {
            return Err(match there.life.pid() {
                Some(pid) => Refusal::AlreadyStarted(pid.clone()),
                None if at_rest(there).is_none() => Refusal::AlreadyPresent,
                None => Refusal::Restarting,
            });
        }
        if self.children.len() >= self.config.max_children {
            return Err(Refusal::MaxChildren(self.config.max_children));
        }
        let never = self.config.auto_shutdown == AutoShutdown::Never || self.config.dynamic;
        if traits.significant && (never || traits.restart == Restart::Permanent) {
            let why = "a significant child is transient or temporary, and its supervisor is static and shuts down for it";
            return Err(Refusal::BadSpec(why.to_owned()));
        }
        Ok(())
    }

    pub(super) fn ask_terminate(&mut self, now: Duration, request: u64, which: &Which) {
        let dynamic = self.config.dynamic;
        let Some((key, child)) = self.find(which) else {
            return self.answer(Some(request), Err(Refusal::NotFound));
        };
        if child.want != Want::Gone {
            let keep = !dynamic && child.traits.restart != Restart::Temporary;
            child.want = if keep { Want::Down } else { Want::Gone };
        }
        let refusal = match &child.life {
            Life::Stopping { pid: Some(pid), stuck: true } => Some(Err(Refusal::Stuck(pid.clone()))),
            Life::None => Some(Ok(None)),
            _ => None,
        };
        match refusal {
            Some(answer) => self.answer(Some(request), answer),
            None => child.waiters.push(request),
        }
        self.settle(now, key);
    }

    pub(super) fn ask_restart(&mut self, now: Duration, request: u64, which: &Which) {
        if self.stopping {
            return self.answer(Some(request), Err(Refusal::Stopping));
        }
        let Some((key, child)) = self.find(which) else {
            return self.answer(Some(request), Err(Refusal::NotFound));
        };
        if let Some(refusal) = at_rest(child) {
            return self.answer(Some(request), Err(refusal));
        }
        child.want = Want::Up;
        child.starter = Some(request);
        // A failure leaves it at rest, as if it had run before.
        child.begun = true;
        self.settle(now, key);
    }

    pub(super) fn ask_delete(&mut self, now: Duration, request: u64, which: &Which) {
        let Some((key, child)) = self.find(which) else {
            return self.answer(Some(request), Err(Refusal::NotFound));
        };
        let refusal = at_rest(child);
        if refusal.is_none() {
            child.want = Want::Gone;
        }
        self.answer(Some(request), refusal.map_or(Ok(None), Err));
        self.settle(now, key);
    }

    fn find(&mut self, which: &Which) -> Option<(Key, &mut Child)> {
        let key = match which {
            Which::Pid(pid) => self.pids.get(pid).copied(),
            Which::Id(id) if !self.config.dynamic => self.ids.get(id).copied(),
            Which::Id(id) => {
                self.children.iter().find(|(_, child)| child.traits.id == *id).map(|(key, _)| *key)
            }
        }?;
        Some((key, self.children.get_mut(&key)?))
    }
}

/// Why a child is not at rest; `None` if it is.
fn at_rest(child: &Child) -> Option<Refusal> {
    match &child.life {
        Life::Up(pid) => Some(Refusal::Running(pid.clone())),
        Life::Stopping { pid: Some(pid), stuck: true } => Some(Refusal::Stuck(pid.clone())),
        Life::Starting | Life::Stopping { .. } => Some(Refusal::Restarting),
        Life::None => (child.want == Want::Up).then_some(Refusal::Restarting),
    }
}
