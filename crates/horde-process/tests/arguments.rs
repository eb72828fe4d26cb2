//! What a local supervisor keeps of a child's arguments. Alone in its program: it counts the heap.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::alloc::System;

use common::alone;
use horde_process::local::{ChildSpec, Supervisor};
use horde_process::{Context, Process, Restart, Stop};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SIZE: usize = 4 << 20;

/// Keeps nothing of what it is given.
struct Careless;

impl Process for Careless {
    const KIND: &'static str = "careless";
    type Args = String;
    type Deps = ();
    type Messages = ();

    async fn init(_: String, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

#[tokio::test]
async fn arguments_are_kept_for_a_restart_and_of_a_temporary_child_not_at_all() {
    let node = alone(|node| node.runs::<Careless>(()));
    let supervisor = Supervisor::dynamic().start(&node).await.unwrap();
    for (restart, kept) in [(Restart::Temporary, false), (Restart::Permanent, true)] {
        let region = Region::new(HEAP);
        let spec = ChildSpec::<Careless>::of("x".repeat(SIZE)).restart(restart);
        supervisor.start_child(spec).await.unwrap();
        let change = region.change();
        let held = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        assert_eq!(held >= SIZE, kept, "{restart:?}: {held} bytes");
    }
}
