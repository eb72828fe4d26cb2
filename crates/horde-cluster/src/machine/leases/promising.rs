//! What a voter has promised to accusers, given back, and carried into the next configuration.
//!
//! A change of the voters is never held up by promises: who accepts it tells what it has promised, and nobody acknowledges
//! anything in the new configuration before it has taken over what a majority of the old one had promised. So a promise
//! that took part in a decision binds every voter of each configuration that follows.

use std::collections::{BTreeMap, BTreeSet};

use horde_transport::{NodeId, NodeName};
use serde::{Deserialize, Serialize};

use super::Leases;
use super::wire::LeaseFrame;

/// A promise about one life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promise {
    /// Up to which of its terms it is not acknowledged.
    pub term: u64,
    /// Who asked, in which round.
    pub by: BTreeMap<NodeId, u64>,
}

/// What a voter has promised, for those who must keep it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Table", try_from = "Table")]
pub struct Promised {
    /// By life.
    pub given: BTreeMap<NodeId, Promise>,
    /// No life of this name before this one is acknowledged, whoever asks.
    pub outlived: BTreeMap<NodeName, u64>,
}

impl Promised {
    /// Takes over what somebody else has promised.
    pub(super) fn join(&mut self, other: &Self) {
        for (accused, promise) in &other.given {
            let own = self.given.entry(accused.clone()).or_default();
            own.term = own.term.max(promise.term);
            for (accuser, round) in &promise.by {
                let own = own.by.entry(accuser.clone()).or_default();
                *own = (*own).max(*round);
            }
        }
        for (name, life) in &other.outlived {
            let own = self.outlived.entry(name.clone()).or_default();
            *own = (*own).max(*life);
        }
    }

    fn outlives(&self, id: &NodeId) -> bool {
        self.outlived.get(id.name()).is_some_and(|life| id.incarnation() < *life)
    }

    fn release_unasked(&mut self) {
        self.given.retain(|_, promise| !promise.by.is_empty());
    }
}

/// The place of an accuser, and the round of its question.
type Asked = (u16, u64);

/// The form on the wire: each life once, then by its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Table {
    lives: Vec<NodeId>,
    given: Vec<(u16, u64, Vec<Asked>)>,
    outlived: BTreeMap<NodeName, u64>,
}

impl From<Promised> for Table {
    fn from(promised: Promised) -> Self {
        let mut places = BTreeMap::new();
        let mut lives = Vec::new();
        let mut place = |id: NodeId| {
            *places.entry(id.clone()).or_insert_with(|| {
                lives.push(id);
                // A frame that has so many is larger than any that is sent.
                u16::try_from(lives.len() - 1).unwrap_or(u16::MAX)
            })
        };
        let given = promised.given.into_iter().map(|(accused, Promise { term, by })| {
            let accused = place(accused);
            (accused, term, by.into_iter().map(|(accuser, round)| (place(accuser), round)).collect())
        });
        let given = given.collect();
        Self { lives, given, outlived: promised.outlived }
    }
}

impl TryFrom<Table> for Promised {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let life =
            |place: u16| table.lives.get(usize::from(place)).cloned().ok_or("a life that is not listed");
        let mut given = BTreeMap::new();
        for (accused, term, by) in &table.given {
            let by = by.iter().map(|(accuser, round)| Ok((life(*accuser)?, *round)));
            given.insert(
                life(*accused)?,
                Promise { term: *term, by: by.collect::<Result<_, Self::Error>>()? },
            );
        }
        Ok(Self { given, outlived: table.outlived })
    }
}

impl Leases {
    /// Whether a heartbeat of this life in this term may be acknowledged.
    pub(super) fn may_acknowledge(&self, id: &NodeId, term: u64) -> bool {
        let given = self.promised.given.get(id);
        given.is_none_or(|promise| term > promise.term) && !self.promised.outlives(id)
    }

    /// Somebody asks for a promise. It is given only about a life that this voter does not find alive itself.
    pub(super) fn on_accuse(&mut self, from: &NodeId, accused: &NodeId, term: u64, round: u64) {
        let late = self.withdrawn.get(&(accused.clone(), from.clone())).is_some_and(|last| round <= *last);
        // Who is given up acts on nothing before its next term, and would be promised what is dropped here in a moment.
        let over = self.cases.get(from).is_some_and(|case| case.is_over(self.now));
        if late || over || !self.votes(&self.me) || self.is_alive(accused) {
            return;
        }
        let term = self.terms_of.get(accused).copied().unwrap_or(0).max(term);
        let given = self.promised.given.entry(accused.clone()).or_default();
        given.term = given.term.max(term);
        // Questions may come in another order than they were asked in.
        let last = given.by.entry(from.clone()).or_insert(round);
        *last = round.max(*last);
        let (epoch, next) = self.accepted();
        self.deliver(from, &LeaseFrame::Promise { accused: accused.clone(), term, round, epoch, next });
    }

    pub(super) fn on_withdraw(&mut self, from: &NodeId, accused: &NodeId, round: u64) {
        let last = self.withdrawn.entry((accused.clone(), from.clone())).or_insert(round);
        *last = round.max(*last);
        if let Some(promise) = self.promised.given.get_mut(accused)
            && promise.by.get(from).is_some_and(|given| *given <= round)
        {
            promise.by.remove(from);
            self.promised.release_unasked();
        }
        self.deliver(from, &LeaseFrame::Withdrawn { accused: accused.clone(), round });
    }

    /// Whether everybody to whom this voter promised something about `id` knows that it is in a later term by now. Who
    /// does not is told: it may have given up the term before, and must not go on doing so while the next one is held.
    pub(super) fn accusers_know(&mut self, id: &NodeId, term: u64) -> bool {
        let me = self.me.clone();
        if let Some(promise) = self.promised.given.get_mut(id) {
            promise.by.remove(&me);
            let unknowing: Vec<NodeId> = promise.by.keys().cloned().collect();
            for accuser in unknowing {
                self.send(&accuser, &LeaseFrame::Later { accused: id.clone(), term });
            }
        }
        self.promised.release_unasked();
        !self.promised.given.contains_key(id)
    }

    pub(super) fn on_noted(&mut self, from: &NodeId, accused: &NodeId, term: u64) {
        // A promise of a later round about that very term stands.
        if let Some(promise) = self.promised.given.get_mut(accused).filter(|promise| term > promise.term) {
            promise.by.remove(from);
            self.promised.release_unasked();
        }
    }

    /// Drops the promises that bind nobody any more: what is given up, or has left, acts on none, and a life that was replaced
    /// by a later one is not acknowledged in any case.
    pub(super) fn judge_promises(&mut self) {
        let (cases, left, now, members) = (&self.cases, &self.left, self.now, &self.members);
        let over = |id: &NodeId| left.contains(id) || cases.get(id).is_some_and(|case| case.is_over(now));
        let Promised { given, outlived } = &mut self.promised;
        given.retain(|accused, promise| {
            let lives = members.keys().filter(|id| id.name() == accused.name()).map(NodeId::incarnation);
            let latest = lives.max().filter(|life| *life > accused.incarnation());
            if let Some(life) = latest {
                let own = outlived.entry(accused.name().clone()).or_default();
                *own = life.max(*own);
            }
            promise.by.retain(|accuser, _| !over(accuser));
            latest.is_none() && !promise.by.is_empty()
        });
        let here = |name: &NodeName| members.keys().any(|id| id.name() == name);
        outlived.retain(|name, _| here(name));
        self.withdrawn.retain(|(accused, by), _| members.contains_key(accused) && members.contains_key(by));
    }

    /// Asks the accusers of lives that are here whether they still rely on the promise: it may have come from another voter,
    /// of whom the accuser took it back. Of accusers whom this node does not know it must find out whether they are over.
    pub(super) fn ask_back(&mut self) {
        let accusers: BTreeSet<&NodeId> =
            self.promised.given.values().flat_map(|promise| promise.by.keys()).collect();
        let unknown = accusers.into_iter().filter(|id| !self.members.contains_key(*id)).cloned();
        for accuser in unknown.collect::<Vec<_>>() {
            self.accuse(&accuser);
        }
        let alive = self.promised.given.iter().filter(|(accused, _)| self.is_alive(accused));
        let asked: Vec<(NodeId, u64, NodeId, u64)> = alive
            .flat_map(|(accused, Promise { term, by })| {
                by.iter().map(|(accuser, round)| (accused.clone(), *term, accuser.clone(), *round))
            })
            .collect();
        let (epoch, next) = self.accepted();
        for (accused, term, accuser, round) in asked {
            let next = next.clone();
            self.deliver(&accuser, &LeaseFrame::Promise { accused, term, round, epoch, next });
        }
    }

    /// Keeps what the voters of the configuration before had promised, but for what its accusers took back since.
    pub(super) fn take_over(&mut self, promised: &Promised) {
        self.promised.join(promised);
        let withdrawn = &self.withdrawn;
        for (accused, promise) in &mut self.promised.given {
            promise.by.retain(|accuser, round| {
                let last = withdrawn.get(&(accused.clone(), accuser.clone()));
                last.is_none_or(|last| *round > *last)
            });
        }
        self.judge_promises();
    }
}
