//! Who has a container while it moves: the decisions of the source, the destination and the authority, so that
//! the world never sees two copies, and sees one again whatever dies (paper section V, phases as in docs).
//!
//! The *authority* stores a container's holder and generation. A move is decided by one compare-and-set there:
//! either the destination commits, or somebody aborts; whichever comes first stands. The source freezes its copy
//! and cuts it off before anything is taken from it, and lets it go on only if the authority says that it still
//! holds the container. The destination restores its copy cut off, and lets it out only if the authority says
//! that it holds the container now. Both keep their [`Phase`](source::Phase) in a journal on disk, written
//! *before* the action that it stands for, and go on from there after a crash.
//!
//! No I/O here: the machines say what to do next and are told how it went.

pub mod authority;
pub mod destination;
pub mod estimate;
pub mod source;

pub use ecep_proto::api::migration::Standing;

/// How a move ended, for one of its two ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The destination has the container.
    Moved,
    /// The source has it still, and why.
    Aborted(String),
}

/// Why a move that was under way is undone after its agent was started again.
const RESTARTED: &str = "the agent was started again in the middle of the move";
