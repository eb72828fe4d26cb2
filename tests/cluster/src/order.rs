//! What a test and its members say to each other: one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Entry, Whereabouts};

/// The first line to a member: who it is. It answers [`Answer::Listening`], or an error, and is done with then.
#[derive(Clone, Serialize, Deserialize)]
pub struct Be {
    /// The node's name.
    pub name: String,
    /// The secret that makes it a node of the cluster.
    pub secret: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it looks for others.
    pub join: Vec<SocketAddr>,
    /// How many nodes a cluster that starts from nothing has.
    pub expect: Option<usize>,
    /// Whether children run elsewhere when their node dies.
    pub takeover: bool,
}

impl fmt::Debug for Be {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Be").field("name", &self.name).field("join", &self.join).finish_non_exhaustive()
    }
}

/// An order with its number, which the answer repeats.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Counts from 1; 0 is the line that says who the member is.
    pub number: u64,
    /// What to do.
    pub order: Order,
}

/// What a member can be told to do. Orders run beside each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Order {
    /// Wait until the node is a member, then host the names and the children: [`Answer::Done`].
    Join,
    /// Start a named child of each id: [`Answer::Called`] with those that failed.
    Start {
        /// The children; each is named by its id.
        ids: BTreeSet<String>,
    },
    /// Ask each child where it is: [`Answer::Called`].
    Call {
        /// The children.
        ids: BTreeSet<String>,
        /// How they are addressed.
        by: By,
    },
    /// Add to the total of each child: [`Answer::Called`].
    Add {
        /// The children.
        ids: BTreeSet<String>,
        /// How much.
        amount: u64,
    },
    /// Say what runs and ran in this OS process: [`Answer::Census`].
    Census,
    /// Say who is here: [`Answer::Members`].
    Members,
    /// Say how it goes with addresses that are dialled, and who was refused: [`Answer::Reasons`].
    Reasons,
    /// Stop the node in good order: [`Answer::Stopped`]. The OS process ends after that.
    Stop {
        /// How long it may take.
        within: Duration,
    },
}

/// How a child is addressed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum By {
    /// By its name in the registry.
    Name,
    /// By its id in the supervisor.
    Child,
}

/// A member's answer to the order of the same number, or why it could not do it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The order's.
    pub number: u64,
    /// What came of it.
    pub outcome: Result<Answer, String>,
}

/// What came of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// The node listens, and is not yet a member.
    Listening {
        /// The port that was bound.
        address: SocketAddr,
        /// The node, as `name@incarnation`.
        node: String,
    },
    /// It is done.
    Done,
    /// What the children answered.
    Called(Calls),
    /// What runs and ran in this OS process.
    Census(Vec<Entry>),
    /// Who is here, as this node sees it.
    Members(Vec<Seen>),
    /// Sentences for the user.
    Reasons {
        /// Of each address that is dialled.
        dials: Vec<String>,
        /// Of each stranger that was turned away, or turned us away.
        refused: Vec<String>,
    },
    /// The node has left.
    Stopped {
        /// How many of its children were not moved in time.
        unmoved: usize,
    },
}

/// What became of one round of calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Calls {
    /// By child.
    pub answered: BTreeMap<String, Whereabouts>,
    /// By child: why there is no answer.
    pub failed: BTreeMap<String, String>,
}

/// A member as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `name@incarnation`.
    pub node: String,
    /// Joining, Up, Suspect, Unreachable, Leaving, Down or Left.
    pub status: String,
    /// What it hosts and has caught up with: names and children.
    pub ready: Vec<String>,
}
