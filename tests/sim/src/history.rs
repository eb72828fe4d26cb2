//! What happened, a line each, a column per node.

use std::fmt;
use std::time::Duration;

/// The lines of one run.
#[derive(Debug, Clone, Default)]
pub struct History {
    lines: Vec<(Duration, usize, String)>,
    columns: usize,
    on: bool,
}

/// How wide a node's column is.
const WIDTH: usize = 34;

impl History {
    /// An empty history of `columns` nodes.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { lines: Vec::new(), columns, on: true }
    }

    /// Notes what node `column` did.
    pub fn note(&mut self, at: Duration, column: usize, text: impl FnOnce() -> String) {
        if self.on {
            self.lines.push((at, column, text()));
        }
    }

    /// The lines as text to compare: equal runs have equal traces.
    #[must_use]
    pub fn trace(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, column, text) in &self.lines {
            let indent = column.min(&self.columns) * WIDTH;
            writeln!(f, "{:>10.3} s {:indent$}{text}", at.as_secs_f64(), "")?;
        }
        Ok(())
    }
}
