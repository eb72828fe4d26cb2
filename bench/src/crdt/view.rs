//! The view for readers in other threads: what a reader and the driver pay.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cpu_time::ThreadTime;
use delta_crdt::{Change, View};

use super::{MILLION, Map, Numbered, Places, Quarters, START, Value, discard};
use crate::harness::{Figure, Options, heap_bytes};
use crate::quiet::Core;

/// Reads with one snapshot, and writes from one snapshot to the next.
const BATCH: usize = 64;

/// Times reads of `keys` in another thread than that which writes `map`, and what the writer pays for the view. All at a million keys.
pub fn run<K: Numbered>(map: Map<K>, keys: &[K], runs: usize, core: &mut Core, options: &Options) {
    let figure = |text: &str, unit, runs| Figure::new("crdt", format!("{text}{}", K::SUFFIX), unit, runs);
    let heap = heap_bytes(|| View::of(&map)) / MILLION as f64 - (K::BYTES + 32) as f64;
    let mut view = View::of(&map);
    let mut turn = Quarters::default();

    let mut apply = |snapshots: bool| {
        let changes: Vec<_> = turn.of(keys).iter().map(overwrite).collect();
        let count = changes.len() as f64;
        let start = ThreadTime::now();
        for change in changes {
            let snapshot = snapshots.then(|| view.clone());
            view.apply(change);
            drop(snapshot);
        }
        start.elapsed().as_nanos() as f64 / count
    };
    figure("view_apply_1m", "ns", core.repeat(runs, || apply(false))).print(options);
    figure("view_apply_snapshot_1m", "ns", core.repeat(runs, || apply(true))).print(options);

    let (shown, over) = (Mutex::new(view.clone()), AtomicBool::new(false));
    let reads = thread::scope(|scope| {
        scope.spawn(|| write(map, view, &shown, &over));
        let mut turn = Quarters::default();
        let reads = core.repeat(runs, || {
            let keys = turn.of(keys);
            let start = ThreadTime::now();
            for batch in keys.chunks(BATCH) {
                let snapshot = shown.lock().expect("nobody panics").clone();
                for key in batch {
                    black_box(*snapshot.get(key).expect("a value"));
                }
            }
            start.elapsed().as_nanos() as f64 / keys.len() as f64
        });
        over.store(true, Ordering::Relaxed);
        reads
    });
    figure("view_get_1m", "ns", reads).print(options);
    figure("view_bytes_per_key", "B", vec![heap].into()).print(options);
}

fn overwrite<K: Numbered>(key: &K) -> Change<K, Value> {
    Change::Put { key: key.clone(), old: None, new: Value::number(7) }
}

/// Overwrites random keys until it is over, and shows a snapshot after each batch.
fn write<K: Numbered>(
    mut map: Map<K>,
    mut view: View<K, Value>,
    shown: &Mutex<View<K, Value>>,
    over: &AtomicBool,
) {
    let mut places = Places::new();
    while !over.load(Ordering::Relaxed) {
        for i in 0..BATCH {
            let key = K::number(places.below(MILLION));
            view.apply(map.put(START, key, Value::number(i as u64)));
        }
        map.flush(START);
        discard(&mut map);
        let old = std::mem::replace(&mut *shown.lock().expect("nobody panics"), view.clone());
        drop(old);
    }
}
