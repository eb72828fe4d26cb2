//! The control plane does not wait for user code: heartbeats go on while every thread of the user's runtime is blocked,
//! and the members are told.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use horde_cluster::{Cluster, ClusterConfig, Control, LagWatch, MemberEvent, MemberStatus};
use horde_transport::{ClusterKey, Identity, Network, NodeName, Quic, QuicConfig};
use tokio::runtime::{Builder, Runtime};

/// How long anything may take.
const SOON: Duration = Duration::from_secs(60);
/// How long user code blocks everything.
const BLOCKED: Duration = Duration::from_secs(5);
const WORKERS: usize = 2;

fn node(name: &str, key: &ClusterKey, seeds: &[std::net::SocketAddr]) -> (Cluster, std::net::SocketAddr) {
    let control = Control::start(name).unwrap();
    let quic = {
        let _control = control.handle().enter();
        let identity = Identity::secret(key);
        Quic::bind(QuicConfig::new(NodeName::new(name).unwrap(), ([127, 0, 0, 1], 0).into(), identity))
            .unwrap()
    };
    let address = quic.local_addr();
    let mut config = ClusterConfig { expect: Some(2), seeds: seeds.to_vec(), ..ClusterConfig::default() };
    (config.address, config.seed) = (Some(address), quic.local().incarnation());
    (Cluster::start(config, quic, control).unwrap(), address)
}

/// Waits for the first event that `wanted` makes something of.
fn wait<T, R>(events: &mpsc::Receiver<T>, what: &str, mut wanted: impl FnMut(T) -> Option<R>) -> R {
    let deadline = Instant::now() + SOON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).unwrap_or_else(|_| panic!("{what}"));
        if let Some(result) = wanted(event) {
            return result;
        }
    }
}

/// Blocks every worker of `user` until the sender is dropped; returns once all are.
fn block(user: &Runtime) -> mpsc::Sender<()> {
    let (blocked, all_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    for _ in 0..WORKERS {
        let (blocked, released) = (blocked.clone(), released.clone());
        user.spawn(async move {
            blocked.send(()).unwrap();
            // As user code does that waits for a file, a lock or a long computation.
            let _released = released.lock().unwrap().recv();
        });
    }
    for _ in 0..WORKERS {
        all_blocked.recv_timeout(SOON).unwrap();
    }
    release
}

#[test]
fn while_all_user_threads_are_blocked_heartbeats_go_on_and_the_lag_is_told() {
    let key = ClusterKey::from_secret("control-plane", "a secret of this test, long enough").unwrap();
    let (observer, at) = node("observer", &key, &[]);
    let (stuck, _) = node("stuck", &key, &[at]);
    let waiter = Builder::new_current_thread().build().unwrap();
    waiter.block_on(observer.ready()).unwrap();
    waiter.block_on(stuck.ready()).unwrap();
    let user = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let lag = LagWatch::start(&stuck, user.handle());
    let (heard, events) = mpsc::channel();
    let _watch = observer.watch(move |event, view| {
        let _test_over = heard.send((event.clone(), view.clone()));
    });
    let id = stuck.local().clone();
    assert_eq!(observer.view().get(&id).map(|member| member.is_degraded()), Some(false));

    let start = Instant::now();
    let release = block(&user);
    let mut told = Vec::new();
    let mut unheard = Vec::new();
    wait(&events, "the observer hears of a lag of five seconds", |(event, view)| {
        // That both have joined may still be told; nothing else happens.
        if !matches!(event, MemberEvent::Meta(_) | MemberEvent::Joined(_) | MemberEvent::Up(_)) {
            unheard.push(event);
        }
        let member = view.get(&id).unwrap();
        told.extend(member.lag().map(|lag| (start.elapsed(), lag)));
        (member.lag()? >= BLOCKED).then_some(())
    });
    assert!(start.elapsed() >= BLOCKED);
    assert!(lag.lag() >= BLOCKED);
    println!("told of a lag, after: {told:?}");
    assert!(unheard.is_empty(), "no heartbeat was missed: {unheard:?}");
    assert_eq!(
        observer.view().degraded().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&id)
    );
    assert_eq!(observer.view().get(&id).map(|member| member.status), Some(MemberStatus::Up));

    drop(release);
    wait(&events, "the observer hears that user code runs again", |(event, view)| {
        assert!(matches!(event, MemberEvent::Meta(_)), "{event:?}");
        view.degraded().next().is_none().then_some(())
    });
    user.shutdown_background();
}
