//! What a supervisor hears of its children.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::tree::Tree;
use crate::cell::{Inbox, lock};
use crate::machine::Key;
use crate::method::Step;
use crate::{ExitReason, Info, Pid, StartFailure, State, Watcher};

/// One thing that a supervisor hears of a child. Each child has a few of them at most.
pub(super) enum Heard {
    Started(Key, Result<Pid, StartFailure>),
    Info(Key, Info),
    Exited(Key, ExitReason),
    Stuck(Key),
}

/// Keeps what was heard until the supervisor takes it: as a message, or while it waits in `init` and `terminate`.
pub(super) struct Ear {
    heard: Mutex<VecDeque<Heard>>,
    tree: Arc<dyn Inbox<Tree>>,
    news: Notify,
}

impl Ear {
    pub(super) fn new(tree: Arc<dyn Inbox<Tree>>) -> Self {
        Self { heard: Mutex::default(), tree, news: Notify::new() }
    }

    pub(super) fn take(&self) -> VecDeque<Heard> {
        std::mem::take(&mut *lock(&self.heard))
    }

    /// Waits for something to be heard.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    fn hear(&self, one: Heard) {
        let first = {
            let mut heard = lock(&self.heard);
            heard.push_back(one);
            heard.len() == 1
        };
        if first {
            self.tree.step(Box::new(Step(Tree::listen)));
            self.news.notify_one();
        }
    }
}

impl Watcher for Ear {
    fn started(&self, token: u64, outcome: Result<Pid, StartFailure>) {
        self.hear(Heard::Started(token, outcome));
    }

    fn informed(&self, token: u64, info: Info) {
        self.hear(Heard::Info(token, info));
    }

    fn exited(&self, token: u64, _: Pid, reason: ExitReason, _: Option<State>) {
        self.hear(Heard::Exited(token, reason));
    }

    fn stuck(&self, token: u64, _: Pid) {
        self.hear(Heard::Stuck(token));
    }

    fn stops_them(&self) -> bool {
        true
    }
}
