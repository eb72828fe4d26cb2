use anyhow::Result;
use horde_cluster_tests::{RECOVERY, ids, spread};

use crate::cluster;

#[test]
fn three_nodes_find_each_other_and_run_100_named_children_that_answer_everywhere() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two", "three"])?;
    cluster.start("one", &ids(0..100))?;
    let running = cluster.is_whole(RECOVERY)?;
    assert_eq!(running.len(), 100);
    let spread = spread(&running);
    assert_eq!(spread.len(), 3, "{spread:?}");
    assert!(spread.values().all(|children| *children >= 10), "{spread:?}");
    assert!(running.values().all(|run| run.generation == 1), "nothing was restarted on the way: {running:?}");
    Ok(())
}
