//! Who this device is: its own key and what the control plane called it, on disk.
//!
//! The key is made here and never leaves the device. Nothing in this file ever replaces an identity: a device
//! that forgot itself because a network was down would have to be enrolled by hand again.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_proto::api::name::DeviceId;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use crate::durable;

const KEY_FILE: &str = "device.key";
/// The key that the device is changing to. (Not `.new`: so a file is called while it is written.)
const NEXT_KEY_FILE: &str = "device.next-key";
const IDENTITY_FILE: &str = "identity.json";
const LOCK_FILE: &str = "agent.lock";

/// Why the identity could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk says no.
    #[error("{what} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{} is damaged ({reason}); restore it from a copy, or enrol again with another --data folder", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// No identity yet.
    #[error("this device is not enrolled: {} holds no identity; run `ecep-agent enroll` first", data.display())]
    NotEnrolled {
        /// The data folder.
        data: PathBuf,
    },
    /// Another agent runs with this identity.
    #[error("an agent runs already with the identity in {}; stop it first: two would take each other's place for ever", data.display())]
    RunsAlready {
        /// The data folder.
        data: PathBuf,
    },
    /// There is one already.
    #[error(
        "this device is enrolled already, as {device} at {cloud}; to enrol it anew, use another --data folder, or \
         remove {} and {KEY_FILE} first",
        path.display()
    )]
    AlreadyEnrolled {
        /// As whom.
        device: DeviceId,
        /// Where.
        cloud: String,
        /// The file that says so.
        path: PathBuf,
    },
}

/// What the control plane said at enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The device's id.
    pub device: DeviceId,
    /// The control plane's address, without a slash at the end.
    pub cloud: String,
    /// The engine's address that was given at enrolment.
    pub engine: String,
}

/// The device's key. It may be changed while the agent runs.
pub struct DeviceKey(Mutex<SigningKey>);

impl DeviceKey {
    /// The key in this data folder; made, and written to disk, if there is none.
    ///
    /// # Errors
    /// The disk says no, or the file is damaged.
    pub fn load_or_create(data: &Path) -> Result<Self, IdentityError> {
        Self::load_or_create_in(data, KEY_FILE)
    }

    fn load_or_create_in(data: &Path, file: &str) -> Result<Self, IdentityError> {
        let path = data.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(data)?;
                let key = SigningKey::from_bytes(&rand::random());
                write_whole(&path, STANDARD_NO_PAD.encode(key.to_bytes()).as_bytes())?;
                Ok(Self::of(key))
            }
            Err(source) => Err(IdentityError::Disk { what: "cannot read", path, source }),
        }
    }

    fn load(data: &Path) -> Result<Self, IdentityError> {
        let path = data.join(KEY_FILE);
        let text = fs::read_to_string(&path).map_err(|source| IdentityError::Disk {
            what: "cannot read",
            path: path.clone(),
            source,
        })?;
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, IdentityError> {
        let bytes = STANDARD_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let damaged = || IdentityError::Damaged { path: path.to_owned(), reason: "not a key".to_owned() };
        Ok(Self::of(SigningKey::from_bytes(&bytes.ok_or_else(damaged)?)))
    }

    fn of(key: SigningKey) -> Self {
        Self(Mutex::new(key))
    }

    /// The key itself, for TLS.
    pub fn signing_key(&self) -> SigningKey {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key as it is now, whatever becomes of this one.
    pub(crate) fn current(&self) -> Self {
        Self::of(self.signing_key())
    }

    /// Another key takes its place.
    pub(crate) fn replace(&self, next: Self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next.signing_key();
    }

    /// The public half, as the wire has it.
    pub fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.signing_key().verifying_key().to_bytes())
    }

    /// A signature over this text, as the wire has it.
    pub fn sign(&self, text: &str) -> String {
        STANDARD_NO_PAD.encode(self.signing_key().sign(text.as_bytes()).to_bytes())
    }
}

/// Who this device is.
pub struct Identity {
    /// What the control plane said.
    pub enrolled: Enrolled,
    /// The device's key.
    pub key: DeviceKey,
}

impl Identity {
    /// The identity in this data folder.
    ///
    /// # Errors
    /// `NotEnrolled`, or the disk says no, or a file is damaged.
    pub fn load(data: &Path) -> Result<Self, IdentityError> {
        let enrolled = enrolled(data)?.ok_or_else(|| IdentityError::NotEnrolled { data: data.to_owned() })?;
        Ok(Self { enrolled, key: DeviceKey::load(data)? })
    }
}

/// Held while an agent runs: one identity is one agent. The kernel lets go of it however the agent ends.
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes it.
    ///
    /// # Errors
    /// `RunsAlready`, or the disk says no.
    pub fn take(data: &Path) -> Result<Self, IdentityError> {
        let path = data.join(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file =
            file.map_err(|source| IdentityError::Disk { what: "cannot open", path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(IdentityError::RunsAlready { data: data.to_owned() }),
            Err(fs::TryLockError::Error(source)) => {
                Err(IdentityError::Disk { what: "cannot lock", path, source })
            }
        }
    }
}

/// Makes sure that no identity is there that enrolling would replace.
///
/// # Errors
/// `AlreadyEnrolled`, or the disk says no.
pub fn must_be_new(data: &Path) -> Result<(), IdentityError> {
    match enrolled(data)? {
        None => Ok(()),
        Some(Enrolled { device, cloud, .. }) => {
            Err(IdentityError::AlreadyEnrolled { device, cloud, path: data.join(IDENTITY_FILE) })
        }
    }
}

/// The key that the device is changing to; made, and written to disk, if there is none.
///
/// # Errors
/// The disk says no, or the file is damaged.
pub(crate) fn next_key(data: &Path) -> Result<DeviceKey, IdentityError> {
    DeviceKey::load_or_create_in(data, NEXT_KEY_FILE)
}

/// Whether a change of the key is under way.
pub(crate) fn has_next_key(data: &Path) -> bool {
    data.join(NEXT_KEY_FILE).exists()
}

/// The next key becomes the device's key, in one step on disk.
///
/// # Errors
/// The disk says no.
pub(crate) fn adopt_next_key(data: &Path) -> Result<(), IdentityError> {
    let path = data.join(NEXT_KEY_FILE);
    let adopted = fs::rename(&path, data.join(KEY_FILE)).and_then(|()| durable::flush_folder(data));
    adopted.map_err(|source| IdentityError::Disk { what: "cannot put in place", path, source })
}

/// Writes down what the control plane said.
///
/// # Errors
/// The disk says no.
pub fn store(data: &Path, enrolled: &Enrolled) -> Result<(), IdentityError> {
    let path = data.join(IDENTITY_FILE);
    let text = serde_json::to_vec_pretty(enrolled)
        .map_err(|error| IdentityError::Damaged { path: path.clone(), reason: error.to_string() })?;
    write_whole(&path, &text)
}

fn enrolled(data: &Path) -> Result<Option<Enrolled>, IdentityError> {
    let path = data.join(IDENTITY_FILE);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| IdentityError::Damaged { path, reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Disk { what: "cannot read", path, source }),
    }
}

fn make_folder(data: &Path) -> Result<(), IdentityError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|source| IdentityError::Disk {
        what: "cannot make",
        path: data.to_owned(),
        source,
    })
}

fn write_whole(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    durable::write(path, content).map_err(|source| IdentityError::Disk {
        what: "cannot write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn enrolled_as(device: &str) -> Enrolled {
        Enrolled {
            device: device.parse().unwrap(),
            cloud: "http://cloud.example".to_owned(),
            engine: "unix:///var/run/docker.sock".to_owned(),
        }
    }

    /// The key is the device: another user must not read it, and a second run must find the same one.
    #[test]
    fn the_key_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("agent");
        let first = DeviceKey::load_or_create(&data).unwrap().public();
        assert_eq!(DeviceKey::load_or_create(&data).unwrap().public(), first);
        assert_eq!(fs::metadata(data.join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// Enrolling must never replace an identity, and says how to enrol again.
    #[test]
    fn an_identity_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Identity::load(folder.path()), Err(IdentityError::NotEnrolled { .. })));
        must_be_new(folder.path()).unwrap();
        DeviceKey::load_or_create(folder.path()).unwrap();
        store(folder.path(), &enrolled_as("edge-1")).unwrap();
        let error = must_be_new(folder.path()).unwrap_err().to_string();
        assert!(error.contains("edge-1") && error.contains("another --data folder"), "{error}");
        assert_eq!(Identity::load(folder.path()).unwrap().enrolled, enrolled_as("edge-1"));
    }

    /// Two agents with one identity would push each other off the router for ever.
    #[test]
    fn one_identity_is_one_agent() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::take(folder.path()).unwrap();
        assert!(matches!(RunLock::take(folder.path()), Err(IdentityError::RunsAlready { .. })));
        drop(first);
        assert!(RunLock::take(folder.path()).is_ok());
    }

    /// A damaged file must be told, not silently taken for a new device.
    #[test]
    fn a_damaged_identity_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(IDENTITY_FILE), "{").unwrap();
        assert!(matches!(must_be_new(folder.path()), Err(IdentityError::Damaged { .. })));
        fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert!(matches!(DeviceKey::load_or_create(folder.path()), Err(IdentityError::Damaged { .. })));
    }
}
