//! The limits and intervals of a replica.

use core::time::Duration;

/// Limits and intervals of a [`Replica`](crate::Replica). `Config::default()` suits a map of up to some 100,000 keys.
///
/// Any values may be given. What makes no sense is moved to the nearest that does: counts to 1 where 0 would stop all, intervals to
/// [`Config::SHORTEST`] or [`Config::LONGEST`]. [`Replica::config`](crate::Replica::config) shows what is in force. Intervals are
/// added to [`Now::monotonic`](crate::Now::monotonic), so that clock must end some ten years before [`Duration::MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Parts that are synchronised one by one; rounded up to a power of two, at most 32,768. Default 1; 16 suits a million keys.
    /// Part of the map's identity: replicas with different counts refuse each other ([`Warning::Shards`](crate::Warning)).
    /// Each costs 32 bytes for every peer heard of, whether that one said anything of it or not: 16 shards and 100 peers are 50 KiB,
    /// the most of both, 32,768 and 4,096, are 4 GiB.
    pub shards: u16,
    /// How often each neighbour is told what is held, idle or not. Default 1 s; sane from 100 ms to 10 s; at least
    /// [`Config::SHORTEST`], at most [`Config::LONGEST`]. [`Duration::MAX`] is as good as never: a lost push is then noticed when a
    /// later one comes, if ever.
    pub status_interval: Duration,
    /// The least time between two such tellings of what others wrote. Default 10 ms; at least
    /// [`Config::SHORTEST`], at most [`Config::LONGEST`].
    pub relay_interval: Duration,
    /// How long a gap may stay before it is pulled, when the missing write is probably on its way. Default 50 ms; about one
    /// round trip; at least [`Config::SHORTEST`], at most [`Config::LONGEST`].
    pub repull_after: Duration,
    /// How long a session may make no progress before it is given up and begun anew. Default 2 s; at least [`Config::SHORTEST`],
    /// at most [`Config::LONGEST`]. Less than a round trip ends every session before its answer comes.
    pub session_timeout: Duration,
    /// Writes in one pushed message. Default 1,024. A full batch is sent without waiting for `flush`.
    pub max_batch_ops: usize,
    /// Bytes in one pushed message or fragment, as weighed by [`Replica::weigh_with`](crate::Replica::weigh_with). Default
    /// 64 KiB. A push goes out with the write that reaches it, and is longer by less than that one. In a session, a key
    /// that would make a fragment longer begins the next one; one that is longer by itself travels alone.
    pub max_batch_bytes: usize,
    /// Keys in one fragment of a session. Default 1,024. (DeltaCrdt's `max_sync_size`; here it bounds a message, never what
    /// is synchronised.)
    pub max_fragment_keys: usize,
    /// Fragments on their way to one puller before it must confirm: how far a server goes, whatever the puller's own setting. Default 32.
    pub session_window: u32,
    /// Sessions served at the same time. Default 64. Further pulls wait, one per peer and shard, and are served in the
    /// order in which they came. What a session brings is copied at once when it begins, as it must be of one state: up to so many
    /// copies of a whole shard are in memory while their pullers are slow. A value that shares what it owns when cloned, such as an
    /// [`Arc`](alloc::sync::Arc), is not copied.
    pub max_sessions: usize,
    /// Keys staged for one session, removed ones among them. Default 16,777,216. A session that brings more is given up with a
    /// [`Warning`](crate::Warning), nothing of it is applied, and it is tried again about once a `status_interval`: a shard must not
    /// have more.
    pub max_staged: usize,
    /// Writes per shard that wait for an earlier one. Default 65,536. At the limit later ones are dropped, counted, and come
    /// back through a pull.
    pub max_parked: usize,
    /// Tombstones per shard that wait for all members. Default 1,048,576. At the limit the oldest are dropped; a member that had
    /// not covered them gets the whole shard when it returns.
    pub max_tombstones: usize,
    /// Replica lives known. Default 65,536. Messages that would bring more are refused, with a
    /// [`Warning`](crate::Warning).
    pub max_origins: usize,
    /// Neighbours and others heard of at the same time. Default 4,096. Messages from further ones are refused, with a
    /// [`Warning`](crate::Warning), until one of the others has been silent for ten status intervals. Who is made a neighbour
    /// is never refused. Each takes 32 bytes for each of the `shards`, and more for each of which it told something that differs from
    /// what is held here: lower this where shards are many and strangers can connect.
    pub max_peers: usize,
    /// Entries that changed, and neighbours, that a status lists unasked. Default 32. Of more it bears a hash alone, and who holds
    /// something else asks.
    pub max_told: usize,
    /// How far a stamp may be ahead of the wall clock before it is reported and kept from moving the clock. Default 500 ms; 0 is
    /// allowed, at most [`Config::LONGEST`].
    pub max_drift: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 1,
            status_interval: Duration::from_secs(1),
            relay_interval: Duration::from_millis(10),
            repull_after: Duration::from_millis(50),
            session_timeout: Duration::from_secs(2),
            max_batch_ops: 1_024,
            max_batch_bytes: 64 * 1_024,
            max_fragment_keys: 1_024,
            session_window: 32,
            max_sessions: 64,
            max_staged: 1 << 24,
            max_parked: 1 << 16,
            max_tombstones: 1 << 20,
            max_origins: 1 << 16,
            max_peers: 4_096,
            max_told: 32,
            max_drift: Duration::from_millis(500),
        }
    }
}

impl Config {
    /// No interval is shorter; what is given as less is this. 1 ms.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// No interval is longer; what is given as more, such as [`Duration::MAX`] for never, is this. 365 days.
    pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    pub(crate) fn normalised(mut self) -> Self {
        self.shards = self.shards.clamp(1, 1 << 15).next_power_of_two();
        let intervals = [
            &mut self.status_interval,
            &mut self.relay_interval,
            &mut self.repull_after,
            &mut self.session_timeout,
        ];
        intervals.into_iter().for_each(|time| *time = (*time).clamp(Self::SHORTEST, Self::LONGEST));
        self.max_drift = self.max_drift.min(Self::LONGEST);
        self.max_batch_ops = self.max_batch_ops.max(1);
        self.max_fragment_keys = self.max_fragment_keys.max(1);
        self.session_window = self.session_window.max(2);
        self.max_sessions = self.max_sessions.max(1);
        self
    }
}
