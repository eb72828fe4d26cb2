//! Who is still alive.

use horde_cluster::machine::{Answer, Beat, Frame, Input, Lifecycle, Output, Record, Told, Warning};
use horde_cluster::{MemberEvent, MemberStatus};

use crate::bench::{Bench, id, ms, record};

#[test]
fn a_hint_probes_and_asks_at_once_and_an_answer_ends_it_without_an_event() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    assert!(bench.asked(&b).is_some());
    let (to, probe) = bench.probes[0].clone();
    assert_eq!(to, a);
    bench.input(Input::Probed { probe, answered: true });
    bench.pass(ms(100), &[&a, &b]);
    assert_eq!((bench.status(&a), bench.events.len()), (Some(MemberStatus::Up), 0));
}

#[test]
fn silence_after_a_hint_and_one_agreement_of_one_other_is_down() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Up), "this node's own probe still runs");
    bench.pass(ms(5), &[]);
    assert_eq!(bench.probes.len(), 3);
    assert_eq!(bench.events, [MemberEvent::Down(a.clone())]);
    assert!(bench.sent.iter().any(|(to, frame)| *to == b && matches!(frame, Frame::Down { .. })));
}

#[test]
fn round_trips_measured_while_a_connection_began_do_not_lengthen_its_probes_for_long() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.now += ms(20);
    bench.frame(&a, &Frame::Beat(Beat { seq: 1, ack: 1, held_us: 0, version: 1, counter: 0, digest: 0 }));
    bench.pass(ms(1500), &[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    assert!(bench.machine.is_urgent());
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    bench.pass(ms(5), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    assert!(!bench.machine.is_urgent());
}

#[test]
fn a_frame_that_a_dead_member_left_on_the_way_proves_nothing() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    bench.frame(&a, &Frame::Beat(Beat { seq: 9, ack: 0, held_us: 0, version: 1, counter: 0, digest: 0 }));
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    bench.pass(ms(5), &[]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn with_three_others_two_must_agree() {
    let (a, b, c, d) = (id("a", 1), id("b", 1), id("c", 1), id("d", 1));
    let mut bench = Bench::with(&[&a, &b, &c, &d]);
    bench.input(Input::CrashHint { peer: a.clone() });
    let round = bench.asked(&b).unwrap();
    bench.pass(ms(10), &[]);
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
    bench.frame(&c, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn who_does_not_answer_the_question_in_time_does_not_count() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.input(Input::CrashHint { peer: a.clone() });
    bench.pass(ms(304), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
    bench.pass(ms(1), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn one_witness_of_life_makes_it_unreachable_instead_of_down() {
    let (a, b, c) = (id("a", 1), id("b", 1), id("c", 1));
    let mut bench = Bench::with(&[&a, &b, &c]);
    bench.lost(&a);
    bench.pass(ms(450), &[&b, &c]);
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable));
    bench.up(&a);
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
    assert_eq!(bench.events.last(), Some(&MemberEvent::Refuted(a)));
}

#[test]
fn the_verdict_of_another_is_one_voice_while_those_who_may_hear_the_accused_have_not_answered() {
    for (answer, status) in [(Answer::Alive, MemberStatus::Unreachable), (Answer::Silent, MemberStatus::Down)]
    {
        let (a, b, c) = (id("a", 1), id("b", 1), id("c", 1));
        let mut bench = Bench::with(&[&a, &b, &c]);
        bench.lost(&a);
        bench.pass(ms(450), &[&b, &c]);
        let round = bench.asked(&b).unwrap();
        bench.frame(&c, &Frame::Down { about: a.clone(), counter: 0 });
        assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
        bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer });
        assert_eq!(bench.status(&a), Some(status));
    }
}

#[test]
fn the_verdict_of_one_who_was_away_does_not_outweigh_a_witness_of_life() {
    let (a, b, c) = (id("a", 1), id("b", 1), id("c", 1));
    let mut bench = Bench::with(&[&a, &b, &c]);
    bench.lost(&a);
    bench.pass(ms(450), &[&b, &c]);
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    bench.frame(&c, &Frame::Down { about: a.clone(), counter: 0 });
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable));
    let again = bench.asked(&b).unwrap();
    assert!(again > round, "the others are asked once more");
    bench.frame(&b, &Frame::Answer { about: a.clone(), round: again, answer: Answer::Silent });
    bench.frame(&c, &Frame::Answer { about: a.clone(), round: again, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Down), "it is gone indeed");
}

#[test]
fn alone_with_the_accused_the_own_verdict_stands() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.pass(ms(1000), &[]);
    assert_eq!(bench.events, [MemberEvent::Down(a)]);
}

#[test]
fn a_question_is_answered_by_a_fresh_probe() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    let answer = |bench: &Bench| {
        bench.sent.iter().find_map(|(to, frame)| match frame {
            Frame::Answer { round: 77, answer, .. } if *to == b => Some(*answer),
            _ => None,
        })
    };
    bench.frame(&b, &Frame::Ask { about: a.clone(), round: 77 });
    assert_eq!(answer(&bench), None);
    let (_, probe) = bench.probes[0].clone();
    bench.input(Input::Probed { probe, answered: true });
    assert_eq!(answer(&bench), Some(Answer::Alive));
    bench.clear();
    bench.frame(&b, &Frame::Ask { about: a.clone(), round: 77 });
    bench.pass(ms(199), &[&b]);
    assert_eq!(answer(&bench), None, "without a hint of its own it probes for a heartbeat");
    bench.pass(ms(2), &[&b]);
    assert_eq!(answer(&bench), Some(Answer::Silent));
}

#[test]
fn of_questions_that_come_in_another_order_than_they_were_asked_in_the_latest_is_answered() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    for round in [77, 79, 78] {
        bench.frame(&b, &Frame::Ask { about: a.clone(), round });
    }
    let (_, probe) = bench.probes[0].clone();
    bench.input(Input::Probed { probe, answered: true });
    assert!(bench.sent.contains(&(b, Frame::Answer { about: a, round: 79, answer: Answer::Alive })));
}

#[test]
fn a_node_that_is_called_down_objects_with_its_counter_and_keeps_its_incarnation() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Down { about: id("me", 5), counter: 0 });
    let objection = bench.sent.iter().find_map(|(_, frame)| match frame {
        Frame::Own(record) => Some((record.counter, record.id.incarnation())),
        _ => None,
    });
    assert_eq!(objection, Some((1, 5)));
    assert_eq!(bench.events, [MemberEvent::Refuted(id("me", 5))]);
    bench.clear();
    bench.frame(&a, &Frame::Down { about: id("me", 5), counter: 0 });
    assert!(bench.events.is_empty(), "that verdict is refuted already");
}

#[test]
fn the_same_life_that_connects_again_after_down_is_up_again() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.lost(&a);
    bench.pass(ms(450), &[]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    bench.clear();
    bench.up(&a);
    assert_eq!(bench.events, [MemberEvent::Up(a.clone())]);
    let verdict = Frame::Down { about: a.clone(), counter: 0 };
    assert!(
        bench.sent.contains(&(a, verdict)),
        "it is told of the verdict, so that it can object to it elsewhere"
    );
}

#[test]
fn a_member_that_objects_through_others_is_unreachable_instead_of_down() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.lost(&a);
    bench.pass(ms(701), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
    let objection = Record { version: 2, counter: 1, ..record(&a, Lifecycle::Up) };
    bench.frame(&b, &Frame::Members { told: vec![Told { record: objection, down: false }], last: true });
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable));
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Alive });
    bench.pass(ms(250), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Unreachable), "as long as a witness answers");
    bench.pass(ms(400), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn time_this_node_stood_still_is_nobodys_silence() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.now += ms(5000);
    bench.machine.handle_timeout(bench.now);
    bench.collect();
    assert!(bench.events.is_empty());
    assert!(
        bench.sent.iter().any(|(to, frame)| *to == a && matches!(frame, Frame::Pull { .. })),
        "it listens first"
    );
    assert!(bench.other.iter().any(|output| matches!(output, Output::Warn(Warning::Paused(_)))));
    bench.pass(ms(1000), &[]);
    assert!(bench.events.is_empty(), "and it accuses more slowly for a while: {:?}", bench.events);
}

#[test]
fn what_was_found_out_before_this_node_stood_still_is_found_out_anew() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    // Silent, and asked about; then this node stands still, and the answer waits.
    while bench.status(&a) == Some(MemberStatus::Up) {
        bench.pass(ms(10), &[&b]);
    }
    let round = bench.asked(&b).unwrap();
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect));
    bench.now += ms(8_000);
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect), "an answer of eight seconds ago is no verdict");
    bench.frame(&b, &Frame::Down { about: a.clone(), counter: 0 });
    assert_eq!(bench.status(&a), Some(MemberStatus::Suspect), "nor is the verdict of another");
    bench.clear();
    // It asks again, and then a verdict is one.
    while bench.asked(&b).is_none() {
        bench.pass(ms(10), &[&b]);
    }
    let round = bench.asked(&b).unwrap();
    bench.frame(&b, &Frame::Answer { about: a.clone(), round, answer: Answer::Silent });
    bench.pass(ms(300), &[&b]);
    assert_eq!(bench.status(&a), Some(MemberStatus::Down));
}

#[test]
fn connections_that_ended_while_this_node_stood_still_may_come_back_first() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.now += ms(6000);
    for peer in [&a, &b] {
        bench.input(Input::CrashHint { peer: peer.clone() });
        bench.lost(peer);
    }
    bench.pass(ms(700), &[]);
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    bench.up(&a);
    bench.pass(ms(1000), &[&a]);
    assert_eq!((bench.status(&a), bench.status(&b)), (Some(MemberStatus::Up), Some(MemberStatus::Down)));
}

#[test]
fn a_question_that_came_due_while_this_node_stood_still_is_not_over_before_it_has_listened() {
    let (a, b) = (id("a", 1), id("b", 1));
    let mut bench = Bench::with(&[&a, &b]);
    bench.now += ms(6000);
    for peer in [&a, &b] {
        bench.input(Input::CrashHint { peer: peer.clone() });
        bench.lost(peer);
    }
    // It would listen for 800 ms, and stands still again until half a second after that: what came meanwhile is read now.
    bench.now += ms(1300);
    bench.machine.handle_timeout(bench.now);
    bench.collect();
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    bench.up(&a);
    bench.pass(ms(1500), &[&a]);
    assert_eq!((bench.status(&a), bench.status(&b)), (Some(MemberStatus::Up), Some(MemberStatus::Down)));
}
