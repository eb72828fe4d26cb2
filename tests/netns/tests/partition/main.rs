//! Three members on three hosts of a network that is cut and mended below them: `cargo xtask netns`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use horde_cluster_tests::{Be, Cluster, Entry, PATIENCE, Program, check, ids, on, until};
use horde_netns_tests::Net;

const HOSTS: [&str; 3] = ["one", "two", "three"];

/// How long a mended network may take until everything is as it should be: redial pauses come to it.
const HEALING: Duration = Duration::from_secs(30);

/// Three members that run 100 children, and what runs where. The network is first: it goes after those who live in it.
fn three() -> Result<(Net, Cluster, BTreeMap<String, Entry>)> {
    let asked = std::env::var("HORDE_NETNS").is_ok_and(|asked| asked == "1");
    ensure!(
        asked,
        "`cargo xtask netns` runs this test: it makes network namespaces, which not every user may"
    );
    let net = Net::new(&HOSTS)?;
    let program = Program::new(env!("CARGO_BIN_EXE_netns-member"));
    let mut cluster = Cluster::new(program.clone(), "a-secret-that-only-these-tests-know");
    for host in HOSTS {
        let be = Be { listen: net.listen(host)?, expect: Some(HOSTS.len()), ..cluster.be(host) };
        cluster.spawn(&program.clone().under(net.on(host)?), &be)?;
    }
    cluster.join_all()?;
    cluster.start("one", &ids(0..100))?;
    let running = cluster.is_whole(PATIENCE)?;
    Ok((net, cluster, running))
}

/// Waits until the member `name` sees each of these nodes so.
fn sees(cluster: &mut Cluster, name: &str, others: &[&str], status: &str) -> Result<()> {
    for other in others {
        let node = cluster.member(other)?.node().to_owned();
        cluster.member(name)?.sees(&node, &[status], PATIENCE)?;
    }
    Ok(())
}

#[test]
fn a_host_cut_off_until_both_sides_call_the_other_down_heals_to_one_run_of_each_child() -> Result<()> {
    let (net, mut cluster, before) = three()?;
    net.unplug("two")?;
    sees(&mut cluster, "one", &["two"], "Down")?;
    sees(&mut cluster, "three", &["two"], "Down")?;
    sees(&mut cluster, "two", &["one", "three"], "Down")?;

    // Both sides run everything: no quorum is asked for here.
    let mut alone = cluster.take("two")?;
    let meanwhile = cluster.is_whole(HEALING)?;
    assert!(!on(&before, alone.node()).is_empty() && on(&meanwhile, alone.node()).is_empty());
    until("the lone host runs every child too", HEALING, || Ok(check(cluster.started(), &alone.census()?)))?;

    net.plug("two")?;
    cluster.put_back(alone);
    cluster.join_all()?;
    cluster.is_whole(HEALING)?;
    Ok(())
}

#[test]
fn two_hosts_that_hear_only_the_third_call_nobody_down_and_no_child_moves() -> Result<()> {
    let (net, mut cluster, before) = three()?;
    net.part("one", "two")?;
    sees(&mut cluster, "one", &["two"], "Unreachable")?;
    sees(&mut cluster, "two", &["one"], "Unreachable")?;
    assert_eq!(cluster.compare()?.as_ref(), Ok(&before));
    net.unite("one", "two")?;
    cluster.join_all()?;
    assert_eq!(cluster.is_whole(HEALING)?, before);
    Ok(())
}

#[test]
fn a_host_that_is_heard_and_hears_nobody_heals_to_one_run_of_each_child() -> Result<()> {
    let (net, mut cluster, _) = three()?;
    net.deafen("three")?;
    sees(&mut cluster, "three", &["one", "two"], "Down")?;
    net.undeafen("three")?;
    cluster.join_all()?;
    cluster.is_whole(HEALING)?;
    Ok(())
}
