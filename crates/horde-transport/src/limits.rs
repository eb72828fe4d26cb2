//! What one node takes on before it says no.

use crate::Lane;

/// Sizes and queue lengths that a network never exceeds.
///
/// Both sides of a connection should agree on the frame sizes: a frame over the receiver's limit ends the
/// connection, because a peer that sends one does not follow the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame on [`Lane::Control`], in bytes. Default 64 KiB; sane from 4 KiB. Beyond: `SendError::TooBig`.
    pub control_frame: usize,
    /// The largest frame on [`Lane::Sync`], in bytes. Default 1 MiB; sane from 64 KiB. Beyond: `SendError::TooBig`.
    pub sync_frame: usize,
    /// The largest frame, request or answer on [`Lane::Calls`], in bytes. Default 16 MiB; sane from 64 KiB.
    /// Beyond: `SendError::TooBig`, and an answer over it is as if the request was dropped.
    pub calls_frame: usize,
    /// The largest frame on [`Lane::Bulk`], in bytes. Default 64 MiB; sane from 1 MiB. Beyond: `SendError::TooBig`.
    pub bulk_frame: usize,
    /// Frames that wait in one lane to one peer. Default 65,536; sane from 16. Beyond: `SendError::Full`.
    pub queued_frames: usize,
    /// Bytes that wait in one lane to one peer. Default 128 MiB; sane from the largest frame on. Beyond: `SendError::Full`.
    pub queued_bytes: usize,
    /// Requests of this node that wait for an answer. Default 262,144. Beyond: `SendError::Full`.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_frame: 64 << 10,
            sync_frame: 1 << 20,
            calls_frame: 16 << 20,
            bulk_frame: 64 << 20,
            queued_frames: 65_536,
            queued_bytes: 128 << 20,
            requests: 262_144,
        }
    }
}

impl Limits {
    /// The largest frame of `lane`, in bytes.
    #[must_use]
    pub fn frame(&self, lane: Lane) -> usize {
        match lane {
            Lane::Control => self.control_frame,
            Lane::Sync => self.sync_frame,
            Lane::Calls => self.calls_frame,
            Lane::Bulk => self.bulk_frame,
        }
    }
}
