//! Where a user's process runs: its timers, and the steps that it asked for.

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Duration;

use horde_process::{CallError, ExitReason, State, Stop, decode};

use super::context::Step;
use super::{Context, Messages, Process};
use crate::cluster::{Effects, Guest, Payload, Setting, Started};

/// A process with its timers.
pub(super) struct Room<P: Process> {
    pub(super) process: P,
    timers: BTreeMap<u64, (Option<Duration>, Step<P>)>,
    next_timer: u64,
}

/// Starts a process, with the state of the copy before if there is one that it takes.
pub(super) fn start<P: Process>(at: Setting, args: &[u8], state: Option<State>) -> Started {
    let mut cx = Context::new(at, 0);
    let process = read::<P>(args, state, &mut cx);
    match process {
        Ok(process) => {
            let mut room = Room { process, timers: BTreeMap::new(), next_timer: 0 };
            let effects = room.leave_with(cx);
            (Ok(Box::new(room)), effects)
        }
        Err(stop) => (Err(stop), cx.effects),
    }
}

fn read<P: Process>(args: &[u8], state: Option<State>, cx: &mut Context<P>) -> Result<P, Stop> {
    if let Some(state) = state {
        match P::resume(decode(args)?, state, cx) {
            Ok(process) => return Ok(process),
            Err(stop) => cx.note(format!("does not resume: {stop:?}")),
        }
    }
    P::init(decode(args)?, cx)
}

impl<P: Process> Room<P> {
    fn context(&self, at: Setting) -> Context<P> {
        Context::new(at, self.next_timer)
    }

    /// Runs the steps that a callback asked for, and takes over its timers.
    fn leave_with(&mut self, mut cx: Context<P>) -> Effects {
        while !cx.steps.is_empty() {
            for step in std::mem::take(&mut cx.steps) {
                step(&mut self.process, &mut cx);
            }
        }
        self.next_timer = cx.next_timer;
        for (number, delay, period, step) in cx.timers {
            self.timers.insert(number, (period, step));
            cx.effects.timers.push((number, delay));
        }
        for number in cx.cancelled {
            self.timers.remove(&number);
        }
        cx.effects
    }
}

impl<P: Process> Guest for Room<P> {
    fn message(&mut self, at: Setting, payload: &Payload) -> (Result<Vec<u8>, CallError>, Effects) {
        let mut cx = self.context(at);
        let answer = P::Messages::handle(&mut self.process, payload.name, &payload.bytes, &mut cx);
        (answer, self.leave_with(cx))
    }

    fn timer(&mut self, at: Setting, number: u64) -> Effects {
        let Some((period, step)) = self.timers.get(&number).copied() else { return Effects::default() };
        let mut cx = self.context(at);
        step(&mut self.process, &mut cx);
        let mut effects = self.leave_with(cx);
        match period {
            Some(period) if self.timers.contains_key(&number) => effects.timers.push((number, period)),
            _ => drop(self.timers.remove(&number)),
        }
        effects
    }

    fn leave(&mut self, at: Setting, reason: &ExitReason) -> (Option<State>, Effects) {
        let mut cx = self.context(at);
        let moves = *reason == ExitReason::Redistribution;
        let state = if moves { self.process.handoff(&mut cx) } else { None };
        self.process.terminate(reason, &mut cx);
        // It ends: neither timers nor further steps.
        (state, Effects { timers: Vec::new(), stop: None, ..cx.effects })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
