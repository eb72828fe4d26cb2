//! No user waits for ever: each gets an answer by the time that the call was given.

use crate::cluster::World;

impl World {
    pub(super) fn users_were_answered(&self) -> Option<String> {
        let waiting = self.tickets.iter().find(|((node, life, _), _)| {
            let sim = &self.nodes[*node];
            sim.life == *life && sim.is_alive()
        });
        waiting.map(|((node, ..), ticket)| format!("a user of n{node} still waits: {ticket:?}"))
    }
}
