//! What can be wrong with a configuration, said for the person who has to correct it.

use std::path::PathBuf;

use thiserror::Error;

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("can't read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path} is no TOML: {reason}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// It says what can't be.
    #[error("the configuration is wrong:\n  {}", .0.join("\n  "))]
    Wrong(
        /// Every mistake, with its place.
        Vec<String>,
    ),
    /// A ticket file holds nothing.
    #[error("{0} is empty: put a long random ticket into it")]
    EmptyTicket(PathBuf),
}
