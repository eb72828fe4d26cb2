//! Comparing what really runs with what was started.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Calls, Entry};

/// How what runs differs from what was started. At least one of the three is not empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Started, and runs nowhere.
    pub lost: BTreeSet<String>,
    /// Runs more than once: where.
    pub duplicates: BTreeMap<String, Vec<String>>,
    /// Runs, and was not started or is not found: where, and what is found in its place.
    pub untracked: BTreeMap<String, String>,
}

/// Each child that was started runs exactly once, and nothing else runs; by child, its run.
///
/// # Errors
/// [`Faults`], by name.
pub fn check(started: &BTreeSet<String>, census: &[Entry]) -> Result<BTreeMap<String, Entry>, Faults> {
    let (mut runs, mut faults) = (BTreeMap::<String, Vec<&Entry>>::new(), Faults::default());
    for entry in census.iter().filter(|entry| entry.runs()) {
        runs.entry(entry.id.clone()).or_default().push(entry);
    }
    faults.lost = started.iter().filter(|id| !runs.contains_key(*id)).cloned().collect();
    let mut once = BTreeMap::new();
    for (id, copies) in runs {
        if !started.contains(&id) {
            faults.untracked.insert(id, format!("runs as {}, was never started", copies[0].pid));
        } else if copies.len() > 1 {
            faults.duplicates.insert(id, copies.iter().map(|copy| copy.pid.clone()).collect());
        } else {
            once.insert(id, copies[0].clone());
        }
    }
    if faults == Faults::default() { Ok(once) } else { Err(faults) }
}

/// Each child that runs answered, as the process that the census has of it.
///
/// # Errors
/// [`Faults`]: a child that does not answer by its name, or under whose name another process answers, is untracked.
pub fn check_names(running: &BTreeMap<String, Entry>, calls: &Calls) -> Result<(), Faults> {
    let mut faults = Faults::default();
    for (id, entry) in running {
        let found = match calls.answered.get(id) {
            Some(found) if (&found.pid, found.generation) == (&entry.pid, entry.generation) => continue,
            Some(found) => format!("runs as {}, its name leads to {found:?}", entry.pid),
            None => {
                let error = calls.failed.get(id).map_or("not called", String::as_str);
                format!("runs as {}, its name leads to nobody: {error}", entry.pid)
            }
        };
        faults.untracked.insert(id.clone(), found);
    }
    if faults == Faults::default() { Ok(()) } else { Err(faults) }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicates, untracked } = self;
        write!(f, "lost {}: {lost:?}; ", lost.len())?;
        write!(f, "duplicates {}: {duplicates:?}; ", duplicates.len())?;
        write!(f, "untracked {}: {untracked:?}", untracked.len())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Whereabouts;

    fn run(id: &str, pid: &str, ended_us: Option<u64>) -> Entry {
        let (id, pid) = (id.to_owned(), pid.to_owned());
        Entry { id, pid, node: "one@1".into(), generation: 1, resumed: false, started_us: 1, ended_us }
    }

    fn started() -> BTreeSet<String> {
        ["a".to_owned(), "b".to_owned()].into()
    }

    #[test]
    fn runs_that_ended_do_not_count() {
        let census = [run("a", "p1", Some(2)), run("a", "p2", None), run("b", "p3", None)];
        let running = check(&started(), &census).unwrap();
        assert_eq!(running.values().map(|entry| entry.pid.as_str()).collect::<Vec<_>>(), ["p2", "p3"]);
    }

    #[test]
    fn a_lost_a_doubled_and_an_unknown_child_are_named() {
        let census =
            [run("a", "p1", None), run("a", "p2", None), run("b", "p3", Some(2)), run("c", "p4", None)];
        let faults = check(&started(), &census).unwrap_err();
        assert_eq!(faults.lost, BTreeSet::from(["b".to_owned()]));
        assert_eq!(
            faults.duplicates,
            BTreeMap::from([("a".to_owned(), vec!["p1".to_owned(), "p2".to_owned()])])
        );
        assert_eq!(faults.untracked.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_name_that_leads_to_another_process_or_to_nobody_is_a_fault() {
        let running = check(&started(), &[run("a", "p1", None), run("b", "p2", None)]).unwrap();
        let found =
            |pid: &str| Whereabouts { pid: pid.into(), node: "one@1".into(), generation: 1, total: 0 };
        let both = BTreeMap::from([("a".to_owned(), found("p1")), ("b".to_owned(), found("p2"))]);
        assert_eq!(check_names(&running, &Calls { answered: both.clone(), ..Calls::default() }), Ok(()));
        let mut other = both;
        other.insert("a".to_owned(), found("p9"));
        other.remove("b");
        let faults = check_names(&running, &Calls { answered: other, ..Calls::default() }).unwrap_err();
        assert_eq!(faults.untracked.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
