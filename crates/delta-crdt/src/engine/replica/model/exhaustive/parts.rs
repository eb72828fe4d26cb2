//! What states are made of: replicas, pushed writes and sessions, each kind once; and what the engine makes of them.
//!
//! The engine is a function of what it holds and what it is given, so it runs once for each pair of these.

use std::collections::BTreeMap;
use std::time::Duration;

use super::table::{Kinds, Results};
use crate::clock::Clock;
use crate::engine::peer::{Peer, Vector};
use crate::engine::rules::Rule;
use crate::engine::session::{Incoming, Outgoing};
use crate::message::Body;
use crate::{Config, Dot, LastWriter, Message, Now, Output, Replica, ReplicaId, Warning};

pub(super) const REPLICAS: usize = 3;
const KEY: u64 = 1;
const NOW: Now = Now { monotonic: Duration::ZERO, unix_ms: 1_700_000_000_000 };

/// A set of writes: a bit for each, in rows of four, one row for each replica.
pub(super) type Dots = u16;
const ROW: usize = 4;

pub(super) fn id(i: usize) -> ReplicaId {
    ReplicaId::new(i as u64, 1)
}

fn bit(dot: Dot) -> Dots {
    assert!((1..=ROW as u64).contains(&dot.seq), "more writes than a row has");
    1 << (dot.origin.node as usize * ROW + dot.seq as usize - 1)
}

/// The writes of one replica.
pub(super) const fn row(i: usize) -> Dots {
    0b1111 << (i * ROW)
}

/// A replica, and what can be read off it.
#[derive(Debug)]
pub(super) struct Held {
    replica: Replica<u64, u64>,
    /// The writes that its vector covers.
    pub(super) known: Dots,
    /// Those of its siblings that put a value.
    pub(super) live: Dots,
    /// Those of them that removed.
    pub(super) tombs: Dots,
    pub(super) waits: bool,
    /// The siblings that put a value, with their stamps, and which of them shows.
    pub(super) shown: String,
}

/// A write as it was pushed.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) dot: Dots,
    pub(super) puts: bool,
    /// What it takes the place of, by what its writer held.
    pub(super) replaces: Dots,
    message: Message<u64, u64>,
}

/// A session on its way.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// How who asked keeps it in mind.
    incoming: Incoming<u64, u64>,
    /// The question, until it is answered.
    pull: Option<Message<u64, u64>>,
    answer: Vec<Message<u64, u64>>,
    /// What the sender still keeps of it.
    outgoing: Option<Outgoing<u64, u64>>,
}

impl Session {
    pub(super) fn is_asked(&self) -> bool {
        self.pull.is_some()
    }

    pub(super) fn is_begun(&self) -> bool {
        self.outgoing.is_some()
    }
}

/// What the engine is given.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Input {
    Put,
    Remove,
    Push,
    Ask,
    Serve,
    Confirm,
    Answer,
    Lose,
    Collect,
}

#[derive(Debug)]
pub(super) struct Parts {
    broken: Option<Rule>,
    /// What each knows of the others at first.
    strangers: Vec<BTreeMap<ReplicaId, Peer>>,
    pub(super) held: Kinds<Held>,
    pub(super) pushed: Kinds<Pushed>,
    pub(super) sessions: Kinds<Session>,
    results: Results,
}

impl Parts {
    /// Three replicas that hold nothing.
    ///
    /// If fragments are to be confirmed, the commit waits for that; it is of the same state all the same.
    pub(super) fn new(broken: Option<Rule>, confirms: bool) -> (Self, [u32; REPLICAS]) {
        let mut parts = Self {
            broken,
            strangers: Vec::new(),
            held: Kinds::new(),
            pushed: Kinds::new(),
            sessions: Kinds::new(),
            results: Results::new(),
        };
        let mut first = Vec::new();
        for i in 0..REPLICAS {
            let mut replica = Replica::new(id(i), Config::default(), LastWriter);
            replica.rules.off = broken;
            replica.config.session_window = if confirms { 1 } else { 2 };
            for j in (0..REPLICAS).filter(|&j| j != i) {
                replica.peer_up(NOW, id(j));
                let number = replica.origins.intern(id(j)).expect("there is room");
                replica.shards[0].lane(number);
            }
            replica.set_members((0..REPLICAS).map(id));
            replica.peers.values_mut().for_each(|peer| (peer.tell_all, peer.relay_due) = (true, None));
            parts.strangers.push(replica.peers.clone());
            first.push(parts.keep(replica));
        }
        (parts, [first[0], first[1], first[2]])
    }

    /// Takes what is not a replica's state from it, and gives it its number.
    ///
    /// What it has heard of others and told them matters for collections alone, before which all of it may be told anew
    /// ([`Self::collect`]), or less of it. The clock is set back, so that a stamp depends on those that it overtakes alone. Timers are
    /// the steps of the model. What it was asked, and asks, is a [`Session`].
    fn keep(&mut self, mut replica: Replica<u64, u64>) -> u32 {
        while let Some(output) = replica.poll_output() {
            if let Output::Warning(warning) = output {
                panic!("{:?} warned: {warning}", replica.id());
            }
        }
        let origin = replica.id().node as usize;
        replica.peers.clone_from(&self.strangers[origin]);
        replica.incoming.clear();
        replica.outgoing.clear();
        replica.pull_due.clear();
        replica.park_due.clear();
        replica.asks.clear();
        (replica.relay_at, replica.status_due, replica.collect_due) = (None, None, None);
        (replica.last_session, replica.last_question, replica.answers) = (0, 0, 0);
        replica.clock = Clock::new(replica.config.max_drift);
        replica.check_invariants();
        let (mut live, mut tombs, mut siblings, mut values) = (0, 0, Vec::new(), Vec::new());
        for sibling in replica.siblings(&KEY) {
            let set = if sibling.value.is_some() { &mut live } else { &mut tombs };
            *set |= bit(sibling.dot);
            siblings.push((sibling.dot, sibling.stamp, sibling.value.copied()));
            values.extend(sibling.value.map(|_| (sibling.dot, sibling.stamp)));
        }
        let best = values.iter().map(|&(dot, stamp)| (stamp, dot)).max();
        let shown = replica.get(&KEY).and_then(|_| replica.dot(&KEY));
        assert_eq!(shown, best.map(|best| best.1), "the highest stamp wins");
        let lanes: Vec<_> = replica.shards[0].lanes.iter().map(|lane| (lane.covered, lane.floor)).collect();
        let known = (0_u32..).zip(&lanes).fold(0, |known, (origin, &(covered, _))| {
            (1..=covered).fold(known, |known, seq| known | bit(replica.origins.dot(origin, seq)))
        });
        let park = &replica.shards[0].park;
        let (waits, print) = (!park.is_empty(), format!("{origin}{siblings:?}{lanes:?}{park:?}"));
        let shown = format!("{values:?}{shown:?}");
        self.held.number(print, Held { replica, known, live, tombs, waits, shown })
    }

    /// A copy of a replica, to be given something.
    fn copy(&self, held: u32) -> Replica<u64, u64> {
        self.held.get(held).replica.clone()
    }

    /// What came of this before, or comes of it now.
    fn once(
        &mut self,
        input: Input,
        (held, with): (u32, u64),
        run: impl FnOnce(&mut Self) -> (u32, u32),
    ) -> (u32, u32) {
        assert!(held < 1 << 20 && with < 1 << 39, "more kinds than keys have room for");
        let input = (input as u64) << 59 | u64::from(held) << 39 | with;
        self.results.get(input).unwrap_or_else(|| {
            let result = run(self);
            self.results.insert(input, result);
            result
        })
    }

    /// Puts or removes: the replica then, and what it pushes.
    pub(super) fn write(&mut self, held: u32, removes: bool) -> (u32, u32) {
        let input = if removes { Input::Remove } else { Input::Put };
        self.once(input, (held, 0), |parts| {
            let mut replica = parts.copy(held);
            let replaces = replica.siblings(&KEY).fold(0, |all, sibling| all | bit(sibling.dot));
            match removes {
                true => _ = replica.remove(NOW, &KEY).expect("there is a value"),
                false => _ = replica.put(NOW, KEY, 1),
            }
            replica.flush(NOW);
            let sibling = replica.siblings(&KEY).next().expect("a write leaves a sibling");
            let (dot, stamp) = (bit(sibling.dot), sibling.stamp);
            let mut pushes = sent(&mut replica);
            assert_eq!(pushes.len(), REPLICAS - 1, "a write is pushed to all neighbours");
            let message = pushes.swap_remove(0);
            let Body::Ops(batch) = &message.body else { panic!("pushed {message:?}") };
            let print = format!("{dot}{stamp:?}{replaces}{:?}", batch.0);
            let pushed = Pushed { dot, puts: !removes, replaces, message };
            let pushed = parts.pushed.number(print, pushed);
            (parts.keep(replica), pushed)
        })
    }

    /// A pushed write arrives.
    pub(super) fn push(&mut self, held: u32, pushed: u32) -> u32 {
        let arrives = |parts: &mut Self| {
            let mut replica = parts.copy(held);
            let Pushed { dot, message, .. } = parts.pushed.get(pushed);
            replica.receive(NOW, id(dot.trailing_zeros() as usize / ROW), message.clone());
            (parts.keep(replica), 0)
        };
        self.once(Input::Push, (held, u64::from(pushed)), arrives).0
    }

    fn session(&mut self, (a, b): (usize, usize), session: Session) -> u32 {
        let mut print = format!("{a}{b}{:?}{:?}", session.outgoing, session.incoming.fragments);
        // Read only with that rule switched off.
        if session.is_asked() || self.broken == Some(Rule::VectorAtCommit) {
            print += &format!("{:?}", session.incoming.asked_at);
        }
        for message in session.pull.iter().chain(&session.answer) {
            print += &match &message.body {
                Body::Pull(pull) => format!("{pull:?}"),
                Body::Fragment(fragment) => format!("{fragment:?}"),
                Body::Commit(commit) => format!("{commit:?}"),
                _ => panic!("a session with {}", message.kind()),
            };
        }
        self.sessions.number(print, session)
    }

    /// One asks `a`.
    pub(super) fn ask(&mut self, held: u32, a: usize) -> u32 {
        let asks = |parts: &mut Self| {
            let mut replica = parts.copy(held);
            replica.begin_pull(NOW, id(a), 0, false);
            replica.send_pulls();
            let pull = sent(&mut replica).pop();
            let incoming = replica.incoming.remove(&(id(a), 0)).expect("it keeps in mind what it asked");
            let session = Session { incoming, pull, answer: Vec::new(), outgoing: None };
            (parts.session((a, replica.id().node as usize), session), 0)
        };
        self.once(Input::Ask, (held, a as u64), asks).0
    }

    /// Who is asked by `b` answers from what it holds now.
    pub(super) fn serve(&mut self, held: u32, b: usize, session: u32) -> u32 {
        let serves = |parts: &mut Self| {
            let (mut replica, mut session) = (parts.copy(held), parts.sessions.get(session).clone());
            let pull = session.pull.take().expect("a session is answered once");
            replica.receive(NOW, id(b), pull);
            session.answer = sent(&mut replica);
            session.outgoing = replica.outgoing.remove(&(id(b), 0));
            (parts.session((replica.id().node as usize, b), session), 0)
        };
        self.once(Input::Serve, (held, u64::from(session)), serves).0
    }

    /// The fragment arrives at `to`, which confirms it, and the sender, which has gone on, sends the commit.
    pub(super) fn confirm(&mut self, held: u32, to: u32, session: u32) -> u32 {
        let confirms = |parts: &mut Self| {
            let (mut replica, mut puller) = (parts.copy(held), parts.copy(to));
            let mut session = parts.sessions.get(session).clone();
            let (a, b) = (replica.id(), puller.id());
            puller.incoming.insert((a, 0), session.incoming);
            for message in session.answer.drain(..) {
                puller.receive(NOW, a, message);
            }
            session.incoming = puller.incoming.remove(&(a, 0)).expect("it waits for the commit");
            replica.outgoing.insert((b, 0), session.outgoing.take().expect("the commit is still to come"));
            for credit in sent(&mut puller) {
                replica.receive(NOW, b, credit);
            }
            session.answer = sent(&mut replica);
            (parts.session((a.node as usize, b.node as usize), session), 0)
        };
        self.once(Input::Confirm, (held, u64::from(session)), confirms).0
    }

    /// The answer of `a` arrives.
    pub(super) fn answer(&mut self, held: u32, a: usize, session: u32) -> u32 {
        let arrives = |parts: &mut Self| {
            let mut replica = parts.copy(held);
            let Session { incoming, answer, .. } = parts.sessions.get(session).clone();
            replica.incoming.insert((id(a), 0), incoming);
            for message in answer {
                replica.receive(NOW, id(a), message);
            }
            (parts.keep(replica), 0)
        };
        self.once(Input::Answer, (held, u64::from(session)), arrives).0
    }

    /// The session with `from` is given up. All of its answer is lost, or all but the fragment, so that it is torn.
    pub(super) fn lose(&mut self, held: u32, from: u32, session: u32) -> u32 {
        let ends = |parts: &mut Self| {
            let (mut replica, mut sender) = (parts.copy(held), parts.copy(from));
            let Session { incoming, answer, .. } = parts.sessions.get(session).clone();
            replica.incoming.insert((sender.id(), 0), incoming);
            sender.tell(NOW, replica.id());
            let torn = answer.into_iter().filter(|message| matches!(message.body, Body::Fragment(_)));
            for message in sent(&mut sender).into_iter().chain(torn) {
                replica.receive(NOW, sender.id(), message);
            }
            replica.abort(NOW, (sender.id(), 0));
            (parts.keep(replica), 0)
        };
        self.once(Input::Lose, (held, u64::from(session)), ends).0
    }

    /// The others tell what they hold, and the tombstones of `gone` are dropped: all that are stable, or fewer, if one of the others told
    /// less; or all, as the limit is 0.
    pub(super) fn collect(&mut self, held: u32, others: [u32; REPLICAS - 1], gone: Dots) -> u32 {
        let [one, two] = others.map(|other| u64::from(self.held.get(other).known));
        let early = u64::from(gone) & !(one & two) != 0;
        let collects = |parts: &mut Self| {
            let mut replica = parts.copy(held);
            for other in others {
                parts.tell(&mut replica, other);
            }
            let first = parts.held.get(others[0]).replica.id();
            unlearn(&mut replica, first, parts.held.get(held).tombs & !gone);
            if early {
                let limit = core::mem::replace(&mut replica.config.max_tombstones, 0);
                replica.collect();
                replica.config.max_tombstones = limit;
                replica
                    .outputs
                    .retain(|output| !matches!(output, Output::Warning(Warning::CollectedEarly { .. })));
            } else {
                replica.collect();
            }
            (parts.keep(replica), 0)
        };
        self.once(Input::Collect, (held, u64::from(gone) | one << 12 | two << 24), collects).0
    }

    /// One says all that it holds.
    fn tell(&self, replica: &mut Replica<u64, u64>, other: u32) {
        let mut other = self.copy(other);
        other.tell(NOW, replica.id());
        for status in sent(&mut other) {
            replica.receive(NOW, other.id(), status);
        }
        let heard = &replica.peers[&other.id()].heard[0];
        for origin in (0..REPLICAS).map(id) {
            let number = |replica: &Replica<u64, u64>| replica.origins.number(origin).expect("all are known");
            let (ours, theirs) = (number(replica), number(&other));
            assert_eq!(heard.covered(ours), other.shards[0].covered(theirs), "a full status tells all");
        }
    }
}

/// Takes care that these writes have not been heard of from one of the others.
fn unlearn(replica: &mut Replica<u64, u64>, other: ReplicaId, dots: Dots) {
    for origin in (0..REPLICAS).filter(|&origin| dots & row(origin) != 0) {
        let number = replica.origins.number(id(origin)).expect("all are known") as usize;
        let least = u64::from((dots & row(origin)).trailing_zeros()) - (origin * ROW) as u64;
        let heard = &mut replica.peers.get_mut(&other).expect("all are peers").heard[0];
        if let Some(vector) = &mut heard.vector
            && let Some(entry) = Vector::make_mut(vector).get_mut(number)
        {
            *entry = least.min(*entry);
        }
    }
}

/// What a replica sends.
fn sent(replica: &mut Replica<u64, u64>) -> Vec<Message<u64, u64>> {
    let mut messages = Vec::new();
    while let Some(output) = replica.poll_output() {
        match output {
            Output::Send { message, .. } => messages.push(message),
            Output::Warning(warning) => panic!("{:?} warned: {warning}", replica.id()),
            Output::Changed(_) | Output::Synced { .. } => {}
        }
    }
    messages
}
