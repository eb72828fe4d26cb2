//! Tables for people, JSON lines for programs.

use std::io::Write as _;
use std::time::Duration;

use comfy_table::{Table, presets};
use horde::{
    ChildReport, Drained, Forgotten, Listing, MemberReport, MoveReport, NameReport, NodeId, StatusReport,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Prints what the commands found.
pub(super) struct Printer {
    pub(super) json: bool,
}

impl Printer {
    pub(super) fn status(&self, status: &StatusReport) -> anyhow::Result<()> {
        if self.json {
            return self.object("status", status);
        }
        let StatusReport { cluster, node, children, .. } = status;
        let members = status.members.iter().map(|(status, count)| format!("{count} {status:?}"));
        let hordes = status.hordes.iter().map(|horde| {
            let ready = if horde.ready { "ready" } else { "catching up" };
            format!("{} ({ready} here, on {} of {} members)", horde.name, horde.ready_hosts, horde.hosts)
        });
        let states = [
            (children.running, "running"),
            (children.starting, "starting"),
            (children.moving, "moving"),
            (children.unplaceable, "unplaceable"),
            (children.failed, "failed"),
        ];
        let shown = states.iter().filter(|(count, state)| *count > 0 || *state == "running");
        let mut table = table(&[]);
        let mut row = |name: &str, value: String| {
            table.add_row([name, &value]);
        };
        row("cluster", cluster.clone().unwrap_or_default());
        row("node", format!("{node:?}"));
        row("status", format!("{:?}", status.status));
        row("address", address(status.address));
        row("version", status.version.clone());
        row("up for", uptime(status.uptime_ms));
        row("members", members.collect::<Vec<_>>().join(", "));
        row("hosts", hordes.collect::<Vec<_>>().join("\n"));
        row(
            "children",
            shown.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", "),
        );
        row("names", status.names.to_string());
        row("processes here", status.processes.to_string());
        self.text(&table.to_string())
    }

    pub(super) fn members(&self, members: &[MemberReport]) -> anyhow::Result<()> {
        if self.json {
            return self.objects("member", members, &json!({"type": "end", "shown": members.len()}));
        }
        let mut table = table(&[
            "node",
            "incarnation",
            "status",
            "address",
            "zone",
            "weight",
            "version",
            "labels",
            "hosts",
        ]);
        for member in members {
            let labels: Vec<_> =
                member.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let hordes = member.hordes.iter().map(|(name, ready)| match ready {
                true => name.clone(),
                false => format!("{name}*"),
            });
            table.add_row([
                member.node.to_string(),
                member.node.incarnation().to_string(),
                format!("{:?}", member.status),
                address(member.address),
                member.zone.clone().unwrap_or_default(),
                member.weight.to_string(),
                member.version.clone(),
                labels.join(" "),
                hordes.collect::<Vec<_>>().join(" "),
            ]);
        }
        self.text(&table.to_string())
    }

    pub(super) fn children(&self, children: &Listing<ChildReport>) -> anyhow::Result<()> {
        let head = ["supervisor", "id", "kind", "state", "node", "process", "generation", "reason"];
        self.listing("child", children, &head, |child| {
            vec![
                child.supervisor.clone(),
                child.id.clone(),
                child.kind.clone(),
                format!("{:?}", child.state).to_lowercase(),
                child.node.to_string(),
                child.pid.as_ref().map(ToString::to_string).unwrap_or_default(),
                child.generation.to_string(),
                child.reason.clone().unwrap_or_default(),
            ]
        })
    }

    pub(super) fn names(&self, names: &Listing<NameReport>) -> anyhow::Result<()> {
        self.listing("name", names, &["registry", "key", "process", "node"], |name| {
            let node = name.pid.node().to_string();
            vec![name.registry.clone(), name.key.clone(), name.pid.to_string(), node]
        })
    }

    pub(super) fn plan(&self, plan: &Listing<MoveReport>) -> anyhow::Result<()> {
        self.listing("move", plan, &["supervisor", "id", "from", "to"], |planned| {
            let MoveReport { supervisor, id, from, to } = planned;
            vec![supervisor.clone(), id.clone(), from.to_string(), to.to_string()]
        })
    }

    pub(super) fn drained(&self, drained: &Drained) -> anyhow::Result<()> {
        if self.json {
            return self.object("drained", drained);
        }
        let Drained { node, moved, unmoved, unmoved_ids, took_ms } = drained;
        let mut text =
            format!("{node:?} has left after {took_ms} ms: {moved} children moved, {unmoved} did not");
        for id in unmoved_ids {
            text += &format!("\n  {id}");
        }
        let more = unmoved.saturating_sub(unmoved_ids.len() as u64);
        if more > 0 {
            text += &format!("\n  and {more} more");
        }
        self.text(&text)
    }

    pub(super) fn forgotten(&self, forgotten: &Forgotten) -> anyhow::Result<()> {
        if self.json {
            return self.object("forgotten", forgotten);
        }
        let Forgotten { node, by, missing } = forgotten;
        let mut text = format!("{node:?} is forgotten by {}", list(by));
        if !missing.is_empty() {
            let which = list(missing);
            text += &format!("; {which} did not say so in time, and will be told when reached");
        }
        self.text(&text)
    }

    fn listing<T: Serialize>(
        &self,
        kind: &str,
        listing: &Listing<T>,
        head: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        let Listing { rows, left_out } = listing;
        if self.json {
            let end = json!({"type": "end", "shown": rows.len(), "left_out": left_out});
            return self.objects(kind, rows, &end);
        }
        let mut table = table(head);
        for each in rows {
            table.add_row(row(each));
        }
        let left_out = match left_out {
            0 => String::new(),
            more => format!(", {more} more are left out (--limit)"),
        };
        self.text(&format!("{table}\n{} shown{left_out}", rows.len()))
    }

    fn objects<T: Serialize>(&self, kind: &str, rows: &[T], end: &Value) -> anyhow::Result<()> {
        rows.iter().try_for_each(|row| self.object(kind, row))?;
        self.text(&end.to_string())
    }

    /// One object on a line, with its type.
    fn object(&self, kind: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut value = serde_json::to_value(value)?;
        if let Value::Object(object) = &mut value {
            object.insert("type".to_owned(), kind.into());
        }
        self.text(&value.to_string())
    }

    fn text(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if !head.is_empty() {
        table.set_header(head.to_vec());
    }
    table
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn address(address: Option<std::net::SocketAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// Whole seconds, in the largest units.
fn uptime(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    let (days, hours, minutes, rest) =
        (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::uptime;

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        let told = [999, 61_000, 3_661_000, 90_061_000].map(uptime);
        assert_eq!(told, ["0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
