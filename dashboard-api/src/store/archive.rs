//! A backup as bytes: lines of JSON that a person can read, with the layout's version at the start and a checksum at
//! the end.
//!
//! ```text
//! {"ecep_backup":1,"schema":2,"made_at":1767225600000,"program":"0.1.0"}
//! {"file":"channel-ca.key","text":"-----BEGIN …"}
//! {"table":"tenants","key":"acme","row":"{\"slug\":\"acme\",…}"}
//! {"lines":3,"sha256":"…"}
//! ```
//!
//! Must not know what the rows mean, nor where the bytes go.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read, Write},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tables::Tables;

/// The form of these lines.
const FORMAT: u32 = 1;
/// Longest line in bytes. The longest row is a report of a device with some hundred containers.
const MAX_LINE: u64 = 32 * 1024 * 1024;

/// What is needed to go on elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// All rows.
    pub tables: Tables,
    /// Files of the data folder by name.
    pub files: BTreeMap<String, String>,
    /// When it was taken, in milliseconds since 1970.
    pub made_at: u64,
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not one, or not whole.
    #[error("line {line}: {what}. This is not a whole backup; use another one.")]
    Damaged {
        /// Where, counted from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// It was made by a newer program.
    #[error("the backup has form {0}, this program knows {FORMAT}; restore it with the version that made it")]
    Format(u32),
}

#[derive(Serialize, Deserialize)]
struct Head {
    ecep_backup: u32,
    schema: u64,
    made_at: u64,
    program: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Row {
        table: String,
        key: String,
        row: String,
    },
    File {
        file: String,
        text: String,
    },
    End {
        lines: u64,
        sha256: String,
    },
    /// Whoever writes the backup met this.
    Error {
        error: String,
    },
}

impl Archive {
    /// Writes it.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, out: impl Write) -> Result<(), ArchiveError> {
        let mut out = Hashing { out, hash: Sha256::new(), lines: 0 };
        let schema = self.tables.schema().ok().flatten().unwrap_or_default();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        out.line(&Head { ecep_backup: FORMAT, schema, made_at: self.made_at, program })?;
        for (file, text) in &self.files {
            out.line(&Line::File { file: file.clone(), text: text.clone() })?;
        }
        for (table, rows) in &self.tables.0 {
            for (key, row) in rows {
                let (table, key, row) = (table.clone(), key.clone(), row.clone());
                out.line(&Line::Row { table, key, row })?;
            }
        }
        let end = Line::End { lines: out.lines, sha256: hex(&out.hash.clone().finalize()) };
        out.line(&end)?;
        out.out.flush()?;
        Ok(())
    }

    /// Reads it, and checks that it is whole.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read(mut from: impl BufRead) -> Result<Self, ArchiveError> {
        let mut archive = Self::default();
        let (mut hash, mut number, mut bytes) = (Sha256::new(), 0, Vec::new());
        let mut schema = None;
        loop {
            number += 1;
            bytes.clear();
            from.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)?;
            let damaged = |what: &str| ArchiveError::Damaged { line: number, what: what.to_owned() };
            if bytes.last() != Some(&b'\n') {
                return Err(damaged("it ends here"));
            }
            if schema.is_none() {
                let head: Head =
                    serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
                if head.ecep_backup != FORMAT {
                    return Err(ArchiveError::Format(head.ecep_backup));
                }
                archive.made_at = head.made_at;
                schema = Some(head.schema);
            } else {
                match serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))? {
                    Line::Row { table, key, row } => {
                        archive.tables.rows_mut(&table).insert(key, row);
                    }
                    Line::File { file, text } => {
                        archive.files.insert(file, text);
                    }
                    Line::Error { error } => return Err(damaged(&error)),
                    Line::End { lines, sha256 } => {
                        if lines != number - 1 || sha256 != hex(&hash.finalize()) {
                            return Err(damaged("the checksum is another"));
                        }
                        if archive.tables.schema().ok().flatten() != schema {
                            return Err(damaged("the schema's version is not that of the first line"));
                        }
                        return Ok(archive);
                    }
                }
            }
            hash.update(&bytes);
        }
    }
}

/// Ends a backup that cannot go on, so that its reader knows why.
///
/// # Errors
/// What the system said.
pub fn write_error(mut out: impl Write, error: &str) -> io::Result<()> {
    serde_json::to_writer(&mut out, &Line::Error { error: error.to_owned() })?;
    out.write_all(b"\n")?;
    out.flush()
}

struct Hashing<W> {
    out: W,
    hash: Sha256,
    lines: u64,
}

impl<W: Write> Hashing<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.hash.update(&bytes);
        self.lines += 1;
        self.out.write_all(&bytes)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let mut archive = Archive { made_at: 5, ..Archive::default() };
        archive.tables.set_schema(2);
        archive.tables.rows_mut("tenants").insert("acme".into(), r#"{"name":"Ä\n\"x\"","n":1.10}"#.into());
        archive.files.insert("channel-ca.key".into(), "-----BEGIN\nsecret\n".into());
        archive
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        archive().write(&mut bytes).unwrap();
        bytes
    }

    /// What comes back must be what was given, byte for byte.
    #[test]
    fn a_backup_comes_back_whole() {
        assert_eq!(Archive::read(&*bytes()).unwrap(), archive());
    }

    /// A backup that lost its end, or a bit of it, must not be restored.
    #[test]
    fn a_damaged_backup_is_refused() {
        let whole = bytes();
        for length in 0..whole.len() {
            assert!(Archive::read(&whole[..length]).is_err(), "cut after {length} bytes");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(Archive::read(&*changed).is_err(), "byte {place} was changed");
        }
    }

    /// What its writer met is told to whoever waits for the rest.
    #[test]
    fn an_error_of_the_writer_is_told() {
        let mut bytes = bytes();
        let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
        bytes.truncate(end + 1);
        write_error(&mut bytes, "the disk broke").unwrap();
        let told = Archive::read(&*bytes).unwrap_err().to_string();
        assert!(told.contains("the disk broke"), "{told}");
    }
}
