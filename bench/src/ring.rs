//! Placement: lookups, rebuilds, evenness, movement and memory, at 3, 16, 128 and 1,000 members.
//!
//! `owner_*` start from a `KeyHash`, and the peers from the same number as a `u64`; `owner_*_text` start from a
//! 16-byte text on both sides. Points per member are 128 everywhere. Slots are what `recommended` says at that
//! size, or 4,096; 512 per member under a bound. Times are processor time of the one thread that works.

mod peers;
mod spread;

use std::path::Path;
use std::sync::Arc;

use horde_ring::{
    BoundedSlots, DEFAULT_POINTS, KeyHash, Member, Members, Placement, Rendezvous, Ring, SlotTable, Slots,
    Strategy, recommended,
};

use crate::harness::{Figure, Options, Timed, heap_bytes, ms, ns_per_item, rounds};
use peers::{PEERS, Peer};

/// Where the plot is kept that the page on choosing a strategy shows.
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/horde-ring/docs/balance-and-movement.svg");

/// The sizes at which everything is measured.
const SIZES: [u32; 4] = [3, 16, 128, 1000];

/// The strategies by their short names.
const STRATEGIES: [&str; 4] = ["rendezvous", "slots", "bounded", "ring"];

type Shared = Arc<Members<u32>>;

/// Runs the suite.
pub fn run(options: &Options) -> std::io::Result<()> {
    lookups(options);
    rebuilds(options);
    memory(options);
    let table = spread::run(options);
    let Some(file) = &options.plot else { return Ok(()) };
    std::fs::write(file.as_deref().unwrap_or(Path::new(PLOT)), spread::plot(&table))
}

fn members(n: u32) -> Shared {
    Arc::new(Members::of(0..n))
}

/// Members of which every other one weighs twice as much and each eighth thrice.
fn weighted(n: u32) -> Shared {
    let weight = |id: u32| if id % 8 == 0 { 3 } else { 1 + id % 2 };
    Arc::new((0..n).map(|id| Member::new(id).weight(weight(id))).collect())
}

/// Members in three zones.
fn zoned(n: u32) -> Shared {
    Arc::new((0..n).map(|id| Member::new(id).zone(format!("zone-{}", id % 3))).collect())
}

/// The slots of a table for `n` members.
fn table_slots(n: u32) -> Slots {
    match recommended(n as usize) {
        Strategy::SlotTable { slots } => slots,
        _ => Slots::at_least(4096),
    }
}

/// The slots for `n` members under a bound.
fn bounded_slots(n: u32) -> Slots {
    Slots::at_least(512 * n)
}

fn build(strategy: &str, members: &Shared) -> Box<dyn Placement<u32>> {
    build_like(strategy, members.len() as u32, Arc::clone(members))
}

/// Builds a strategy as it is configured for `n` members.
fn build_like(strategy: &str, n: u32, members: Shared) -> Box<dyn Placement<u32>> {
    match strategy {
        "rendezvous" => Box::new(Rendezvous::new(members)),
        "slots" => Box::new(SlotTable::new(members, table_slots(n))),
        "bounded" => Box::new(BoundedSlots::new(members, bounded_slots(n))),
        _ => Box::new(Ring::new(members, DEFAULT_POINTS)),
    }
}

/// Keys as texts, as hashes and as numbers.
struct Keys {
    text: Vec<String>,
    hash: Vec<KeyHash>,
    number: Vec<u64>,
}

impl Keys {
    fn new(count: u64) -> Self {
        let text: Vec<String> = (0..count).map(|n| format!("greeter-{n:08}")).collect();
        let hash: Vec<KeyHash> = text.iter().map(KeyHash::of).collect();
        let number = hash.iter().map(|hash| hash.as_u64()).collect();
        Self { text, hash, number }
    }
}

/// Lookups of one placement of a known type, so that calls are direct as in a user's code.
fn timed<'a, P: Placement<u32>>(placement: &'a P, keys: &'a Keys, least: usize, text: bool) -> Timed<'a> {
    if text {
        Box::new(move || ns_per_item(&keys.text, least, |key| placement.owner(KeyHash::of(key)).copied()))
    } else {
        Box::new(move || ns_per_item(&keys.hash, least, |key| placement.owner(*key).map(std::ptr::from_ref)))
    }
}

fn must(name: &str) -> Option<f64> {
    Some(match name {
        "owner_rendezvous_32" => 60.0,
        "owner_slots_1000" => 5.0,
        "owner_ring_128" => 20.0,
        "replicas3_slots_1000" => 10.0,
        "rebuild_slots_100" => 1.0,
        "rebuild_slots_1000" => 10.0,
        "max_over_mean_bounded_100" => 1.03,
        "moved_on_leave_100" => 1.0,
        _ => return None,
    })
}

/// A figure of this suite with its target.
fn figure(name: String, unit: &'static str, runs: Vec<f64>) -> Figure {
    let must = must(&name);
    let figure = Figure::new("ring", name, unit, runs);
    match must {
        Some(must) => figure.must(must),
        None => figure,
    }
}

fn lookups(options: &Options) {
    let keys = &Keys::new(4096);
    let least = if options.quick { 40_000 } else { 100_000 };
    for n in [3, 16, 32, 128, 1000] {
        let peers: Vec<Box<dyn Peer>> = PEERS.iter().map(|(_, build)| build(n)).collect();
        let members = members(n);
        let rendezvous = Rendezvous::new(Arc::clone(&members));
        let mixed = Rendezvous::new(weighted(n));
        let slots = SlotTable::new(Arc::clone(&members), table_slots(n));
        let bounded = BoundedSlots::new(Arc::clone(&members), bounded_slots(n));
        let ring = Ring::new(members, DEFAULT_POINTS);
        for text in [false, true] {
            let mut contestants: Vec<Timed<'_>> = vec![
                timed(&rendezvous, &keys, least.min(4_000_000 / n as usize), text),
                timed(&slots, &keys, least, text),
                timed(&bounded, &keys, least, text),
                timed(&ring, &keys, least, text),
                timed(&mixed, &keys, least.min(4_000_000 / n as usize), text),
            ];
            for peer in &peers {
                let least = least / 5;
                contestants.push(match text {
                    true => Box::new(move || peer.lookup_text(&keys.text, least)),
                    false => Box::new(move || peer.lookup_number(&keys.number, least)),
                });
            }
            let mut runs = rounds(options.runs(), &mut contestants).into_iter();
            let suffix = if text { "_text" } else { "" };
            let ours: Vec<_> =
                STRATEGIES.iter().copied().chain(["rendezvous_weighted"]).zip(runs.by_ref()).collect();
            let theirs: Vec<_> = runs.collect();
            for (strategy, runs) in ours {
                let figure = figure(format!("owner_{strategy}_{n}{suffix}"), "ns", runs);
                let peers = PEERS.iter().zip(&theirs);
                peers
                    .fold(figure, |figure, ((name, _), runs)| figure.peer(*name, runs.clone()))
                    .print(options);
            }
        }
        replicas(options, n, &keys, least, [&rendezvous, &bounded, &ring], &slots);
    }
}

fn replicas(
    options: &Options,
    n: u32,
    keys: &Keys,
    least: usize,
    others: [&dyn Placement<u32>; 3],
    slots: &SlotTable<u32>,
) {
    let zoned = SlotTable::new(zoned(n), table_slots(n));
    let table = |table: &SlotTable<u32>| ns_per_item(&keys.hash, least, |key| table.replicas(*key, 3));
    let mut contestants: Vec<Timed<'_>> = vec![Box::new(|| table(slots)), Box::new(|| table(&zoned))];
    for other in others {
        let few = &keys.hash[..256];
        contestants.push(Box::new(move || ns_per_item(few, 256, |key| other.replicas(*key, 3))));
    }
    let names = ["slots", "slots_zoned", "rendezvous", "bounded", "ring"];
    for (name, runs) in names.iter().zip(rounds(options.runs(), &mut contestants)) {
        figure(format!("replicas3_{name}_{n}"), "ns", runs).print(options);
    }
}

fn rebuilds(options: &Options) {
    for n in [3, 16, 100, 128, 1000] {
        for (name, members) in [("", members(n)), ("_zoned", zoned(n)), ("_weighted", weighted(n))] {
            let plain = name.is_empty();
            let strategies = if plain { &STRATEGIES[..] } else { &STRATEGIES[1..2] };
            for strategy in strategies {
                let mut contestants: Vec<Timed<'_>> = vec![Box::new(|| ms(|| build(strategy, &members)))];
                if plain {
                    contestants.extend(
                        PEERS
                            .iter()
                            .take(if n > 128 && options.quick { 1 } else { 3 })
                            .map(|(_, build)| -> Timed<'_> { Box::new(move || ms(|| build(n))) }),
                    );
                }
                let runs = if n > 128 && plain { options.runs().min(5) } else { options.runs() };
                let mut all = rounds(runs, &mut contestants).into_iter();
                let Some(runs) = all.next() else { continue };
                let figure = figure(format!("rebuild_{strategy}_{n}{name}"), "ms", runs);
                let theirs = PEERS.iter().zip(all);
                theirs.fold(figure, |figure, ((name, _), runs)| figure.peer(*name, runs)).print(options);
            }
        }
    }
}

fn memory(options: &Options) {
    for n in SIZES {
        let members = members(n);
        let per_member = |bytes: f64| vec![bytes / f64::from(n)];
        let theirs: Vec<_> =
            PEERS.iter().map(|(name, build)| (name, per_member(heap_bytes(|| build(n))))).collect();
        for strategy in STRATEGIES {
            let bytes = heap_bytes(|| build(strategy, &members));
            let figure = figure(format!("bytes_per_member_{strategy}_{n}"), "B", per_member(bytes));
            theirs
                .iter()
                .fold(figure, |figure, (name, runs)| figure.peer(**name, runs.clone()))
                .print(options);
        }
    }
}
