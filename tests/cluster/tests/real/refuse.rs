use std::net::UdpSocket;

use anyhow::Result;
use horde_cluster_tests::{Be, Member, Order, PATIENCE, RECOVERY, ids, until};

use crate::{cluster, program};

const WRONG: &str = "certificate not signed by this cluster's secret or CA (wrong secret?)";

#[test]
fn a_node_with_another_secret_is_refused_with_a_reason_on_both_sides() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two"])?;
    let secret = "another-secret-that-nobody-else-knows".to_owned();
    let mut stranger = Member::spawn(&program(), &Be { secret, expect: Some(3), ..cluster.be("stranger") })?;
    let joins = stranger.order(Order::Join)?;
    let all =
        |reasons: &[String], word: &str| !reasons.is_empty() && reasons.iter().all(|why| why.contains(word));
    until("the stranger is told why by each node", PATIENCE, || {
        let (dials, _) = stranger.reasons()?;
        Ok(if dials.len() == 2 && all(&dials, WRONG) { Ok(()) } else { Err(dials) })
    })?;
    for member in cluster.members() {
        until("the member says whom it refused and why", PATIENCE, || {
            let (_, refused) = member.reasons()?;
            Ok(if all(&refused, WRONG) { Ok(()) } else { Err(refused) })
        })?;
    }
    cluster.start("one", &ids(0..10))?;
    cluster.is_whole(RECOVERY)?;
    assert!(!stranger.has_answered(joins), "it has joined: {:?}", stranger.members()?);
    for member in cluster.members() {
        assert_eq!(member.members()?.len(), 2);
    }
    Ok(())
}

#[test]
fn a_short_secret_is_an_error_that_says_how_to_get_a_good_one() {
    let be = Be { secret: "hunter2".into(), ..cluster().be("one") };
    let error = Member::spawn(&program(), &be).expect_err("a short secret").to_string();
    assert!(error.contains("the secret has 7 characters; it needs at least 32"), "{error}");
    assert!(error.contains("horde secret new"), "{error}");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() -> Result<()> {
    let taken = UdpSocket::bind(("127.0.0.1", 0))?;
    let listen = taken.local_addr()?;
    let error =
        Member::spawn(&program(), &Be { listen, ..cluster().be("one") }).expect_err("its address is taken");
    let error = error.to_string();
    assert!(error.contains(&listen.to_string()) && error.contains("in use"), "{error}");
    Ok(())
}

#[test]
fn a_name_that_a_live_node_has_is_refused_and_the_live_node_keeps_it() -> Result<()> {
    let mut cluster = cluster().form(&["one", "two"])?;
    let second = Member::spawn(&program(), &cluster.be("one")).and_then(|mut second| second.join());
    let error = second.expect_err("the name is taken").to_string();
    assert!(error.contains("name `one` is taken by a live node"), "{error}");
    let address = cluster.member("one")?.address().to_string();
    assert!(error.contains(&address), "{error}");
    cluster.start("two", &ids(0..20))?;
    let running = cluster.is_whole(RECOVERY)?;
    let nodes: Vec<String> = cluster.members().iter().map(|member| member.node().to_owned()).collect();
    assert!(running.values().all(|run| nodes.contains(&run.node)), "{running:?}");
    Ok(())
}
