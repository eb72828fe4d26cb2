//! Draining and forgetting, on behalf of an operator.

use std::time::Duration;

use horde_cluster::{ForgetError, MemberStatus, View};
use horde_transport::{NodeId, NodeName, RequestError, Responder, Topic};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;

use super::TOPIC;
use super::report::Forgotten;
use super::rights::Refusal;
use super::wire::{Request, Response};
use crate::Node;

/// How much longer than its deadline a drain on another node may take to be answered.
const SLACK: Duration = Duration::from_secs(5);
/// The longest drain, so that no request is waited for for ever.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long another member may take to say how a member is, or to forget it.
const ASK: Duration = Duration::from_secs(3);

/// The end of a node: once, by whomever it is asked for.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Held while the node ends; afterwards, how many children were not moved.
    pub(crate) done: Mutex<Option<usize>>,
    /// The same, for those who wait.
    pub(crate) ended: watch::Sender<Option<usize>>,
}

impl Default for Ending {
    fn default() -> Self {
        Self { done: Mutex::default(), ended: watch::Sender::new(None) }
    }
}

/// Drains the member of this name, here or where it is.
pub(super) async fn drain(node: Node, whom: &str, within_ms: u64, responder: Responder) {
    let answer = match find(&node.view(), whom) {
        Ok((life, Some(status))) if status.is_alive() => {
            if life == *node.id() {
                return drain_yourself(node, &life, within_ms, responder).await;
            }
            let within = Duration::from_millis(within_ms).min(LONGEST);
            let request = Request::DrainYourself { life: life.clone(), within_ms };
            let asked = ask(&node, &life, &request, within + SLACK);
            asked.await.unwrap_or_else(Response::Refused)
        }
        Ok((node, status)) => {
            Response::Refused(Refusal::Gone { node, status: status.unwrap_or(MemberStatus::Down) })
        }
        Err(refusal) => Response::Refused(refusal),
    };
    responder.send(answer.encode());
}

/// Drains this node, and answers when it has left, while its connections still stand.
pub(super) async fn drain_yourself(node: Node, life: &NodeId, within_ms: u64, responder: Responder) {
    let refused = |why: &str| Response::Refused(Refusal::NoMember(why.to_owned())).encode();
    if *life != *node.id() {
        return responder.send(refused("another life of it is running"));
    }
    if node.is_ending() {
        return responder.send(refused("it is stopping already"));
    }
    let within = Duration::from_millis(within_ms).min(LONGEST);
    node.end(within, |drained| responder.send(Response::Drained(drained).encode())).await;
}

/// Forgets the member of this name here and on all members that can be reached.
pub(super) async fn forget(node: &Node, whom: &str, patience: Duration) -> Result<Forgotten, Refusal> {
    let (life, status) = find(&node.view(), whom)?;
    if life == *node.id() {
        return Err(Refusal::Itself(life));
    }
    if let Some(status) = status.filter(|status| status.is_alive()) {
        return Err(Refusal::Alive { node: life, status, by: node.id().clone() });
    }
    // One that somebody still hears is alive.
    let patience = ASK.min(patience / 3);
    for (by, standing) in all(node, &Request::Standing { life: life.clone() }, patience).await {
        if let Some(status) = standing.flatten().filter(|status| status.is_alive()) {
            return Err(Refusal::Alive { node: life, status, by });
        }
    }
    match node.cluster().forget(&life) {
        // Left, and dropped meanwhile: as good as forgotten.
        Ok(_) | Err(ForgetError::Unknown(_)) => {}
        Err(ForgetError::Alive { node: life, status }) => {
            return Err(Refusal::Alive { node: life, status, by: node.id().clone() });
        }
        Err(error) => return Err(Refusal::NoMember(error.to_string())),
    }
    let (mut by, mut missing) = (vec![node.id().clone()], Vec::new());
    for (member, standing) in all(node, &Request::ForgetLife { life: life.clone() }, patience).await {
        match standing {
            Some(standing) if standing.is_none_or(|status| !status.is_alive()) => by.push(member),
            _ => missing.push(member),
        }
    }
    by.sort_unstable();
    missing.sort_unstable();
    Ok(Forgotten { node: life, by, missing })
}

/// Forgets a life here; how it is afterwards.
pub(super) fn forget_here(node: &Node, life: &NodeId) -> Option<MemberStatus> {
    match node.cluster().forget(life) {
        Ok(_) => Some(MemberStatus::Down),
        Err(ForgetError::Alive { status, .. }) => Some(status),
        Err(_) => None,
    }
}

/// The member of this name, or of `name@incarnation`, and how it is: Down if it is forgotten.
fn find(view: &View, whom: &str) -> Result<(NodeId, Option<MemberStatus>), Refusal> {
    let unknown = || Refusal::Unknown(whom.to_owned());
    let (name, life) = match whom.split_once('@') {
        Some((name, life)) => (name, Some(life.parse::<u64>().map_err(|_| unknown())?)),
        None => (whom, None),
    };
    let name = NodeName::new(name).map_err(|_| unknown())?;
    let listed = view.members.keys().rfind(|id| *id.name() == name).map(NodeId::incarnation);
    let life = life.or(listed).or_else(|| view.forgotten.get(&name).copied()).ok_or_else(unknown)?;
    let id = NodeId::new(name, life);
    match view.status(&id) {
        None => Err(unknown()),
        status => Ok((id, status)),
    }
}

/// What each other living member answers to a question about a life; none when it did not in time.
async fn all(
    node: &Node,
    request: &Request,
    patience: Duration,
) -> Vec<(NodeId, Option<Option<MemberStatus>>)> {
    let view = node.view();
    let others = view.alive().filter(|member| member.id != *node.id()).map(|member| member.id.clone());
    let mut asked = JoinSet::new();
    for member in others {
        let (node, request) = (node.clone(), request.clone());
        asked.spawn(async move {
            let answer = match ask(&node, &member, &request, patience).await {
                Ok(Response::Standing(standing)) => Some(standing),
                _ => None,
            };
            (member, answer)
        });
    }
    asked.join_all().await
}

async fn ask(node: &Node, to: &NodeId, request: &Request, timeout: Duration) -> Result<Response, Refusal> {
    let unreachable = |why: String| Refusal::Unreachable { node: to.clone(), why };
    let topic = Topic::new(TOPIC).map_err(|error| unreachable(error.to_string()))?;
    let (sender, answer) = oneshot::channel();
    let on_reply = move |outcome: Result<bytes::Bytes, RequestError>| {
        // Who asked may have given up.
        drop(sender.send(outcome));
    };
    node.cluster().network().request(to, &topic, request.encode(), timeout, Box::new(on_reply));
    let outcome = answer.await.unwrap_or(Err(RequestError::Interrupted));
    let frame = outcome.map_err(|error| unreachable(error.to_string()))?;
    Response::decode(&frame).map_err(|error| unreachable(error.to_string()))
}
