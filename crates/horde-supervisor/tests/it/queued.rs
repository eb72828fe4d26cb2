//! Takeovers that wait for a free start.

use std::time::Duration;

use horde_process::ExitReason;
use horde_supervisor::machine::Presence;
use horde_supervisor::{ChildId, Options, StartError};

use crate::pair::{Pair, all};

#[test]
fn a_takeover_that_waited_until_the_child_had_ended_and_was_forgotten_starts_nothing() {
    let retention = Duration::from_secs(2);
    let mut pair = Pair::with(&Options { max_starting: 1, ended_retention: retention, ..Options::default() });
    pair.members[1].presence = Presence::Alive;
    pair.look();
    pair.start("d");
    pair.pass(3);
    assert!(!pair.members[1].processes.is_empty(), "some of them run on two");
    // One takes all of them over; the first hangs in its init, and the others wait for it.
    pair.members[0].failing = Some(Vec::new());
    pair.split = true;
    pair.look();
    pair.pass(1);
    let hanging = pair.members[0].failing.take().expect("what began");
    assert_eq!(hanging.len(), 1);
    // The split was none; all children are ended, and forgotten in time.
    pair.split = false;
    pair.look();
    let now = pair.now();
    let ids = all().into_iter().flat_map(|id| [id.replace('c', "d"), id]);
    for id in ids {
        pair.members[1].machine.terminate(now, &ChildId::from(id), Duration::from_secs(60));
    }
    pair.settle();
    pair.pass(10);
    assert!(pair.members.iter().all(|member| member.machine.records().count() == 0));
    let now = pair.now();
    let why = StartError::Init(ExitReason::Shutdown);
    pair.members[0].machine.started(now, hanging[0], Err(why));
    pair.settle();
    pair.pass(3);
    assert_eq!(pair.running(), Vec::<String>::new());
    assert!(pair.members.iter().all(|member| member.machine.records().count() == 0));
}
