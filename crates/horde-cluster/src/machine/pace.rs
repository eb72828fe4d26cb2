//! What a large cluster gathers, so that a thousand nodes that start together do not tell each other everything at once.
//!
//! Up to `ClusterConfig::eager_members` nothing here applies. Beyond, with n members:
//! - A newcomer, a change of the own record, and whatever hurries nobody wait for some microseconds a member, and are told
//!   and published together. What is said of the dead, the doubted and those that leave never waits.
//! - Newcomers are told in one frame, up to [`MOST_TOLD`] of them. Of more nobody is told: they connect to all by
//!   themselves, and where one is missed, the digests of the next heartbeats differ.
//! - A whole list goes only to who asks for it with another digest, and to [`LISTS`] askers in a heartbeat; the others ask
//!   again. Who lacks something asks [`PULLS`] peers in a heartbeat.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use horde_transport::NodeId;

use super::membership::Membership;
use super::wire::{Frame, Lifecycle, RECORDS_BUDGET, Told, told_size};
use crate::MemberEvent;

/// How long news waits for more of it, for each member that is known.
const PACE: Duration = Duration::from_micros(10);
/// The longest such wait.
const SLOWEST: Duration = Duration::from_millis(20);
/// Newcomers that are told to all.
pub(crate) const MOST_TOLD: usize = 16;
/// Whole lists given in one heartbeat.
const LISTS: u32 = 16;
/// Whole lists asked for in one heartbeat.
const PULLS: u32 = 4;

/// What is gathered, and when things were done last.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When what is gathered is told and published.
    pub(crate) due: Option<Duration>,
    /// When that was last.
    told_at: Duration,
    /// The own record is to be told to all.
    pub(crate) announces: bool,
    /// Who is to be told of; one more than is told means that there were too many.
    pub(crate) newcomers: BTreeSet<NodeId>,
    /// The events up to here hurry nobody.
    patient: usize,
    /// The last digest that was reckoned, and when.
    pub(crate) digest: (u32, Duration),
    pub(crate) pulled_at: Option<Duration>,
    /// The heartbeat in which lists are counted, and how many were given in it.
    lists: (Duration, u32),
    /// The own record as bytes, and of which version and counter.
    own: Option<(u64, u64, Bytes)>,
}

impl Pace {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            due: None,
            told_at: now,
            announces: false,
            newcomers: BTreeSet::new(),
            patient: 0,
            digest: (0, Duration::ZERO),
            pulled_at: None,
            lists: (now, 0),
            own: None,
        }
    }
}

impl Membership {
    /// Whether there are too many members to tell everybody everything at once.
    pub(crate) fn is_large(&self) -> bool {
        self.known.len() > self.config.eager_members
    }

    /// How long news waits for more.
    pub(crate) fn pace_of_news(&self) -> Duration {
        let members = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        PACE.saturating_mul(members).min(SLOWEST)
    }

    /// Whether nothing that happened and is not published yet hurries.
    pub(crate) fn is_patient(&self) -> bool {
        let hurries = |event: &MemberEvent| {
            !matches!(event, MemberEvent::Joined(_) | MemberEvent::Up(_) | MemberEvent::Meta(_))
        };
        let new = self.events.get(self.pace.patient..).unwrap_or(&self.events);
        self.stopped.is_none() && self.departure.is_none() && !new.iter().any(hurries)
    }

    /// Lets what follows from an input wait for what follows from the next ones. False when it must not, or has waited.
    pub(crate) fn put_off(&mut self) -> bool {
        let at = self.pace.told_at + self.pace_of_news();
        if !self.is_large() || self.now >= at || self.contested || !self.is_patient() {
            return false;
        }
        self.pace.patient = self.events.len();
        self.pace.due = Some(at);
        self.note_due();
        true
    }

    /// Tells all others of a newcomer: at once, or with those that come next.
    pub(crate) fn tell_of(&mut self, newcomer: &NodeId) {
        if self.is_large() {
            if self.pace.newcomers.len() <= MOST_TOLD {
                self.pace.newcomers.insert(newcomer.clone());
            }
        } else if let Some(known) = self.known.get(newcomer.name()) {
            let told = Frame::Members { told: vec![Self::told(known)], last: false };
            self.broadcast_but(Some(newcomer), &told.encode());
        }
    }

    /// Tells what was gathered.
    pub(crate) fn tell_gathered(&mut self) {
        self.pace.told_at = self.now;
        self.pace.patient = 0;
        if std::mem::take(&mut self.pace.announces) {
            let own = self.own_bytes();
            self.broadcast_but(None, &own);
        }
        let newcomers = std::mem::take(&mut self.pace.newcomers);
        if newcomers.is_empty() || newcomers.len() > MOST_TOLD {
            return;
        }
        let (mut told, mut size) = (Vec::new(), 0);
        for known in
            newcomers.iter().filter_map(|id| self.known.get(id.name()).filter(|k| k.record.id == *id))
        {
            let next = Self::told(known);
            size += told_size(&next);
            told.push(next);
        }
        // Metas that are large go one by one.
        let frames: Vec<Vec<Told>> = if size > RECORDS_BUDGET {
            told.into_iter().map(|told| vec![told]).collect()
        } else {
            vec![told]
        };
        for told in frames {
            self.broadcast(&Frame::Members { told, last: false });
        }
    }

    /// Sends the own record.
    pub(crate) fn send_own(&mut self, to: &NodeId) {
        let frame = self.own_bytes();
        self.outputs.push_back(super::membership::Output::Send { to: to.clone(), frame });
    }

    /// The own record as a frame. Each change of it raises its version or its counter.
    fn own_bytes(&mut self) -> Bytes {
        let (version, counter) = (self.own.version, self.own.counter);
        if let Some((v, c, bytes)) = &self.pace.own
            && (*v, *c) == (version, counter)
        {
            return bytes.clone();
        }
        let bytes = Frame::Own(self.own.clone()).encode();
        self.pace.own = Some((version, counter, bytes.clone()));
        bytes
    }

    /// A peer with another digest, perhaps, asks for the list.
    pub(crate) fn answer_pull(&mut self, to: &NodeId, digest: u32) {
        if digest == self.digest() {
            self.send_verdicts(to);
            return self.send(to, &Frame::Members { told: Vec::new(), last: true });
        }
        if self.is_large() {
            let (since, given) = self.pace.lists;
            let (since, given) =
                if self.now >= since + self.config.heartbeat { (self.now, 0) } else { (since, given) };
            if given >= LISTS {
                return;
            }
            self.pace.lists = (since, given + 1);
        }
        self.send_list(to);
    }

    /// Whether another list may be asked for now.
    pub(crate) fn may_pull(&self) -> bool {
        let rest = self.config.heartbeat / PULLS;
        !self.is_large() || self.pace.pulled_at.is_none_or(|at| self.now >= at + rest)
    }

    /// Some member is Up, and nobody who is has told all it knows: asks one of them, by chance.
    pub(crate) fn learn_from_any(&mut self) {
        if !self.may_pull() {
            return;
        }
        let up = |id: &NodeId| {
            let known = self.known.get(id.name()).filter(|known| known.record.id == *id);
            known.is_some_and(|known| known.is_alive() && known.record.lifecycle == Lifecycle::Up)
        };
        let ups: Vec<NodeId> = self.links.keys().filter(|id| up(id)).cloned().collect();
        let place = self.jitter.next() % (ups.len().max(1) as u64);
        if let Some(peer) = usize::try_from(place).ok().and_then(|place| ups.get(place)).cloned() {
            self.pull(&peer);
        }
    }
}
