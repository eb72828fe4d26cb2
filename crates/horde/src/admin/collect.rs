//! What a node can tell without asking another one.

use std::collections::BTreeMap;
use std::time::Duration;

use horde_cluster::{Member, MemberStatus, View};
use horde_registry::RegistryCore;
use horde_supervisor::{Child, Status, Supervisor};
use tokio::time::Instant;

use super::page::{Cursor, Page, Row};
use super::report::{
    ChildCounts, ChildFilter, ChildPhase, ChildReport, HordeReport, MemberReport, MoveReport, NameReport,
    StatusReport,
};
use crate::Node;

/// The longest reason told, in bytes.
const MAX_REASON: usize = 1 << 10;
/// Children that are named when they did not move.
pub(crate) const MAX_UNMOVED: usize = 100;
/// How long records of children that have moved may take to come.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at them.
const STEP: Duration = Duration::from_millis(5);
/// About what a row takes beside its texts.
const ROW: usize = 128;

pub(super) fn status(node: &Node) -> StatusReport {
    let view = node.view();
    let mut members = BTreeMap::new();
    for member in view.members.values() {
        *members.entry(member.status).or_default() += 1;
    }
    let own = view.get(node.id());
    let (mut hordes, mut children) = (Vec::new(), ChildCounts::default());
    for (name, horde) in own.into_iter().flat_map(|own| &own.meta.hordes) {
        let ready = |member: &&Member| member.meta.hordes.get(name).is_some_and(|horde| horde.ready);
        hordes.push(HordeReport {
            name: name.clone(),
            ready: horde.ready,
            hosts: view.hosting(name).count() as u64,
            ready_hosts: view.hosting(name).filter(ready).count() as u64,
        });
    }
    for child in horde_supervisor::hosted(node).iter().flat_map(Supervisor::which_children) {
        *match phase(&child.status) {
            ChildPhase::Running => &mut children.running,
            ChildPhase::Starting => &mut children.starting,
            ChildPhase::Moving => &mut children.moving,
            ChildPhase::Unplaceable => &mut children.unplaceable,
            ChildPhase::Failed => &mut children.failed,
        } += 1;
    }
    let names = horde_registry::registries(node).iter().map(RegistryCore::count).sum::<usize>();
    let (since_unix_ms, uptime) = node.since();
    StatusReport {
        cluster: node.cluster_name(),
        node: node.id().clone(),
        status: own.map_or(MemberStatus::Left, |own| own.status),
        address: own.and_then(|own| own.address),
        version: own.map(|own| own.meta.version.clone()).unwrap_or_default(),
        since_unix_ms,
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        members,
        hordes,
        children,
        names: names as u64,
        processes: node.process_count() as u64,
    }
}

pub(super) fn members(node: &Node, after: Option<&Cursor>, limit: u32) -> Page<MemberReport> {
    let row = |member: &Member| {
        let meta = &member.meta;
        let labels = meta.labels.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        let hordes = meta.hordes.keys().map(|name| name.len() + 2).sum::<usize>();
        let report = MemberReport {
            node: member.id.clone(),
            status: member.status,
            address: member.address,
            zone: meta.zone.clone(),
            weight: meta.weight,
            labels: meta.labels.clone(),
            version: meta.version.clone(),
            hordes: meta.hordes.iter().map(|(name, horde)| (name.clone(), horde.ready)).collect(),
        };
        let at = (member.id.name().to_string(), member.id.incarnation().to_be_bytes().to_vec());
        Row { at, size: ROW + labels + hordes + meta.version.len(), row: report }
    };
    Page::of(node.view().members.values().map(row).collect(), after, limit)
}

/// The supervisors that are asked about.
fn supervisors(node: &Node, name: Option<&str>) -> Vec<Supervisor> {
    let mut all = horde_supervisor::hosted(node);
    all.retain(|supervisor| name.is_none_or(|name| supervisor.name() == name));
    all
}

pub(super) fn children(
    node: &Node,
    filter: &ChildFilter,
    after: Option<&Cursor>,
    limit: u32,
) -> Page<ChildReport> {
    let mut rows = Vec::new();
    for supervisor in supervisors(node, filter.supervisor.as_deref()) {
        let here = |child: &Child| filter.node.as_ref().is_none_or(|name| child.node.name().as_str() == name);
        for child in supervisor.which_children().into_iter().filter(here) {
            let row = report(supervisor.name(), child);
            let size = ROW + row.supervisor.len() + row.id.len() + row.kind.len();
            let size = size + row.reason.as_ref().map_or(0, String::len);
            rows.push(Row { at: (row.supervisor.clone(), row.id.clone().into_bytes()), size, row });
        }
    }
    Page::of(rows, after, limit)
}

fn phase(status: &Status) -> ChildPhase {
    match status {
        Status::Starting => ChildPhase::Starting,
        Status::Running(_) => ChildPhase::Running,
        Status::Moving => ChildPhase::Moving,
        Status::Unplaceable => ChildPhase::Unplaceable,
        Status::Failed(_) => ChildPhase::Failed,
    }
}

fn report(supervisor: &str, child: Child) -> ChildReport {
    let (supervisor, id, state) = (supervisor.to_owned(), child.id.to_string(), phase(&child.status));
    let (pid, reason) = match child.status {
        Status::Running(pid) => (Some(pid), None),
        Status::Failed(reason) => (None, Some(cut(reason.to_string()))),
        _ => (None, None),
    };
    let Child { kind, node, generation, .. } = child;
    ChildReport { supervisor, id, kind, state, node, pid, generation, reason }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

pub(super) fn names(
    node: &Node,
    registry: Option<&str>,
    after: Option<&Cursor>,
    limit: u32,
) -> Page<NameReport> {
    let mut rows = Vec::new();
    for core in horde_registry::registries(node) {
        if registry.is_some_and(|registry| registry != core.name()) {
            continue;
        }
        core.each(|key, entry| {
            let text = RegistryCore::key_text(key);
            let (registry, size) = (core.name().to_owned(), ROW + core.name().len() + text.len());
            let at = (registry.clone(), key.as_bytes().to_vec());
            rows.push(Row { at, size, row: NameReport { registry, key: text, pid: entry.pid.clone() } });
        });
    }
    Page::of(rows, after, limit)
}

pub(super) fn plan(
    node: &Node,
    supervisor: Option<&str>,
    after: Option<&Cursor>,
    limit: u32,
) -> Page<MoveReport> {
    let mut rows = Vec::new();
    for core in supervisors(node, supervisor) {
        for planned in core.rebalance_plan() {
            let (supervisor, id) = (core.name().to_owned(), planned.id.to_string());
            let (at, size) =
                ((supervisor.clone(), id.clone().into_bytes()), ROW + supervisor.len() + id.len());
            let row = MoveReport { supervisor, id, from: planned.from, to: planned.to };
            rows.push(Row { at, size, row });
        }
    }
    Page::of(rows, after, limit)
}

/// The children that run here or are about to, as their records say: `supervisor/id`, in order.
pub(crate) fn own_children(node: &horde_process::Node) -> Vec<String> {
    let mut own = Vec::new();
    for supervisor in horde_supervisor::hosted(node) {
        let moves = |child: &Child| !matches!(child.status, Status::Failed(_) | Status::Unplaceable);
        let here =
            supervisor.which_children().into_iter().filter(|child| child.node == *node.id() && moves(child));
        own.extend(here.map(|child| format!("{}/{}", supervisor.name(), child.id)));
    }
    own.sort_unstable();
    own
}

/// The same once a drain is over: who has taken a child may say so a little before its record does.
pub(crate) async fn left_behind(node: &horde_process::Node, view: &View, patience: Duration) -> Vec<String> {
    let alone = view.alive().all(|member| member.id == *node.id());
    let until = Instant::now() + if alone { Duration::ZERO } else { patience.min(SETTLE) };
    loop {
        let own = own_children(node);
        if own.is_empty() || Instant::now() >= until {
            return own;
        }
        tokio::time::sleep(STEP).await;
    }
}
