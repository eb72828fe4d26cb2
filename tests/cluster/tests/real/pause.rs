use anyhow::Result;
use horde_cluster_tests::{PATIENCE, RECOVERY, Signal, ids, on};

use crate::cluster;

#[test]
fn after_a_pause_beyond_suspicion_each_child_runs_once_and_is_found_everywhere() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two", "three"])?;
    cluster.start("one", &ids(0..100))?;
    let before = cluster.is_whole(RECOVERY)?;
    let paused = cluster.take("two")?;
    paused.signal(Signal::Stop)?;
    for member in cluster.members() {
        member.sees(paused.node(), &["Down"], PATIENCE)?;
    }
    // The others run everything meanwhile; what stands still there is a second copy, which no policy forbids here.
    let meanwhile = cluster.is_whole(RECOVERY)?;
    assert!(on(&meanwhile, paused.node()).is_empty() && !on(&before, paused.node()).is_empty());
    paused.signal(Signal::Continue)?;
    cluster.put_back(paused);
    cluster.join_all()?;
    cluster.is_whole(RECOVERY)?;
    Ok(())
}
