//! What every suite shares: options, repeated runs, and how a figure is printed.

use std::hint::black_box;
use std::path::PathBuf;

use cpu_time::ThreadTime;

use crate::quiet::{Disturbed, Runs};

/// What the command line asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The whole suite within a minute.
    pub quick: bool,
    /// One JSON object per line and nothing else on standard output.
    pub json: bool,
    /// Draw the suite's plot (SVG), into this file or where the suite keeps its own.
    pub plot: Option<Option<PathBuf>>,
}

impl Options {
    /// Reads `[SUITE ..] [--quick] [--json] [--plot [FILE.svg]]`; without a suite the list is empty.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<(Vec<String>, Self), String> {
        let (mut suites, mut options) = (Vec::new(), Self::default());
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--plot" => {
                    options.plot = Some(arguments.next_if(|next| next.ends_with(".svg")).map(PathBuf::from))
                }
                name if !name.starts_with('-') => suites.push(name.to_owned()),
                other => return Err(format!("'{other}' is not understood")),
            }
        }
        Ok((suites, options))
    }

    /// How often a figure is measured.
    pub fn runs(&self) -> usize {
        if self.quick { 11 } else { 41 }
    }
}

/// One figure: a name, its runs, the target, and the peers' medians of the same run.
#[derive(Debug, Clone)]
pub struct Figure {
    suite: &'static str,
    name: String,
    unit: &'static str,
    higher: bool,
    runs: Vec<f64>,
    must: Option<f64>,
    stretch: Option<f64>,
    disturbed: Option<Disturbed>,
    /// Name, median, and whether nearly all of its runs shared their core.
    peers: Vec<(String, f64, bool)>,
}

impl Figure {
    /// A figure of which less is better.
    pub fn new(
        suite: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        runs: impl Into<Runs>,
    ) -> Self {
        let (name, Runs { counted: runs, disturbed }) = (name.into(), runs.into());
        assert!(!runs.is_empty(), "a figure needs a run");
        Self {
            suite,
            name,
            unit,
            higher: false,
            runs,
            must: None,
            stretch: None,
            disturbed,
            peers: Vec::new(),
        }
    }

    /// More is better.
    #[allow(dead_code, reason = "the ring suite has no such figure, others have")]
    pub fn higher(mut self) -> Self {
        self.higher = true;
        self
    }

    /// The figure that must be reached.
    pub fn must(mut self, must: f64) -> Self {
        self.must = Some(must);
        self
    }

    /// The figure to aim for.
    #[allow(dead_code, reason = "the ring suite has no such figure, others have")]
    pub fn stretch(mut self, stretch: f64) -> Self {
        self.stretch = Some(stretch);
        self
    }

    /// A peer's runs, of the same minute.
    pub fn peer(mut self, name: impl Into<String>, runs: impl Into<Runs>) -> Self {
        let Runs { counted, disturbed } = runs.into();
        let shared = disturbed.is_some_and(|disturbed| disturbed.counted);
        self.peers.push((name.into(), spread(&counted).1, shared));
        self
    }

    /// Prints the figure as the options say.
    pub fn print(&self, options: &Options) {
        let (min, median, max) = spread(&self.runs);
        let Self { suite, name, unit, .. } = self;
        let better = if self.higher { "higher" } else { "lower" };
        if options.json {
            let number = |value: Option<f64>| value.map_or("null".to_owned(), |value| value.to_string());
            let peers: Vec<String> =
                self.peers.iter().map(|(name, value, _)| format!("\"{name}\":{value}")).collect();
            let disturbed = self.disturbed.as_ref().map_or(String::new(), |disturbed| {
                let (runs, counted) = (disturbed.runs.len(), disturbed.counted);
                let median = number((runs > 0).then(|| spread(&disturbed.runs).1));
                format!("\"disturbed\":{{\"runs\":{runs},\"median\":{median},\"counted\":{counted}}},")
            });
            println!(
                "{{\"suite\":\"{suite}\",\"name\":\"{name}\",\"unit\":\"{unit}\",\"better\":\"{better}\",\
                 \"min\":{min},\"median\":{median},\"max\":{max},\"runs\":{},\"must\":{},\"stretch\":{},\
                 {disturbed}\"peers\":{{{}}}}}",
                self.runs.len(),
                number(self.must),
                number(self.stretch),
                peers.join(",")
            );
            return;
        }
        let short = |value: f64| match value {
            value if value >= 1000.0 => format!("{value:.0}"),
            value if value >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.3}"),
        };
        let mut line = format!("{name:<30} {}/{}/{} {unit}", short(min), short(median), short(max));
        if let Some(must) = self.must {
            let met = if self.higher { median >= must } else { median <= must };
            line += &format!("   must {} {}", short(must), if met { "met" } else { "NOT MET" });
        }
        for (peer, value, shared) in &self.peers {
            let where_from = if *shared { " (shared core)" } else { "" };
            line += &format!("   {peer} {}{where_from}", short(*value));
        }
        if let Some(Disturbed { runs, counted }) =
            self.disturbed.as_ref().filter(|some| !some.runs.is_empty())
        {
            let which = if *counted { "of them" } else { "more" };
            let (count, median) = (runs.len(), short(spread(runs).1));
            line += &format!("   ({} runs; {count} {which} shared their core: {median})", self.runs.len());
        }
        println!("{line}");
    }
}

/// Least, middle and greatest.
fn spread(runs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

/// Something to time: one call is one run, and answers its figure.
pub type Timed<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Runs the contestants in turn, `runs` times after one warm-up, and answers the runs of each.
pub fn rounds(runs: usize, contestants: &mut [Timed<'_>]) -> Vec<Vec<f64>> {
    for contestant in contestants.iter_mut() {
        contestant();
    }
    let mut all = vec![Vec::new(); contestants.len()];
    for _ in 0..runs {
        contestants.iter_mut().zip(&mut all).for_each(|(contestant, runs)| runs.push(contestant()));
    }
    all
}

/// Nanoseconds of this thread's processor time per item of `work` over `items`, repeated until `least` items were done.
pub fn ns_per_item<T, R>(items: &[T], least: usize, mut work: impl FnMut(&T) -> R) -> f64 {
    let repeats = least.div_ceil(items.len()).max(1);
    let start = ThreadTime::now();
    for _ in 0..repeats {
        for item in items {
            black_box(work(black_box(item)));
        }
    }
    start.elapsed().as_nanos() as f64 / (repeats * items.len()) as f64
}

/// Milliseconds of this thread's processor time that `work` takes, without dropping its result.
pub fn ms<R>(work: impl FnOnce() -> R) -> f64 {
    let start = ThreadTime::now();
    let result = black_box(work());
    let taken = start.elapsed().as_secs_f64() * 1e3;
    drop(result);
    taken
}

/// Live heap bytes that the result of `work` holds.
pub fn heap_bytes<R>(work: impl FnOnce() -> R) -> f64 {
    let region = stats_alloc::Region::new(crate::HEAP);
    let held = black_box(work());
    let change = region.change();
    drop(held);
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}
