//! A cluster that follows a script.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use horde_process::{CallError, ExitReason, Message, Pid, encode};
use horde_supervisor::{Redistribution, StartError, TerminateError};

use super::child::{child_name, key_name};
use super::promise::{called, started, terminated};
use super::{Child, Failure, Faults, Handle, Look, Process, Promise, Run, room};
use crate::Rng;
use crate::cluster::{Answered, Ask, Body, HEALING, LOOK, Payload, Plan, STAYING, World};

/// How long a user waits for an answer, if the script does not say.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long [`Cluster::wait`] waits for a user: longer than users are patient.
const WAIT: Duration = Duration::from_secs(15);

/// A cluster to be: what runs on its nodes, and how they are set up.
#[derive(Debug)]
pub struct Builder {
    run: Run,
    plan: Plan,
}

impl Builder {
    pub(super) fn new(run: Run, nodes: usize) -> Self {
        let plan = Plan { most: nodes + 8, ..Plan::quiet(nodes) };
        Self { run, plan }
    }

    /// All nodes can run this kind of process.
    #[must_use]
    pub fn runs<P: Process>(mut self) -> Self {
        self.plan.kinds.insert(P::KIND, room::start::<P>);
        self
    }

    /// Children run only where a majority of these nodes acknowledges the lease. For three nodes or more.
    #[must_use]
    pub fn quorum(mut self) -> Self {
        self.plan.rest_on_leases();
        self
    }

    /// How often a child may end by itself within a minute before it rests as failed; 1,000 by default.
    #[must_use]
    pub fn max_restarts(mut self, times: u32) -> Self {
        self.plan.options.max_restarts = times;
        self
    }

    /// Children move to nodes that join, as placement has it. By default they stay.
    #[must_use]
    pub fn redistributes(mut self) -> Self {
        self.plan.options.redistribution = Redistribution::Active;
        self
    }

    /// Up to this many nodes may join later; eight by default.
    #[must_use]
    pub fn room_for(mut self, nodes: usize) -> Self {
        self.plan.most = self.plan.nodes + nodes;
        self
    }

    /// Starts the nodes and waits until all are ready.
    ///
    /// # Errors
    /// [`Failure`] when they are not within 20 s of virtual time.
    pub fn build(self) -> Result<Cluster, Failure> {
        let Self { run, plan } = self;
        let nodes = plan.nodes;
        let mut world = World::with(plan, Rng::new(run.seed, 8));
        world.calm = true;
        if !run.told {
            world.history = crate::History::default();
        }
        let mut cluster = Cluster { run, world, always: Vec::new(), numbers: 0 };
        let leased = cluster.world.plan.options.quorum == horde_supervisor::Quorum::Majority;
        cluster.run_until(Duration::from_secs(20), "all nodes are ready", |look| {
            let ready = |node: &crate::cluster::SimNode| node.names.is_ready() && node.children.is_ready();
            let all = look.0.nodes.iter().all(ready);
            all && (0..nodes).all(|node| look.members(node) == nodes && (!leased || look.holds_lease(node)))
        })?;
        // Until each has heard of it from all.
        cluster.run_for(LOOK)?;
        Ok(cluster)
    }
}

/// What must hold after each step.
type Always = Box<dyn FnMut(Look<'_>) -> Result<(), String>>;

/// A cluster that follows a script: users on its nodes do what it says, and nodes and network suffer what it says.
///
/// Nodes have numbers from 0. Virtual time passes only in [`run_for`](Self::run_for), [`run_until`](Self::run_until),
/// [`wait`](Self::wait), [`storm`](Self::storm) and [`settle`](Self::settle); all that is told before happens at one moment,
/// in the order it was told in.
pub struct Cluster {
    run: Run,
    world: World,
    always: Vec<(String, Always)>,
    numbers: u64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("seed", &self.run.seed).field("look", &self.look()).finish()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run.trace.set(self.run.trace.get().rotate_left(7) ^ self.world.trace ^ self.world.events);
    }
}

/// What users do.
impl Cluster {
    fn promise<T>(
        &mut self,
        node: usize,
        of: String,
        read: fn(&Answered) -> Option<T>,
        ask: impl FnOnce(u64) -> Ask,
    ) -> Promise<T> {
        let number = self.world.promise();
        self.world.tell(node, ask(number));
        Promise { number, of, read, kind: PhantomData }
    }

    /// A user of `node` starts a child. Once that is acknowledged, other nodes know of it as soon as a message takes.
    pub fn start(&mut self, node: usize, child: Child) -> Promise<Result<Pid, StartError>> {
        self.numbers += 1;
        let id = child.id.clone().unwrap_or_else(|| format!("child-{}", self.numbers));
        self.world.guests.keys.extend(child.key.clone());
        let spec = Box::new(child.into_spec());
        let of = format!("the start of {id} by n{node}");
        self.promise(node, of, started, |number| Ask::Start(number, id, spec, PATIENCE))
    }

    /// A user of `node` ends a child for good.
    pub fn terminate(&mut self, node: usize, id: &str) -> Promise<Result<(), TerminateError>> {
        let (of, id) = (format!("the end of {id} by n{node}"), id.to_owned());
        self.promise(node, of, terminated, |number| Ask::Terminate(number, id, PATIENCE))
    }

    /// A user of `node` calls a child by its id, once: wherever the node knows it to be. A real `Ref` looks again when the
    /// child has just moved; here the script does.
    ///
    /// # Panics
    /// When the message does not encode.
    pub fn call<P, M>(&mut self, node: usize, id: &str, message: M) -> Promise<Result<M::Reply, CallError>>
    where
        P: Handle<M>,
        M: Message,
    {
        self.call_name(node, child_name(id), &message)
    }

    /// As [`Cluster::call`], by the name that it registered.
    ///
    /// # Panics
    /// When the message does not encode.
    pub fn call_named<P, M>(
        &mut self,
        node: usize,
        key: &str,
        message: M,
    ) -> Promise<Result<M::Reply, CallError>>
    where
        P: Handle<M>,
        M: Message,
    {
        self.call_name(node, key_name(key), &message)
    }

    fn call_name<M: Message>(
        &mut self,
        node: usize,
        name: horde_process::Name,
        message: &M,
    ) -> Promise<Result<M::Reply, CallError>> {
        let payload = Payload { name: M::NAME, bytes: encode(message).expect("the message encodes") };
        let of = format!("the call of {name} by n{node}");
        self.promise(node, of, called, |number| Ask::Call(number, name, payload, PATIENCE))
    }

    /// A user of `node` sends a child a message, and does not wait.
    ///
    /// # Panics
    /// When the message does not encode.
    pub fn cast<P: Handle<M>, M: Message>(&mut self, node: usize, id: &str, message: M) {
        let payload = Payload { name: M::NAME, bytes: encode(&message).expect("the message encodes") };
        self.world.tell(node, Ask::Cast(child_name(id), payload));
    }

    /// What became of a promise so far; none while the user waits.
    #[must_use]
    pub fn kept<T>(&self, promise: &Promise<T>) -> Option<T> {
        self.world.guests.answers.get(&promise.number).and_then(promise.read)
    }

    /// Waits until a promise is kept.
    ///
    /// # Errors
    /// [`Failure`] when it is not within 15 s of virtual time, for which its node must have died, or stood still.
    pub fn wait<T>(&mut self, promise: &Promise<T>) -> Result<T, Failure> {
        let number = promise.number;
        let what = format!("{} is answered", promise.of);
        self.run_until(WAIT, &what, |look| look.0.guests.answers.contains_key(&number))?;
        self.kept(promise)
            .ok_or_else(|| self.failure(format!("{promise:?} was answered with something else")))
    }
}

/// What happens to nodes, processes and network.
impl Cluster {
    /// A node is gone without a word, with all that runs on it.
    pub fn kill(&mut self, node: usize) {
        if self.world.nodes[node].is_alive() {
            self.world.crash(node);
        }
    }

    /// A node that is dead starts anew, without what it knew.
    pub fn revive(&mut self, node: usize) {
        self.world.revive(node);
    }

    /// A node stands still: what comes waits. `deaf`: its kernel still answers, so that its connections stand.
    pub fn pause(&mut self, node: usize, deaf: bool) {
        self.world.pause(node, if deaf { Body::Deaf } else { Body::Frozen });
    }

    /// A node that stood still goes on, all at once.
    pub fn resume(&mut self, node: usize) {
        self.world.resume(node);
    }

    /// A node moves its children away, then leaves.
    pub fn leave(&mut self, node: usize) {
        self.world.leave(node);
    }

    /// A further node starts. Answers its number.
    ///
    /// # Panics
    /// When there are more than the builder has [room for](Builder::room_for).
    pub fn join(&mut self) -> usize {
        let node = self.world.nodes.len();
        assert!(node < self.world.plan.most, "the builder has no room for another node");
        self.world.join();
        node
    }

    /// The process of a child ends by itself, wherever it runs.
    pub fn end_process(&mut self, id: &str, reason: &ExitReason) {
        for copy in self.look().copies(id) {
            self.world.tell(copy.node, Ask::End(id.to_owned(), reason.clone()));
        }
    }

    /// Nothing gets from one node to another any more.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.world.set_link(from, to, true);
    }

    /// The way from one node to another is free again.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.world.set_link(from, to, false);
    }

    /// The network splits: these nodes on one side, all others on the other.
    pub fn split(&mut self, side: &[usize]) {
        for a in 0..self.world.nodes.len() {
            for b in 0..self.world.nodes.len() {
                self.world.set_link(a, b, side.contains(&a) != side.contains(&b));
            }
        }
    }

    /// The network is whole again.
    pub fn heal(&mut self) {
        self.world.heal();
    }

    /// For `time`, what `faults` says goes wrong by itself, as the seed has it. At its end nodes may be down and links cut:
    /// see [`Cluster::settle`].
    ///
    /// # Errors
    /// [`Failure`] when something that must hold does not.
    pub fn storm(&mut self, faults: &Faults, time: Duration) -> Result<(), Failure> {
        faults.apply(&mut self.world.plan);
        (self.world.loss, self.world.delay) = (self.world.plan.loss, self.world.plan.delay);
        self.world.plan.busy = time;
        self.world.calm = false;
        self.world.plan_faults();
        self.run_for(time)
    }

    /// Nothing goes wrong any more: links are whole, who stood still goes on. Then waits until the whole cluster is as it
    /// should be by the simulator's own checks, and stays so for 3 s: acknowledged children run once, nothing untracked runs,
    /// names have living owners who are found everywhere, views and replicas are equal. Answers how long it took to heal.
    ///
    /// # Errors
    /// [`Failure`] when that is not so within 40 s of virtual time.
    pub fn settle(&mut self) -> Result<Duration, Failure> {
        self.world.quieten();
        let begin = self.world.queue.now;
        let mut since = None;
        while self.world.queue.now < begin + HEALING {
            self.run_for(LOOK)?;
            let now = self.world.queue.now;
            match self.world.whole() {
                None if now >= *since.get_or_insert(now) + STAYING => return Ok(since.unwrap_or(now) - begin),
                None => {}
                Some(_) => since = None,
            }
        }
        let trouble = self.world.whole().unwrap_or_else(|| "it did not stay whole".to_owned());
        Err(self.failure(format!("not whole {HEALING:?} after the last fault: {trouble}")))
    }
}

/// Time, and what must hold.
impl Cluster {
    /// All nodes at this moment.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        Look(&self.world)
    }

    /// Has something checked after each step from now on; an error is what is wrong.
    pub fn always(
        &mut self,
        what: impl Into<String>,
        holds: impl FnMut(Look<'_>) -> Result<(), String> + 'static,
    ) {
        self.always.push((what.into(), Box::new(holds)));
    }

    /// Says what is wrong unless `right`, as a failure of this run.
    ///
    /// # Errors
    /// The [`Failure`], unless `right`.
    pub fn expect(&self, right: bool, wrong: impl FnOnce() -> String) -> Result<(), Failure> {
        if right { Ok(()) } else { Err(self.failure(wrong())) }
    }

    /// Lets virtual time pass.
    ///
    /// # Errors
    /// [`Failure`] when something that must hold does not.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        let until = self.world.queue.now + time;
        while self.step(until)? {}
        Ok(())
    }

    /// Lets virtual time pass until something is so, which is looked at after each step. Answers how long that took.
    ///
    /// # Errors
    /// [`Failure`] when it is not so within `bound`, or when something that must hold does not.
    pub fn run_until(
        &mut self,
        bound: Duration,
        what: &str,
        mut done: impl FnMut(Look<'_>) -> bool,
    ) -> Result<Duration, Failure> {
        let begin = self.world.queue.now;
        while !done(self.look()) {
            if !self.step(begin + bound)? {
                return Err(self.failure(format!("not within {bound:?}: {what}")));
            }
        }
        Ok(self.world.queue.now - begin)
    }

    fn step(&mut self, until: Duration) -> Result<bool, Failure> {
        let world = &mut self.world;
        let stepped = catch_unwind(AssertUnwindSafe(|| world.step(until)))
            .map_err(|panic| self.failure(format!("a machine panicked: {}", crate::text(&*panic))))?;
        if let Some(failure) = self.world.failure.clone() {
            return Err(self.failure(failure));
        }
        let look = Look(&self.world);
        let wrong = self
            .always
            .iter_mut()
            .find_map(|(what, holds)| holds(look).err().map(|wrong| format!("{what}: {wrong}")));
        wrong.map_or(Ok(stepped), |wrong| Err(self.failure(wrong)))
    }

    fn failure(&self, what: String) -> Failure {
        let (seed, at, history) = (self.run.seed, self.world.queue.now, self.world.history.clone());
        Failure { seed, what, at, history }
    }
}
