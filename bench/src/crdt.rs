//! The replicated map: local and remote writes, reads, merges, differences, memory.
//!
//! Keys are `u64`, and 16-byte texts beside them (`*_text`, without targets; a `String` takes 24 bytes beyond its text);
//! values are 32 bytes; one shard, one core, its CPU time. Replicas have one neighbour, so that a local write pays for its push.
//! The peer is `crdts`: a `Map` of `MVReg`, the nearest it has. Beside what looks keys up stands `hashbrown`: the standard
//! library's hash map with the same hash, which replicates nothing: the floor. Reads copy the value once, as callers do. Random
//! keys are the same 200,000 (or 100,000) in every run. Of timed figures those runs count that had their core to themselves
//! ([`crate::quiet`]), the peers' too; of texts whatever came.

mod peer;
mod plain;
mod value;
mod view;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use delta_crdt::{Config, Key, LastWriter, Message, Now, Output, Replica, ReplicaId};

use crate::harness::{Figure, Options, heap_bytes};
use crate::quiet::{Core, Runs};

pub use value::Value;

const START: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };
const MILLION: u64 = 1_000_000;

/// Keys of the suite, by number.
pub trait Numbered:
    Key + serde::Serialize + serde::de::DeserializeOwned + std::hash::Hash + Send + Sync
{
    /// What its names end in.
    const SUFFIX: &'static str;
    /// Bytes of a key.
    const BYTES: usize;
    /// The targets are for these keys; figures of others are printed beside them.
    const AIMS: bool;
    /// The key of a number.
    fn number(i: u64) -> Self;
}

impl Numbered for u64 {
    const SUFFIX: &'static str = "";
    const BYTES: usize = 8;
    const AIMS: bool = true;
    fn number(i: u64) -> Self {
        i
    }
}

impl Numbered for String {
    const SUFFIX: &'static str = "_text";
    const BYTES: usize = 16;
    const AIMS: bool = false;
    fn number(i: u64) -> Self {
        format!("key-{i:012}")
    }
}

type Map<K> = Replica<K, Value>;

/// A generator of places (xorshift).
pub struct Places(u64);

impl Places {
    /// Always the same sequence.
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// The next place below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// Runs the suite.
pub fn run(options: &Options) -> std::io::Result<()> {
    suite::<u64>(options);
    suite::<String>(options);
    Ok(())
}

/// How long to wait for undisturbed runs of one figure.
fn patience<K: Numbered>(quick: bool) -> Duration {
    Duration::from_secs(match (K::AIMS, quick) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => 30,
    })
}

fn suite<K: Numbered>(options: &Options) {
    // A merge takes a second or two, with what it needs.
    let (runs, merges) = if options.quick { (3, 1) } else { (11, 5) };
    let mut core = Core::new(patience::<K>(options.quick));
    let figure = |text: &str, unit, runs: Runs, (must, stretch): (f64, Option<f64>)| {
        let figure = Figure::new("crdt", format!("{text}{}", K::SUFFIX), unit, runs);
        match (K::AIMS, stretch) {
            (false, _) => figure,
            (true, None) => figure.must(must),
            (true, Some(stretch)) => figure.must(must).stretch(stretch),
        }
    };

    let mut bare = plain::filled::<K>(100_000);
    let mut small = peer::filled::<K>(100_000);
    figure("put_100k", "ns", core.repeat(runs, put_100k::<K>()), (250.0, Some(120.0)))
        .peer("crdts", core.repeat(runs, || peer::put(&mut small, 100_000)))
        .peer("hashbrown", core.repeat(runs, || plain::put(&mut bare, 100_000)))
        .print(options);
    drop(bare);

    let full = filled::<K>(1, MILLION);
    let big = peer::filled::<K>(MILLION);
    let keys: Vec<K> = {
        let mut places = Places::new();
        (0..200_000).map(|_| K::number(places.below(MILLION))).collect()
    };
    let bare = plain::filled::<K>(MILLION);
    let pinned: Vec<_> = keys.iter().map(|key| plain::Pinned(key.clone())).collect();
    let mut next = Quarters::default();
    let (get, get_bare) = (|key: &K| *full.get(key).expect("a value"), |key: &plain::Pinned<K>| bare[key]);
    // All of them once, to warm up.
    time_each(&keys, get);
    time_each(&pinned, get_bare);
    figure("get_1m", "ns", core.repeat(runs, || time_each(next.of(&keys), get)), (60.0, Some(30.0)))
        .peer("crdts", core.repeat(runs, || time_each(next.of(&keys), |key| peer::get(&big, key))))
        .peer("hashbrown", core.repeat(runs, || time_each(next.of(&pinned), get_bare)))
        .print(options);
    drop(bare);
    view::run(full, &keys, runs, &mut core, options);

    figure("merge_1m", "ms", core.repeat(merges, merge::<K>), (1_000.0, Some(400.0)))
        .peer("crdts", core.repeat(merges, || peer::merge(&big)))
        .print(options);
    drop(big);

    let (mut a, mut b) = pair::<K>();
    let applied = core.repeat(runs, || apply_remote(&mut a, &mut b));
    figure("apply_remote_1m", "ns", applied, (350.0, Some(150.0))).print(options);
    let mut bytes = Vec::new();
    let diffs = core.repeat(runs.max(11), || {
        let (us, sent) = difference(&mut a, &mut b);
        bytes.push(sent as f64 / (100 * (K::BYTES + 32)) as f64);
        us
    });
    let mut behind = small.clone();
    figure("diff_100_in_1m", "us", diffs, (20.0, None))
        .peer("crdts_100k", core.repeat(runs, || peer::difference(&mut small, &mut behind, 100_000)))
        .print(options);
    drop((small, behind));
    figure("diff_100_in_1m_bytes", "x payload", bytes.into(), (1.2, None)).print(options);
    figure("status_bytes", "B", vec![status_bytes(&mut a)].into(), (24.0, None)).print(options);
    drop((a, b));

    let heap = heap_bytes(|| filled::<K>(1, MILLION)) / MILLION as f64 - (K::BYTES + 32) as f64;
    figure("bytes_per_key", "B", vec![heap].into(), (64.0, Some(40.0)))
        .peer("crdts", vec![heap_bytes(|| peer::filled::<K>(100_000)) / 1e5 - (K::BYTES + 32) as f64])
        .print(options);
}

/// What a run reads: each time the next quarter, so that it is short and finds in the caches what a run over all of them would find.
#[derive(Default)]
struct Quarters(usize);

impl Quarters {
    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a [T] {
        let quarter = all.len() / 4;
        self.0 = (self.0 + 1) % 4;
        &all[self.0 * quarter..][..quarter]
    }
}

/// Nanoseconds of `work` per key. Its answer is copied once.
fn time_each<K, R>(keys: &[K], work: impl Fn(&K) -> R) -> f64 {
    let start = ThreadTime::now();
    for key in keys {
        black_box(work(key));
    }
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn empty<K: Numbered>(node: u64) -> Map<K> {
    Replica::new(ReplicaId::new(node, 1), Config::default(), LastWriter)
}

fn filled<K: Numbered>(node: u64, keys: u64) -> Map<K> {
    let mut map = empty::<K>(node);
    for i in 0..keys {
        map.put(START, K::number(i), Value::number(i));
    }
    map
}

fn discard<K: Numbered>(map: &mut Map<K>) {
    while map.poll_output().is_some() {}
}

/// Overwrites of random keys among 100,000, flushed every 64.
fn put_100k<K: Numbered>() -> impl FnMut() -> f64 {
    let mut map = filled::<K>(1, 100_000);
    map.peer_up(START, ReplicaId::new(2, 1));
    discard(&mut map);
    let mut places = Places::new();
    move || {
        let keys: Vec<K> = (0..100_000).map(|_| K::number(places.below(100_000))).collect();
        let start = ThreadTime::now();
        for (i, key) in keys.into_iter().enumerate() {
            black_box(map.put(START, key, Value::number(i as u64)));
            if i % 64 == 63 {
                map.flush(START);
                discard(&mut map);
            }
        }
        start.elapsed().as_nanos() as f64 / 100_000.0
    }
}

/// Carries all messages both ways through their wire form; the bytes.
fn exchange<K: Numbered>(a: &mut Map<K>, b: &mut Map<K>) -> usize {
    let mut sent = 0;
    loop {
        a.flush(START);
        b.flush(START);
        let outputs = (a.poll_output(), b.poll_output());
        if outputs.0.is_none() && outputs.1.is_none() {
            return sent;
        }
        sent += carry(outputs.0, a.id(), b) + carry(outputs.1, b.id(), a);
    }
}

fn carry<K: Numbered>(output: Option<Output<K, Value>>, from: ReplicaId, to: &mut Map<K>) -> usize {
    let Some(Output::Send { message, .. }) = output else { return 0 };
    let bytes = message.encode();
    let message = Message::decode(&bytes).expect("what was encoded decodes");
    to.receive(START, from, message);
    bytes.len()
}

fn meet<K: Numbered>(a: &mut Map<K>, b: &mut Map<K>) -> usize {
    let ids = (a.id(), b.id());
    a.peer_up(START, ids.1);
    b.peer_up(START, ids.0);
    exchange(a, b)
}

/// Two replicas with the same million keys.
fn pair<K: Numbered>() -> (Map<K>, Map<K>) {
    let (mut a, mut b) = (filled(1, MILLION), empty(2));
    meet(&mut a, &mut b);
    assert_eq!(b.len(), a.len());
    (a, b)
}

/// Milliseconds from meeting to equal, all bytes through the wire form, both sides on this core.
fn merge<K: Numbered>() -> f64 {
    let (mut a, mut b) = (filled::<K>(1, MILLION), empty(2));
    let start = ThreadTime::now();
    meet(&mut a, &mut b);
    let taken = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(b.len(), a.len());
    taken
}

/// Nanoseconds per pushed overwrite of a random key.
fn apply_remote<K: Numbered>(a: &mut Map<K>, b: &mut Map<K>) -> f64 {
    let mut places = Places::new();
    let writes = 100_000;
    let mut messages = Vec::new();
    for i in 0..writes {
        a.put(START, K::number(places.below(MILLION)), Value::number(i));
        while let Some(Output::Send { message, .. }) = a.poll_output() {
            messages.push(Message::decode(&message.encode()).expect("what was encoded decodes"));
        }
    }
    a.flush(START);
    while let Some(Output::Send { message, .. }) = a.poll_output() {
        messages.push(message);
    }
    let start = ThreadTime::now();
    for message in messages {
        b.receive(START, a.id(), message);
        discard(b);
    }
    start.elapsed().as_nanos() as f64 / writes as f64
}

/// Microseconds of both sides, and bytes, to bring over 100 writes that were not pushed.
fn difference<K: Numbered>(a: &mut Map<K>, b: &mut Map<K>) -> (f64, usize) {
    a.set_congested(START, b.id(), true);
    let mut places = Places::new();
    for i in 0..100_u64 {
        a.put(START, K::number(places.below(MILLION)), Value::number(i));
    }
    a.flush(START);
    discard(a);
    a.set_congested(START, b.id(), false);
    let start = ThreadTime::now();
    let sent = exchange(a, b);
    (start.elapsed().as_secs_f64() * 1e6, sent)
}

fn status_bytes<K: Numbered>(map: &mut Map<K>) -> f64 {
    let mut now = START;
    let mut size = 0;
    for second in 1..4 {
        now.monotonic = Duration::from_secs(second * 2);
        map.handle_timeout(now);
        while let Some(output) = map.poll_output() {
            if let Output::Send { message, .. } = output {
                size = message.encode().len();
            }
        }
    }
    size as f64
}
