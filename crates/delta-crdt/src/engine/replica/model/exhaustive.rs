//! The smallest case, exhaustively: three replicas, one key, up to four writes.
//!
//! A state is what three replicas hold and what is on its way; a step leads to another one. All states are gone through that any steps
//! lead to, each once, until there is no new one. In each of them, every replica must hold exactly what the specification says of
//! the writes that it knows. And from each of them, with all lost that is on its way, every replica pulls from every other: all
//! must hold the same then, and drop all tombstones.
//!
//! - A put or a removal is made by any replica at any time.
//! - A push arrives anywhere, at any time, in any order, more than once or never: what was pushed once stays on its way until all
//!   hold it.
//! - Sessions take one step; or the answer stays on its way, and is applied at a later step, or a part of it is, or nothing, whatever
//!   happened in between; or the question stays on its way too; or the commit waits until the fragment is confirmed.
//! - Tombstones are dropped anywhere at any time: those that are stable, or some of them, as statuses are late or lost; or all that one
//!   has, as at the limit.
//!
//! A [`Case`] says how many writes there are, and how many sessions are on their way at the same time: four writes with one, three with all
//! six, two with all and everything else.
//!
//! States are alike if the same can happen from then on. So stamps and values are kept out of them: all puts are of one value, and a
//! stamp depends on the stamps that it overtakes alone. Nothing else is left out, but for hashes of 64 bits that are taken for
//! states: that two of thirty million have the same is less likely than one in thirty thousand.
//!
//! With a rule of the protocol switched off, something is wrong within a few steps; so the check can fail.

mod parts;
mod state;
mod table;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::engine::rules::Rule;
use parts::Parts;
use state::{Case, State, Step};
use table::Seen;

/// Without a limit.
const ALL: usize = usize::MAX;

/// The steps that led somewhere, the last one first.
struct Way(Step, Option<Rc<Self>>);

/// Tells the way when something is wrong on it.
struct Guide(Option<Step>, Option<Rc<Way>>);

impl Guide {
    fn steps(&self) -> Vec<Step> {
        let steps = std::iter::successors(self.1.as_deref(), |way| way.1.as_deref());
        let mut steps: Vec<_> = self.0.into_iter().chain(steps.map(|way| way.0)).collect();
        steps.reverse();
        steps
    }
}

impl Drop for Guide {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}", self.steps());
        }
    }
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    states: usize,
    /// States of the replicas and of what was pushed, whatever sessions are on their way.
    ends: usize,
}

/// Goes through all states, each once. `at` is how many steps it has gone when something is wrong.
fn explore(case: Case, at: &Cell<usize>) -> Result<Count, String> {
    let (mut parts, first) = Parts::new(case.broken, case.confirms);
    let (mut seen, mut ended) = (Seen::new(), Seen::new());
    let mut open = VecDeque::from([(State::first(first), 0_usize, None)]);
    // Without a limit the latest goes first, so that few are kept; with one the shortest way, so that none is missed.
    let all = case.depth == ALL;
    let mut steps = Vec::new();
    while let Some((state, depth, way)) = if all { open.pop_back() } else { open.pop_front() } {
        let mut guide = Guide(None, way);
        at.set(depth);
        if ended.insert(state.hash(false)) {
            state.end(&mut parts, &case).map_err(|wrong| format!("{wrong} after {:?}", guide.steps()))?;
        }
        if depth == case.depth {
            continue;
        }
        at.set(depth + 1);
        state.steps(&parts, &case, &mut steps);
        for step in steps.drain(..) {
            guide.0 = Some(step);
            let next = state.take(&mut parts, &case, step);
            let next = next.and_then(|next| next.judge(&parts).map(|()| next));
            let next = next.map_err(|wrong| format!("{wrong} after {:?}", guide.steps()))?;
            if seen.insert(next.hash(true)) {
                open.push_back((next, depth + 1, Some(Rc::new(Way(step, guide.1.clone())))));
            }
        }
    }
    let kinds = (parts.held.len(), parts.pushed.len(), parts.sessions.len());
    println!("{kinds:?} kinds of replicas, pushes and sessions");
    Ok(Count { states: seen.len(), ends: ended.len() })
}

const CASE: Case =
    Case { writes: 4, sessions: 1, asks: false, confirms: false, early: false, depth: ALL, broken: None };

/// The fewest steps after which it shows that a rule is off, and how it shows.
fn found_after(case: Case) -> Option<(usize, String)> {
    let at = Cell::new(0);
    // A broken engine may also break its own assertions, which counts as found.
    let found = catch_unwind(AssertUnwindSafe(|| explore(case, &at)));
    let wrong = match found {
        Ok(Ok(_)) => return None,
        Ok(Err(wrong)) => wrong,
        Err(_) => "an assertion failed".into(),
    };
    Some((at.get(), wrong))
}

macro_rules! notices {
    ($($name:ident: $rule:ident within $depth:literal $(, $field:ident)*;)*) => {$(
        #[test]
        fn $name() {
            let case = Case { depth: $depth, broken: Some(Rule::$rule), $($field: true,)* ..CASE };
            let found = found_after(case);
            println!("{:?} off: found after {found:?}", Rule::$rule);
            assert!(found.is_some(), "{:?} off was not noticed within {} steps", Rule::$rule, $depth);
        }
    )*};
}

// R1 is not among them: the writes of one replica to one key replace one another, so R2 keeps their order too.
notices! {
    writes_before_what_they_replace_are_noticed: Dependencies within 5;
    writes_that_replace_nothing_are_noticed: Replaces within 4;
    a_session_that_removes_nothing_is_noticed: JoinRemoves within 3;
    a_session_that_brings_back_what_is_known_is_noticed: JoinKnows within 4;
    a_vector_read_after_the_fragments_is_noticed: OneState within 5, confirms;
    a_vector_remembered_from_the_pull_is_noticed: VectorAtCommit within 5;
    a_torn_session_that_is_applied_is_noticed: AbortAppliesNothing within 3;
    a_put_that_does_not_name_the_tombstone_is_noticed: PutNamesTombstone within 7;
    tombstones_dropped_before_their_time_are_noticed: Stability within 4;
    a_gap_sent_to_a_puller_below_the_floor_is_noticed: Repair within 4, early;
}

/// Goes through all of a case; how many states there are.
fn all_end_alike(case: Case) -> usize {
    let count = explore(case, &Cell::new(0)).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{count:?} of {case:?}");
    count.states
}

/// What a build that checks itself has time for, or one that does not.
const fn less(checked: u32, release: u32) -> u32 {
    if cfg!(debug_assertions) { checked } else { release }
}

#[test]
fn all_histories_of_four_writes_end_alike() {
    assert!(all_end_alike(Case { writes: less(3, 4), asks: !cfg!(debug_assertions), ..CASE }) > 10_000);
}

#[test]
fn all_histories_of_four_writes_with_tombstones_dropped_at_any_time_end_alike() {
    assert!(all_end_alike(Case { writes: less(3, 4), sessions: 0, early: true, ..CASE }) > 10_000);
}

#[test]
fn all_histories_of_three_writes_with_all_answers_on_their_way_end_alike() {
    assert!(all_end_alike(Case { writes: less(2, 3), sessions: 6, ..CASE }) > 10_000);
}

#[test]
fn all_histories_of_two_writes_with_everything_on_its_way_end_alike() {
    let sessions = less(2, 6) as usize;
    assert!(
        all_end_alike(Case { writes: 2, sessions, asks: true, confirms: true, early: true, ..CASE }) > 10_000
    );
}

/// `DELTA_CRDT_CASE` says which: writes, sessions on their way, then 1 or 0 for questions on their way, commits that wait, and tombstones that
/// are dropped before their time.
#[test]
fn all_histories_that_are_asked_for_end_alike() {
    let text = std::env::var("DELTA_CRDT_CASE").unwrap_or("2 1 0 0 0".into());
    let numbers: Vec<u32> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let &[writes, sessions, asks, confirms, early] = &numbers[..] else { panic!("five numbers, not {text}") };
    let (asks, confirms, early) = (asks > 0, confirms > 0, early > 0);
    let case = Case { writes, sessions: sessions as usize, asks, confirms, early, ..CASE };
    assert!(all_end_alike(case) > 100);
}
