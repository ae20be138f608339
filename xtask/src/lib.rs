//! What `cargo xtask` is made of; a library, so that end-to-end tests can set up the machine and use the lab.
//!
//! It must build on a machine that has only Rust, so it never depends on ECEP's programs.

pub mod bench;
pub mod demo;
pub mod generate;
pub mod interrupt;
pub mod lab;
pub mod places;
pub mod report;
pub mod setup;
pub mod shell;
pub mod shots;
pub mod stack;
pub mod suite;
pub mod wait;

use std::path::Path;

/// The root of the working copy.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
