//! How evenly keys are spread, and how many move when a member leaves or joins.

use horde_ring::{KeyHash, Placement, shares};

use crate::harness::{Figure, Options};
use crate::plot::{Panel, bars};
use crate::ring::peers::{PEERS, Peer};
use crate::ring::{SIZES, STRATEGIES, build, figure, members};

/// What was found for one size.
pub struct Row {
    n: u32,
    /// By strategy, then by peer: max over mean, and moved over ideal on a leave.
    found: Vec<(&'static str, f64, f64)>,
}

/// Keys for sampled figures: 2,000 per member, a million at least.
fn sample(options: &Options, n: u32) -> Vec<u64> {
    let count = if options.quick { 100_000 } else { (2000 * u64::from(n)).max(1_000_000) };
    (0..count).map(|n| KeyHash::of(n.to_le_bytes()).as_u64()).collect()
}

/// Max over mean of what each member owns of the sample.
fn evenness(n: u32, owners: &[u32]) -> f64 {
    let mut owned = vec![0_u32; n as usize];
    owners.iter().for_each(|&owner| owned[owner as usize] += 1);
    let most = owned.iter().max().copied().unwrap_or(0);
    f64::from(most) * f64::from(n) / owners.len() as f64
}

fn owners(placement: &dyn Placement<u32>, keys: &[u64]) -> Vec<u32> {
    keys.iter().map(|&key| *placement.owner(KeyHash::from_u64(key)).expect("there are members")).collect()
}

/// Keys that moved, over the keys that had to: those of the changed member before it left or after it joined.
fn moved(before: &[u32], after: &[u32], ideal: f64) -> f64 {
    before.iter().zip(after).filter(|(before, after)| before != after).count() as f64 / ideal
}

/// Prints the figures of all sizes.
pub fn run(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for n in [3, 16, 100, 128, 1000] {
        let keys = sample(options, n);
        let mut found = Vec::new();
        let theirs: Vec<_> = PEERS.iter().map(|(name, build)| (*name, peer(build(n), n, &keys))).collect();
        for strategy in STRATEGIES {
            let (even, leave, join) = ours(strategy, n, &keys);
            let print = |name: String, value: f64, of: fn(&(f64, f64)) -> f64| {
                let figure: Figure = figure(name, "x", vec![value]);
                theirs
                    .iter()
                    .fold(figure, |figure, (name, peer)| figure.peer(*name, vec![of(peer)]))
                    .print(options);
            };
            print(format!("max_over_mean_{strategy}_{n}"), even, |peer| peer.0);
            print(format!("moved_on_leave_{strategy}_{n}"), leave, |peer| peer.1);
            figure(format!("moved_on_join_{strategy}_{n}"), "x", vec![join]).print(options);
            if (strategy, n) == ("slots", 100) {
                print(format!("moved_on_leave_{n}"), leave, |peer| peer.1);
            }
            found.push((strategy, even, leave));
        }
        found.extend(theirs.iter().map(|(name, (even, leave))| (*name, *even, *leave)));
        rows.push(Row { n, found });
    }
    rows
}

/// Evenness and movement of one of our strategies: exact where it has regions, else of the sample.
fn ours(strategy: &str, n: u32, keys: &[u64]) -> (f64, f64, f64) {
    let all = members(n);
    // The member in the middle leaves; slots are those of n members in both.
    let leaver = n / 2;
    let mut fewer = (*all).clone();
    fewer.remove(&leaver);
    let before = build(strategy, &all);
    let after = super::build_like(strategy, n, fewer.into());
    if let (Some(shares), Some(later)) = (shares(&*before), shares(&*after)) {
        let most = shares.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        let share = shares[leaver as usize].1;
        let moved = horde_ring::Diff::new(&*before, &*after).moved_fraction().unwrap_or(f64::NAN);
        assert_eq!(later.len() + 1, shares.len(), "one member left");
        let ideal_join = 1.0 / f64::from(n);
        return (most * f64::from(n), moved / share, moved / ideal_join.max(share));
    }
    let (before, after) = (owners(&*before, keys), owners(&*after, keys));
    let ideal = before.iter().filter(|&&owner| owner == leaver).count() as f64;
    let ratio = moved(&before, &after, ideal);
    (evenness(n, &before), ratio, ratio)
}

fn peer(mut peer: Box<dyn Peer>, n: u32, keys: &[u64]) -> (f64, f64) {
    let before: Vec<u32> = keys.iter().map(|&key| peer.owner(key)).collect();
    peer.remove(n / 2);
    let after: Vec<u32> = keys.iter().map(|&key| peer.owner(key)).collect();
    let ideal = before.iter().filter(|&&owner| owner == n / 2).count() as f64;
    (evenness(n, &before), moved(&before, &after, ideal))
}

/// The plot: evenness and movement by strategy and size.
pub fn plot(rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| SIZES.contains(&row.n)).collect();
    let names: Vec<&str> =
        rows.first().map(|row| row.found.iter().map(|found| found.0).collect()).unwrap_or_default();
    let sizes: Vec<String> = rows.iter().map(|row| format!("{} members", row.n)).collect();
    let panel = |title: &str, of: fn(&(&'static str, f64, f64)) -> f64| Panel {
        title: title.to_owned(),
        groups: sizes.clone(),
        values: rows.iter().map(|row| row.found.iter().map(of).collect()).collect(),
    };
    let even = panel("Busiest member over the mean (1 is even)", |found| found.1);
    let moved =
        panel("Keys moved when one member leaves, over the keys it had (1 is the least)", |found| found.2);
    bars(&names, &[even, moved])
}
