//! Who may ask for what.

use std::fmt;

use horde_cluster::MemberStatus;
use horde_transport::{NodeId, Role};
use serde::{Deserialize, Serialize};

use super::wire::Request;

/// Why a request was refused. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The asker's certificate does not give the right.
    #[error("not authorised: {what} needs role {}, and the certificate says {}", Named(*.needs), Named(*.has))]
    Role {
        /// What was asked for.
        what: String,
        /// The role that may ask for it.
        needs: Role,
        /// The asker's role.
        has: Role,
    },
    /// No member of this name or life is known.
    #[error("no member {0} is known")]
    Unknown(String),
    /// The member is alive, so it is not forgotten.
    #[error(
        "{node:?} is {status:?} for {by}; only a member that is Down is forgotten (to take a living one out, drain it)"
    )]
    Alive {
        /// Which member.
        node: NodeId,
        /// How it is.
        status: MemberStatus,
        /// For whom.
        by: NodeId,
    },
    /// The member is gone, so it is not drained.
    #[error(
        "{node:?} is {status:?}; only a living member is drained (to give up one that is Down, forget it)"
    )]
    Gone {
        /// Which member.
        node: NodeId,
        /// How it is.
        status: MemberStatus,
    },
    /// The node that was asked is the one to be forgotten.
    #[error("{0:?} is the node that was asked; ask another member")]
    Itself(NodeId),
    /// The node that was asked could not pass the request on; it may have run there.
    #[error("{node:?} gave no answer: {why}")]
    Unreachable {
        /// Whom.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// As many requests are being answered as may be at once.
    #[error("the node answers as many requests as it may at once; ask again")]
    Busy,
    /// The node is not a member any more, or not yet.
    #[error("the node is no member: {0}")]
    NoMember(String),
    /// The node does not read the request.
    #[error("the node does not read the request: {0}")]
    Unreadable(String),
}

/// A role as certificates name it.
struct Named(Role);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Role::Node => "node",
            Role::Client => "client",
            Role::Operator => "operator",
        })
    }
}

/// Checks that `role` may ask for `request`: everybody reads, operators alone steer, and members alone say what follows
/// from that on each node.
pub(super) fn check(role: Role, request: &Request) -> Result<(), Refusal> {
    let (what, needs) = match request {
        Request::Status
        | Request::Members { .. }
        | Request::Children { .. }
        | Request::Names { .. }
        | Request::Plan { .. } => return Ok(()),
        Request::Drain { .. } => ("drain", Role::Operator),
        Request::Forget { .. } => ("forget", Role::Operator),
        Request::DrainYourself { .. } => ("a drain that was passed on", Role::Node),
        Request::Standing { .. } => ("a member's standing", Role::Node),
        Request::ForgetLife { .. } => ("forgetting that was passed on", Role::Node),
    };
    if role == needs { Ok(()) } else { Err(Refusal::Role { what: what.to_owned(), needs, has: role }) }
}

#[cfg(test)]
mod tests {
    use horde_transport::NodeName;

    use super::*;
    use crate::admin::wire::tests::every_request;

    #[test]
    fn everybody_looks_operators_steer_and_members_pass_on() {
        for request in every_request() {
            let may = [Role::Client, Role::Operator, Role::Node].map(|role| check(role, &request).is_ok());
            let expected = match request {
                Request::Drain { .. } | Request::Forget { .. } => [false, true, false],
                Request::DrainYourself { .. } | Request::Standing { .. } | Request::ForgetLife { .. } => {
                    [false, false, true]
                }
                _ => [true; 3],
            };
            assert_eq!(may, expected, "{request:?}");
        }
    }

    #[test]
    fn a_refusal_says_who_may() {
        let request = Request::Drain { node: "one".into(), within_ms: 1 };
        let refused = check(Role::Client, &request).unwrap_err().to_string();
        assert_eq!(refused, "not authorised: drain needs role operator, and the certificate says client");
        let node = NodeId::new(NodeName::new("one").unwrap(), 7);
        let alive = Refusal::Alive { node: node.clone(), status: MemberStatus::Up, by: node };
        assert!(alive.to_string().starts_with("one@7 is Up for one; only a member that is Down"), "{alive}");
    }
}
