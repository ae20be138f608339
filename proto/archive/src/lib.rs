//! Uploaded archives come from strangers. Here they are judged, and turned into what a container engine takes: an image archive with one tag,
//! or a build context.
//!
//! - [`inspect`]: what an archive is, and whether it may stay. It reads all of it.
//! - [`image`]: an image archive for an engine. [`bundle`], [`overlay`]: a build context for one.
//! - [`texts`]: some files of a source bundle. [`Dockerfile`]: what the one among them says, and whether it is taken.
//!
//! What is written is made anew, entry by entry, out of what was understood: nothing of the upload's own framing passes. Memory is bounded by
//! [`Limits`], whatever the size of the archive. It must not know engines, HTTP or WAMP.

mod blocks;
mod budget;
mod compression;
mod context;
mod dockerfile;
mod error;
mod image;
mod inspect;
mod limits;
mod manifest;
mod name;
mod output;
mod overlay;
mod pax;
mod texts;
mod tree;
mod walk;

pub use context::{bundle, overlay};
pub use dockerfile::{Builder, Dockerfile, DockerfileError, MAX_DOCKERFILE_BYTES, check_trigger};
pub use error::ArchiveError;
pub use image::image;
pub use inspect::{DOCKERFILE, Inspection, inspect};
pub use limits::Limits;
pub use texts::texts;
