//! Frozen bytes, hostile bytes.

use std::collections::BTreeMap;

use horde_process::Pid;
use horde_transport::NodeName;

use super::super::report::{ChildCounts, ChildPhase, HordeReport};
use super::*;

fn node(name: &str) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), 300)
}

/// Every request, and the bytes that version 1 writes for it, for ever.
fn requests() -> Vec<(Request, &'static str)> {
    let after = Some(("s".to_owned(), vec![7, 8]));
    let filter = ChildFilter { supervisor: Some("s".into()), node: None };
    vec![
        (Request::Status, "0100"),
        (Request::Members { after: None, limit: 1000 }, "010100e807"),
        (Request::Children { filter, after: after.clone(), limit: 1 }, "01020101730001017302070801"),
        (Request::Names { registry: None, after: after.clone(), limit: 1 }, "0103000101730207 0801"),
        (Request::Plan { supervisor: None, after, limit: 1 }, "010400010173020708 01"),
        (Request::Drain { node: "a".into(), within_ms: 300 }, "01050161ac02"),
        (Request::Forget { node: "a".into() }, "01060161"),
        (Request::DrainYourself { life: node("a"), within_ms: 1 }, "01070161ac0201"),
        (Request::Standing { life: node("a") }, "01080161ac02"),
        (Request::ForgetLife { life: node("a") }, "01090161ac02"),
    ]
}

pub(in crate::admin) fn every_request() -> Vec<Request> {
    requests().into_iter().map(|(request, _)| request).collect()
}

fn responses() -> Vec<(Response, &'static str)> {
    let status = StatusReport {
        cluster: Some("c".into()),
        node: node("a"),
        status: MemberStatus::Up,
        address: Some(([127, 0, 0, 1], 4000).into()),
        version: "1".into(),
        since_unix_ms: 1,
        uptime_ms: 2,
        members: BTreeMap::from([(MemberStatus::Up, 2), (MemberStatus::Down, 1)]),
        hordes: vec![HordeReport { name: "h".into(), ready: true, hosts: 2, ready_hosts: 1 }],
        children: ChildCounts { running: 1, starting: 2, moving: 3, unplaceable: 4, failed: 5 },
        names: 6,
        processes: 7,
    };
    let member = MemberReport {
        node: node("a"),
        status: MemberStatus::Left,
        address: None,
        zone: Some("z".into()),
        weight: 1,
        labels: BTreeMap::from([("k".into(), "v".into())]),
        version: "1".into(),
        hordes: BTreeMap::from([("h".into(), true)]),
    };
    let child = ChildReport {
        supervisor: "s".into(),
        id: "i".into(),
        kind: "k".into(),
        state: ChildPhase::Running,
        node: node("a"),
        pid: Some(Pid::new(node("a"), 9)),
        generation: 3,
        reason: None,
    };
    let name = NameReport { registry: "r".into(), key: "k".into(), pid: Pid::new(node("a"), 9) };
    let planned = MoveReport { supervisor: "s".into(), id: "i".into(), from: node("a"), to: node("b") };
    let drained =
        Drained { node: node("a"), moved: 2, unmoved: 1, unmoved_ids: vec!["s/i".into()], took_ms: 5 };
    let forgotten = Forgotten { node: node("a"), by: vec![node("b")], missing: Vec::new() };
    let next = Some(("s".to_owned(), vec![1]));
    vec![
        (Response::Refused(Refusal::Busy), "010006"),
        (
            Response::Status(status),
            "01010101630161ac020101007f000001a01f01310102020102050101016801020101020304050607",
        ),
        (
            Response::Members(Page { rows: vec![member], left: 1, next: None }),
            "0102010161ac02060001017a0101016b0176013101016801 0100",
        ),
        (
            Response::Children(Page { rows: vec![child], left: 2, next }),
            "0103010173016901 6b010161ac02010161ac0209030002010173 0101",
        ),
        (Response::Names(Page { rows: vec![name], left: 1, next: None }), "0104010172016b0161ac02090100"),
        (
            Response::Plan(Page { rows: vec![planned], left: 1, next: None }),
            "01050101730169 0161ac020162ac020100",
        ),
        (Response::Drained(drained), "01060161ac0202010103732f6905"),
        (Response::Forgotten(forgotten), "01070161ac02010162ac0200"),
        (Response::Standing(Some(MemberStatus::Down)), "01080105"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn version_1_is_written_as_it_always_was_and_reads_back() {
    for (request, bytes) in requests() {
        assert_eq!(hex(&request.encode()), bytes.replace(' ', ""), "{request:?}");
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    for (response, bytes) in responses() {
        assert_eq!(hex(&response.encode()), bytes.replace(' ', ""), "{response:?}");
        assert_eq!(Response::decode(&response.encode()), Ok(response));
    }
}

#[test]
fn bad_bytes_are_refused_with_the_reason() {
    assert_eq!(Request::decode(&[]), Err(FrameError::Version(None)));
    assert_eq!(Request::decode(&[2, 0]), Err(FrameError::Version(Some(2))));
    assert_eq!(Request::decode(&[1, 0, 0]), Err(FrameError::Malformed), "one byte too many");
    assert_eq!(Request::decode(&[1, 99]), Err(FrameError::Malformed), "no such request");
    assert_eq!(Request::decode(&vec![1; MAX_REQUEST + 1]), Err(FrameError::TooBig(MAX_REQUEST + 1)));
}

#[test]
fn cut_and_damaged_frames_are_refused_or_other_frames_and_never_panic() {
    for bytes in requests().iter().map(|(request, _)| request.encode()) {
        for end in 0..bytes.len() {
            assert!(Request::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for (at, byte) in (0..bytes.len()).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut damaged = bytes.to_vec();
            damaged[at] = byte;
            if let Ok(request) = Request::decode(&damaged) {
                assert_eq!(Request::decode(&request.encode()), Ok(request));
            }
        }
    }
    for bytes in responses().iter().map(|(response, _)| response.encode()) {
        for end in 0..bytes.len() {
            assert!(Response::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for (at, byte) in (0..bytes.len()).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut damaged = bytes.to_vec();
            damaged[at] = byte;
            let _refused_or_read = Response::decode(&damaged);
        }
    }
}
