//! A node is cut off, both ways, until both sides have given each other up; then the cut heals.

use std::time::Instant;

use super::{Demo, PATIENCE, STEP};
use crate::args::Quorum;
use crate::demo::protocol::{Order, Report, unix_us};
use crate::demo::report::ms;

impl Demo<'_> {
    pub(super) async fn cut(&mut self, victim: &str) -> anyhow::Result<()> {
        let phase = self.screen.phase("cut", format!("{victim} is cut off"));
        let rest: Vec<String> = self.fleet.names().into_iter().filter(|name| name != victim).collect();
        let alone = [victim.to_owned()];
        let cut = unix_us();
        self.lose(victim, true).await?;
        let by_rest = self.declared_down(&rest, &alone, cut).await?;
        let by_victim = self.declared_down(&alone, &rest, cut).await?;
        self.summary.cut_detect_ms = ms(cut, by_rest.max(by_victim));
        phase.say(format!("{victim} is cut off, and each side does what it will"));
        let (of_rest, of_victim) = self.both_sides(victim).await?;
        phase.done(&format!(
            "{victim} cut off, both ways: {} called it Down after {:.0} ms, it called them Down after {:.0} ms; \
             then {of_rest} children ran there and {of_victim} on {victim}",
            rest.join(", "),
            ms(cut, by_rest),
            ms(cut, by_victim),
        ));
        self.heal(victim, cut).await
    }

    async fn heal(&mut self, victim: &str, cut: u64) -> anyhow::Result<()> {
        let phase = self.screen.phase("heal", format!("{victim} is reached again"));
        let healed = unix_us();
        self.lose(victim, false).await?;
        let reunited = self.reunited(healed).await?;
        let count = self.settled().await?;
        let overlap = count.overlap(cut, unix_us());
        let settled = count.last_change(healed).max(reunited);
        self.summary.overlap_ms = ms(0, overlap.longest_us);
        self.summary.overlap_copies = overlap.copies;
        self.summary.heal_once_ms = ms(healed, overlap.over_us.max(healed));
        phase.done(&format!(
            "healed: all up again after {:.0} ms, no child runs twice after {:.0} ms, each is in its place after {:.0} ms",
            ms(healed, reunited),
            self.summary.heal_once_ms,
            ms(healed, settled),
        ));
        // Until all have met again, one that has met some gives them what belongs to others.
        let late = match overlap.last_begun_us.checked_sub(healed) {
            Some(us) => format!("; the last of them began {:.0} ms after the heal", ms(0, us)),
            None => String::new(),
        };
        let text = format!(
            "  because of the split {} second copies ran, the longest for {:.0} ms beside the first; all have ended{late}",
            overlap.copies, self.summary.overlap_ms
        );
        self.screen.phase("overlap", String::new()).done(&text);
        let none = self.summary.quorum == Quorum::None || overlap.copies == 0;
        self.must(none, || format!("{} children ran on both sides, against the majority", overlap.copies));
        let found = self.verify("heal_checked").await?;
        self.summary.heal_ms = ms(healed, settled.max(found));
        Ok(())
    }

    /// The switch below QUIC, on both sides.
    async fn lose(&mut self, victim: &str, lost: bool) -> anyhow::Result<()> {
        let of = |node: &crate::demo::fleet::NodeProcess| (node.name.clone(), node.address);
        let all: Vec<_> = self.fleet.nodes.iter().map(of).collect();
        for (name, _) in &all {
            let across = all.iter().filter(|(other, _)| other != name);
            let across = across.filter(|(other, _)| name == victim || other == victim);
            let addresses = across.filter_map(|(_, address)| *address).collect();
            let Report::Done = self.fleet.find(name)?.ask(&Order::Cut { addresses, lost }).await? else {
                anyhow::bail!("{name} is not cut")
            };
        }
        Ok(())
    }

    /// Waits until each side runs what its policy lets it run. Answers how many run on either side.
    async fn both_sides(&mut self, victim: &str) -> anyhow::Result<(usize, usize)> {
        let end = Instant::now() + PATIENCE;
        let alone = match self.summary.quorum {
            Quorum::None => self.children,
            Quorum::Majority => 0,
        };
        loop {
            let running = self.running().await?;
            let sum = |there: bool| -> usize {
                running.iter().filter(|(name, _)| (name == victim) == there).map(|(_, count)| count).sum()
            };
            let sides = (sum(false), sum(true));
            let done = sides == (self.children, alone);
            if done || Instant::now() > end {
                self.must(done, || {
                    format!(
                        "while {victim} was cut off, {} children ran there and {} elsewhere",
                        sides.1, sides.0
                    )
                });
                return Ok(sides);
            }
            tokio::time::sleep(STEP).await;
        }
    }
}
