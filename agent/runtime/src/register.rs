//! Telling a Docker engine of the runtime, and taking it back: a key in its `daemon.json` and SIGHUP, upon which it reads
//! that again without a restart. Everything else in the file stays as it is.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

/// The name by which containers ask for the runtime.
pub const RUNTIME_NAME: &str = "ecep";

/// An engine that answers at all answers this at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// `GET /info` is some ten KiB.
const MAX_ANSWER: u64 = 1024 * 1024;

const POLL: Duration = Duration::from_millis(20);

/// Why an engine does not know the runtime, or still knows it.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Writing it anew would lose what somebody meant.
    #[error("{0} is not a JSON object; mend it, or the engine will not start again either")]
    Content(PathBuf),
    /// Somebody else's.
    #[error("{path} has a runtime named {name} already, with another program: {program}; remove it first")]
    Taken {
        /// The configuration.
        path: PathBuf,
        /// The runtime's name.
        name: String,
        /// Its program.
        program: String,
    },
    /// The file cannot be read or written, the engine signalled or asked.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// The engine did not take the change.
    #[error("the engine did not take up the change to its runtimes within {0:?}; its log says why")]
    Ignored(Duration),
}

/// One engine.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its configuration file, `/etc/docker/daemon.json` unless it was started with another. It need not exist.
    pub configuration: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Its process.
    pub pid: i32,
}

impl Engine {
    /// Makes the engine know the runtime under that name, and waits until it does.
    ///
    /// # Errors
    /// The file is not ours to change, or the engine does not take it up within `limit`.
    pub fn add_runtime(&self, name: &str, program: &Path, limit: Duration) -> Result<(), RegisterError> {
        let wanted = json!({"path": program});
        self.change(name, |all| {
            let runtimes = all.entry("runtimes").or_insert_with(|| json!({})).as_object_mut()?;
            Some(match runtimes.get(name).map(|old| &old["path"]) {
                Some(old) if *old != wanted["path"] => Err(old.as_str().unwrap_or_default().to_owned()),
                _ => {
                    runtimes.insert(name.into(), wanted);
                    Ok(())
                }
            })
        })?;
        self.reload_until(limit, |runtimes| runtimes[name]["path"] == json!(program))
    }

    /// Makes the engine forget the runtime, and waits until it has. Containers that were created with it cannot be started
    /// afterwards.
    ///
    /// # Errors
    /// The file cannot be changed, or the engine does not take it up within `limit`.
    pub fn remove_runtime(&self, name: &str, limit: Duration) -> Result<(), RegisterError> {
        let mut left_empty = false;
        self.change(name, |all| {
            let Some(entry) = all.get_mut("runtimes") else { return Some(Ok(())) };
            let runtimes = entry.as_object_mut()?;
            left_empty = runtimes.remove(name).is_some() && runtimes.is_empty();
            Some(Ok(()))
        })?;
        let reloaded = self.reload_until(limit, |runtimes| runtimes[name].is_null());
        if left_empty {
            // Not before: an engine that finds no `runtimes` at all keeps those that it had.
            self.change(name, |all| {
                all.remove("runtimes");
                Some(Ok(()))
            })?;
        }
        reloaded
    }

    /// The program that the engine runs for a runtime of that name, as the engine says itself.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn runtime(&self, name: &str) -> Result<Option<PathBuf>, RegisterError> {
        Ok(self.runtimes()?[name]["path"].as_str().map(PathBuf::from))
    }

    /// `change` answers none where the file is not as it should be, and a foreign program's path as its error.
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Map<String, Value>) -> Option<Result<(), String>>,
    ) -> Result<(), RegisterError> {
        let path = &self.configuration;
        let bad = || RegisterError::Content(path.clone());
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(failed(path.display(), error)),
        };
        let old: Value = serde_json::from_slice(&text).map_err(|_| bad())?;
        let mut new = old.clone();
        change(new.as_object_mut().ok_or_else(bad)?)
            .ok_or_else(bad)?
            .map_err(|program| RegisterError::Taken { path: path.clone(), name: name.into(), program })?;
        if new == old {
            return Ok(());
        }
        replace(path, &new).map_err(|error| failed(path.display(), error))
    }

    fn reload_until(&self, limit: Duration, done: impl Fn(&Value) -> bool) -> Result<(), RegisterError> {
        let pid = Pid::from_raw(self.pid)
            .ok_or_else(|| failed("the engine's process", ErrorKind::NotFound.into()))?;
        kill_process(pid, Signal::HUP).map_err(|error| failed("cannot signal the engine", error.into()))?;
        let start = Instant::now();
        while !done(&self.runtimes()?) {
            if start.elapsed() > limit {
                return Err(RegisterError::Ignored(limit));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn runtimes(&self) -> Result<Value, RegisterError> {
        let answer =
            self.get_info().map_err(|error| failed("cannot ask the engine for its runtimes", error))?;
        Ok(answer["Runtimes"].clone())
    }

    /// Docker Engine API, `GET /info`. HTTP/1.0, so that the answer ends where the connection ends.
    fn get_info(&self) -> io::Result<Value> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(b"GET /info HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(serde_json::from_str(body)?),
            _ => Err(io::Error::other(format!("the engine answered {:?}", head.lines().next()))),
        }
    }
}

/// The new file has the old one's owner and mode, and is complete at any moment.
fn replace(path: &Path, content: &Value) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("json.ecep-new");
    let mut file = fs::File::create(&draft)?;
    if let Ok(old) = fs::metadata(&path) {
        file.set_permissions(fs::Permissions::from_mode(old.mode()))?;
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    serde_json::to_writer_pretty(&mut file, content)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, &path)
}

fn failed(what: impl ToString, error: io::Error) -> RegisterError {
    RegisterError::Io { what: what.to_string(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(folder: &Path) -> Engine {
        // No such socket and no such process: only the file is looked at.
        Engine { configuration: folder.join("daemon.json"), socket: folder.join("none"), pid: 0 }
    }

    fn add(engine: &Engine) -> RegisterError {
        engine.add_runtime("ecep", Path::new("/e"), Duration::ZERO).unwrap_err()
    }

    /// Other people's settings must survive us, and be as they were when we go.
    #[test]
    fn foreign_keys_stay() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let before = json!({"live-restore": true, "runtimes": {"x": {"path": "/x", "runtimeArgs": ["-a"]}}});
        fs::write(&engine.configuration, before.to_string()).unwrap();
        fs::set_permissions(&engine.configuration, PermissionsExt::from_mode(0o640)).unwrap();
        let content =
            || -> Value { serde_json::from_slice(&fs::read(&engine.configuration).unwrap()).unwrap() };
        add(&engine);
        let mut expected = before.clone();
        expected["runtimes"]["ecep"] = json!({"path": "/e"});
        assert_eq!(content(), expected);
        assert_eq!(fs::metadata(&engine.configuration).unwrap().mode() & 0o777, 0o640);
        engine.remove_runtime("ecep", Duration::ZERO).unwrap_err();
        assert_eq!(content(), before);
    }

    /// A new file where there was none, and nothing of ours left in it.
    #[test]
    fn a_missing_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        add(&engine);
        assert_eq!(fs::read_to_string(&engine.configuration).unwrap().matches("/e").count(), 1);
        engine.remove_runtime("ecep", Duration::ZERO).unwrap_err();
        assert_eq!(fs::read_to_string(&engine.configuration).unwrap(), "{}\n");
    }

    /// What cannot be understood is not overwritten, nor is somebody else's runtime of that name.
    #[test]
    fn the_unknown_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        for text in ["{ // comment\n}", "[]", r#"{"runtimes": []}"#] {
            fs::write(&engine.configuration, text).unwrap();
            assert!(matches!(add(&engine), RegisterError::Content(_)), "{text}");
            assert_eq!(fs::read_to_string(&engine.configuration).unwrap(), text);
        }
        fs::write(&engine.configuration, r#"{"runtimes": {"ecep": {"path": "/other"}}}"#).unwrap();
        assert!(matches!(add(&engine), RegisterError::Taken { .. }));
    }
}
