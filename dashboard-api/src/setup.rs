//! The first run: a code in the data folder proves that whoever makes the first account can read that folder.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::secret::{SecretHash, random_secret};

/// The file's name in the data folder.
const FILE: &str = "setup-code";

/// The code, while it is needed.
#[derive(Debug)]
pub struct SetupCode {
    file: PathBuf,
    hash: Mutex<Option<SecretHash>>,
}

impl SetupCode {
    /// Writes a new code, or finds the one that an earlier start wrote, if the first account is `needed`; else
    /// removes what may be left of it.
    ///
    /// # Errors
    /// If the file cannot be read, written or removed.
    pub fn prepare(data: &Path, needed: bool) -> io::Result<Self> {
        let file = data.join(FILE);
        if !needed {
            remove_if_there(&file)?;
            return Ok(Self { file, hash: Mutex::new(None) });
        }
        let code = match fs::read_to_string(&file) {
            Ok(code) if !code.trim().is_empty() => code.trim().to_owned(),
            Ok(_) => {
                remove_if_there(&file)?;
                write_new(&file)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => write_new(&file)?,
            Err(error) => return Err(error),
        };
        tracing::info!(file = %file.display(), "no account yet: open the dashboard and enter the setup code from this file");
        Ok(Self { file, hash: Mutex::new(Some(SecretHash::of(&code))) })
    }

    /// Whether this is the code.
    pub fn matches(&self, code: &str) -> bool {
        let hash = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        hash.is_some_and(|hash| hash.matches(code.trim()))
    }

    /// The first account exists: the code opens nothing any more.
    pub fn spend(&self) {
        *self.hash.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(error) = remove_if_there(&self.file) {
            tracing::warn!(file = %self.file.display(), %error, "the spent setup code could not be removed");
        }
    }
}

fn write_new(file: &Path) -> io::Result<String> {
    let code = random_secret();
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(opened, "{code}")?;
    opened.sync_all()?;
    Ok(code)
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// The code survives a restart, is nobody else's to read, and opens nothing once it is spent.
    #[test]
    fn a_code_lives_until_it_is_spent() {
        let folder = tempfile::tempdir().unwrap();
        let first = SetupCode::prepare(folder.path(), true).unwrap();
        let file = folder.path().join(FILE);
        let code = fs::read_to_string(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = SetupCode::prepare(folder.path(), true).unwrap();
        assert!(first.matches(&code) && again.matches(&code));
        assert!(!again.matches("") && !again.matches("guess"));
        again.spend();
        assert!(!again.matches(&code));
        assert!(!file.exists());
    }

    /// A crash between the first account and the removal of the file must not leave a code behind.
    #[test]
    fn a_left_over_code_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(SetupCode::prepare(folder.path(), true).unwrap());
        let code = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let later = SetupCode::prepare(folder.path(), false).unwrap();
        assert!(!later.matches(&code));
        assert!(!folder.path().join(FILE).exists());
    }
}
