//! Restore orders: how the agent tells the runtime to restore a container, exactly once, and how it learns the outcome.
//!
//! `<state folder>/<engine's container id>/` appears complete, by a rename, with `order.json` in it. The runtime claims
//! the order by renaming that to `claimed.json`, and writes `result.json` at the end. An order may be laid before its images are
//! complete: then the runtime, called by the engine already, waits for the file `go`, or for `off`. As long as the folder is there, no
//! other `create` of that container passes: neither after a failed restore nor after the restored process has ended may
//! the engine start it afresh, without its state and without its isolation. The agent clears the folder at the end.

mod claim;
mod files;

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use claim::Claim;
use files::{at, check_safe, exists, read, remove_tree, write};

/// Where orders are laid. It is emptied by a reboot, as are the containers that they belong to.
pub const STATE_DIR: &str = "/run/ecep/restore";

/// The environment variable (of the engine) that names another state folder.
pub const STATE_DIR_VARIABLE: &str = "ECEP_RUNTIME_STATE";

const ORDER: &str = "order.json";
const CLAIMED: &str = "claimed.json";
const RESULT: &str = "result.json";
const STARTED: &str = "started";
const READY: &str = "ready";
const GO: &str = "go";
const OFF: &str = "off";

/// What to restore, and in which state to leave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The folder with CRIU's images: absolute, owned by root, not writable by others.
    pub images: PathBuf,
    /// Cut the network before any process runs. [`crate::network::reconnect`] lets the container out.
    pub isolated: bool,
    /// Whether the processes run on.
    pub then: Then,
    /// What becomes of TCP connections that were open.
    pub connections: Connections,
    /// Do everything that can be done before the images are complete, and wait for [`Orders::go`].
    #[serde(default)]
    pub waits: bool,
    /// The container's addresses. Engines that connect a container only after `create` (Docker 28) need them, so that
    /// sockets can be restored; others ignore them.
    pub addresses: Vec<Ipv4Addr>,
}

/// What the processes do after the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Run on.
    Run,
    /// Be frozen within milliseconds, until [`crate::freezer::thaw`]. The engine does not know of it.
    Freeze,
}

/// What becomes of open TCP connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// They go on; the peer is at the same place and nothing was received since the dump.
    Keep,
    /// They are closed: the checkpoint is old, and the peer has gone on.
    Close,
}

/// How a restore ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The processes are back.
    Restored {
        /// The container's first process, as the host sees it.
        pid: i32,
        /// How long `runc restore` took.
        milliseconds: u64,
    },
    /// There is no container.
    Failed {
        /// What happened, and what to do about it.
        reason: String,
        /// The end of CRIU's log.
        log: String,
    },
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The engine has not asked for the container yet.
    Waiting,
    /// The runtime is at it, or died at it.
    Claimed,
    /// Over.
    Finished(Outcome),
}

/// Why an order could not be laid, read or claimed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not an id that an engine gives.
    #[error("{0:?} is no container id")]
    Id(String),
    /// One order at a time.
    #[error("an order for container {0} is already there; clear it first")]
    Exists(String),
    /// Images are restored as root, so nobody else may have touched them.
    #[error("{0} must be an absolute path to a folder of root's that nobody else can write to")]
    Unsafe(PathBuf),
    /// A file is not what this version writes.
    #[error("{path} cannot be understood: {error}; was it written by another version?")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The order was used up.
    #[error("{0}")]
    Spent(String),
    /// The agent gave the restore up while the runtime waited for its images.
    #[error("the restore was called off")]
    CalledOff,
    /// The file system refuses.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The folder of all orders.
#[derive(Debug, Clone)]
pub struct Orders {
    folder: PathBuf,
}

impl Orders {
    /// Orders in a folder. It need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Orders where the environment says, or else in [`STATE_DIR`].
    pub fn from_environment() -> Self {
        Self::new(std::env::var_os(STATE_DIR_VARIABLE).unwrap_or_else(|| STATE_DIR.into()))
    }

    /// Lays an order for the container with that engine id. The engine's next `create` of it restores.
    ///
    /// # Errors
    /// There is one already, the images are no safe folder, or the disk refuses.
    pub fn lay(&self, id: &str, order: &Order) -> Result<(), OrderError> {
        let home = self.home(id)?;
        check_safe(&order.images)?;
        let mut private = DirBuilder::new();
        private.mode(0o700).recursive(true);
        private.create(&self.folder).map_err(at(&self.folder))?;
        check_safe(&self.folder)?;
        // What a crash left here is not an order yet.
        let draft = self.draft(id);
        remove_tree(&draft)?;
        private.create(&draft).map_err(at(&draft))?;
        write(&draft.join(ORDER), order)?;
        // A rename onto a folder that holds something fails, so an order is never replaced.
        fs::rename(&draft, &home).map_err(|error| {
            let _ = fs::remove_dir_all(&draft);
            match error.kind() {
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => OrderError::Exists(id.into()),
                _ => OrderError::Io { path: home.clone(), error },
            }
        })
    }

    /// How far the order has come; none when there is no order.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn progress(&self, id: &str) -> Result<Option<Progress>, OrderError> {
        let home = self.home(id)?;
        if !exists(&home)? {
            return Ok(None);
        }
        if let Some(outcome) = read(&home.join(RESULT))? {
            return Ok(Some(Progress::Finished(outcome)));
        }
        let claimed = exists(&home.join(CLAIMED))?;
        Ok(Some(if claimed { Progress::Claimed } else { Progress::Waiting }))
    }

    /// Whether the runtime has done all that it can before the images are complete.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn is_ready(&self, id: &str) -> Result<bool, OrderError> {
        exists(&self.home(id)?.join(READY))
    }

    /// The images of an order that waits are complete.
    ///
    /// # Errors
    /// There is no order, or the file system refuses.
    pub fn go(&self, id: &str) -> Result<(), OrderError> {
        let path = self.home(id)?.join(GO);
        fs::write(&path, "").map_err(at(&path))
    }

    /// The images of an order that waits do not come: the engine's `create` fails. Does nothing where there is no order.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn call_off(&self, id: &str) -> Result<(), OrderError> {
        let path = self.home(id)?.join(OFF);
        match fs::write(&path, "") {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(OrderError::Io { path, error }),
            _ => Ok(()),
        }
    }

    /// Forgets the order and its outcome, so that the engine can start the container afresh. Does nothing when there is
    /// none. The images stay.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn clear(&self, id: &str) -> Result<(), OrderError> {
        let home = self.home(id)?;
        // Whoever laid an order may have been killed at it.
        remove_tree(&self.draft(id))?;
        remove_tree(&home)
    }

    /// Where an order is made. A leading dot is in no container id.
    fn draft(&self, id: &str) -> PathBuf {
        self.folder.join(format!(".{id}"))
    }

    /// Whether there is anything about this container: the one question asked for every ordinary container.
    pub fn concerns(&self, id: &str) -> bool {
        self.home(id).is_ok_and(|home| home.symlink_metadata().is_ok())
    }

    /// Takes the order, which nobody else can take from then on.
    ///
    /// # Errors
    /// It was taken before, or others could have written to it. The container must not be created then.
    pub fn claim(&self, id: &str) -> Result<Claim, OrderError> {
        let home = self.home(id)?;
        check_safe(&home)?;
        let claimed = home.join(CLAIMED);
        match fs::rename(home.join(ORDER), &claimed) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.spent(id)),
            Err(error) => return Err(OrderError::Io { path: claimed, error }),
        }
        match read_order(&claimed) {
            Ok(order) => {
                let claim = Claim { home, order };
                fs::create_dir(claim.work()).map_err(at(&claim.work()))?;
                Ok(claim)
            }
            Err(error) => {
                let outcome = Outcome::Failed { reason: error.to_string(), log: String::new() };
                write(&home.join(RESULT), &outcome)?;
                Err(error)
            }
        }
    }

    /// Whether this `start` belongs to a restore, whose processes need none: what was restored, and the order. True
    /// once for each order.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn take_start(&self, id: &str) -> Result<Option<(i32, Order)>, OrderError> {
        let home = self.home(id)?;
        let Some(Outcome::Restored { pid, .. }) = read(&home.join(RESULT))? else { return Ok(None) };
        let started = home.join(STARTED);
        match fs::File::create_new(&started) {
            Ok(_) => Ok(Some((pid, read_order(&home.join(CLAIMED))?))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(OrderError::Io { path: started, error }),
        }
    }

    fn home(&self, id: &str) -> Result<PathBuf, OrderError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte);
        let first = id.bytes().next();
        if id.len() > 255 || !first.is_some_and(|byte| byte.is_ascii_alphanumeric()) || !id.bytes().all(plain)
        {
            return Err(OrderError::Id(id.into()));
        }
        Ok(self.folder.join(id))
    }

    fn spent(&self, id: &str) -> OrderError {
        let before = match self.progress(id) {
            Ok(Some(Progress::Finished(Outcome::Restored { .. }))) => {
                "was restored here and is not released yet"
            }
            Ok(Some(Progress::Finished(Outcome::Failed { .. }))) => "could not be restored here",
            _ => "was being restored here when the runtime died",
        };
        OrderError::Spent(format!(
            "this container {before}; it may not start afresh until its restore order is cleared"
        ))
    }
}

fn read_order(path: &Path) -> Result<Order, OrderError> {
    let order: Order =
        read(path)?.ok_or_else(|| OrderError::Io { path: path.into(), error: ErrorKind::NotFound.into() })?;
    check_safe(&order.images)?;
    Ok(order)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    const ID: &str = "4f5d";

    fn order(images: &Path) -> Order {
        Order {
            images: images.into(),
            isolated: true,
            then: Then::Freeze,
            connections: Connections::Keep,
            waits: false,
            addresses: vec![Ipv4Addr::new(10, 201, 0, 5)],
        }
    }

    fn scene() -> (tempfile::TempDir, Orders, Order) {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        DirBuilder::new().mode(0o700).create(&images).unwrap();
        let orders = Orders::new(folder.path().join("orders"));
        (folder, orders, order(&images))
    }

    /// One order restores one container, once: a second `create` must not restore it again.
    #[test]
    fn an_order_is_claimed_once() {
        let (_folder, orders, order) = scene();
        orders.lay(ID, &order).unwrap();
        assert!(matches!(orders.lay(ID, &order), Err(OrderError::Exists(_))));
        assert_eq!(orders.progress(ID).unwrap(), Some(Progress::Waiting));
        let claim = orders.claim(ID).unwrap();
        assert_eq!(claim.order, order);
        assert_eq!(orders.progress(ID).unwrap(), Some(Progress::Claimed));
        assert!(matches!(orders.claim(ID), Err(OrderError::Spent(_))));
        assert!(matches!(orders.lay(ID, &order), Err(OrderError::Exists(_))));
    }

    /// An agent that was killed while it laid an order left something that nobody cleared.
    #[test]
    fn what_a_killed_agent_had_begun_to_lay_is_cleared() {
        let (_folder, orders, order) = scene();
        orders.lay(ID, &order).unwrap();
        fs::rename(orders.home(ID).unwrap(), orders.draft(ID)).unwrap();
        orders.clear(ID).unwrap();
        assert_eq!(fs::read_dir(&orders.folder).unwrap().count(), 0);
    }

    /// Only the start that belongs to the restore is left out; a failed restore has none.
    #[test]
    fn a_restore_answers_for_one_start() {
        let (_folder, orders, order) = scene();
        orders.lay(ID, &order).unwrap();
        let claim = orders.claim(ID).unwrap();
        assert_eq!(orders.take_start(ID).unwrap(), None);
        claim.finish(&Outcome::Restored { pid: 7, milliseconds: 1 }).unwrap();
        assert_eq!(orders.take_start(ID).unwrap(), Some((7, order.clone())));
        assert_eq!(orders.take_start(ID).unwrap(), None);
        orders.clear(ID).unwrap();
        assert!(!orders.concerns(ID));
        orders.lay(ID, &order).unwrap();
        let failed = Outcome::Failed { reason: "why".into(), log: "log".into() };
        orders.claim(ID).unwrap().finish(&failed).unwrap();
        assert_eq!(orders.progress(ID).unwrap(), Some(Progress::Finished(failed)));
        assert_eq!(orders.take_start(ID).unwrap(), None);
    }

    /// Images run as root: nothing is restored that another user could have written.
    #[test]
    fn what_others_can_write_is_refused() {
        let (_folder, orders, order) = scene();
        fs::set_permissions(&order.images, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(orders.lay(ID, &order), Err(OrderError::Unsafe(_))));
        fs::set_permissions(&order.images, PermissionsExt::from_mode(0o700)).unwrap();
        orders.lay(ID, &order).unwrap();
        fs::set_permissions(&order.images, PermissionsExt::from_mode(0o777)).unwrap();
        orders.claim(ID).unwrap_err();
        assert!(matches!(orders.progress(ID).unwrap(), Some(Progress::Finished(Outcome::Failed { .. }))));
    }

    /// The engine is at it before the images are there; it must neither begin too early nor wait for an agent that gave up.
    #[test]
    fn an_order_waits_until_it_is_told() {
        let (_folder, orders, order) = scene();
        let order = Order { waits: true, ..order };
        for (tell, expected) in [
            (Orders::go as fn(&Orders, &str) -> Result<(), OrderError>, true),
            (Orders::call_off, false),
            (Orders::clear, false),
        ] {
            orders.lay(ID, &order).unwrap();
            let claim = orders.claim(ID).unwrap();
            let waiting = thread::spawn(move || claim.wait().is_ok());
            while !orders.is_ready(ID).unwrap() {
                thread::yield_now();
            }
            assert!(!waiting.is_finished(), "it was told nothing yet");
            tell(&orders, ID).unwrap();
            assert_eq!(waiting.join().unwrap(), expected);
            orders.clear(ID).unwrap();
        }
        orders.call_off(ID).unwrap();
        assert!(!orders.concerns(ID));
    }

    /// An id comes from the command line and becomes a path.
    #[test]
    fn ids_cannot_leave_the_folder() {
        let (_folder, orders, order) = scene();
        for id in ["", "..", ".x", "a/b", "-x"] {
            assert!(matches!(orders.lay(id, &order), Err(OrderError::Id(_))), "{id}");
            assert!(!orders.concerns(id), "{id}");
        }
    }
}
