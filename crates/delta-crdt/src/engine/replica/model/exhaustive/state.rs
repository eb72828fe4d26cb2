//! A state of all three replicas with what is on its way, the steps that lead from it, and what must be true of it.

use super::parts::{Dots, Parts, REPLICAS, row};
use crate::engine::rules::Rule;
use crate::key::{GOLDEN, mix};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Put(usize),
    Remove(usize),
    /// A pushed write arrives at one: one of those in the list.
    Push(usize, usize),
    /// The second asks the first; the question stays on its way.
    Ask(usize, usize),
    /// The first answers, from the state that it has now; the answer stays on its way.
    Serve(usize, usize),
    /// The fragment is confirmed, and the sender goes on to the commit.
    Confirm(usize, usize),
    /// The answer arrives.
    Answer(usize, usize),
    /// The question or the answer is lost, or a part of it.
    Lose(usize, usize),
    /// The second asks the first, which answers, and that arrives: at once.
    Session(usize, usize),
    /// These tombstones are dropped at one: some that all cover, or all that it has.
    Collect(usize, Dots),
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) writes: u32,
    /// So many sessions may stay on their way at the same time; any more are done at once.
    pub(super) sessions: usize,
    /// Questions stay on their way too. Else the answer is taken from the state at that moment.
    pub(super) asks: bool,
    /// Commits wait until the fragment is confirmed.
    pub(super) confirms: bool,
    /// Tombstones are dropped too that not all cover, as at the limit.
    pub(super) early: bool,
    /// Steps at most.
    pub(super) depth: usize,
    pub(super) broken: Option<Rule>,
}

/// In place of a number: nothing.
const NONE: u32 = u32::MAX;
const MOST_WRITES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    held: [u32; REPLICAS],
    /// Pushed writes that not all hold: each may arrive anywhere, at any time, more than once or never.
    pushed: [u32; MOST_WRITES],
    /// Of the writes that all hold, those that put a value and are not replaced by one that all hold.
    base: Dots,
    /// Sessions on their way, by who asks and whom.
    sessions: [u32; REPLICAS * (REPLICAS - 1)],
}

/// The place of a session in which `b` asks `a`.
const fn way(a: usize, b: usize) -> usize {
    b * (REPLICAS - 1) + (a + REPLICAS - b) % REPLICAS - 1
}

fn others(i: usize) -> impl Iterator<Item = usize> {
    (0..REPLICAS).filter(move |&j| j != i)
}

/// All sets of tombstones that can be dropped together: of each origin the first ones, as vectors have no gaps.
fn choices(stable: Dots) -> impl Iterator<Item = Dots> {
    let has_no_gap = move |choice: &Dots| {
        (0..REPLICAS).all(|i| {
            let left = stable & !choice & row(i);
            left == 0 || (choice & row(i)).leading_zeros() > (left & left.wrapping_neg()).leading_zeros()
        })
    };
    let smaller = move |choice: &Dots| (*choice != 0).then(|| (choice - 1) & stable);
    core::iter::successors(Some(stable), smaller).filter(|&choice| choice != 0).filter(has_no_gap)
}

impl State {
    pub(super) fn first(held: [u32; REPLICAS]) -> Self {
        Self { held, pushed: [NONE; MOST_WRITES], base: 0, sessions: [NONE; REPLICAS * (REPLICAS - 1)] }
    }

    /// Equal for equal states; what is on its way can be left out.
    pub(super) fn hash(&self, sessions: bool) -> u64 {
        let words = self.held.iter().chain(&self.pushed).copied().chain([u32::from(self.base)]);
        let words = words.chain(self.sessions.iter().copied().filter(|_| sessions));
        words.fold(GOLDEN, |hash, word| mix(hash.rotate_left(25) ^ u64::from(word).wrapping_mul(GOLDEN)))
    }

    fn known(&self, parts: &Parts, i: usize) -> Dots {
        parts.held.get(self.held[i]).known
    }

    /// True if `a` holds a write that `b` does not.
    fn lacks(&self, parts: &Parts, b: usize, a: usize) -> bool {
        self.known(parts, a) & !self.known(parts, b) != 0
    }

    /// The tombstones of one that all others cover.
    fn stable(&self, parts: &Parts, i: usize) -> Dots {
        let tombs = parts.held.get(self.held[i]).tombs;
        others(i).fold(tombs, |stable, j| stable & self.known(parts, j))
    }

    /// All that can happen next.
    pub(super) fn steps(&self, parts: &Parts, case: &Case, steps: &mut Vec<Step>) {
        let written = (0..REPLICAS).fold(0, |all, i| all | self.known(parts, i)).count_ones();
        let on_their_way = self.sessions.iter().filter(|&&session| session != NONE).count();
        for i in 0..REPLICAS {
            let held = parts.held.get(self.held[i]);
            if written < case.writes {
                steps.push(Step::Put(i));
                steps.extend((held.live != 0).then_some(Step::Remove(i)));
            }
            let stable = self.stable(parts, i);
            steps.extend(choices(stable).map(|gone| Step::Collect(i, gone)));
            if held.tombs != stable && (case.early || case.broken == Some(Rule::Stability)) {
                steps.push(Step::Collect(i, held.tombs));
            }
            for (at, &pushed) in self.pushed.iter().enumerate().filter(|entry| *entry.1 != NONE) {
                if parts.pushed.get(pushed).dot & row(i) == 0 {
                    steps.push(Step::Push(at, i));
                }
            }
            for a in others(i) {
                let session = self.sessions[way(a, i)];
                if session != NONE {
                    let session = parts.sessions.get(session);
                    steps.push(match (session.is_asked(), session.is_begun()) {
                        (true, _) => Step::Serve(a, i),
                        (false, true) => Step::Confirm(a, i),
                        (false, false) => Step::Answer(a, i),
                    });
                    steps.push(Step::Lose(a, i));
                } else if self.lacks(parts, i, a) {
                    steps.push(if on_their_way < case.sessions {
                        Step::Ask(a, i)
                    } else {
                        Step::Session(a, i)
                    });
                }
            }
        }
    }

    /// The state after a step.
    pub(super) fn take(mut self, parts: &mut Parts, case: &Case, step: Step) -> Result<Self, String> {
        match step {
            Step::Put(i) | Step::Remove(i) => {
                let pushed;
                (self.held[i], pushed) = parts.write(self.held[i], matches!(step, Step::Remove(_)));
                let free = self.pushed.iter().position(|&pushed| pushed == NONE);
                self.pushed[free.expect("there is a place for each write")] = pushed;
            }
            Step::Push(at, i) => self.held[i] = parts.push(self.held[i], self.pushed[at]),
            Step::Ask(a, b) => {
                self.sessions[way(a, b)] = parts.ask(self.held[b], a);
                if !case.asks {
                    return self.take(parts, case, Step::Serve(a, b));
                }
            }
            Step::Serve(a, b) => {
                let session = &mut self.sessions[way(a, b)];
                *session = parts.serve(self.held[a], b, *session);
            }
            Step::Confirm(a, b) => {
                let session = &mut self.sessions[way(a, b)];
                *session = parts.confirm(self.held[a], self.held[b], *session);
            }
            Step::Answer(a, b) => {
                let session = core::mem::replace(&mut self.sessions[way(a, b)], NONE);
                self.held[b] = parts.answer(self.held[b], a, session);
            }
            Step::Lose(a, b) => {
                let session = core::mem::replace(&mut self.sessions[way(a, b)], NONE);
                if parts.lose(self.held[b], self.held[a], session) != self.held[b] {
                    return Err(format!("a session of {b} with {a} was given up and changed something"));
                }
            }
            Step::Session(a, b) => self.session(parts, a, b),
            Step::Collect(i, gone) => {
                let mut told = others(i).map(|j| self.held[j]);
                let told = core::array::from_fn(|_| told.next().expect("there are two others"));
                self.held[i] = parts.collect(self.held[i], told, gone);
            }
        }
        self.forget_what_all_hold(parts);
        Ok(self)
    }

    /// A session from beginning to end.
    fn session(&mut self, parts: &mut Parts, a: usize, b: usize) {
        let asked = parts.ask(self.held[b], a);
        let mut session = parts.serve(self.held[a], b, asked);
        if parts.sessions.get(session).is_begun() {
            session = parts.confirm(self.held[a], self.held[b], session);
        }
        self.held[b] = parts.answer(self.held[b], a, session);
    }

    /// What all hold is pushed in vain from now on, and the specification need not tell it apart.
    fn forget_what_all_hold(&mut self, parts: &Parts) {
        let all = (0..REPLICAS).fold(Dots::MAX, |all, i| all & self.known(parts, i));
        let mut replaced = 0;
        for place in &mut self.pushed {
            if *place != NONE && parts.pushed.get(*place).dot & all != 0 {
                let pushed = parts.pushed.get(*place);
                self.base |= if pushed.puts { pushed.dot } else { 0 };
                replaced |= pushed.replaces;
                *place = NONE;
            }
        }
        self.base &= !replaced;
        self.pushed.sort_unstable();
    }

    /// The specification: what a replica that knows these writes holds. Those that put a value and that none of them replaces.
    fn held_by_who_knows(&self, parts: &Parts, known: Dots) -> Dots {
        let writes =
            self.pushed.iter().filter(|&&pushed| pushed != NONE).map(|&pushed| parts.pushed.get(pushed));
        let (live, replaced) =
            writes.filter(|write| write.dot & known != 0).fold((self.base, 0), |(live, replaced), write| {
                (live | if write.puts { write.dot } else { 0 }, replaced | write.replaces)
            });
        live & !replaced
    }

    /// Every replica holds what the specification says of what it knows. So those that know the same hold the same.
    pub(super) fn judge(&self, parts: &Parts) -> Result<(), String> {
        for (i, &held) in self.held.iter().enumerate() {
            let held = parts.held.get(held);
            let right = self.held_by_who_knows(parts, held.known);
            if held.live != right {
                return Err(format!(
                    "{i} knows {:012b} and holds {:012b} instead of {right:012b}",
                    held.known, held.live
                ));
            }
        }
        Ok(())
    }

    /// All that is on its way is lost. Every replica pulls from every other while it lacks something: all must hold the same then, and no
    /// tombstone may be left once all have told.
    pub(super) fn end(mut self, parts: &mut Parts, case: &Case) -> Result<(), String> {
        for _ in 0..REPLICAS {
            for b in 0..REPLICAS {
                for a in others(b) {
                    if self.lacks(parts, b, a) {
                        self.session(parts, a, b);
                    }
                }
            }
        }
        self.judge(parts)?;
        for (i, &held) in self.held.iter().enumerate() {
            let (one, held) = (parts.held.get(self.held[0]), parts.held.get(held));
            if held.known != one.known || held.shown != one.shown || held.waits {
                return Err(format!("{i} ends with {held:?} instead of {one:?}"));
            }
        }
        for i in 0..REPLICAS {
            let tombs = parts.held.get(self.held[i]).tombs;
            if tombs != 0 {
                self = self.take(parts, case, Step::Collect(i, tombs))?;
            }
            if parts.held.get(self.held[i]).tombs != 0 {
                return Err(format!("{i} keeps a tombstone"));
            }
        }
        self.judge(parts)
    }
}
