//! A node joins while children are called, and takes what now belongs to it.

use super::{CALLED, Demo};
use crate::demo::protocol::unix_us;
use crate::demo::report::{kinds, ms};

/// What a join came to.
struct Joined {
    took_ms: f64,
    moves: usize,
    difference: usize,
}

impl Demo<'_> {
    pub(super) async fn join(&mut self, newcomer: &str, caller: &str) -> anyhow::Result<()> {
        let what = format!("{newcomer} joins while {caller} calls {CALLED} children");
        let phase = self.screen.phase("join", what);
        let begun = unix_us();
        self.begin_calls(caller).await?;
        let Joined { took_ms, moves, difference } = self.take_in(newcomer, begun).await?;
        let calls = self.end_calls(caller).await?;
        self.summary.join_ms = took_ms;
        self.summary.join_moves = moves;
        self.summary.join_difference = difference;
        self.summary.join_failures = kinds(&calls);
        phase.done(&format!(
            "{newcomer} joined: {moves} children moved to it within {took_ms:.0} ms of its start; placement moves {difference}"
        ));
        self.tell_calls("join_calls", &calls, begun);
        self.verify("join_checked").await?;
        Ok(())
    }

    /// A node that was killed or has left starts again, under its name.
    pub(super) async fn rejoin(&mut self, name: &str) -> anyhow::Result<()> {
        let phase = self.screen.phase("return", format!("{name} starts again"));
        let Joined { took_ms, moves, .. } = self.take_in(name, unix_us()).await?;
        phase.done(&format!(
            "{name} is back: {moves} children moved to it within {took_ms:.0} ms of its start"
        ));
        self.verify("return_checked").await?;
        Ok(())
    }

    async fn take_in(&mut self, name: &str, begun: u64) -> anyhow::Result<Joined> {
        let before = self.placement();
        let together = self.fleet.nodes.len() + 1;
        self.fleet.start(name, together).await?;
        self.fleet.find(name)?.ready().await?;
        let count = self.settled().await?;
        let ids: Vec<String> = self.ids().collect();
        let difference = before.difference(&self.placement(), ids.iter().map(String::as_str));
        let moves = count.begun(begun);
        self.must(moves <= difference, || {
            format!("{name} joined: {moves} children were moved, and placement moves {difference}")
        });
        self.one_at_a_time("join", &count, begun);
        Ok(Joined { took_ms: ms(begun, count.last_change(begun)), moves, difference })
    }
}
