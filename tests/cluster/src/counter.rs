//! The child that the tests start: it knows where it is, and keeps a total that it hands over.

use horde::{Context, Handle, Message, Process, State, Stop};
use serde::{Deserialize, Serialize};

use crate::census::{Census, Entry, Presence, unix_us};

/// Keeps a total.
#[derive(Debug)]
pub struct Counter {
    total: u64,
    _presence: Presence,
}

/// Asks a counter where it is.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Whereabouts)]
pub struct Where;

/// Adds to a counter's total.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = Whereabouts)]
pub struct Add {
    /// How much.
    pub amount: u64,
}

/// What a counter says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The process.
    pub pid: String,
    /// The node, as `name@incarnation`.
    pub node: String,
    /// Which copy of the child it is.
    pub generation: u64,
    /// What was added so far.
    pub total: u64,
}

impl Counter {
    fn begin(id: String, total: Option<u64>, cx: &Context<Self>) -> Self {
        let entry = Entry {
            id,
            pid: cx.pid().to_string(),
            node: format!("{:?}", cx.node().id()),
            generation: generation(cx),
            resumed: total.is_some(),
            started_us: unix_us(),
            ended_us: None,
        };
        Self { total: total.unwrap_or(0), _presence: cx.deps().enter(entry) }
    }

    fn whereabouts(&self, cx: &Context<Self>) -> Whereabouts {
        Whereabouts {
            pid: cx.pid().to_string(),
            node: format!("{:?}", cx.node().id()),
            generation: generation(cx),
            total: self.total,
        }
    }
}

impl Process for Counter {
    const KIND: &'static str = "counter";
    type Args = String;
    type Deps = Census;
    type Messages = (Where, Add);

    async fn init(id: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self::begin(id, None, cx))
    }

    async fn handoff(&mut self, _: &mut Context<Self>) -> Option<State> {
        State::encode(1, &self.total)
    }

    async fn resume(id: String, state: State, cx: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self::begin(id, Some(state.decode(1)?), cx))
    }
}

impl Handle<Where> for Counter {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> Whereabouts {
        self.whereabouts(cx)
    }
}

impl Handle<Add> for Counter {
    async fn handle(&mut self, add: Add, cx: &mut Context<Self>) -> Whereabouts {
        self.total += add.amount;
        self.whereabouts(cx)
    }
}

fn generation(cx: &Context<Counter>) -> u64 {
    cx.claim().map_or(0, |claim| claim.rank.generation)
}
