//! The seeds that failed once, and that a seed says it all.

/// The seeds of `seeds.txt`, each with its number of nodes if it was run with that, and what it found.
fn remembered() -> Vec<(u64, Option<usize>, &'static str)> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let entry = |(seed, found): (&'static str, &'static str)| {
        let (seed, nodes) = seed.split_once('/').map_or((seed, None), |(seed, nodes)| (seed, Some(nodes)));
        let nodes = nodes.map(|nodes| nodes.parse().expect("the nodes are a number"));
        (seed.parse().expect("a seed is a number"), nodes, found)
    };
    lines.filter_map(|line| line.split_once(' ')).map(entry).collect()
}

#[test]
fn no_seed_that_failed_once_fails_again() {
    let seeds = remembered();
    assert!(seeds.len() >= 8, "the list was read");
    for (seed, nodes, found) in seeds {
        let outcome = horde_sim::run(seed, nodes);
        assert_eq!(outcome.failure, None, "seed {seed}, which once found: {found}\n{}", outcome.history);
    }
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    for seed in 1..=3 {
        let (first, second) = (horde_sim::run(seed, None), horde_sim::run(seed, None));
        assert!(first.events > 100, "seed {seed} does something");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.history.trace(), second.history.trace(), "seed {seed}");
    }
}

#[test]
fn the_first_seeds_hold() {
    for seed in 1..=10 {
        let outcome = horde_sim::run(seed, None);
        assert_eq!(outcome.failure, None, "seed {seed}\n{}", outcome.history);
    }
}
