//! What a supervisor sees: starts from bytes, names, claims, stops, hand-over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use common::{alone, id, within};
use horde_process::{
    CallError, Claim, ClaimRank, Context, ExitReason, Handle, Message, Name, NameTaken, Node, Pid, Process,
    Ref, Resolve, Scheme, Shutdown, Start, StartError, StartFailure, State, Stop, Versions, Watcher, encode,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Debug, PartialEq)]
enum Heard {
    Started(u64, Result<Pid, StartFailure>),
    Exited(u64, Pid, ExitReason, Option<State>),
    Stuck(u64, Pid),
}

/// Passes on what it hears.
struct Ear(mpsc::UnboundedSender<Heard>);

impl Watcher for Ear {
    fn started(&self, token: u64, outcome: Result<Pid, StartFailure>) {
        self.0.send(Heard::Started(token, outcome)).unwrap();
    }
    fn exited(&self, token: u64, pid: Pid, reason: ExitReason, state: Option<State>) {
        self.0.send(Heard::Exited(token, pid, reason, state)).unwrap();
    }
    fn stuck(&self, token: u64, pid: Pid) {
        self.0.send(Heard::Stuck(token, pid)).unwrap();
    }
    fn may_act(&self, token: u64) -> bool {
        token != 13
    }
}

fn ear() -> (Arc<Ear>, mpsc::UnboundedReceiver<Heard>) {
    let (sender, heard) = mpsc::unbounded_channel();
    (Arc::new(Ear(sender)), heard)
}

#[derive(Serialize, Deserialize, Message)]
#[message(reply = Vec<String>, crate = "horde_process")]
struct Log;

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
enum Do {
    /// Awaits for ever.
    Await,
    /// Holds its thread until the gate's other end is dropped.
    Block,
}

/// Does as its arguments say, and logs.
struct Worker {
    log: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Args {
    log: String,
}

/// What a blocked worker waits on.
type Gate = Mutex<Option<Receiver<()>>>;

impl Process for Worker {
    const KIND: &'static str = "worker";
    const ARGS: Versions = Versions::only(2).reading(1..=2);
    type Args = Args;
    type Deps = Arc<Gate>;
    type Messages = (Log, Do);

    async fn init(args: Args, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let generation = cx.claim().map_or(0, |claim| claim.rank.generation);
        match args.log.as_str() {
            "ignore" => return Err(Stop::ignore()),
            "panic" => panic!("in init"),
            "fail" => Err(std::io::Error::other("no disk"))?,
            "next" => cx.next(Self::slow),
            _ => {}
        }
        let token = cx.fencing_token().map_or(0, |token| token.as_u128());
        let log = format!("{} generation {generation} token {token:x} may act {}", args.log, cx.may_act());
        Ok(Self { log: vec![log] })
    }

    async fn handoff(&mut self, _: &mut Context<Self>) -> Option<State> {
        State::encode(7, &self.log)
    }

    async fn resume(args: Args, state: State, _: &mut Context<Self>) -> Result<Self, Stop> {
        let mut log: Vec<String> = state.decode(7)?;
        log.push(args.log);
        Ok(Self { log })
    }

    fn upgrade(version: u32, args: State) -> Result<Args, Stop> {
        Ok(Args { log: format!("upgraded {}", args.decode::<String>(version)?) })
    }
}

impl Worker {
    async fn slow(&mut self, _: &mut Context<Self>) {
        self.log.push("slow".into());
    }
}

impl Handle<Log> for Worker {
    async fn handle(&mut self, _: Log, _: &mut Context<Self>) -> Vec<String> {
        self.log.clone()
    }
}

impl Handle<Do> for Worker {
    async fn handle(&mut self, what: Do, cx: &mut Context<Self>) {
        match what {
            Do::Await => std::future::pending().await,
            Do::Block => {
                let gate = cx.deps().lock().unwrap().take();
                // The other end is dropped: an error, and the end of the wait.
                assert!(gate.is_none_or(|gate| gate.recv().is_err()));
            }
        }
    }
}

fn node() -> (Node, Sender<()>) {
    let (opener, gate) = channel();
    let gate = Arc::new(Mutex::new(Some(gate)));
    let deps = Arc::clone(&gate);
    let node = alone(|builder| builder.runs::<Worker>(deps).stuck_after(Duration::from_millis(500)));
    assert!(node.insert(gate));
    (node, opener)
}

fn worker(log: &str) -> Start {
    Start::new("worker", 2, encode(&Args { log: log.into() }).unwrap())
}

#[tokio::test]
async fn a_start_from_bytes_is_heard_and_reads_its_claim() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let rank = ClaimRank { life: 0, config_epoch: 1, generation: 3, stamp: 2, owner: id("one") };
    let claim = Claim { supervisor: "s".into(), child: "c".into(), rank };
    let start = Start { claim: Some(claim.clone()), ..worker("a") };
    let pid = node.start(start, ear, 13).unwrap();
    assert_eq!(within(heard.recv()).await, Some(Heard::Started(13, Ok(pid.clone()))));
    let log = within(Ref::<Worker>::new(&node, &pid).call(Log)).await.unwrap();
    assert_eq!(log, ["a generation 3 token 1000000030000000000000002 may act false"]);
    assert_eq!(node.claim(&pid), Some(claim));
}

#[tokio::test]
async fn each_failed_start_is_heard_once_and_leaves_nothing() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let failures = [
        ("ignore", StartFailure::Ignored),
        ("fail", StartFailure::Init(ExitReason::Error("no disk".into()))),
        ("panic", StartFailure::Init(ExitReason::Panicked("in init".into()))),
    ];
    for (token, (log, failure)) in (1..).zip(failures) {
        let start = Start { name: Some((Name::local("w"), vec![])), ..worker(log) };
        node.start(start, Arc::clone(&ear) as Arc<_>, token).unwrap();
        assert_eq!(within(heard.recv()).await, Some(Heard::Started(token, Err(failure))));
        assert_eq!(node.process_count(), 0);
        assert_eq!(node.resolve(&Name::local("w")), None);
    }
    let unknown = Start::new("nobody", 1, vec![]);
    assert_eq!(
        node.start(unknown, Arc::clone(&ear) as Arc<_>, 4),
        Err(StartError::UnknownKind("nobody".into()))
    );
    let newer = Start { version: 3, ..worker("a") };
    let refused = StartError::Version { kind: "worker".into(), version: 3 };
    assert_eq!(node.start(newer, Arc::clone(&ear) as Arc<_>, 5), Err(refused));
    let bad = Start { args: vec![0xc1], ..worker("a") };
    assert!(matches!(node.start(bad, ear, 6), Err(StartError::BadArgs(_))));
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn arguments_of_an_older_version_are_upgraded() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let old = Start { version: 1, args: encode("old").unwrap(), ..worker("") };
    let pid = node.start(old, ear, 1).unwrap();
    within(heard.recv()).await;
    let log = within(Ref::<Worker>::new(&node, &pid).call(Log)).await.unwrap();
    assert!(log[0].starts_with("upgraded old"), "{log:?}");
}

#[tokio::test]
async fn the_slow_part_of_a_start_runs_before_the_first_message() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let pid = node.start(worker("next"), ear, 1).unwrap();
    let log = within(Ref::<Worker>::new(&node, &pid).call(Log)).await.unwrap();
    assert_eq!(log[1], "slow");
    assert_eq!(within(heard.recv()).await, Some(Heard::Started(1, Ok(pid))));
}

#[tokio::test]
async fn redistribution_hands_the_state_over_and_a_bad_state_means_a_fresh_start() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let pid = node.start(worker("a"), Arc::clone(&ear) as Arc<_>, 1).unwrap();
    within(heard.recv()).await;
    node.stop(&pid, ExitReason::Redistribution, Shutdown::default());
    let Some(Heard::Exited(1, _, ExitReason::Redistribution, state)) = within(heard.recv()).await else {
        panic!("no hand-over");
    };
    assert_eq!(state.as_ref().map(State::version), Some(7));

    let pid = node.start(Start { state, ..worker("b") }, Arc::clone(&ear) as Arc<_>, 2).unwrap();
    within(heard.recv()).await;
    let log = within(Ref::<Worker>::new(&node, &pid).call(Log)).await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1], "b");

    let stale = State::encode(6, "?");
    let pid = node.start(Start { state: stale, ..worker("c") }, ear, 3).unwrap();
    within(heard.recv()).await;
    let log = within(Ref::<Worker>::new(&node, &pid).call(Log)).await.unwrap();
    assert!(log[0].starts_with("c generation"), "{log:?}");
}

#[tokio::test]
async fn a_process_that_awaits_for_ever_is_ended_when_its_time_is_over() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let pid = node.start(worker("a"), ear, 1).unwrap();
    within(heard.recv()).await;
    let call = Ref::<Worker>::new(&node, &pid).call(Do::Await);
    let call = tokio::spawn(call);
    tokio::task::yield_now().await;
    node.stop(&pid, ExitReason::Shutdown, Shutdown::Timeout(Duration::from_millis(5)));
    assert_eq!(within(heard.recv()).await, Some(Heard::Exited(1, pid, ExitReason::Killed, None)));
    assert_eq!(within(call).await.unwrap(), Err(CallError::Exited(ExitReason::Killed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_blocks_every_worker_is_reported_stuck_and_keeps_its_slot() {
    let (node, opener) = node();
    let (ear, mut heard) = ear();
    let start = Start { name: Some((Name::local("w"), vec![])), ..worker("a") };
    let pid = node.start(start, ear, 9).unwrap();
    within(heard.recv()).await;
    Ref::<Worker>::new(&node, &pid).cast(Do::Block).unwrap();
    while node.get::<Arc<Gate>>().unwrap().lock().unwrap().is_some() {
        std::thread::yield_now();
    }
    node.stop(&pid, ExitReason::Shutdown, Shutdown::Timeout(Duration::from_millis(5)));
    // No timer of the runtime need run for this: its only worker may be blocked.
    assert_eq!(heard.recv().await, Some(Heard::Stuck(9, pid.clone())));
    assert!(node.is_alive(&pid));
    assert_eq!(node.resolve(&Name::local("w")), Some(pid.clone()));
    drop(opener);
    assert_eq!(within(heard.recv()).await, Some(Heard::Exited(9, pid.clone(), ExitReason::Killed, None)));
    assert!(!node.is_alive(&pid));
}

/// A registry of one name.
#[derive(Default)]
struct OneName(Mutex<Option<Pid>>);

impl Resolve for OneName {
    fn resolve(&self, key: &[u8]) -> Option<Pid> {
        assert_eq!(key, b"key");
        self.0.lock().unwrap().clone()
    }
    fn register(&self, _: &[u8], value: &[u8], pid: &Pid, _: Option<&Claim>) -> Result<(), NameTaken> {
        assert_eq!(value, b"value");
        let mut holder = self.0.lock().unwrap();
        match &*holder {
            Some(other) => Err(NameTaken::AlreadyRegistered(other.clone())),
            None => {
                *holder = Some(pid.clone());
                Ok(())
            }
        }
    }
    fn unregister_all(&self, pid: &Pid) {
        self.0.lock().unwrap().take_if(|holder| holder == pid);
    }
}

#[tokio::test]
async fn a_name_of_a_registry_is_held_before_the_answer_and_free_before_the_end_is_heard() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let names = Arc::new(OneName::default());
    node.resolver(Scheme::Registry("names".into()), Arc::clone(&names) as Arc<_>);
    let name = Name::Registry { registry: "names".into(), key: b"key".to_vec() };
    let start = |log| Start { name: Some((name.clone(), b"value".to_vec())), ..worker(log) };
    let pid = node.start(start("a"), Arc::clone(&ear) as Arc<_>, 1).unwrap();
    within(heard.recv()).await;
    assert_eq!(node.resolve(&name), Some(pid.clone()));
    assert!(within(Ref::<Worker>::new(&node, &name).call(Log)).await.is_ok());
    node.start(start("b"), Arc::clone(&ear) as Arc<_>, 2).unwrap();
    let taken = Heard::Started(2, Err(StartFailure::NameTaken(pid.clone())));
    assert_eq!(within(heard.recv()).await, Some(taken));
    node.stop(&pid, ExitReason::Shutdown, Shutdown::BrutalKill);
    assert_eq!(within(heard.recv()).await, Some(Heard::Exited(1, pid, ExitReason::Killed, None)));
    assert_eq!(node.resolve(&name), None);
    node.start(start("fail"), ear, 3).unwrap();
    assert!(matches!(within(heard.recv()).await, Some(Heard::Started(3, Err(StartFailure::Init(_))))));
    assert_eq!(node.resolve(&name), None);
}

/// A registry of one name that keeps it for the new copy of a process that moves.
#[derive(Default)]
struct Keeps(OneName);

impl Resolve for Keeps {
    fn resolve(&self, key: &[u8]) -> Option<Pid> {
        self.0.resolve(key)
    }
    fn register(&self, key: &[u8], value: &[u8], pid: &Pid, claim: Option<&Claim>) -> Result<(), NameTaken> {
        self.0.register(key, value, pid, claim)
    }
    fn unregister_all(&self, pid: &Pid) {
        self.0.unregister_all(pid);
    }
    fn moves(&self, _: &Pid) {}
}

#[tokio::test]
async fn who_calls_a_process_that_has_moved_away_is_told_so_under_its_pid_and_under_a_name_that_was_kept() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    node.resolver(Scheme::Registry("names".into()), Arc::new(Keeps::default()));
    let name = Name::Registry { registry: "names".into(), key: b"key".to_vec() };
    let start = Start { name: Some((name.clone(), b"value".to_vec())), ..worker("a") };
    let pid = node.start(start, Arc::clone(&ear) as Arc<_>, 1).unwrap();
    within(heard.recv()).await;
    let known = Ref::<Worker>::new(&node, &pid);
    assert!(within(known.call(Log)).await.is_ok());
    node.stop(&pid, ExitReason::Redistribution, Shutdown::Infinity);
    assert!(matches!(within(heard.recv()).await, Some(Heard::Exited(1, ..))));
    let moved = |name: &Name| Err(CallError::Moved(name.clone()));
    assert_eq!(within(known.call(Log)).await, moved(&(&pid).into()), "its mailbox is still held");
    assert_eq!(within(Ref::<Worker>::new(&node, &pid).call(Log)).await, moved(&(&pid).into()));
    assert_eq!(within(Ref::<Worker>::new(&node, &name).call(Log)).await, moved(&name));
    assert!(CallError::Moved(name).not_delivered());
}

#[tokio::test]
async fn a_closed_node_has_ended_its_processes_and_starts_no_more() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    for token in 0..10 {
        node.start(worker("a"), Arc::clone(&ear) as Arc<_>, token).unwrap();
        within(heard.recv()).await;
    }
    assert_eq!(within(node.close(Duration::from_secs(10))).await, 0);
    assert_eq!(node.start(worker("a"), ear, 1), Err(StartError::Closing));
    for _ in 0..10 {
        assert!(matches!(within(heard.recv()).await, Some(Heard::Exited(_, _, ExitReason::Shutdown, None))));
    }
}

/// A registry that takes its time over the end of a process.
struct Slow {
    begun: mpsc::UnboundedSender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl Resolve for Slow {
    fn resolve(&self, _: &[u8]) -> Option<Pid> {
        None
    }
    fn register(&self, _: &[u8], _: &[u8], _: &Pid, _: Option<&Claim>) -> Result<(), NameTaken> {
        Ok(())
    }
    fn unregister_all(&self, _: &Pid) {
        self.begun.send(()).unwrap();
        self.goes_on.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_not_closed_before_its_registries_have_heard_of_every_end() {
    let (node, _opener) = node();
    let (ear, mut heard) = ear();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (go_on, goes_on) = channel();
    let slow = Slow { begun, goes_on: Mutex::new(goes_on) };
    node.resolver(Scheme::Registry("names".into()), Arc::new(slow));
    let pid = node.start(worker("a"), ear, 1).unwrap();
    within(heard.recv()).await;
    node.stop(&pid, ExitReason::Shutdown, Shutdown::default());
    within(begins.recv()).await;
    assert!(!node.is_alive(&pid));
    let mut close = pin!(node.close(Duration::from_secs(10)));
    let waits = poll_fn(|context| Poll::Ready(close.as_mut().poll(context).is_pending())).await;
    assert!(waits, "its names are not taken back yet");
    go_on.send(()).unwrap();
    assert_eq!(within(close).await, 0);
}
