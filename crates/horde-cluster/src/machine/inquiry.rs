//! The question whether one member is still alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_transport::NodeId;

use super::wire::Answer;

/// How often a probe is repeated because this node itself was late.
pub(crate) const MAX_EXTENSIONS: u32 = 3;

/// What this node has found out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// Probing (or waiting for the connection to return) until then.
    Probing { until: Duration, window: Duration },
    /// No answer.
    Silent,
}

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Inquiry {
    /// Proof of life must be of something sent after this.
    pub(crate) started: Duration,
    /// Whether this node has evidence of a crash itself: a hint, or a lost connection.
    pub(crate) hinted: bool,
    pub(crate) own: Own,
    pub(crate) next_probe: Duration,
    pub(crate) extended: u32,
    /// The number of the question put to the others; 0 before.
    pub(crate) round: u64,
    pub(crate) asked: BTreeSet<NodeId>,
    pub(crate) answers: BTreeMap<NodeId, Answer>,
    /// Who has not answered by then does not count.
    pub(crate) answer_by: Duration,
    /// Who wants to know, and the number of their question.
    pub(crate) owed: BTreeMap<NodeId, u64>,
}

/// What follows from an inquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not enough is known yet.
    Open,
    /// Silent here and agreed.
    Down,
    /// Silent here, alive elsewhere.
    Outvoted,
}

impl Inquiry {
    pub(crate) fn new(now: Duration, own: Own, hinted: bool) -> Self {
        Self {
            started: now,
            hinted,
            own,
            next_probe: now,
            extended: 0,
            round: 0,
            asked: BTreeSet::new(),
            answers: BTreeMap::new(),
            answer_by: now,
            owed: BTreeMap::new(),
        }
    }

    /// `counts`: whether somebody asked is still trusted to observe.
    pub(crate) fn verdict(&self, now: Duration, counts: impl Fn(&NodeId) -> bool) -> Verdict {
        if self.own != Own::Silent || self.round == 0 {
            return Verdict::Open;
        }
        let (mut silent, mut waiting) = (0, 0);
        for voter in self.asked.iter().filter(|voter| counts(voter)) {
            match self.answers.get(voter) {
                Some(Answer::Alive) => return Verdict::Outvoted,
                Some(Answer::Silent) => silent += 1,
                Some(Answer::Unknown) => {}
                None if now < self.answer_by => waiting += 1,
                None => {}
            }
        }
        let needed = 2.min(silent + waiting);
        if silent >= needed { Verdict::Down } else { Verdict::Open }
    }

    /// The next moment at which something is to be done. `linked`: probes can be sent.
    pub(crate) fn due(&self, linked: bool) -> Duration {
        let probe = if linked { self.next_probe } else { Duration::MAX };
        match self.own {
            Own::Probing { until, .. } => until.min(probe),
            Own::Silent => self.answer_by.min(probe),
        }
    }
}
