//! Files of containers: looked at on the device, brought to the cloud, kept there for a while, and downloaded from there. The bytes travel
//! through the agent's channel, not over WAMP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    container::LogStream,
    name::{ApplicationName, ContainerId, DeviceId, OperationId},
};

/// A stored file's id: the id of the operation that brought it, so that the same order again brings it once.
pub type FileId = OperationId;

/// Entries of one listing at most: what a page can show, and far below what a WAMP message may hold.
pub const MAX_ENTRIES: usize = 1_000;
/// Bytes of one stored file at most.
pub const MAX_STORED_BYTES: u64 = 8 << 30;

/// Lists a folder of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ListFiles {
    /// Its ECEP id.
    pub container: ContainerId,
    /// An absolute path inside the container. Links are followed inside the container only.
    pub path: String,
}

/// What something in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a socket or a pipe; it cannot be fetched.
    Other,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct EntryView {
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file.
    pub bytes: u64,
    /// When it was changed, in milliseconds since 1970.
    pub modified_at: u64,
    /// The permission bits.
    pub mode: u32,
    /// Where a link points to.
    pub link: Option<String>,
}

/// A folder of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct EntryList {
    /// Folders first, by name.
    pub entries: Vec<EntryView>,
    /// There are more than are told.
    pub truncated: bool,
}

/// Brings a file or a folder of a container to the cloud: it is copied out of the container on the device, sent in parts, and stored. An
/// order; a folder becomes a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct FetchFile {
    /// Its ECEP id.
    pub container: ContainerId,
    /// An absolute path inside the container.
    pub path: String,
    /// The operation's id, if the caller chooses it: it becomes the stored file's.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Brings a container's output to the cloud, as text with a time before each line. An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct FetchLog {
    /// Its ECEP id.
    pub container: ContainerId,
    /// Only lines at or after this time, in milliseconds since 1970.
    #[serde(default)]
    pub since: Option<u64>,
    /// Only lines of this stream.
    #[serde(default)]
    pub stream: Option<LogStream>,
    /// The operation's id, if the caller chooses it: it becomes the stored file's.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// From where a stored file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// A file of a container.
    File,
    /// A folder of a container, as a tar archive.
    Folder,
    /// A container's output.
    Log,
    /// What an application that ran once wrote to `/results`, as a tar archive.
    Results,
}

/// What a device says about a file that it brings, before its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreFile {
    /// The stored file's id.
    pub file: FileId,
    /// From where it is.
    pub kind: StoredKind,
    /// The name that a download of it has.
    pub name: String,
    /// The container that it is of.
    pub container: ContainerId,
    /// The application that the container runs.
    pub application: ApplicationName,
    /// It is kept until somebody deletes it, as a run's log and results are. Else it goes by itself after a day.
    pub keep: bool,
}

/// A file that was brought to the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StoredFile {
    /// Its id.
    pub file: FileId,
    /// From where it is.
    pub kind: StoredKind,
    /// The name that a download of it has.
    pub name: String,
    /// The device that brought it.
    pub device: DeviceId,
    /// The container that it is of.
    pub container: ContainerId,
    /// The application that the container ran.
    pub application: ApplicationName,
    /// Bytes.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970.
    pub stored_at: u64,
    /// When it is deleted by itself; a run's log and results are kept.
    pub deleted_at: Option<u64>,
}

/// `GET /api/tenants/{slug}/files`: the tenant's stored files, by pages, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StoredFilePage {
    /// The files.
    pub items: Vec<StoredFile>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
    /// Bytes of all of them, and of what is on its way.
    pub used_bytes: u64,
    /// Bytes that the tenant may have.
    pub quota_bytes: u64,
}

/// Which lines of a container's output are wanted as they come: the query of
/// `GET /api/tenants/{slug}/devices/{device}/containers/{container}/log`, and what the device is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct LogWish {
    /// How many of the last lines to begin with, 0 to 10,000; 200 if left out. A search looks through all of them.
    pub tail: Option<u32>,
    /// Only lines at or after this time, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Only lines of this stream.
    pub stream: Option<LogStream>,
    /// Only lines that contain this text, whatever its case.
    pub search: Option<String>,
    /// Go on with new lines as they are written.
    pub follow: bool,
    /// Begin with the first line instead of the last ones.
    pub all: bool,
}

/// How a container's output came to its end: the last line of the answer to a [`LogWish`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LogEnd {
    /// How.
    pub end: LogEnding,
    /// A sentence for people.
    pub message: String,
}

/// Why no more lines come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum LogEnding {
    /// These are all the lines that were asked for.
    Complete,
    /// The container has ended, and was not started again within a few seconds.
    Stopped,
    /// The container is not there any more: it was deleted, or has moved to another device.
    Gone,
    /// The device has no connection any more; the container may go on.
    DeviceLost,
    /// Whoever reads may not any more.
    AccessEnded,
    /// Something went wrong; the sentence says what.
    Failed,
}
