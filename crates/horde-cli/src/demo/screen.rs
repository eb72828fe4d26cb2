//! What a person, or a program, sees of the demo.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{HORDE_DRAIN_MS, HORDE_RECOVER_MS, Summary};
use crate::args::Quorum;

/// One line per phase: live on a terminal, plain otherwise; JSON objects with `--json`.
pub(super) struct Screen {
    json: bool,
    terminal: bool,
}

/// A phase that runs.
pub(super) struct Phase {
    name: &'static str,
    json: bool,
    spinner: Option<ProgressBar>,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        Self { json, terminal: !json && std::io::stdout().is_terminal() }
    }

    pub(super) fn phase(&self, name: &'static str, what: String) -> Phase {
        let spinner = self.terminal.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let spinner = ProgressBar::new_spinner().with_style(style).with_message(what);
            spinner.enable_steady_tick(Duration::from_millis(80));
            spinner
        });
        Phase { name, json: self.json, spinner }
    }

    #[expect(clippy::print_stdout, reason = "it is what the command prints")]
    pub(super) fn summary(&self, summary: &Summary) {
        if self.json {
            println!("{}", serde_json::json!(summary));
            return;
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for (name, value, remark) in rows(summary) {
            table.add_row([name.to_owned(), value, remark]);
        }
        println!("\n{table}");
        for failure in &summary.failed {
            println!("NOT HELD: {failure}");
        }
    }
}

fn rows(summary: &Summary) -> Vec<(&'static str, String, String)> {
    let ms = |ms: f64| format!("{ms:.1} ms");
    let horde = |ms: f64| format!("Horde on Elixir, 1,000 children on 3 nodes: {ms} ms");
    let spread = summary.spread.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ");
    let quorum = match summary.quorum {
        Quorum::None => ("none", "every side of a split keeps running"),
        Quorum::Majority => ("majority", "the smaller side of a split stops its children"),
    };
    vec![
        (
            "started",
            format!("{} children on {} nodes", summary.children, summary.nodes),
            ms(summary.start_ms),
        ),
        ("spread", spread, "children per node".to_owned()),
        ("kill noticed", ms(summary.kill_detect_ms), "by the last survivor".to_owned()),
        ("all run again", ms(summary.kill_recover_ms), horde(HORDE_RECOVER_MS)),
        (
            "calls failed",
            format!("{} of {}", summary.failed_calls, summary.calls),
            "during the kill; none hung".to_owned(),
        ),
        (
            "join moved",
            summary.join_moves.to_string(),
            format!("of at most {} by placement, in {:.0} ms", summary.join_difference, summary.join_ms),
        ),
        ("drain", ms(summary.drain_ms), horde(HORDE_DRAIN_MS)),
        ("split noticed", ms(summary.cut_detect_ms), "by both sides".to_owned()),
        ("healed", ms(summary.heal_ms), "each child once, in its place, found from everywhere".to_owned()),
        (
            "overlap",
            ms(summary.overlap_ms),
            format!("the longest of {} second copies, because of the split", summary.overlap_copies),
        ),
        ("after a pause", ms(summary.pause_recover_ms), "the same, from SIGCONT on".to_owned()),
        ("lost", summary.lost.to_string(), "by a census of what really runs, after each step".to_owned()),
        ("duplicates", summary.duplicates.to_string(), String::new()),
        ("untracked", summary.untracked.to_string(), String::new()),
        ("quorum", quorum.0.to_owned(), quorum.1.to_owned()),
        (
            "held",
            if summary.ok { "yes" } else { "NO" }.to_owned(),
            format!("in {:.1} s", summary.took_ms / 1_000.0),
        ),
    ]
}

impl Phase {
    /// Says what goes on now, where somebody watches.
    pub(super) fn say(&self, text: String) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(text);
        }
    }

    /// Says what the phase came to.
    #[expect(clippy::print_stdout, reason = "it is what the command prints")]
    pub(super) fn done(mut self, text: &str) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        if self.json {
            println!("{}", serde_json::json!({ "event": "phase", "phase": self.name, "text": text }));
        } else {
            println!("{text}");
        }
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}
