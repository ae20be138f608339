//! What the two ends of a move say to each other: one control stream for the whole move, and a stream for each lot of
//! files. The source opens all of them; the grant in their headers says which move they belong to.

use std::path::PathBuf;

use ecep_proto::api::migration::MigrationPhase;
use serde::{Deserialize, Serialize};

/// The first message on a stream, from the source: what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Opening {
    /// [`FromSource`] and [`FromDestination`].
    Control,
    /// Files.
    Items(Lot),
    /// Pages of memory, while the container runs.
    Memory,
    /// From now on the destination gets what is sent to the container, and lets it wait; answered with one byte.
    Traffic,
    /// One of CRIU's images of pages, as a recipe.
    Pages {
        /// Which: `pages-<number>.img`.
        number: u32,
        /// Whether it is packed by zstd.
        is_packed: bool,
    },
}

/// A lot of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lot {
    /// The plan.
    Plan,
    /// The image.
    Image,
    /// Files, as they are while the container runs.
    Files,
    /// Memory and processes, and what has changed of the files.
    State,
    /// A checkpoint: no move at all.
    Checkpoint,
}

impl Lot {
    /// The folder in the destination's inbox.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Lot::Plan => "plan",
            Lot::Image => "image",
            Lot::Files => "files",
            Lot::State => "state",
            Lot::Checkpoint => "checkpoint",
        }
    }
}

/// From the source, after a lot has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromSource {
    /// The lot is there, go on with it.
    Sent(Lot),
    /// After the memory: the container is about to be frozen; make everything ready for it.
    WillFreeze,
    /// In its place: it comes without its memory. Only where the grant allows both.
    GoesCold,
}

/// From the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromDestination {
    /// The control stream has arrived. Streams overtake each other, so nothing else is opened before.
    Met,
    /// What it lacks.
    Wants {
        /// Whether it needs the image.
        image: bool,
        /// How many of the image's layers it has, from the lowest on.
        layers_held: usize,
    },
    /// The container is made; let its files come.
    Prepared,
    /// They are in place; let the memory come, or the state where none comes.
    Placed,
    /// The memory is in the pool, and all is done that can be before the freeze; let the state come.
    Ready,
    /// It is at this now.
    At(MigrationPhase),
    /// The copy stands, cut off.
    Restored,
    /// The container runs here now.
    Out,
    /// It gave up.
    Failed(String),
}

/// The names of items.
pub(super) const PLAN: &str = "plan.json";
/// As `docker save` writes it.
pub(super) const IMAGE: &str = "image.tar";
/// CRIU's images.
pub(super) const IMAGES: &str = "images";
/// The writable layer.
pub(super) const UPPER: &str = "upper";
/// The named volumes, numbered as in the plan.
pub(super) const VOLUMES: &str = "volumes";
/// The output, the youngest file first.
pub(super) const LOGS: &str = "logs";
/// What was written to the youngest since: one file, whose name is where it begins. More may have gone with the files than was
/// there when they were looked at.
pub(super) const LOG_TAIL: &str = "log-tail";
/// What is gone of the writable layer and the volumes since: [`Gone`].
pub(super) const GONE: &str = "gone.json";

/// Paths that are gone since the files were copied.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone {
    /// Of the writable layer.
    pub upper: Vec<PathBuf>,
    /// Of each volume.
    pub volumes: Vec<Vec<PathBuf>>,
}
