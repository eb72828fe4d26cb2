//! The machine's state, its inputs and outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_transport::{DownReason, NodeId, NodeName, Peer};

use super::forgetting::Forgotten;
use super::health::Health;
use super::inquiry::{Inquiry, Own};
use super::jitter::Jitter;
use super::leaving::Departure;
use super::pace::Pace;
use super::state::{Known, Link};
use super::wire::{Frame, FrameError, Lifecycle, Record, meta_size};
use crate::{ClusterConfig, MemberEvent, Meta, MetaTooBig, Stopped, View};

/// What the machine is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection stands.
    PeerUp(Peer),
    /// A connection ended.
    PeerDown {
        /// Whose.
        peer: NodeId,
        /// Why.
        reason: DownReason,
    },
    /// A peer's process is likely gone.
    CrashHint {
        /// Whose.
        peer: NodeId,
    },
    /// A frame came.
    Frame {
        /// Who sent it.
        from: NodeId,
        /// Its bytes.
        frame: Bytes,
    },
    /// A frame came, and was read already: for drivers that carry frames as values.
    Said {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        frame: Frame,
    },
    /// A probe has its outcome.
    Probed {
        /// As in [`Output::Probe`].
        probe: u64,
        /// Whether an answer came.
        answered: bool,
    },
    /// A discovery strategy has another set of addresses.
    Found {
        /// Which strategy.
        source: String,
        /// All addresses it now believes in.
        addresses: BTreeSet<SocketAddr>,
    },
    /// Who is connected already: each will come as [`Input::PeerUp`], perhaps late. Given once, at the start.
    Present(BTreeSet<NodeId>),
    /// The local node announces that it will leave.
    Leaving,
    /// The local node leaves now.
    Leave {
        /// When to stop waiting for the others to have noted it.
        by: Duration,
    },
}

/// What the driver must do. Outputs may be performed late, never twice.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send a frame on the control lane. Lost, the next heartbeats heal it.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        frame: Bytes,
    },
    /// Send a request, and report its outcome as [`Input::Probed`], once. Lost, the peer counts as silent.
    Probe {
        /// To whom.
        to: NodeId,
        /// Comes back in the report.
        probe: u64,
        /// The request.
        frame: Bytes,
        /// How long to wait for the answer.
        timeout: Duration,
    },
    /// Keep connecting to this address.
    Dial(SocketAddr),
    /// Stop connecting to this address; a connection that stands stays.
    Undial(SocketAddr),
    /// Close the connection to a node that is refused.
    Disconnect {
        /// Whose.
        peer: NodeId,
        /// What to tell it.
        why: String,
    },
    /// Publish a view, then tell the watchers these events, in order.
    Publish {
        /// The view after the events.
        view: Arc<View>,
        /// What led to it.
        events: Vec<MemberEvent>,
    },
    /// Say something in the log.
    Warn(Warning),
}

/// What an operator should know. Nothing else follows from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Bytes that are no frame.
    #[error("bad membership frame from {from:?}: {error}")]
    BadFrame {
        /// Who sent them.
        from: NodeId,
        /// What is wrong.
        error: FrameError,
    },
    /// A frame that its sender has no right to.
    #[error("{from:?} sent the record of {about:?} as its own; it was ignored")]
    NotItsOwn {
        /// Who sent it.
        from: NodeId,
        /// Whose record it is.
        about: NodeId,
    },
    /// A newcomer was refused.
    #[error("refused {peer:?}: {why}")]
    Refused {
        /// Whom.
        peer: NodeId,
        /// Why.
        why: Stopped,
    },
    /// A member was told of and the limit is reached.
    #[error("{0:?} is not taken: the limit of members is reached")]
    TooManyMembers(NodeId),
    /// Discovery found more than the limit.
    #[error("{source_name} found {found} addresses and {limit} are taken; the others are not dialled")]
    TooManyAddresses {
        /// Which strategy.
        source_name: String,
        /// How many it found.
        found: usize,
        /// How many are taken.
        limit: usize,
    },
    /// This node did not run for a while.
    #[error("this node stood still for {0:?}; it listens before it suspects anybody")]
    Paused(Duration),
    /// Others called this node Down.
    #[error("{by:?} had declared this node Down while it was alive; it has objected")]
    CalledDown {
        /// One of them.
        by: NodeId,
    },
}

/// Who is here, as one node knows it. See the [module](crate::machine) for the picture.
#[derive(Debug)]
pub struct Membership {
    pub(crate) config: ClusterConfig,
    pub(crate) faults: super::faults::Faults<super::faults::Fault>,
    pub(crate) own: Record,
    pub(crate) known: BTreeMap<NodeName, Known>,
    pub(crate) forgotten: Forgotten,
    pub(crate) links: BTreeMap<NodeId, Link>,
    /// Peers that are connected and were not told of yet.
    pub(crate) awaited: BTreeSet<NodeId>,
    /// Peers that were told why they are no members, and when their connections are closed.
    pub(crate) refused: BTreeMap<NodeId, (Duration, String)>,
    pub(crate) found: BTreeMap<String, BTreeSet<SocketAddr>>,
    pub(crate) vanished: BTreeSet<SocketAddr>,
    pub(crate) dialled: BTreeSet<SocketAddr>,
    /// Others may be to be dialled than were chosen last.
    pub(crate) other_addresses: bool,
    pub(crate) probes: BTreeMap<u64, (NodeId, Duration)>,
    pub(crate) health: Health,
    pub(crate) jitter: Jitter,
    pub(crate) started: Duration,
    /// Until then this node, which stood still, hears before it takes a lost connection or a hint for a crash.
    pub(crate) listening: Duration,
    pub(crate) counter: u64,
    pub(crate) departure: Option<Departure>,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) digest: Option<u32>,
    pub(crate) view: Arc<View>,
    pub(crate) changed: bool,
    pub(crate) events: Vec<MemberEvent>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) due: Option<Duration>,
    /// When the next heartbeats go out, one for each connection that is not contested.
    pub(crate) agenda: BTreeSet<(Duration, NodeId)>,
    /// When something else than a heartbeat or an inquiry is due, or later than this.
    pub(crate) others_due: Duration,
    /// Members that are asked about; some perhaps not any more.
    pub(crate) doubted: BTreeSet<NodeName>,
    /// Some newcomer waits for a name; perhaps not any more.
    pub(crate) contested: bool,
    pub(crate) pace: Pace,
    /// What came is said again and again: unless it brought news, nothing follows from it.
    pub(crate) routine: bool,
    pub(crate) now: Duration,
}

impl Membership {
    /// The membership of `local`, alone and Joining at `now`.
    ///
    /// # Errors
    /// [`MetaTooBig`] when the configured meta is over its limit.
    pub fn new(local: NodeId, config: ClusterConfig, now: Duration) -> Result<Self, MetaTooBig> {
        check_meta(&config.meta, &config)?;
        let own = Record {
            id: local.clone(),
            address: config.address,
            version: 1,
            counter: 0,
            lifecycle: Lifecycle::Joining,
            meta: Arc::new(config.meta.clone()),
        };
        let jitter = Jitter::new(config.seed ^ local.incarnation(), local.name().as_str().as_bytes());
        let seeds: BTreeSet<SocketAddr> = config.seeds.iter().copied().collect();
        let (members, forgotten) = (BTreeMap::new(), BTreeMap::new());
        let view = View { version: 0, local, members, forgotten, stopped: None };
        let mut machine = Self {
            config,
            faults: super::faults::Faults::default(),
            own,
            known: BTreeMap::new(),
            forgotten: Forgotten::default(),
            links: BTreeMap::new(),
            awaited: BTreeSet::new(),
            refused: BTreeMap::new(),
            found: BTreeMap::new(),
            vanished: BTreeSet::new(),
            dialled: BTreeSet::new(),
            other_addresses: true,
            probes: BTreeMap::new(),
            health: Health::default(),
            jitter,
            started: now,
            listening: now,
            counter: 0,
            departure: None,
            stopped: None,
            digest: None,
            view: Arc::new(view),
            changed: true,
            events: Vec::new(),
            outputs: VecDeque::new(),
            due: None,
            agenda: BTreeSet::new(),
            others_due: now,
            doubted: BTreeSet::new(),
            contested: false,
            pace: Pace::new(now),
            routine: false,
            now,
        };
        machine.found("seeds".to_owned(), seeds);
        machine.finish();
        Ok(machine)
    }

    /// Who this is.
    #[must_use]
    pub fn local(&self) -> &NodeId {
        &self.own.id
    }

    /// The latest view, as published.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// What this node tells of itself.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.own.meta
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Duration, input: Input) {
        if self.stopped.is_some() {
            return;
        }
        self.input(now, |machine| match input {
            Input::PeerUp(peer) => machine.peer_up(peer),
            Input::PeerDown { peer, reason } => machine.peer_down(&peer, &reason),
            Input::CrashHint { peer } => machine.hint(&peer),
            Input::Frame { from, frame } => machine.frame(&from, &frame),
            Input::Said { from, frame } => machine.said(&from, frame),
            Input::Probed { probe, answered } => machine.probed(probe, answered),
            Input::Found { source, addresses } => machine.found(source, addresses),
            Input::Present(peers) => machine.present(peers),
            Input::Leaving => machine.announce_leaving(),
            Input::Leave { by } => machine.leave(by),
        });
    }

    /// One input, and what follows from it.
    pub(crate) fn input(&mut self, now: Duration, input: impl FnOnce(&mut Self)) {
        self.wake(now);
        self.routine = false;
        input(self);
        self.advance();
        if self.is_quiet() {
            self.note_due();
        } else if !self.put_off() {
            self.finish();
        }
    }

    /// Whether nothing follows from the input but what it did itself: each moment that is due is as it was or later. So a
    /// heartbeat costs the same however many members there are.
    fn is_quiet(&self) -> bool {
        self.routine && !self.contested && !self.has_news() && self.now < self.others_due
    }

    /// Whether something happened that the view or the addresses to dial do not show yet, and that does not wait for its time.
    fn has_news(&self) -> bool {
        let waits = self.pace.due.is_some() && self.is_patient();
        !waits && (!self.events.is_empty() || self.changed || self.other_addresses)
    }

    /// Changes what this node tells of itself, and tells all members at once. True when it is a change.
    ///
    /// # Errors
    /// [`MetaTooBig`]: nothing was changed.
    pub fn set_meta(&mut self, now: Duration, meta: Meta) -> Result<bool, MetaTooBig> {
        check_meta(&meta, &self.config)?;
        if *self.own.meta == meta || self.stopped.is_some() {
            return Ok(false);
        }
        self.wake(now);
        self.own.meta = Arc::new(meta);
        self.events.push(MemberEvent::Meta(self.own.id.clone()));
        self.announce();
        if !self.put_off() {
            self.finish();
        }
        Ok(true)
    }

    /// The answer to a request that came from a peer; none when it deserves none.
    #[must_use]
    pub fn answer(&self, frame: &[u8]) -> Option<Bytes> {
        match Frame::decode(frame) {
            Ok(Frame::Probe { to }) if to == self.own.id && self.stopped.is_none() => {
                Some(Frame::Here.encode())
            }
            _ => None,
        }
    }

    /// When [`Membership::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// Whether the next moment is part of a probe that lasts milliseconds: a timer that is late by one matters.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        let window = |inquiry: &Inquiry| match inquiry.own {
            Own::Probing { window, .. } => window < self.config.heartbeat,
            Own::Silent => false,
        };
        let doubted = self.doubted.iter().filter_map(|name| self.known.get(name));
        doubted.filter_map(|known| known.inquiry.as_ref()).any(window)
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.stopped.is_some() {
            return;
        }
        self.wake(now);
        let gathered = self.pace.due.is_none_or(|at| self.now < at);
        if self.now < self.others_due && gathered && !self.contested && self.health.factor() == 1 {
            self.advance();
            if !self.has_news() {
                self.beat_all_due();
                return self.note_due();
            }
        }
        self.health.good(self.now, self.config.heartbeat);
        self.suspect_the_silent();
        self.advance();
        self.beat_all_due();
        self.forget_the_left();
        self.close_refused();
        self.finish();
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Notes the time, and whether this node stood still: that time is nobody's silence.
    fn wake(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let late = self.due.map_or(Duration::ZERO, |due| self.now.saturating_sub(due));
        if late <= self.config.heartbeat || self.faults.has(super::faults::Fault::PauseIsSilence) {
            return;
        }
        self.health.late(self.now);
        self.excuse_all(late);
        if late > self.config.suspect_after {
            self.outputs.push_back(Output::Warn(Warning::Paused(late)));
            self.listening = self.now + self.config.suspect_after;
            self.pull_all();
            self.beat_all();
        }
    }

    /// What every input ends with: readiness, addresses to dial, the view, the next moment.
    fn finish(&mut self) {
        self.pace.due = None;
        self.join_if_ready();
        self.end_departure();
        self.tell_gathered();
        let news = self.changed || !self.events.is_empty() || std::mem::take(&mut self.other_addresses);
        if news || self.now >= self.others_due {
            self.redial();
        }
        self.publish();
        self.find_due();
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// # Panics
    /// When the state contradicts itself: a bug.
    pub fn check_invariants(&self) {
        let local = &self.own.id;
        assert!(!self.known.contains_key(local.name()), "the local name is not among the others");
        for (name, known) in &self.known {
            assert_eq!(name, known.record.id.name(), "members are filed under their own name");
            if known.inquiry.is_some() {
                assert!(known.is_alive(), "{:?} is gone and still asked about", known.record.id);
            }
            let doubted =
                matches!(known.status(), crate::MemberStatus::Suspect | crate::MemberStatus::Unreachable);
            assert!(
                !doubted || known.inquiry.is_some(),
                "{:?} is doubted without an inquiry",
                known.record.id
            );
        }
        let back = self.known.values().find(|known| self.forgotten.holds(&known.record.id));
        assert!(back.is_none(), "{back:?} is forgotten and known");
        for (id, link) in &self.links {
            assert_eq!(*id, link.peer.id, "links are filed under their peer");
            let beats = self.agenda.contains(&(link.next_beat, id.clone()));
            assert!(beats || link.contest.is_some(), "the next heartbeat to {id:?} is on the agenda");
            assert!(
                link.contest.is_none() || self.contested,
                "a name is contested, and somebody looks at it"
            );
        }
        let (soonest, waits) = (self.next_but_beats(), self.pace.due.is_some());
        assert!(
            self.stopped.is_some() || waits || self.others_due <= soonest,
            "{soonest:?} is due before {:?}, which was noted",
            self.others_due
        );
        let mut asked = self.known.iter().filter(|(_, known)| known.inquiry.is_some());
        assert!(asked.all(|(name, _)| self.doubted.contains(name)), "who is asked about is looked at");
        assert!(self.known.len() < self.config.max_members.max(1), "the limit of members holds");
        assert!(self.own.lifecycle != Lifecycle::Left || self.departure.is_some() || self.stopped.is_some());
        assert!(waits || self.events.is_empty() && !self.changed, "everything is published");
        assert!(
            self.pace.newcomers.len() <= super::pace::MOST_TOLD + 1,
            "the limit of gathered newcomers holds"
        );
    }
}

fn check_meta(meta: &Meta, config: &ClusterConfig) -> Result<(), MetaTooBig> {
    let (size, limit) = (meta_size(meta), config.max_meta.min(32 << 10));
    if size > limit { Err(MetaTooBig { size, limit }) } else { Ok(()) }
}
