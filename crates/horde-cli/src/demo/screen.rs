//! What a person, or a program, sees of the demo.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{HORDE_RECOVER_MS, Summary};

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
    pub(super) fn summary(&self, summary: &Summary, took: Duration) {
        if self.json {
            println!("{}", serde_json::json!(summary));
            return;
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let spread = summary.spread.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ");
        let horde = format!("(Horde on Elixir: {HORDE_RECOVER_MS} ms for 1,000 children on 3 nodes)");
        let rows = [
            ("started", format!("{} children on {} nodes", summary.children, summary.nodes), String::new()),
            ("spread", spread, "children per node".to_owned()),
            (
                "start",
                format!("{:.0} ms", summary.start_ms),
                "all of them, named and found by name".to_owned(),
            ),
            ("kill noticed", format!("{:.1} ms", summary.kill_detect_ms), "by the last survivor".to_owned()),
            ("all run again", format!("{:.1} ms", summary.kill_recover_ms), horde),
            (
                "calls failed",
                format!("{} of {}", summary.failed_calls, summary.calls),
                "during the kill; none hung".to_owned(),
            ),
            ("lost", summary.lost.to_string(), "by a census of what really runs".to_owned()),
            ("duplicates", summary.duplicates.to_string(), String::new()),
            ("untracked", summary.untracked.to_string(), String::new()),
            ("quorum", summary.quorum.to_owned(), "every side of a split keeps running".to_owned()),
            (
                "held",
                if summary.ok { "yes" } else { "NO" }.to_owned(),
                format!("in {:.1} s", took.as_secs_f64()),
            ),
        ];
        for (name, value, remark) in rows {
            table.add_row([name.to_owned(), value, remark]);
        }
        println!("\n{table}");
    }
}

impl Phase {
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
