//! Secrets that stand in files of their own.

use std::path::Path;

use super::ConfigError;

/// A secret from a file, without the white space at its ends.
pub(crate) fn read_ticket(path: &Path) -> Result<String, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
    match text.trim() {
        "" => Err(ConfigError::EmptyTicket(path.to_owned())),
        ticket => Ok(ticket.to_owned()),
    }
}
