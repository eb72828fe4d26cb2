//! Which runs had a core of their own.
//!
//! A processor of a virtual machine is mostly one of the two hardware threads of a core. What a stranger does on the other one
//! takes up to half of what the core can have under way at once, and of its near caches: work that waits for memory takes up to
//! twice as long, from one second to the next. The clock of the thread does not show it, nor does the system's own count of
//! stolen time. A loop that keeps the arithmetic of a whole core busy does: it takes the same to one part in a hundred while
//! the core is ours, and up to 1.8 times that while it is not. So this loop runs right before and right after each run, and a
//! run counts if both times are those of a core that is ours. The others are printed beside it.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How much longer than at its best the loop may take.
const TOLERANCE: f64 = 1.05;
/// Turns of the loop: some 30 us.
const TURNS: u64 = 10_000;
/// Loops from which the best is taken first.
const LOOPS: usize = 5_000;
/// Fewer undisturbed runs than these say nothing of their own: then all runs count.
const FEWEST: usize = 3;

/// Tells whether the core is ours.
#[derive(Debug)]
pub struct Core {
    /// Seconds that the loop takes at best.
    best: f64,
    /// How long to go on with one figure.
    patience: Duration,
}

/// Figures of runs.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Those that count.
    pub counted: Vec<f64>,
    /// Those that shared their core, if that was looked at.
    pub disturbed: Option<Disturbed>,
}

/// Figures of runs that shared their core.
#[derive(Clone, Debug, Default)]
pub struct Disturbed {
    /// Their figures.
    pub runs: Vec<f64>,
    /// Whether they count with the others, as nearly all runs were such ones.
    pub counted: bool,
}

impl From<Vec<f64>> for Runs {
    /// Runs that all count.
    fn from(counted: Vec<f64>) -> Self {
        Self { counted, disturbed: None }
    }
}

impl Core {
    /// Who waits `patience` for undisturbed runs of each figure.
    pub fn new(patience: Duration) -> Self {
        let best = (0..LOOPS).map(|_| busy()).fold(f64::MAX, f64::min);
        Self { best, patience }
    }

    /// Runs `work` once to warm up, then until `runs` of its runs had the core to themselves or patience ends. If it ends before
    /// there are three of them, all runs count.
    pub fn repeat(&mut self, runs: usize, mut work: impl FnMut() -> f64) -> Runs {
        work();
        let start = Instant::now();
        // Each figure, and the longer of the two loops beside it.
        let mut all: Vec<(f64, f64)> = Vec::new();
        let alone = |all: &[(f64, f64)], best| all.iter().filter(|run| run.1 <= best * TOLERANCE).count();
        while alone(&all, self.best) < runs && (all.len() < runs || start.elapsed() < self.patience) {
            let before = busy();
            let figure = work();
            let after = busy();
            self.best = self.best.min(before).min(after);
            all.push((figure, before.max(after)));
        }
        // By the best loop of all: who never had the core alone before took another one for it.
        let (mut counted, mut disturbed) = (Vec::new(), Disturbed::default());
        for (figure, beside) in all {
            let of = if beside <= self.best * TOLERANCE { &mut counted } else { &mut disturbed.runs };
            of.push(figure);
        }
        if counted.len() < FEWEST {
            counted.extend_from_slice(&disturbed.runs);
            disturbed.counted = true;
        }
        Runs { counted, disturbed: Some(disturbed) }
    }
}

/// Seconds of a loop of steps that do not wait for each other.
#[inline(never)]
fn busy() -> f64 {
    let start = Instant::now();
    let mut sums = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    for turn in 0..TURNS {
        for sum in &mut sums {
            *sum = sum.rotate_left(5) ^ turn;
        }
        sums = black_box(sums);
    }
    black_box(sums);
    start.elapsed().as_secs_f64()
}
