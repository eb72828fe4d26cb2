//! `tidy`: style as a check. Each rule reads the tree and says what it refuses, where, and what to do instead.

mod code;
mod files;
mod layers;
mod links;
mod machines;
mod manifests;
mod roots;
mod sleep;
mod tree;
mod words;

use crate::shell;
use anyhow::{Result, bail};
use std::fmt;
use tree::Tree;

/// One thing that a rule refuses.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.message)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.message)
        }
    }
}

/// Every rule. A rule sees the whole tree and is a pure function of it.
const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    files::length,
    files::names,
    files::docs,
    roots::check,
    machines::check,
    words::check,
    sleep::check,
    layers::check,
    manifests::check,
    links::check,
];

/// Checks the working tree. An error with the number of findings, which are printed, if there is one.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::load(&shell::root())?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: ok"),
        count => bail!("tidy: {count} findings"),
    }
    Ok(())
}
