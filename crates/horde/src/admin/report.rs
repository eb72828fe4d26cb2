//! What a node tells of itself and of the cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use horde_cluster::MemberStatus;
use horde_process::Pid;
use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

/// One node, and the cluster as it sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The cluster's name; none in memory.
    pub cluster: Option<String>,
    /// The node that answers.
    pub node: NodeId,
    /// How it stands by its own word.
    pub status: MemberStatus,
    /// Where it listens; none in memory.
    pub address: Option<SocketAddr>,
    /// The version of its program.
    pub version: String,
    /// When it started, in Unix milliseconds.
    pub since_unix_ms: u64,
    /// How long ago that is, in milliseconds, by a clock that nobody sets.
    pub uptime_ms: u64,
    /// How many members there are, by their status, itself included.
    pub members: BTreeMap<MemberStatus, u64>,
    /// The registries and supervisors that it hosts.
    pub hordes: Vec<HordeReport>,
    /// The children of all supervisors, on all members.
    pub children: ChildCounts,
    /// The names of all registries, of nodes that live.
    pub names: u64,
    /// The processes that run on this node, children or not.
    pub processes: u64,
}

/// One registry or supervisor, as a node hosts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HordeReport {
    /// Its topic, such as `registry/names`.
    pub name: String,
    /// Whether this node's copy has caught up.
    pub ready: bool,
    /// How many living members host it, this node included.
    pub hosts: u64,
    /// How many of those have caught up.
    pub ready_hosts: u64,
}

/// Children by where they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildCounts {
    /// They run.
    pub running: u64,
    /// Their `init` runs, or a restart waits.
    pub starting: u64,
    /// They are between two members.
    pub moving: u64,
    /// No member can run them now.
    pub unplaceable: u64,
    /// They failed for good.
    pub failed: u64,
}

/// One member, as the node that was asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Who it is.
    pub node: NodeId,
    /// How it is.
    pub status: MemberStatus,
    /// Where it listens, if known.
    pub address: Option<SocketAddr>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its share of the children.
    pub weight: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The version of its program.
    pub version: String,
    /// What it hosts, and whether it has caught up.
    pub hordes: BTreeMap<String, bool>,
}

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChildPhase {
    /// Its `init` runs, or a restart waits for its backoff.
    Starting,
    /// It runs.
    Running,
    /// It is between two members.
    Moving,
    /// No member can run it now.
    Unplaceable,
    /// It failed for good.
    Failed,
}

/// One child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildReport {
    /// Whose child.
    pub supervisor: String,
    /// Its id.
    pub id: String,
    /// The kind it runs.
    pub kind: String,
    /// Where it stands.
    pub state: ChildPhase,
    /// Who runs it, or answers for it.
    pub node: NodeId,
    /// Its process, while it runs.
    pub pid: Option<Pid>,
    /// Raised by each restart, takeover and move.
    pub generation: u64,
    /// Why it failed, cut to 1 KiB.
    pub reason: Option<String>,
}

/// Which children are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFilter {
    /// Those of this supervisor alone.
    pub supervisor: Option<String>,
    /// Those on this node alone: its name.
    pub node: Option<String>,
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameReport {
    /// In which registry.
    pub registry: String,
    /// The key: text and whole numbers as they are, anything else in hexadecimal.
    pub key: String,
    /// The process that holds it.
    pub pid: Pid,
}

/// One move that a rebalance would make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveReport {
    /// Whose child.
    pub supervisor: String,
    /// Its id.
    pub id: String,
    /// Who runs it.
    pub from: NodeId,
    /// Who would run it.
    pub to: NodeId,
}

/// Rows in order, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The first ones.
    pub rows: Vec<T>,
    /// How many more there were when the last one was read.
    pub left_out: u64,
}

/// A node was drained, and has left the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Which node.
    pub node: NodeId,
    /// How many of its children run on other members now.
    pub moved: u64,
    /// How many do not: they run again elsewhere without their state, or when a member comes that can run them.
    pub unmoved: u64,
    /// The first of those, at most 100, as `supervisor/id`.
    pub unmoved_ids: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A member was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Which life of it.
    pub node: NodeId,
    /// The members that have forgotten it.
    pub by: Vec<NodeId>,
    /// The living members that did not say so in time; they are told when they are reached.
    pub missing: Vec<NodeId>,
}
