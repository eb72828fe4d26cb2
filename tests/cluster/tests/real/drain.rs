use std::time::Duration;

use anyhow::Result;
use horde_cluster_tests::{PATIENCE, RECOVERY, ids, on};

use crate::cluster;

#[test]
fn a_node_that_stops_in_good_order_moves_its_children_with_their_state() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two", "three"])?;
    cluster.start("one", &ids(0..100))?;
    let before = cluster.is_whole(RECOVERY)?;
    let added = cluster.member("three")?.add(&ids(0..100), 7)?;
    assert_eq!(added.failed, [].into());
    let mut stopped = cluster.take("two")?;
    let moved = on(&before, stopped.node());
    assert_eq!(stopped.stop(Duration::from_secs(10))?, 0, "children that were not moved");
    for member in cluster.members() {
        member.sees(stopped.node(), &["Left"], PATIENCE)?;
    }
    let after = cluster.is_whole(RECOVERY)?;
    assert!(!moved.is_empty());
    for (id, was) in &before {
        let is = &after[id];
        if moved.contains(id) {
            assert!(is.resumed && is.generation > was.generation, "{was:?}, then {is:?}");
        } else {
            assert_eq!(is, was, "a child of a node that stays runs on");
        }
    }
    let totals = cluster.member("one")?.call(&ids(0..100), horde_cluster_tests::By::Name)?;
    assert!(
        totals.answered.len() == 100 && totals.answered.values().all(|found| found.total == 7),
        "{totals:?}"
    );
    Ok(())
}
