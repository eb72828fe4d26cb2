//! Messages of every kind and shape.

use std::collections::BTreeMap;
use std::time::Duration;

use delta_crdt::{Config, LastWriter, Message, Now, Output, Replica, ReplicaId};

use crate::support::{START, later, sends, sent};

pub(super) type Text = Message<String, u64>;

pub(super) fn fresh(node: u64) -> Replica<String, u64> {
    Replica::new(
        ReplicaId::new(node, 3),
        Config { session_window: 2, max_fragment_keys: 2, ..Config::default() },
        LastWriter,
    )
}

/// One message of each kind, and of each shape that its parts can take, from fixed histories.
pub(crate) fn samples() -> BTreeMap<&'static str, Text> {
    let mut samples = of_each_kind();
    samples.insert("status with neighbours", status_with_neighbours());
    samples.insert("fragment with a tombstone and with siblings", tombstone_and_siblings());
    samples.extend(below_a_floor());
    samples.extend(audit());
    samples
}

fn of_each_kind() -> BTreeMap<&'static str, Text> {
    let (mut a, mut b) = (fresh(1), fresh(2));
    let mut samples = BTreeMap::new();
    let later = Now { monotonic: Duration::from_secs(2), unix_ms: START.unix_ms + 2_000 };
    for number in 0..6_u64 {
        a.put(START, format!("key-{number}"), number);
    }
    a.put(START, "key-1".into(), 11);
    a.remove(later, &"key-2".into());
    a.peer_up(later, b.id());
    b.peer_up(later, a.id());
    samples.insert("ask", Text::decode(&[1, 0, 2]).expect("the shortest message"));
    samples.insert("ask links", Text::decode(&[1, 0, 9]).expect("as short"));
    let mut many = Replica::new(a.id(), Config { max_told: 0, ..Config::default() }, LastWriter);
    many.peer_up(later, b.id());
    if let Some(Output::Send { message, .. }) = many.poll_output() {
        samples.insert("status of many", message);
    }
    let mut step = 0;
    loop {
        step += 1;
        if step == 20 {
            a.put(later, "key-0".into(), 99);
            b.remove(later, &"key-3".into());
        }
        a.flush(later);
        b.flush(later);
        let outputs = (a.poll_output(), b.poll_output());
        if outputs == (None, None) && step > 20 {
            break;
        }
        for (output, from_a) in [(outputs.0, true), (outputs.1, false)] {
            if let Some(Output::Send { message, .. }) = output {
                samples.insert(message.kind(), message.clone());
                let (from, to) = if from_a { (a.id(), &mut b) } else { (b.id(), &mut a) };
                to.receive(later, from, message);
            }
        }
    }
    a.catch_up(later, b.id());
    while let Some(output) = a.poll_output() {
        if let Output::Send { message, .. } = output {
            samples.insert(message.kind(), message.clone());
            b.receive(later, a.id(), message);
        }
    }
    while let Some(output) = b.poll_output() {
        if let Output::Send { message, .. } = output {
            samples.insert(message.kind(), message);
        }
    }
    samples
}

/// All that two replicas say from their meeting on until both are silent.
fn meet(now: Now, a: &mut Replica<String, u64>, b: &mut Replica<String, u64>) -> Vec<Text> {
    let ids = (a.id(), b.id());
    a.peer_up(now, ids.1);
    b.peer_up(now, ids.0);
    let mut said = Vec::new();
    loop {
        a.flush(now);
        b.flush(now);
        let (of_a, of_b) = (sends(a), sends(b));
        if of_a.is_empty() && of_b.is_empty() {
            return said;
        }
        for (to, message) in of_a.into_iter().chain(of_b) {
            said.push(message.clone());
            if to == ids.1 {
                b.receive(now, ids.0, message);
            } else if to == ids.0 {
                a.receive(now, ids.1, message);
            }
        }
    }
}

/// The only message of a kind.
fn only(said: Vec<Text>, kind: &str) -> Text {
    let mut found: Vec<_> = said.into_iter().filter(|message| message.kind() == kind).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The answer to a question for neighbours: it lists them.
fn status_with_neighbours() -> Text {
    let mut one = fresh(1);
    one.put(START, "key-1".into(), 1);
    for node in [2, 300] {
        one.peer_up(START, ReplicaId::new(node, 3));
    }
    sent(&mut one, ReplicaId::new(2, 3));
    one.receive(START, ReplicaId::new(2, 3), Text::decode(&[1, 0, 9]).expect("a question for neighbours"));
    let said = sent(&mut one, ReplicaId::new(2, 3));
    only(said, "status")
}

/// A key that was removed, and one that two wrote at the same time.
fn tombstone_and_siblings() -> Text {
    let (mut one, mut two, mut three) = (fresh(1), fresh(2), fresh(3));
    one.put(START, "gone".into(), 1);
    one.remove(START, &"gone".into());
    one.put(START, "both".into(), 300);
    two.put(later(START, Duration::from_secs(1)), "both".into(), 70_000);
    meet(START, &mut one, &mut two);
    only(meet(START, &mut one, &mut three), "fragment")
}

/// A replica that has writes of two lives asks one that has forgotten removals, and gets the whole shard.
fn below_a_floor() -> [(&'static str, Text); 2] {
    let (mut one, mut two, mut three) = (fresh(1), fresh(2), fresh(300));
    two.put(START, "of two".into(), 2);
    two.put(START, "left of two".into(), 3);
    meet(START, &mut two, &mut three);
    three.put(START, "of three".into(), 3);
    three.peer_down(START, two.id());
    sends(&mut three);
    one.put(START, "of one".into(), 1);
    meet(START, &mut one, &mut two);
    // Only one is left of the members that the two removals waited for.
    one.remove(START, &"of one".into());
    two.remove(START, &"of two".into());
    meet(START, &mut two, &mut one);
    one.peer_down(START, two.id());
    one.set_members([]);
    one.handle_timeout(later(START, Duration::from_secs(2)));
    sends(&mut one);
    let said = meet(later(START, Duration::from_secs(2)), &mut one, &mut three);
    let of = |kind| said.iter().find(|message| message.kind() == kind).expect(kind).clone();
    [("pull of a replica that holds something", of("pull")), ("whole commit with floors", of("commit"))]
}

/// A pull after states were found to differ though their vectors do not, and the end of the answer.
fn audit() -> [(&'static str, Text); 2] {
    let (mut one, two) = (fresh(1), ReplicaId::new(2, 3));
    one.put(START, "key-1".into(), 1);
    one.peer_up(START, two);
    sends(&mut one);
    let pull = Text::decode(&[1, 0, 3, 1, 1, 3, 1, 0, 130, 1, 1, 1, 0, 1]).expect("a pull with the flag");
    one.receive(START, two, pull.clone());
    [
        ("pull of an audit", pull),
        ("commit of an audit", only(sends(&mut one).into_iter().map(|sent| sent.1).collect(), "commit")),
    ]
}
