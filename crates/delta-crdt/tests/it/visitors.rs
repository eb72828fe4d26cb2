//! Who pushes to a replica and is not its neighbour: one direction of a link, as where each has a few of many.

use std::time::Duration;

use delta_crdt::{Config, LastWriter, Message, Now, Replica, ReplicaId};

use crate::support::{START, id, later, sends, sent};

type Map = Replica<u64, u64>;

/// The only neighbour of the host, with the lowest id.
const NEIGHBOUR: ReplicaId = id(1);
const HOST: ReplicaId = id(2);
const VISITOR: ReplicaId = id(3);

struct Scene {
    now: Now,
    neighbour: Option<Map>,
    host: Map,
    /// `None` once it is gone.
    visitor: Option<Map>,
    /// Pulls of the host, by receiver.
    pulls: Vec<ReplicaId>,
}

impl Scene {
    /// The visitor has the host as a neighbour; its first push is lost, the second waits for it.
    fn new(neighbour: bool, members: &[ReplicaId]) -> Self {
        let map = |own| Map::new(own, Config::default(), LastWriter);
        let neighbour = neighbour.then(|| map(NEIGHBOUR));
        let mut scene =
            Self { now: START, neighbour, host: map(HOST), visitor: Some(map(VISITOR)), pulls: Vec::new() };
        if !members.is_empty() {
            scene.host.set_members(members.iter().copied());
        }
        if let Some(neighbour) = &mut scene.neighbour {
            scene.host.peer_up(START, NEIGHBOUR);
            neighbour.peer_up(START, HOST);
        }
        if let Some(visitor) = &mut scene.visitor {
            visitor.peer_up(START, HOST);
        }
        scene.run(Duration::from_millis(300));
        let now = scene.now;
        let visitor = scene.visitor.as_mut().expect("it is there");
        visitor.put(now, 1, 1);
        visitor.flush(now);
        assert_eq!(sends(visitor).len(), 1, "it is lost");
        visitor.put(now, 2, 2);
        visitor.flush(now);
        for message in sent(visitor, HOST) {
            scene.host.receive(now, VISITOR, message);
        }
        assert_eq!((scene.host.stats().parked, scene.host.len()), (1, 0));
        assert!(scene.pulls.is_empty());
        scene
    }

    fn deliver(&mut self) {
        let now = self.now;
        let arrive = |from: ReplicaId, to: &mut Map, messages: Vec<Message<u64, u64>>| {
            messages.into_iter().for_each(|message| to.receive(now, from, message));
        };
        for _ in 0..20 {
            for (to, message) in sends(&mut self.host) {
                if message.kind() == "pull" {
                    self.pulls.push(to);
                }
                let to = if to == NEIGHBOUR { &mut self.neighbour } else { &mut self.visitor };
                if let Some(to) = to {
                    to.receive(now, HOST, message);
                }
            }
            for (own, map) in [(NEIGHBOUR, &mut self.neighbour), (VISITOR, &mut self.visitor)] {
                if let Some(map) = map {
                    arrive(own, &mut self.host, sent(map, HOST));
                }
            }
        }
        self.host.check_invariants();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while self.now.monotonic < end {
            self.now = later(self.now, Duration::from_millis(10));
            let now = self.now;
            let maps = [Some(&mut self.host), self.neighbour.as_mut(), self.visitor.as_mut()];
            for map in maps.into_iter().flatten() {
                if map.poll_timeout().is_some_and(|due| due <= now.monotonic) {
                    map.handle_timeout(now);
                    assert!(map.poll_timeout().is_none_or(|due| due > now.monotonic), "the timer spins");
                }
            }
            self.deliver();
        }
    }
}

#[test]
fn what_a_visitor_is_waited_for_is_pulled_from_the_visitor_itself() {
    for (neighbour, members) in [(true, &[][..]), (true, &[NEIGHBOUR, VISITOR]), (false, &[])] {
        let mut scene = Scene::new(neighbour, members);
        // Sooner than its next status would show what is missing.
        scene.run(2 * Config::default().repull_after);
        assert_eq!(scene.pulls, [VISITOR]);
        assert_eq!((scene.host.len(), scene.host.stats().parked), (2, 0));
    }
}

#[test]
fn what_a_vanished_visitor_left_waiting_is_forgotten_and_asked_for_no_longer() {
    for (neighbour, members) in [(true, &[][..]), (true, &[NEIGHBOUR, VISITOR]), (false, &[])] {
        let mut scene = Scene::new(neighbour, members);
        scene.visitor = None;
        scene.run(Duration::from_secs(5));
        assert!(!scene.pulls.is_empty(), "it is asked for a while");
        if neighbour {
            assert!(scene.pulls.contains(&NEIGHBOUR), "who else is there is asked too: {:?}", scene.pulls);
        }
        scene.run(Duration::from_secs(15));
        assert_eq!(scene.host.stats().parked, 0, "neighbour: {neighbour}, members: {members:?}");
        let pulls = scene.pulls.len();
        scene.run(Duration::from_secs(15));
        assert_eq!(scene.pulls.len(), pulls, "neighbour: {neighbour}, members: {members:?}");
        assert!(neighbour || scene.host.poll_timeout().is_none(), "nothing is left to be done");
    }
}
