//! The seeds that failed once, and that a seed says it all.

/// The seeds of `seeds.txt`, with what they found.
fn remembered() -> Vec<(u64, &'static str)> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(seed, found)| (seed.parse().expect("a seed is a number"), found))
        .collect()
}

#[test]
fn no_seed_that_failed_once_fails_again() {
    let seeds = remembered();
    assert!(seeds.len() >= 8, "the list was read");
    for (seed, found) in seeds {
        let outcome = horde_sim::run(seed, None);
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
