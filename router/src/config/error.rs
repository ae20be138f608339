//! What can be wrong with a configuration, said for the person who has to correct it.

use std::path::PathBuf;

use thiserror::Error;

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no such TOML.
    #[error("{path} is no valid configuration: {reason}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A ticket file holds nothing.
    #[error("{0} is empty: put a long random ticket into it")]
    EmptyTicket(PathBuf),
    /// There is nowhere to listen.
    #[error("no listener: add a [[listen]] with kind and address")]
    NoListener,
    /// A number is out of range.
    #[error("limits.{name} is {value}; it must be from {least} to {most}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What it is.
        value: usize,
        /// The least that it can be.
        least: usize,
        /// The most that it can be.
        most: usize,
    },
    /// A role is named that the realm lacks.
    #[error("realm {realm} has no role {role}: add a [[realm.role]] with that name")]
    NoSuchRole {
        /// The realm.
        realm: String,
        /// The role.
        role: String,
    },
    /// A realm's name is wrong or taken.
    #[error("realm {name:?} can't be used: {reason}")]
    Realm {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
}
