//! What a local supervisor reports of its children.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{alone, within};
use horde_process::local::{ChildSpec, Supervisor};
use horde_process::{ExitReason, Restart, Shutdown, Stop};
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps each event of this crate from `WARN` up as a line: level, message, child, and why.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>, Arc<Notify>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            "child" => write!(self.0, " child={value:?}").unwrap(),
            _ => {}
        }
    }
}

impl Subscriber for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("horde_process") && *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
        self.1.notify_waiters();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Reports {
    /// Waits for a line.
    async fn wait(&self, line: &str) {
        within(async {
            loop {
                let more = self.1.notified();
                if self.0.lock().unwrap().iter().any(|heard| heard == line) {
                    return;
                }
                more.await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_supervisor_reports_children_that_fail_and_its_own_end() {
    let reports = Reports::default();
    let _heard = tracing::subscriber::set_default(reports.clone());
    let node = alone(|node| node.stuck_after(Duration::from_millis(50)));
    let broken = Arc::new(AtomicBool::new(false));
    let supervisor =
        Supervisor::builder().max_restarts(2, Duration::from_secs(60)).start(&node).await.unwrap();

    let breaks = broken.clone();
    let run = move || {
        let first = !breaks.swap(true, Ordering::AcqRel);
        async move {
            if first {
                Err(Stop::because(ExitReason::Error("once".into())))
            } else {
                std::future::pending().await
            }
        }
    };
    supervisor.start_child(ChildSpec::run(run).id("once").restart(Restart::Permanent)).await.unwrap();
    reports.wait("WARN a child ended child=\"once\"").await;

    // It is killed at once: OTP calls that no error, so nothing is said.
    let slow = ChildSpec::run(std::future::pending).id("slow").shutdown(Shutdown::BrutalKill);
    supervisor.start_child(slow).await.unwrap();
    supervisor.terminate_child("slow").await.unwrap();

    let fails = || async { Err(Stop::because(ExitReason::Error("ever again".into()))) };
    let failing = ChildSpec::run(fails).id("fails").restart(Restart::Permanent);
    supervisor.start_child(failing).await.unwrap();
    reports.wait("ERROR the supervisor ends child=\"fails\"").await;
    let slow = reports.0.lock().unwrap().iter().filter(|line| line.contains("slow")).count();
    assert_eq!(slow, 0);
}
