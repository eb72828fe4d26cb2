//! The machine's rules, one sentence each.

use std::time::Duration;

use super::support::{Cluster, Site, alive, claim, key, node, value, with};
use horde_registry::machine::{Config, Host, Member, Message, OwnerError, Part, Presence, RegisterError};
use horde_transport::NodeId;

fn three() -> Cluster {
    Cluster::new(&["a", "b", "c"], &Config::default())
}

#[test]
fn a_registered_name_is_shown_here_at_once_and_on_the_others_after_one_exchange() {
    let mut cluster = three();
    cluster.register(0, 1, "ada").unwrap();
    let pid = cluster.pid(0, 1);
    assert_eq!(cluster.sites[0].published("ada"), Some(&pid));
    cluster.exchange();
    cluster.exchange();
    assert_eq!(cluster.holders("ada"), vec![Some(pid.clone()); 3]);
    let keys: Vec<_> = cluster.sites[2].names.keys(&pid).cloned().collect();
    assert_eq!(keys, [key("ada")]);
}

#[test]
fn of_several_registrations_on_one_node_exactly_the_first_succeeds() {
    let mut cluster = three();
    let outcomes: Vec<_> = (1..=20).map(|number| cluster.register(0, number, "one")).collect();
    let first = cluster.pid(0, 1);
    assert_eq!(outcomes[0], Ok(()));
    assert!(outcomes[1..].iter().all(|o| *o == Err(RegisterError::AlreadyRegistered(first.clone()))));
    cluster.settle();
    assert!(cluster.sites.iter().all(|site| site.signals.is_empty()), "a local race signals nobody");
}

#[test]
fn a_process_is_registered_on_its_own_node_only() {
    let mut cluster = three();
    let (now, foreign) = (cluster.now(), cluster.pid(1, 1));
    let outcome = cluster.sites[0].names.register(now, &foreign, &key("x"), value(""), None);
    assert_eq!(outcome, Err(RegisterError::NotLocal(foreign)));
}

#[test]
fn keys_values_and_names_per_process_over_their_limits_are_refused() {
    let config = Config { max_key: 4, max_value: 3, max_names_per_process: 2, ..Config::default() };
    let mut cluster = Cluster::new(&["a"], &config);
    let (now, pid) = (cluster.now(), cluster.pid(0, 1));
    let names = &mut cluster.sites[0].names;
    let long = names.register(now, &pid, &key("12345"), value(""), None);
    assert_eq!(long, Err(RegisterError::TooBig { what: Part::Key, size: 5, limit: 4 }));
    let big = names.register(now, &pid, &key("1234"), value("1234"), None);
    assert_eq!(big, Err(RegisterError::TooBig { what: Part::Value, size: 4, limit: 3 }));
    assert_eq!(names.register(now, &pid, &key("1"), value(""), None), Ok(()));
    assert_eq!(names.register(now, &pid, &key("2"), value(""), None), Ok(()));
    let third = names.register(now, &pid, &key("3"), value(""), None);
    assert_eq!(third, Err(RegisterError::TooManyNames { limit: 2 }));
    let grown = names.update_value(now, &pid, &key("1"), value("1234"));
    assert_eq!(grown, Err(OwnerError::TooBig { size: 4, limit: 3 }));
    assert_eq!(names.unregister(now, &pid, &key("1")), Ok(()));
    assert_eq!(names.register(now, &pid, &key("3"), value(""), None), Ok(()), "a name given up makes room");
}

#[test]
fn only_the_owner_unregisters_and_updates() {
    let mut cluster = three();
    cluster.register(0, 1, "ada").unwrap();
    cluster.settle();
    let (now, owner, other) = (cluster.now(), cluster.pid(0, 1), cluster.pid(1, 1));
    let names = &mut cluster.sites[1].names;
    assert_eq!(names.unregister(now, &other, &key("ada")), Err(OwnerError::NotOwner(owner.clone())));
    assert_eq!(names.unregister(now, &other, &key("bob")), Err(OwnerError::NotRegistered));
    let before = cluster.sites[0].names.get(&key("ada")).unwrap().clone();
    cluster.sites[0].names.update_value(now, &owner, &key("ada"), value("new")).unwrap();
    cluster.settle();
    let after = cluster.sites[2].names.get(&key("ada")).unwrap();
    assert_eq!((&*after.value, after.registered_at), (&b"new"[..], before.registered_at));
    let now = cluster.now();
    cluster.sites[0].names.unregister(now, &owner, &key("ada")).unwrap();
    cluster.settle();
    assert_eq!(cluster.holders("ada"), [None, None, None]);
}

#[test]
fn the_names_of_a_process_go_with_it() {
    let mut cluster = three();
    cluster.register(0, 1, "x").unwrap();
    cluster.register(0, 1, "y").unwrap();
    cluster.register(0, 2, "z").unwrap();
    cluster.settle();
    cluster.end(0, 1);
    cluster.settle();
    assert_eq!((cluster.holders("x"), cluster.holders("y")), (vec![None; 3], vec![None; 3]));
    assert_eq!(cluster.holders("z"), vec![Some(cluster.pid(0, 2)); 3]);
}

#[test]
fn two_sides_that_register_one_name_keep_the_older_and_only_the_losers_node_signals() {
    let mut cluster = three();
    cluster.cut = vec![(0, 1), (0, 2)];
    cluster.register(0, 1, "ada").unwrap();
    cluster.register(1, 1, "ada").unwrap();
    cluster.settle();
    cluster.cut.clear();
    cluster.settle();
    let (winner, loser) = (cluster.pid(0, 1), cluster.pid(1, 1));
    assert_eq!(cluster.holders("ada"), vec![Some(winner.clone()); 3]);
    assert_eq!(cluster.sites[1].signals, [(loser.clone(), key("ada"), winner.clone())]);
    assert!(cluster.sites[0].signals.is_empty() && cluster.sites[2].signals.is_empty());
    // The winner ends first: the loser, still there, does not come back under the name.
    cluster.end(0, 1);
    cluster.settle();
    assert_eq!(cluster.holders("ada"), [None, None, None]);
}

#[test]
fn a_dead_nodes_names_are_hidden_at_once_and_shown_again_when_it_returns() {
    let mut cluster = three();
    cluster.register(2, 1, "ada").unwrap();
    cluster.settle();
    let pid = cluster.pid(2, 1);
    cluster.see(0, &[(2, Presence::Down)]);
    assert_eq!(cluster.sites[0].holder("ada"), None);
    assert!(cluster.sites[0].names.keys(&pid).next().is_none());
    cluster.see(0, &[]);
    assert_eq!(cluster.sites[0].holder("ada"), Some(pid));
}

#[test]
fn a_name_of_a_dead_node_is_free_and_goes_back_to_its_older_owner_on_return() {
    let mut cluster = three();
    cluster.register(2, 1, "ada").unwrap();
    cluster.settle();
    cluster.cut = vec![(0, 2), (1, 2)];
    cluster.see(0, &[(2, Presence::Down)]);
    cluster.see(1, &[(2, Presence::Down)]);
    cluster.register(0, 7, "ada").unwrap();
    cluster.settle();
    assert_eq!(cluster.sites[1].holder("ada"), Some(cluster.pid(0, 7)));
    cluster.cut.clear();
    cluster.see(0, &[]);
    cluster.see(1, &[]);
    relink(&mut cluster, &[(0, 2), (1, 2)]);
    cluster.settle();
    let older = cluster.pid(2, 1);
    assert_eq!(
        cluster.holders("ada"),
        vec![Some(older.clone()); 3],
        "its registration did not know of the living owner"
    );
    assert_eq!(cluster.sites[0].signals, [(cluster.pid(0, 7), key("ada"), older)]);
    assert!(cluster.sites[2].signals.is_empty());
}

fn relink(cluster: &mut Cluster, pairs: &[(usize, usize)]) {
    for (a, b) in pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
        let (now, peer) = (cluster.now(), cluster.sites[b].id.clone());
        cluster.sites[a].names.link_up(now, &peer);
        cluster.sites[a].drain();
    }
}

#[test]
fn the_copy_of_a_child_with_the_higher_claim_takes_the_name_and_nobody_is_signalled() {
    let mut cluster = three();
    let (a, b) = (cluster.sites[0].id.clone(), cluster.sites[1].id.clone());
    cluster.register_as(0, 1, "ada", Some(&claim("child", 1, &a))).unwrap();
    cluster.settle();
    let since = cluster.sites[0].names.get(&key("ada")).unwrap().registered_at;
    cluster.register_as(1, 1, "ada", Some(&claim("child", 2, &b))).unwrap();
    cluster.settle();
    let holder = cluster.pid(1, 1);
    assert_eq!(cluster.holders("ada"), vec![Some(holder.clone()); 3]);
    assert_eq!(cluster.sites[0].names.get(&key("ada")).unwrap().registered_at, since, "a move keeps the age");
    let low = cluster.register_as(2, 1, "ada", Some(&claim("child", 1, &a)));
    assert_eq!(low, Err(RegisterError::AlreadyRegistered(holder)));
    assert!(cluster.sites.iter().all(|site| site.signals.is_empty()));
}

#[test]
fn of_two_copies_of_a_child_on_two_sides_the_higher_claim_holds_though_younger() {
    let mut cluster = three();
    let (a, b) = (cluster.sites[0].id.clone(), cluster.sites[1].id.clone());
    cluster.cut = vec![(0, 1), (0, 2)];
    cluster.register_as(0, 1, "ada", Some(&claim("child", 1, &a))).unwrap();
    cluster.register_as(1, 1, "ada", Some(&claim("child", 2, &b))).unwrap();
    cluster.settle();
    cluster.cut.clear();
    cluster.settle();
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(1, 1)); 3]);
    assert!(cluster.sites.iter().all(|site| site.signals.is_empty()));
}

#[test]
fn the_names_of_a_node_that_left_are_removed_at_once_by_their_coordinators() {
    let mut cluster = three();
    for number in 0..50 {
        cluster.register(2, number + 1, &format!("name-{number}")).unwrap();
    }
    cluster.settle();
    cluster.see(0, &[(2, Presence::Left)]);
    cluster.see(1, &[(2, Presence::Left)]);
    cluster.cut = vec![(0, 2), (1, 2)];
    cluster.settle();
    for site in &cluster.sites[..2] {
        assert!(site.shown.is_empty(), "removed, not only hidden");
    }
}

#[test]
fn the_names_of_a_node_that_stays_down_are_removed_after_purge_after() {
    let mut cluster = three();
    cluster.register(2, 1, "ada").unwrap();
    cluster.settle();
    cluster.see(0, &[(2, Presence::Down)]);
    cluster.see(1, &[(2, Presence::Down)]);
    cluster.cut = vec![(0, 2), (1, 2)];
    cluster.pass(Duration::from_secs(50));
    assert!(cluster.sites[0].published("ada").is_some(), "kept for its return");
    cluster.pass(Duration::from_secs(15));
    assert!(cluster.sites[0].published("ada").is_none());
    // It returns after all: its living process has its name again.
    cluster.cut.clear();
    cluster.see(0, &[]);
    cluster.see(1, &[]);
    relink(&mut cluster, &[(0, 2), (1, 2)]);
    cluster.settle();
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(2, 1)); 3]);
}

#[test]
fn what_a_coordinator_leaves_undone_any_node_removes_a_sweep_later() {
    let mut cluster = three();
    for number in 0..20 {
        cluster.register(2, number + 1, &format!("name-{number}")).unwrap();
    }
    cluster.settle();
    // Only the first node learns that the third has left; the second never acts.
    cluster.see(0, &[(2, Presence::Left)]);
    cluster.cut = vec![(0, 2), (1, 2), (0, 1)];
    cluster.pass(Duration::from_secs(30));
    let left = cluster.sites[0].shown.len();
    assert!(left > 0 && left < 20, "the others' share waits, {left} of 20");
    cluster.pass(Duration::from_secs(61));
    assert!(cluster.sites[0].shown.is_empty());
}

#[test]
fn a_higher_incarnation_ends_the_names_of_the_lower() {
    let mut cluster = three();
    cluster.register(2, 1, "ada").unwrap();
    cluster.settle();
    cluster.cut = vec![(0, 2), (1, 2)];
    let reborn = node("c", 2);
    for at in 0..2 {
        let view = [alive(&node("a", 1)), alive(&node("b", 1)), alive(&reborn)];
        let now = cluster.now();
        cluster.sites[at].names.set_view(now, view);
        cluster.sites[at].drain();
        assert_eq!(cluster.sites[at].holder("ada"), None);
    }
    // Its coordinator may be the new life, which this test does not run: the sweep comes after it.
    cluster.pass(Duration::from_secs(62));
    assert!(cluster.sites[0].published("ada").is_none());
}

#[test]
fn a_copy_alone_is_ready_at_once_and_the_lowest_of_those_that_begin_together_is_first() {
    let unready = |id| Member { host: Some(Host { ready: false }), ..alive(id) };
    let (a, b) = (node("a", 1), node("b", 1));
    let now = three().now();
    let mut alone = Site::new(a.clone(), Config::default());
    alone.names.set_view(now, [alive(&a), Member { host: None, ..alive(&b) }]);
    alone.drain();
    assert_eq!(alone.ready, 1);
    let mut lower = Site::new(a.clone(), Config::default());
    lower.names.set_view(now, [unready(&a), unready(&b)]);
    lower.drain();
    assert_eq!(lower.ready, 1);
    let mut higher = Site::new(b.clone(), Config::default());
    higher.names.set_view(now, [unready(&a), unready(&b)]);
    higher.drain();
    assert_eq!(higher.ready, 0);
    higher.names.set_view(now, [with(&a, Presence::Down), unready(&b)]);
    higher.drain();
    assert_eq!(higher.ready, 1, "a dead host keeps nobody waiting");
    let mut joining = Site::new(a.clone(), Config::default());
    joining.names.set_view(now, [Member { presence: Presence::Joining, ..unready(&a) }, unready(&b)]);
    joining.drain();
    assert_eq!(joining.ready, 0, "who has not joined does not know who else is there");
    joining.names.set_view(now, [unready(&a), unready(&b)]);
    joining.drain();
    assert_eq!(joining.ready, 1);
}

#[test]
fn what_was_synced_with_a_host_before_it_was_ready_does_not_count() {
    let (lower, a, b) = (node("0", 1), node("a", 1), node("b", 1));
    let unready = |id| Member { host: Some(Host { ready: false }), ..alive(id) };
    let mut cluster = Cluster::new(&["a", "b"], &Config::default());
    let now = cluster.now();
    for (at, id) in [(0, &a), (1, &b)] {
        cluster.sites[at] = Site::new(id.clone(), Config::default());
        // Somebody lower waits as well: neither of the two goes ahead.
        cluster.sites[at].names.set_view(now, [unready(&lower), unready(&a), unready(&b)]);
    }
    relink(&mut cluster, &[(0, 1)]);
    cluster.settle();
    assert_eq!(cluster.sites[1].ready, 0);
    // By now `a` has caught up with others; what it had when the two synced is not what it has now.
    let now = cluster.now();
    cluster.sites[1].names.set_view(now, [unready(&lower), alive(&a), unready(&b)]);
    cluster.sites[1].drain();
    assert_eq!(cluster.sites[1].ready, 0, "it syncs once more first");
    cluster.settle();
    assert_eq!(cluster.sites[1].ready, 1);
}

/// `b`, which is not ready, and `a`, which holds a name that no message of its own tells `b` of.
fn a_knows_more(linked: impl FnOnce(&mut Cluster)) -> (Cluster, Vec<(NodeId, Message)>) {
    let (lower, a, b) = (node("0", 1), node("a", 1), node("b", 1));
    let unready = |id| Member { host: Some(Host { ready: false }), ..alive(id) };
    let mut cluster = Cluster::new(&["a", "b"], &Config::default());
    let now = cluster.now();
    for (at, id) in [(0, &a), (1, &b)] {
        cluster.sites[at] = Site::new(id.clone(), Config::default());
        cluster.sites[at].names.set_view(now, [unready(&lower), unready(&a), unready(&b)]);
    }
    linked(&mut cluster);
    cluster.settle();
    cluster.clock += Duration::from_secs(1);
    let now = cluster.now();
    cluster.sites[0].flush(now);
    let before = std::mem::take(&mut cluster.sites[0].sent);
    assert!(before.iter().any(|(to, message)| *to == b && message.kind() == "status"));
    assert_eq!(cluster.register(0, 1, "ada"), Ok(()));
    cluster.sites[0].flush(now);
    cluster.sites[0].sent.clear();
    (cluster, before)
}

/// `b` hears that `a` is ready. Then comes what `a` said `before`, and at last the rest.
fn hears_the_old_first(mut cluster: Cluster, before: Vec<(NodeId, Message)>) {
    let (lower, a, b) = (node("0", 1), node("a", 1), node("b", 1));
    let unready = |id| Member { host: Some(Host { ready: false }), ..alive(id) };
    let now = cluster.now();
    cluster.sites[1].names.set_view(now, [unready(&lower), alive(&a), unready(&b)]);
    cluster.sites[1].drain();
    assert_eq!(cluster.sites[1].ready, 0, "what it synced before does not count");
    for (_, message) in before.into_iter().filter(|(to, _)| *to == b) {
        cluster.sites[1].names.receive(now, &a, message);
        cluster.sites[1].drain();
        assert_eq!(cluster.sites[1].ready, 0, "nor does what was on its way");
    }
    cluster.settle();
    assert_eq!(cluster.sites[1].ready, 1);
    assert_eq!(cluster.sites[1].holder("ada"), Some(cluster.pid(0, 1)));
}

#[test]
fn what_a_host_said_before_it_was_ready_does_not_count_though_it_arrives_after() {
    let (cluster, before) = a_knows_more(|cluster| relink(cluster, &[(0, 1)]));
    hears_the_old_first(cluster, before);
}

#[test]
fn what_was_synced_with_a_host_that_the_view_did_not_name_yet_does_not_count() {
    let (cluster, before) = a_knows_more(|cluster| {
        let (now, lower, b) = (cluster.now(), node("0", 1), node("b", 1));
        let unready = |id| Member { host: Some(Host { ready: false }), ..alive(id) };
        cluster.sites[1].names.set_view(now, [unready(&lower), unready(&b)]);
        relink(cluster, &[(0, 1)]);
    });
    hears_the_old_first(cluster, before);
}

#[test]
fn a_copy_is_ready_once_synced_from_a_host_that_is() {
    let mut cluster = Cluster::new(&["a", "b"], &Config::default());
    cluster.register(0, 1, "ada").unwrap();
    cluster.settle();
    let reborn = node("b", 2);
    cluster.sites[1] = Site::new(reborn, Config::default());
    cluster.see(0, &[]);
    cluster.see(1, &[]);
    assert_eq!(cluster.sites[1].ready, 0);
    relink(&mut cluster, &[(0, 1)]);
    cluster.settle();
    assert_eq!(cluster.sites[1].ready, 1);
    assert_eq!(cluster.sites[1].holder("ada"), Some(cluster.pid(0, 1)));
}

#[test]
fn a_copy_that_lost_its_name_to_a_higher_claim_has_it_back_when_that_copy_ends() {
    let mut cluster = three();
    let (a, b) = (cluster.sites[0].id.clone(), cluster.sites[1].id.clone());
    cluster.cut = vec![(0, 1), (0, 2)];
    cluster.register_as(0, 1, "ada", Some(&claim("child", 1, &a))).unwrap();
    cluster.register_as(1, 1, "ada", Some(&claim("child", 2, &b))).unwrap();
    cluster.settle();
    cluster.cut.clear();
    cluster.settle();
    // The copy with the higher claim was on its way elsewhere, and the other one stays in its place.
    cluster.end(1, 1);
    cluster.settle();
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(0, 1)); 3]);
    cluster.end(0, 1);
    cluster.settle();
    assert_eq!(cluster.holders("ada"), [None, None, None]);
}

#[test]
fn a_copy_that_lost_its_name_has_it_back_when_the_node_of_the_other_is_dead_and_not_once_it_has_ended() {
    let mut cluster = three();
    let (a, b) = (cluster.sites[0].id.clone(), cluster.sites[1].id.clone());
    cluster.cut = vec![(0, 1), (0, 2)];
    for (number, name) in [(1, "ada"), (2, "bob")] {
        cluster.register_as(0, number, name, Some(&claim(name, 1, &a))).unwrap();
        cluster.register_as(1, number, name, Some(&claim(name, 2, &b))).unwrap();
    }
    cluster.settle();
    cluster.cut.clear();
    cluster.settle();
    cluster.end(0, 2);
    cluster.see(0, &[(1, Presence::Down)]);
    cluster.see(2, &[(1, Presence::Down)]);
    cluster.settle();
    let ada = Some(cluster.pid(0, 1));
    assert_eq!((cluster.sites[0].holder("ada"), cluster.sites[2].holder("ada")), (ada.clone(), ada));
    assert_eq!((cluster.sites[0].holder("bob"), cluster.sites[2].holder("bob")), (None, None));
}

#[test]
fn the_name_of_a_child_that_moves_leads_to_where_it_was_until_its_new_copy_takes_it() {
    let mut cluster = three();
    let (a, b) = (cluster.sites[0].id.clone(), cluster.sites[1].id.clone());
    cluster.register_as(0, 1, "ada", Some(&claim("child", 1, &a))).unwrap();
    cluster.register(0, 1, "no child's").unwrap();
    cluster.settle();
    cluster.moves(0, 1);
    cluster.exchange();
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(0, 1)); 3]);
    assert!(cluster.sites[0].names.awaits_new_copies() && !cluster.sites[1].names.awaits_new_copies());
    cluster.register_as(1, 1, "ada", Some(&claim("child", 2, &b))).unwrap();
    cluster.settle();
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(1, 1)); 3]);
    assert!(!cluster.sites[0].names.awaits_new_copies());
    assert_eq!(cluster.holders("no child's"), [None, None, None]);
    cluster.pass(Duration::from_secs(6));
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(1, 1)); 3], "it is the new copy's alone");
}

#[test]
fn the_name_of_a_child_whose_new_copy_does_not_come_goes_after_a_while() {
    let mut cluster = three();
    let a = cluster.sites[0].id.clone();
    cluster.register_as(0, 1, "ada", Some(&claim("child", 1, &a))).unwrap();
    cluster.settle();
    cluster.moves(0, 1);
    cluster.pass(Duration::from_secs(4));
    assert_eq!(cluster.holders("ada"), vec![Some(cluster.pid(0, 1)); 3]);
    cluster.pass(Duration::from_secs(3));
    assert_eq!(cluster.holders("ada"), [None, None, None]);
}
