//! Limits on sessions, and on the messages that bear writes.

use std::time::Duration;

use delta_crdt::{Config, LastWriter, Output, Replica, ReplicaId, Warning};

use super::{A, B, C, D, ForgedPull, Map, forged, forged_pull, kinds, replica, sent};
use crate::support::{Net, START, later, outputs, sends};

#[test]
fn a_session_that_brings_more_than_may_be_staged_is_given_up_whole_and_tried_again() {
    let small = Config { max_staged: 10, max_fragment_keys: 4, ..Config::default() };
    let mut net = Net::new(2, small);
    net.merge(0, (0..11).map(|key| (key, key)));
    net.link(0, 1);
    net.run(Duration::from_secs(2));
    assert_eq!(net.replica(1).len(), 0, "nothing of it was applied");
    let stats = net.replica(1).stats();
    assert_eq!(stats.sessions, 0);
    // It tries again with the next status, not at once, and says so each time.
    assert!((2..=4).contains(&stats.aborted), "{stats:?}");
    let full = Warning::StagingFull { peer: net.replica(0).id(), shard: 0 };
    assert_eq!(net.node(1).warnings, vec![full; stats.aborted as usize]);
    assert_eq!(net.node(1).synced.len(), 0, "and it does not claim to have it");
    // Once there is less to bring, it comes. A tombstone counts as a key, so it must be gone.
    net.replica_mut(0).set_members([]);
    net.remove(0, 0);
    net.remove(0, 1);
    net.run(Duration::from_secs(3));
    assert_eq!(net.replica(0).len(), 9);
    net.assert_equal();
}

/// A replica with 5 keys that serves one session at a time, two fragments of one key each before it wants to hear.
fn slow_server(shards: u16) -> Map {
    let config =
        Config { shards, max_sessions: 1, session_window: 2, max_fragment_keys: 1, ..Config::default() };
    let mut server = replica(A, config);
    server.merge(START, (0..5 * u64::from(shards)).map(|key| (key, key)));
    server
}

#[test]
fn a_pull_beyond_the_sessions_that_may_be_served_waits_for_its_turn() {
    let mut server = slow_server(1);
    let mut pullers = [B, C, D].map(|own| replica(own, Config { session_window: 2, ..Config::default() }));
    for puller in &mut pullers {
        server.peer_up(START, puller.id());
    }
    for (to, message) in sends(&mut server) {
        pullers[to.node as usize - 2].receive(START, A, message);
    }
    for puller in &mut pullers {
        let pull = sent(puller, A);
        assert_eq!(kinds(&pull), ["pull"]);
        pull.into_iter().for_each(|message| server.receive(START, puller.id(), message));
    }
    server.check_invariants();
    // The first one is served alone, to its end; then the next.
    let mut order = Vec::new();
    loop {
        let answers = sends(&mut server);
        if answers.is_empty() {
            break;
        }
        for (to, message) in answers {
            if message.kind() == "commit" || message.kind() == "fragment" {
                order.push(to.node);
            }
            let puller = &mut pullers[to.node as usize - 2];
            puller.receive(START, A, message);
            sent(puller, A).into_iter().for_each(|credit| server.receive(START, to, credit));
            server.check_invariants();
        }
    }
    assert_eq!(
        order.chunk_by(|a, b| a == b).map(|part| (part[0], part.len())).collect::<Vec<_>>(),
        [(2, 6), (3, 6), (4, 6)]
    );
    assert!(pullers.iter().all(|puller| puller.len() == 5));
}

#[test]
fn a_session_ends_whatever_windows_the_two_are_set_to() {
    for (serving, pulling) in [(2, u32::MAX), (1, 32), (u32::MAX, 1), (3, 0), (0, 7)] {
        let config = Config { max_fragment_keys: 1, session_window: serving, ..Config::default() };
        let mut server = replica(A, config);
        server.merge(START, (0..20).map(|key| (key, key)));
        let mut puller = replica(B, Config { session_window: pulling, ..Config::default() });
        server.peer_up(START, B);
        loop {
            let messages = sent(&mut server, B);
            if messages.is_empty() {
                break;
            }
            messages.into_iter().for_each(|message| puller.receive(START, A, message));
            sent(&mut puller, A).into_iter().for_each(|message| server.receive(START, B, message));
        }
        assert_eq!(puller.len(), 20, "{serving} and {pulling}");
    }
}

#[test]
fn who_falls_silent_in_a_session_keeps_the_others_waiting_no_longer_than_its_timeout() {
    let mut server = slow_server(1);
    server.receive(START, B, forged_pull(0, &[(0, 1, false, vec![])]));
    assert_eq!(sent(&mut server, B).len(), 2, "the window");
    server.receive(START, C, forged_pull(0, &[(0, 2, false, vec![])]));
    server.receive(START, C, forged_pull(0, &[(0, 3, false, vec![])]));
    assert_eq!(sends(&mut server), [], "it waits");
    let end = server.poll_timeout().expect("the end of the session");
    assert_eq!(end, START.monotonic + server.config().session_timeout);
    server.handle_timeout(later(START, end));
    assert_eq!(
        kinds(&sent(&mut server, C)),
        ["fragment"; 2],
        "the later pull alone: one waits per peer and shard"
    );
    // Shard, answer, and the number that stands for: stop.
    server.receive(START, C, forged(6, 0, (0_u16, 2_u64, u32::MAX)));
    assert_eq!(sends(&mut server), [], "nothing else waited");
    server.check_invariants();
}

#[test]
fn who_has_waited_longest_is_served_next_however_often_the_others_ask() {
    let mut server = slow_server(1);
    let stop = |answer: u64| forged(6, 0, (0_u16, answer, u32::MAX));
    let mut session = 0;
    let mut ask = |server: &mut Map, peer| {
        session += 1;
        server.receive(START, peer, forged_pull(0, &[(0, session, false, vec![])]));
        sends(server).iter().map(|(to, _)| *to).collect::<Vec<_>>()
    };
    assert_eq!(ask(&mut server, B), [B; 2], "served at once");
    for waits in [D, C, D, D] {
        assert_eq!(ask(&mut server, waits), []);
    }
    for (answer, (done, next)) in (1..).zip([(B, D), (D, C), (C, B), (B, D)]) {
        server.receive(START, done, stop(answer));
        let served: Vec<ReplicaId> = sends(&mut server).iter().map(|(to, _)| *to).collect();
        assert_eq!(served, [next; 2]);
        server.check_invariants();
        // Who was served asks at once again, and stands behind those who wait.
        assert_eq!(ask(&mut server, done), []);
    }
}

#[test]
fn thousands_of_pulls_that_wait_are_served_without_a_deep_stack() {
    let mut server = replica(
        A,
        Config {
            shards: 4_096,
            max_sessions: 1,
            session_window: 2,
            max_fragment_keys: 1,
            ..Config::default()
        },
    );
    server.merge(START, (0..40_000).map(|key| (key, key)));
    server.receive(START, B, forged_pull(12, &[(0, 1, false, vec![])]));
    let first = sent(&mut server, B);
    assert_eq!(kinds(&first), ["fragment"; 2]);
    // C has it all but for what is not there: each answer is a commit alone.
    let full: Vec<ForgedPull> = (1..4_096).map(|shard| (shard, 1, false, vec![(0, 1_000)])).collect();
    server.receive(START, C, forged(3, 12, (vec![A], full)));
    assert_eq!(sends(&mut server), []);
    server.handle_timeout(later(START, server.config().session_timeout));
    let answers = sent(&mut server, C);
    assert_eq!(kinds(&answers), ["commit"; 4_095]);
    server.check_invariants();
}

#[test]
fn a_key_that_would_make_a_fragment_too_long_begins_the_next_one() {
    let config = Config { max_batch_bytes: 100, ..Config::default() };
    let mut server = Replica::<u64, String>::new(A, config, LastWriter).weigh_with(|_, value| value.len());
    // 20 and 8 each: three fit, a fourth does not.
    server.merge(START, (0..7).map(|key| (key, "s".repeat(20))));
    server.put(START, 7, "l".repeat(1_000));
    server.merge(START, (8..15).map(|key| (key, "s".repeat(20))));
    let mut puller = Replica::<u64, String>::new(B, Config::default(), LastWriter);
    server.peer_up(START, B);
    let mut lengths = Vec::new();
    loop {
        let sends = sends(&mut server);
        if sends.is_empty() {
            break;
        }
        for (_, message) in sends {
            if message.kind() == "fragment" {
                lengths.push(message.encode().len());
            }
            puller.receive(START, A, message);
        }
        for output in outputs(&mut puller) {
            if let Output::Send { message, .. } = output {
                server.receive(START, B, message);
            }
        }
    }
    assert_eq!(puller.to_map(), server.to_map());
    let (long, short): (Vec<usize>, Vec<usize>) = lengths.iter().copied().partition(|length| *length > 1_000);
    assert!(matches!(long[..], [length] if length < 1_050), "the long one is alone: {lengths:?}");
    assert!(short.iter().all(|length| *length < 130), "three at most: {lengths:?}");
    assert!(short.len() >= 5, "{lengths:?}");
}

#[test]
fn a_push_goes_out_with_the_write_that_fills_it() {
    let config = Config { max_batch_bytes: 100, max_batch_ops: 5, ..Config::default() };
    let mut ours = Replica::<u64, String>::new(A, config, LastWriter).weigh_with(|_, value| value.len());
    ours.peer_up(START, B);
    drop(outputs(&mut ours));
    for key in 0..3 {
        ours.put(START, key, "s".repeat(20));
    }
    assert_eq!(sends(&mut ours), [], "84 of 100");
    ours.put(START, 3, "l".repeat(1_000));
    assert_eq!(sends(&mut ours).len(), 1, "all four");
    for key in 0..5 {
        ours.put(START, key, String::new());
    }
    assert_eq!(sends(&mut ours).len(), 1, "as many writes as there may be");
    ours.flush(START);
    assert_eq!(sends(&mut ours), []);
}
