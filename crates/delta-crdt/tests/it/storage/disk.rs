//! A disk that crashes: what was synced stays, of what was not any part may be lost.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// What a database did to its file, and what was told of it.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
    /// So many calls of the store have returned.
    Acknowledge(usize),
}

impl Deed {
    pub(super) fn play(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = *offset as usize + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset as usize..end].copy_from_slice(data);
            }
            Self::Length(length) => image.resize(*length as usize, 0),
            Self::Sync | Self::Acknowledge(_) => {}
        }
    }

    /// What is left of a write that was torn.
    fn torn(&self, at: usize) -> Self {
        match self {
            Self::Write(offset, data) => Self::Write(*offset, data[..at % data.len().max(1)].to_vec()),
            deed => deed.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    image: Vec<u8>,
    deeds: Vec<Deed>,
    /// So many more deeds succeed, then one fails.
    fails_after: Option<usize>,
}

/// A file in memory that keeps all that was done to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn with(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { image, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test thread panics with it")
    }

    pub(super) fn act(&self, deed: Deed) {
        let mut state = self.state();
        deed.play(&mut state.image);
        state.deeds.push(deed);
    }

    /// Lets the deed after the next so many fail, once. It is not done; what was written before a sync that fails stays.
    pub(super) fn fail_after(&self, deeds: usize) {
        self.state().fails_after = Some(deeds);
    }

    pub(super) fn is_yet_to_fail(&self) -> bool {
        self.state().fails_after.is_some()
    }

    fn attempt(&self, deed: Deed) -> io::Result<()> {
        let mut state = self.state();
        let left = state.fails_after.take();
        if left == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.fails_after = left.map(|left| left - 1);
        drop(state);
        self.act(deed);
        Ok(())
    }

    pub(super) fn deeds(&self) -> Vec<Deed> {
        self.state().deeds.clone()
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().image.len() as u64)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        let part = state.image.get(offset as usize..offset as usize + len);
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.attempt(Deed::Length(len))
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.attempt(Deed::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.attempt(Deed::Write(offset, data.to_vec()))
    }
}

/// Random numbers from a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }
}

/// What a crash leaves, and how many calls had returned before it.
pub(super) struct Crash {
    pub(super) image: Vec<u8>,
    pub(super) acknowledged: usize,
    pub(super) what: String,
}

/// What was done between two syncs, and the file before it.
pub(super) struct Window {
    image: Vec<u8>,
    deeds: Vec<Deed>,
    acknowledged: usize,
    place: usize,
}

impl Window {
    pub(super) fn grows(&self) -> bool {
        self.deeds.iter().any(|deed| matches!(deed, Deed::Length(_)))
    }

    fn crash(&self, what: String, fates: impl Fn(usize, &Deed) -> Option<Deed>) -> Crash {
        let mut image = self.image.clone();
        let deeds = self.deeds.iter().enumerate().filter_map(|(at, deed)| fates(at, deed));
        deeds.for_each(|deed| deed.play(&mut image));
        Crash { image, acknowledged: self.acknowledged, what: format!("window {}: {what}", self.place) }
    }

    /// A disk that writes in order: the crash comes before a write, or within it.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Crash> {
        let parts = (0..self.deeds.len()).flat_map(|end| [(end, false), (end, true)]);
        parts.map(|(end, within)| {
            self.crash(format!("up to deed {end}, within it: {within}"), |at, deed| match at {
                at if at == end && within => match deed {
                    Deed::Write(_, data) => Some(deed.torn(data.len() / 2)),
                    _ => None,
                },
                at => (at < end).then(|| deed.clone()),
            })
        })
    }

    /// A disk that writes in any order: nothing, all, all but one, one alone, and `random` mixtures of what is there, torn and lost.
    pub(super) fn in_any_order(&self, random: usize) -> impl Iterator<Item = Crash> {
        let all = self.deeds.len();
        let extremes = [false, true].into_iter().flat_map(move |kept| (0..=all).map(move |one| (kept, one)));
        let extremes = extremes.map(move |(kept, one)| {
            let what = format!("kept: {kept}, but deed {one} of {all}");
            self.crash(what, |at, deed| ((at == one) != kept).then(|| deed.clone()))
        });
        let mut dice = Random(0x9e37_79b9_7f4a_7c15 ^ self.place as u64);
        let mixtures = (0..random).map(move |round| {
            let throws: Vec<(usize, usize)> =
                (0..all).map(|_| (dice.below(5), dice.below(1 << 20))).collect();
            self.crash(format!("mixture {round}"), |at, deed| match throws[at] {
                (0 | 1, _) => None,
                (2, part) => Some(deed.torn(part)),
                _ => Some(deed.clone()),
            })
        });
        extremes.chain(mixtures)
    }
}

/// What was done from one sync to the next, from the first acknowledgement on.
pub(super) fn windows(deeds: &[Deed]) -> Vec<Window> {
    let mut windows = Vec::new();
    let (mut image, mut acknowledged) = (Vec::new(), None);
    let mut open = Vec::new();
    for deed in deeds {
        match deed {
            Deed::Acknowledge(calls) => acknowledged = Some(*calls),
            Deed::Sync => {
                let place = windows.len();
                let deeds = std::mem::take(&mut open);
                let window =
                    Window { image: image.clone(), deeds, acknowledged: acknowledged.unwrap_or(0), place };
                window.deeds.iter().for_each(|deed: &Deed| deed.play(&mut image));
                if acknowledged.is_some() && !window.deeds.is_empty() {
                    windows.push(window);
                }
            }
            deed => open.push(deed.clone()),
        }
    }
    windows
}
