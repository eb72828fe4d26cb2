//! Members that are Down and will not come back.

use horde_cluster::machine::{Frame, Input, Lifecycle, MAX_FORGOTTEN, Output, Refusal, Told};
use horde_cluster::{ForgetError, MemberEvent, MemberStatus, Stopped};
use horde_transport::{NodeId, Peer, Role};

use crate::bench::{Bench, id, ms, record};

/// `me` with `a` and `b`, of which `b` is Down.
fn with_one_down() -> (Bench, NodeId, NodeId) {
    let (a, b) = (id("a", 1), id("b", 7));
    let mut bench = Bench::with(&[&a, &b]);
    bench.lost(&b);
    bench.frame(&a, &Frame::Down { about: b.clone(), counter: 0 });
    bench.pass(ms(2000), &[&a]);
    assert_eq!(bench.status(&b), Some(MemberStatus::Down));
    bench.clear();
    (bench, a, b)
}

fn forget(bench: &mut Bench, whom: &NodeId) -> Result<bool, ForgetError> {
    let done = bench.machine.forget(bench.now, whom);
    bench.collect();
    done
}

fn told(node: &NodeId, down: bool) -> Frame {
    Frame::Members { told: vec![Told { record: record(node, Lifecycle::Up), down }], last: true }
}

#[test]
fn a_member_that_is_down_is_forgotten_and_all_others_are_told() {
    let (mut bench, a, b) = with_one_down();
    assert_eq!(forget(&mut bench, &b), Ok(true));
    assert!(bench.machine.view().get(&b).is_none() && bench.machine.view().is_forgotten(&b));
    assert!(bench.machine.view().is_down(&b), "what it ran runs no more");
    assert_eq!(bench.events, [MemberEvent::Forgotten(b.clone())]);
    assert!(bench.sent.contains(&(a, Frame::Forgotten { lives: vec![b.clone()] })));
    bench.clear();
    assert_eq!(forget(&mut bench, &b), Ok(false), "once more is no news");
    assert!(bench.sent.is_empty() && bench.events.is_empty());
}

#[test]
fn one_that_is_alive_unknown_or_this_node_itself_is_not_forgotten() {
    let (mut bench, a, b) = with_one_down();
    let alive = ForgetError::Alive { node: a.clone(), status: MemberStatus::Up };
    assert_eq!(forget(&mut bench, &a), Err(alive));
    let (me, nobody, later) = (id("me", 5), id("nobody", 1), id("b", 8));
    assert_eq!(forget(&mut bench, &me), Err(ForgetError::Itself(me)));
    assert_eq!(forget(&mut bench, &nobody), Err(ForgetError::Unknown(nobody)));
    assert_eq!(forget(&mut bench, &later), Err(ForgetError::Unknown(later)));
    assert!(bench.sent.is_empty() && bench.events.is_empty());
    assert_eq!(bench.status(&b), Some(MemberStatus::Down));
}

#[test]
fn word_of_a_forgotten_life_does_not_bring_it_back() {
    let (mut bench, a, b) = with_one_down();
    forget(&mut bench, &b).unwrap();
    bench.frame(&a, &told(&b, true));
    bench.frame(&a, &told(&b, false));
    bench.frame(&a, &told(&id("b", 3), false));
    assert!(bench.machine.view().members.keys().all(|member| member.name() != b.name()));
    assert_eq!(bench.events, [MemberEvent::Forgotten(b)]);
}

#[test]
fn a_forgotten_life_that_returns_is_turned_away_with_the_reason_and_stops() {
    let (mut bench, _, b) = with_one_down();
    forget(&mut bench, &b).unwrap();
    bench.clear();
    bench.up(&b);
    bench.frame(&b, &Frame::Own(record(&b, Lifecycle::Up)));
    let refused = Frame::Refused(Refusal::Forgotten { life: b.clone() });
    assert_eq!(bench.sent, [(b.clone(), refused)]);
    bench.pass(ms(300), &[]);
    let closed = |output: &Output| matches!(output, Output::Disconnect { peer, .. } if *peer == b);
    assert!(bench.other.iter().any(closed), "{:?}", bench.other);
    assert!(bench.machine.view().get(&b).is_none() && bench.events.is_empty());

    // Its own side.
    let (a, me) = (id("a", 1), id("me", 5));
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Refused(Refusal::Forgotten { life: id("me", 4) }));
    assert_eq!(bench.told_of_stop(), None, "another life is meant");
    bench.frame(&a, &Frame::Refused(Refusal::Forgotten { life: me.clone() }));
    assert_eq!(bench.told_of_stop(), Some(Stopped::Forgotten));
    assert_eq!(bench.status(&me), Some(MemberStatus::Down));
}

#[test]
fn two_that_forgot_each_other_both_stop_when_they_meet() {
    let (mut bench, _, b) = with_one_down();
    forget(&mut bench, &b).unwrap();
    bench.up(&b);
    bench.frame(&b, &Frame::Refused(Refusal::Forgotten { life: id("me", 5) }));
    assert_eq!(bench.told_of_stop(), Some(Stopped::Forgotten));
}

#[test]
fn a_later_life_of_a_forgotten_name_joins_like_any_newcomer() {
    let (mut bench, a, b) = with_one_down();
    forget(&mut bench, &b).unwrap();
    bench.clear();
    let again = id("b", 8);
    bench.up(&again);
    bench.frame(&again, &Frame::Own(record(&again, Lifecycle::Up)));
    assert_eq!(bench.status(&again), Some(MemberStatus::Up));
    assert!(bench.machine.view().is_down(&b));
    let list =
        bench.sent.iter().position(|(to, frame)| *to == again && matches!(frame, Frame::Members { .. }));
    let lives = Frame::Forgotten { lives: vec![b] };
    let lives = bench.sent.iter().position(|(to, frame)| *to == again && *frame == lives);
    assert!(lives.is_some() && lives < list, "a newcomer hears first who is forgotten: {:?}", bench.sent);
    assert_eq!(bench.status(&a), Some(MemberStatus::Up));
}

#[test]
fn whoever_hears_that_a_life_is_forgotten_forgets_it_and_tells_the_others_once() {
    let (mut bench, a, b) = with_one_down();
    let c = id("c", 1);
    bench.up(&c);
    bench.clear();
    bench.frame(&a, &Frame::Forgotten { lives: vec![b.clone()] });
    assert_eq!(bench.events, [MemberEvent::Forgotten(b.clone())]);
    assert_eq!(bench.sent, [(c.clone(), Frame::Forgotten { lives: vec![b.clone()] })]);
    bench.clear();
    bench.frame(&c, &Frame::Forgotten { lives: vec![b] });
    assert!(bench.sent.is_empty() && bench.events.is_empty());
}

#[test]
fn one_that_is_alive_here_and_forgotten_elsewhere_is_turned_away_as_well() {
    let (a, b) = (id("a", 1), id("b", 7));
    let mut bench = Bench::with(&[&a, &b]);
    bench.frame(&a, &Frame::Forgotten { lives: vec![b.clone()] });
    assert!(bench.sent.contains(&(b.clone(), Frame::Refused(Refusal::Forgotten { life: b.clone() }))));
    assert_eq!(bench.machine.view().get(&b), None);
}

#[test]
fn a_node_that_hears_its_own_life_forgotten_stops_and_one_of_an_earlier_life_does_not_mind() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    bench.frame(&a, &Frame::Forgotten { lives: vec![id("me", 4)] });
    assert_eq!(bench.told_of_stop(), None);
    bench.frame(&a, &Frame::Forgotten { lives: vec![id("me", 5)] });
    assert_eq!(bench.told_of_stop(), Some(Stopped::Forgotten));
}

#[test]
fn a_forgotten_member_is_dialled_no_longer() {
    let (a, b) = (id("a", 1), id("b", 7));
    let at = "127.0.0.1:4000".parse().unwrap();
    let mut bench = Bench::with(&[&a]);
    bench.input(Input::PeerUp(Peer { id: b.clone(), address: Some(at), role: Role::Node }));
    bench.frame(&b, &Frame::Own(record(&b, Lifecycle::Up)));
    bench.lost(&b);
    bench.frame(&a, &Frame::Down { about: b.clone(), counter: 0 });
    bench.pass(ms(2000), &[&a]);
    assert!(bench.other.iter().any(|output| matches!(output, Output::Dial(to) if *to == at)));
    bench.clear();
    forget(&mut bench, &b).unwrap();
    assert!(bench.other.iter().any(|output| matches!(output, Output::Undial(to) if *to == at)));
}

#[test]
fn the_memory_of_forgotten_lives_is_bounded_and_fits_a_frame() {
    let a = id("a", 1);
    let mut bench = Bench::with(&[&a]);
    let many: Vec<NodeId> = (0..600).map(|n| id(&format!("{n:0>64}"), u64::MAX)).collect();
    for some in many.chunks(200) {
        bench.frame(&a, &Frame::Forgotten { lives: some.to_vec() });
    }
    let view = bench.machine.view().clone();
    assert_eq!(view.forgotten.len(), MAX_FORGOTTEN);
    assert!(!view.is_forgotten(&many[0]) && view.is_forgotten(&many[599]), "the first goes first");
    bench.clear();
    bench.frame(&a, &Frame::Pull { digest: 1 });
    let told = bench.sent.iter().find_map(|(_, frame)| match frame {
        Frame::Forgotten { lives } => Some(lives.len()),
        _ => None,
    });
    assert_eq!(told, Some(MAX_FORGOTTEN));
}
