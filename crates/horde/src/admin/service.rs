//! The node's side: hears who asks, checks the right, and answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use horde_transport::{
    Event, NodeId, Responder, Role, Subscriber, Subscription, Topic, TopicTaken, TopicTooLong,
};
use tokio::sync::Semaphore;

use super::rights::{self, Refusal};
use super::wire::{Request, Response};
use super::{TOPIC, collect, steer};
use crate::Node;
use crate::node::WeakNode;

/// Requests that a node answers at once; one more is told that it is busy.
const AT_ONCE: usize = 32;

/// Lets `node` answer, until the subscription is dropped.
pub(crate) fn serve(node: &Node) -> Result<Subscription, ServeError> {
    let (topic, network) = (Topic::new(TOPIC)?, node.cluster().network());
    let service = Service {
        local: node.id().clone(),
        node: node.downgrade(),
        peers: Mutex::default(),
        free: Arc::new(Semaphore::new(AT_ONCE)),
    };
    Ok(network.subscribe(&topic, Arc::new(service))?)
}

/// Why a node does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Topic(#[from] TopicTooLong),
    #[error(transparent)]
    Taken(#[from] TopicTaken),
}

struct Service {
    local: NodeId,
    node: WeakNode,
    /// Who is connected, in which role.
    peers: Mutex<BTreeMap<NodeId, Role>>,
    free: Arc<Semaphore>,
}

impl Subscriber for Service {
    fn event(&self, event: Event) {
        match event {
            Event::Up(peer) => drop(self.peers().insert(peer.id, peer.role)),
            Event::Down { peer, .. } => drop(self.peers().remove(&peer)),
            Event::Request { from, frame, timeout, responder } => {
                if let Err(refusal) = self.request(&from, &frame, timeout, responder) {
                    let (responder, refusal) = *refusal;
                    tracing::warn!(node = %self.local, topic = TOPIC, peer = %from, "refused: {refusal}");
                    responder.send(Response::Refused(refusal).encode());
                }
            }
            _ => {}
        }
    }

    /// Clients and operators too: what each may ask for is checked at each request.
    fn admits(&self, _: Role) -> bool {
        true
    }
}

impl Service {
    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Role>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers, now or later, unless the request is refused.
    fn request(
        &self,
        from: &NodeId,
        frame: &Bytes,
        patience: Duration,
        responder: Responder,
    ) -> Result<(), Box<(Responder, Refusal)>> {
        let role = if *from == self.local { Some(Role::Node) } else { self.peers().get(from).copied() };
        // Whose connection is gone hears no answer.
        let (Some(role), Some(node)) = (role, self.node.upgrade()) else { return Ok(()) };
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(error) => return Err(Box::new((responder, Refusal::Unreadable(error.to_string())))),
        };
        if let Err(refusal) = rights::check(role, &request) {
            return Err(Box::new((responder, refusal)));
        }
        let Ok(permit) = self.free.clone().try_acquire_owned() else {
            return Err(Box::new((responder, Refusal::Busy)));
        };
        let runtime = node.runtime().clone();
        let steers = match request {
            Request::Drain { .. } | Request::DrainYourself { .. } => "drain",
            Request::Forget { .. } | Request::ForgetLife { .. } => "forget",
            _ => "",
        };
        if !steers.is_empty() {
            tracing::info!(node = %self.local, topic = TOPIC, peer = %from, ?role, ?request, "{steers}");
        }
        match request {
            Request::Drain { node: whom, within_ms } => drop(runtime.spawn(async move {
                steer::drain(node, &whom, within_ms, responder).await;
                drop(permit);
            })),
            Request::DrainYourself { life, within_ms } => drop(runtime.spawn(async move {
                steer::drain_yourself(node, &life, within_ms, responder).await;
                drop(permit);
            })),
            Request::Forget { node: whom } => drop(runtime.spawn(async move {
                let done = steer::forget(&node, &whom, patience).await;
                responder.send(done.map_or_else(Response::Refused, Response::Forgotten).encode());
                drop(permit);
            })),
            // Not on the runtime's workers: a node whose workers are all busy still tells what it knows.
            request => drop(runtime.spawn_blocking(move || {
                responder.send(tell(&node, &request).encode());
                drop(permit);
            })),
        }
        Ok(())
    }
}

/// Answers what the node knows by itself.
fn tell(node: &Node, request: &Request) -> Response {
    match request {
        Request::Status => Response::Status(collect::status(node)),
        Request::Members { after, limit } => {
            Response::Members(collect::members(node, after.as_ref(), *limit))
        }
        Request::Children { filter, after, limit } => {
            Response::Children(collect::children(node, filter, after.as_ref(), *limit))
        }
        Request::Names { registry, after, limit } => {
            Response::Names(collect::names(node, registry.as_deref(), after.as_ref(), *limit))
        }
        Request::Plan { supervisor, after, limit } => {
            Response::Plan(collect::plan(node, supervisor.as_deref(), after.as_ref(), *limit))
        }
        Request::Standing { life } => Response::Standing(node.view().status(life)),
        Request::ForgetLife { life } => Response::Standing(steer::forget_here(node, life)),
        Request::Drain { .. } | Request::DrainYourself { .. } | Request::Forget { .. } => {
            Response::Refused(Refusal::Unreadable("it is answered elsewhere".to_owned()))
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("local", &self.local).finish_non_exhaustive()
    }
}
