use std::collections::BTreeMap;

use anyhow::Result;
use horde_cluster_tests::{Cluster, Entry, Faults, PATIENCE, RECOVERY, ids, on, spread};

use crate::cluster;

/// Three members with 100 children, of which `two` has died; what ran before.
fn after_a_kill(cluster: Cluster) -> Result<(Cluster, BTreeMap<String, Entry>, String)> {
    let mut cluster = cluster.form(&["one", "two", "three"])?;
    cluster.start("one", &ids(0..100))?;
    let before = cluster.is_whole(RECOVERY)?;
    let mut dead = cluster.take("two")?;
    dead.kill()?;
    Ok((cluster, before, dead.node().to_owned()))
}

#[test]
fn after_sigkill_of_one_its_children_run_once_on_the_survivors_under_the_same_names() -> Result<()> {
    let (mut cluster, before, dead) = after_a_kill(cluster())?;
    let after = cluster.is_whole(RECOVERY)?;
    assert!(!on(&before, &dead).is_empty());
    for (id, was) in &before {
        let is = &after[id];
        if was.node == dead {
            assert!(is.generation > was.generation, "{was:?}, then {is:?}");
        } else {
            assert_eq!(is, was, "a child of a survivor runs on");
        }
    }
    for member in cluster.members() {
        member.sees(&dead, &["Down"], PATIENCE)?;
    }
    Ok(())
}

#[test]
fn without_takeover_the_same_check_names_the_children_that_are_lost() -> Result<()> {
    let (mut cluster, before, dead) = after_a_kill(cluster().without_takeover())?;
    for member in cluster.members() {
        member.sees(&dead, &["Down"], PATIENCE)?;
    }
    let error = cluster.is_whole(std::time::Duration::from_secs(3)).expect_err("the check cannot fail");
    let faults = cluster.compare()?.expect_err("the comparison cannot fail");
    assert_eq!(faults, Faults { lost: on(&before, &dead), ..Faults::default() });
    assert!(error.to_string().contains(&faults.to_string()), "{error:#}");
    Ok(())
}

#[test]
fn a_node_killed_and_started_again_joins_and_runs_new_children() -> Result<()> {
    let (mut cluster, _, dead) = after_a_kill(cluster())?;
    let again = cluster.add("two")?.node().to_owned();
    assert_ne!(again, dead);
    cluster.start("three", &ids(100..160))?;
    let running = cluster.is_whole(RECOVERY)?;
    assert_eq!(running.len(), 160);
    assert!(!running.values().any(|run| run.node == dead));
    assert!(spread(&running).get(&again).is_some_and(|children| *children >= 5), "{:?}", spread(&running));
    Ok(())
}

#[test]
fn a_node_started_again_at_once_loses_none_of_its_children() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two", "three"])?;
    cluster.start("one", &ids(0..60))?;
    let before = cluster.is_whole(RECOVERY)?;
    let mut dead = cluster.take("two")?;
    dead.kill()?;
    // Nobody has waited for the survivors to notice.
    cluster.add("two")?;
    let after = cluster.is_whole(RECOVERY)?;
    let lost = on(&before, dead.node());
    assert!(lost.iter().all(|id| after[id].generation > before[id].generation));
    Ok(())
}
