//! Processes killed with SIGKILL: how soon their peers have the hint, and how soon the members' verdict.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use horde_cluster::{Cluster, ClusterConfig, Control, MemberEvent};
use horde_transport::{ClusterKey, Event, Network, NodeId};

use super::{Node, PATIENCE, current_thread, key, node, topic, until};

/// Set for the child process that is killed: where to join.
pub(super) const CHILD: &str = "HORDE_BENCH_TRANSPORT_CHILD";
/// Where the child's name is.
const NAME: &str = "HORDE_BENCH_TRANSPORT_NAME";

/// Times from SIGKILL in ms, sorted.
pub(super) struct Kills {
    /// To the crash hint at one peer.
    pub(super) hints: Vec<f64>,
    /// To the membership's verdict there, which takes another member's word.
    pub(super) verdicts: Vec<f64>,
}

struct Member {
    node: Node,
    cluster: Cluster,
}

fn member(key: &ClusterKey, name: &str, expect: Option<usize>, seeds: Vec<SocketAddr>) -> io::Result<Member> {
    let node = node(key, name);
    let mut config = ClusterConfig { expect, seeds, ..ClusterConfig::default() };
    (config.address, config.seed) = (Some(node.quic.local_addr()), node.quic.local().incarnation());
    let cluster =
        Cluster::start(config, node.quic.clone(), Control::start(name)?).map_err(io::Error::other)?;
    Ok(Member { node, cluster })
}

fn ready(member: &Member) {
    current_thread().block_on(member.cluster.ready()).expect("a member");
}

fn tethered(node: &Node, peers: usize) -> bool {
    let stats = node.quic.stats();
    stats.len() == peers && stats.iter().all(|stats| stats.tethered)
}

/// The child: joins, and waits to be killed.
pub(super) fn child(address: SocketAddr) -> ! {
    let name = std::env::var(NAME).expect("a name");
    let child = member(&key(), &name, None, vec![address]).expect("a node");
    ready(&child);
    until(|| tethered(&child.node, 2));
    println!("tethered");
    let _flushed = io::stdout().flush();
    loop {
        std::thread::park();
    }
}

/// Kills so many processes, one after another. Two members watch: the verdict is not one node's word.
pub(super) fn run(key: &ClusterKey, count: usize) -> io::Result<Kills> {
    let watcher = member(key, "watcher", Some(2), Vec::new())?;
    let address = watcher.node.quic.local_addr();
    let witness = member(key, "witness", Some(2), vec![address])?;
    ready(&watcher);
    ready(&witness);
    let (hint, hints) = mpsc::channel::<(NodeId, Instant)>();
    let subscriber = move |event| {
        if let Event::CrashHint { peer } = event {
            let _over = hint.send((peer, Instant::now()));
        }
    };
    let _hints = watcher.node.quic.subscribe(&topic("watch"), Arc::new(subscriber)).expect("a free topic");
    let (verdict, verdicts) = mpsc::channel::<(NodeId, Instant)>();
    let _verdicts = watcher.cluster.watch(move |event, _| {
        if let MemberEvent::Down(node) = event {
            let _over = verdict.send((node.clone(), Instant::now()));
        }
    });
    let mut kills = Kills { hints: Vec::new(), verdicts: Vec::new() };
    for number in 0..count {
        let name = format!("child-{number}");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("transport").env(CHILD, address.to_string()).env(NAME, &name);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        until(|| tethered(&watcher.node, 2) && tethered(&witness.node, 2));
        let start = Instant::now();
        child.kill()?;
        kills.hints.push(after(&hints, &name, start)?);
        kills.verdicts.push(after(&verdicts, &name, start)?);
        child.wait()?;
        until(|| watcher.node.quic.stats().len() == 1 && witness.node.quic.stats().len() == 1);
    }
    kills.hints.sort_unstable_by(f64::total_cmp);
    kills.verdicts.sort_unstable_by(f64::total_cmp);
    Ok(kills)
}

/// When `name` was told of, in ms after `start`.
fn after(told: &mpsc::Receiver<(NodeId, Instant)>, name: &str, start: Instant) -> io::Result<f64> {
    loop {
        let (node, at) = told.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        if node.name().as_str() == name {
            return Ok(at.saturating_duration_since(start).as_secs_f64() * 1e3);
        }
    }
}
