//! Files and directory trees over one stream: hashed, resumable, throttled, with constant memory. The receiver says what
//! it has already; only the rest travels, however often the connection is cut. It must not know what the files mean.
//!
//! The sender's words are `Item`, `Start`, `Chunk`…, `End`, and `Finished` after the last item; the receiver's are `Have`
//! (how much it holds, and its hash), `Stored`, and `Failed`. Both say `Working` while a disk keeps them busy.

mod inbox;
mod name;
mod pack;
mod pax;
mod rate;
mod receive;
mod send;
mod source;
mod unpack;
mod wire;

use std::{io, path::PathBuf, time::Duration};

pub use inbox::Inbox;
pub use name::{ItemName, ItemNameError};
pub use rate::{Throttle, TokenBucket};
pub use receive::{Received, receive};
pub use send::{Item, Options, Sent, send};
pub use source::Source;
pub use unpack::TreeError;
pub use wire::{Announcement, CHUNK, Frame, Kind, WireError};

/// Neither bytes nor a `Working` for this long: the peer's program hangs (a dead link is found by the channel).
pub const STALL_LIMIT: Duration = Duration::from_secs(60);
/// How often an end says that it is still at work.
const WORKING_INTERVAL: Duration = Duration::from_secs(10);
/// Chunks between the disk and the network, each way: enough to keep both busy, one megabyte of memory.
const CHUNK_QUEUE: usize = 4;
/// Items of one transfer: the images of a checkpoint of many processes, some hundreds.
pub const MAX_ITEMS: usize = 10_000;

/// What is being done with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// What the receiver has already is compared.
    Checking,
    /// Bytes travel.
    Moving,
    /// The receiver verifies, unpacks and puts in place.
    Storing,
    /// Done.
    Stored,
}

/// Where a transfer stands, for whoever watches. Told for each chunk: thin it out before it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which item.
    pub item: ItemName,
    /// What is being done.
    pub phase: Phase,
    /// Bytes of the content that the receiver has, those of earlier connections included.
    pub done: u64,
    /// Bytes of the whole content; a tree's is not known before its end.
    pub total: Option<u64>,
}

/// Why a transfer did not come to its end. What was received stays for the next attempt, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The stream broke: connect again and repeat the call.
    #[error("the connection broke during the transfer: {0}")]
    Stream(io::Error),
    /// Not our protocol, or against it.
    #[error("the peer broke the transfer's protocol: {0}")]
    Protocol(String),
    /// A frame that can't be read.
    #[error("the peer broke the transfer's protocol: {0}")]
    Wire(#[from] WireError),
    /// The peer gave up.
    #[error("the peer could not go on: {0}")]
    Peer(String),
    /// The peer hangs.
    #[error("the peer did nothing for {STALL_LIMIT:?}; it hangs or its disk does")]
    Stalled,
    /// A name that was refused.
    #[error(transparent)]
    Name(#[from] ItemNameError),
    /// A file at this end.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// No room. What was received of the item was removed, so that the device can breathe.
    #[error("the disk of {} is full{}: free some space and try again", path.display(), room(*needed, *free))]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes still to come, where known.
        needed: Option<u64>,
        /// Bytes free.
        free: u64,
    },
    /// Bytes that are not what the sender read. What was received of the item was removed.
    #[error("item {item} arrived damaged ({what}); it was removed, try again")]
    Damaged {
        /// Which item.
        item: ItemName,
        /// Which check failed.
        what: &'static str,
    },
    /// More than the receiver allowed.
    #[error("the transfer is larger than the {limit} bytes that were agreed upon")]
    TooLarge {
        /// What was allowed.
        limit: u64,
    },
    /// A tree that must not be unpacked. Nothing of it was put in place.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A worker of this process died.
    #[error("an internal worker ended: {0}")]
    Worker(String),
}

fn room(needed: Option<u64>, free: u64) -> String {
    match needed {
        Some(needed) => format!(" ({needed} bytes needed, {free} free)"),
        None => format!(" ({free} bytes free)"),
    }
}
