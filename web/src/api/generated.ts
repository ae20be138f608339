// Generated from the catalogue in proto/src/api. Don't edit: `cargo xtask generate` writes it anew.

export type DeviceId = string;
export type ContainerId = string;
export type TenantSlug = string;
export type ContainerName = string;
export type ApplicationName = string;
export type OperationId = string;
export type CheckpointName = string;
export type Role = "owner" | "operator" | "viewer" | "telemetry" | "device" | "control-plane";
export type ErrorKind = "ecep.error.not_found" | "ecep.error.conflict" | "ecep.error.invalid_argument" | "ecep.error.unavailable" | "ecep.error.forbidden" | "ecep.error.engine" | "ecep.error.preflight" | "ecep.error.limit";
export type ApiError = { 
/**
 * Which kind; its URI is the URI of the WAMP ERROR.
 */
uri: ErrorKind, 
/**
 * A sentence that says what is wrong and what to do.
 */
message: string, 
/**
 * Particulars by key; an object, empty where there are none.
 */
details: Record<string, unknown>, };
export type OperationState = "running" | "done" | "failed";
export type OperationReply = { 
/**
 * The id under which events tell how it goes on.
 */
operation: OperationId, 
/**
 * `done`, or `running` if it takes longer. A failure within the time is a WAMP ERROR instead.
 */
state: OperationState, 
/**
 * The container's id, as soon as there is one.
 */
container_id: ContainerId | null, 
/**
 * The container after the operation; `null` while it runs, and once it is deleted.
 */
container: ContainerView | null, };
export type OperationEvent = { 
/**
 * The device that works.
 */
device: DeviceId, 
/**
 * The operation.
 */
operation: OperationId, 
/**
 * The last part of the procedure's URI, such as `container.create`.
 */
kind: string, 
/**
 * How far it has come.
 */
state: OperationState, 
/**
 * What it does now, such as `pulling`, `creating`, `starting`.
 */
phase: string, 
/**
 * Bytes done in this phase, where it is known.
 */
bytes_done: number | null, 
/**
 * Bytes to do in this phase, where it is known.
 */
bytes_total: number | null, 
/**
 * The container it is about, as soon as there is one.
 */
container_id: ContainerId | null, 
/**
 * Why it failed.
 */
error: ApiError | null, 
/**
 * When, in milliseconds since 1970 by the device's clock.
 */
at: number, };
export type ContainerRef = { 
/**
 * Its ECEP id.
 */
container: ContainerId, };
export type ContainerOrder = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type StopContainer = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * Seconds between SIGTERM and SIGKILL, 0 to 300; 10 if left out.
 */
grace_seconds?: number | null, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type DeleteContainer = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * Kill it first if it runs.
 */
force: boolean, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type PortMapping = { 
/**
 * The port inside.
 */
container: number, 
/**
 * The device's port; any free one if left out.
 */
host?: number | null, 
/**
 * `tcp` if left out.
 */
protocol: Protocol, };
export type Protocol = "tcp" | "udp";
export type VolumeMount = { 
/**
 * The volume's name; it belongs to the tenant, and is made where it does not exist.
 */
volume: ContainerName, 
/**
 * An absolute path inside the container.
 */
target: string, 
/**
 * Mounted read-only.
 */
read_only: boolean, };
export type Limits = { 
/**
 * Bytes of memory, at least 6 MiB (the engine's own lower bound).
 */
memory_bytes?: number | null, 
/**
 * Cores, such as 0.5.
 */
cpus?: number | null, 
/**
 * Processes and threads.
 */
pids?: number | null, };
export type RestartPolicy = "no" | "on-failure" | "unless-stopped" | "always";
export type Privileges = { 
/**
 * All of them.
 */
privileged: boolean, 
/**
 * Capabilities beyond the engine's default set.
 */
cap_add: Array<string>, 
/**
 * Device files of the host.
 */
devices: Array<string>, 
/**
 * Mounts of host paths, as `host:container[:ro]`.
 */
binds: Array<string>, 
/**
 * Security options, such as `seccomp=unconfined`.
 */
security_opt: Array<string>, 
/**
 * A network mode, such as `host`.
 */
network_mode?: string | null, 
/**
 * A PID mode, such as `host`.
 */
pid_mode?: string | null, 
/**
 * An IPC mode, such as `host`.
 */
ipc_mode?: string | null, };
export type CreateContainer = { 
/**
 * A name that is free on this device within the tenant.
 */
name: ContainerName, 
/**
 * The application it runs; the container's name if left out.
 */
application?: ApplicationName | null, 
/**
 * An image reference; pulled where the device lacks it.
 */
image: string, 
/**
 * Replaces the image's command.
 */
command?: Array<string> | null, 
/**
 * Environment variables.
 */
env: { [key in string]: string }, 
/**
 * Published ports.
 */
ports: Array<PortMapping>, 
/**
 * Named volumes.
 */
volumes: Array<VolumeMount>, 
/**
 * Limits.
 */
limits: Limits, 
/**
 * Restart policy.
 */
restart: RestartPolicy, 
/**
 * A terminal is attached.
 */
tty: boolean, 
/**
 * More rights, as far as the device's policy allows.
 */
privileges: Privileges, 
/**
 * Start it at once; true if left out.
 */
start: boolean, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type ContainerState = "created" | "running" | "paused" | "restarting" | "exited" | "dead" | "removing";
export type ContainerView = { 
/**
 * Its ECEP id.
 */
id: ContainerId, 
/**
 * Its name.
 */
name: ContainerName, 
/**
 * The application it runs.
 */
application: ApplicationName, 
/**
 * The image reference it was created from.
 */
image: string, 
/**
 * Its state.
 */
state: ContainerState, 
/**
 * The exit code of the last run, where there was one.
 */
exit_code: number | null, 
/**
 * When it was created, in milliseconds since 1970 by the device's clock.
 */
created_at: number, 
/**
 * When it was last started.
 */
started_at: number | null, 
/**
 * Published ports, with the device's port filled in once it runs.
 */
ports: Array<PortMapping>, 
/**
 * Its address in the tenant's network, the same for life; none where it is not in it.
 */
address?: string | null, 
/**
 * The number of the application's version; none where it was created from an image reference alone.
 */
version?: number | null, 
/**
 * It runs once: what it leaves is stored, then it is deleted.
 */
run_once: boolean, };
export type ContainerList = { 
/**
 * In the order of creation.
 */
containers: Array<ContainerView>, };
export type ContainerDetail = { 
/**
 * The same as in the list.
 */
container: ContainerView, 
/**
 * The tenant it belongs to.
 */
tenant: TenantSlug, 
/**
 * The engine's own id.
 */
engine_id: string, 
/**
 * Its command.
 */
command: Array<string>, 
/**
 * The names of its environment variables; their values may be secrets.
 */
env_names: Array<string>, 
/**
 * Its volumes.
 */
volumes: Array<VolumeMount>, 
/**
 * Its limits.
 */
limits: Limits, 
/**
 * Its restart policy.
 */
restart: RestartPolicy, 
/**
 * A terminal is attached.
 */
tty: boolean, 
/**
 * Its process id on the device, while it runs.
 */
pid: number | null, 
/**
 * How often the engine has restarted it.
 */
restart_count: number, 
/**
 * Whether the kernel killed it for lack of memory.
 */
oom_killed: boolean, };
export type LogQuery = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * How many of the last lines, 1 to 1000; 200 if left out.
 */
tail?: number | null, 
/**
 * Only lines at or after this time, in milliseconds since 1970.
 */
since?: number | null, };
export type LogLines = { 
/**
 * The oldest first.
 */
lines: Array<LogLine>, 
/**
 * True where older lines, or the rest of a line, were left off for size.
 */
truncated: boolean, };
export type LogLine = { 
/**
 * When, in milliseconds since 1970 by the device's clock.
 */
at: number, 
/**
 * Where it was written.
 */
stream: LogStream, 
/**
 * The text, without its line end; bytes that are not UTF-8 are replaced.
 */
text: string, 
/**
 * The line was longer, and its rest was left off.
 */
cut?: boolean, };
export type LogStream = "stdout" | "stderr";
export type ContainerChange = "created" | "started" | "exited" | "paused" | "unpaused" | "deleted";
export type ContainerEvent = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * What has happened.
 */
change: ContainerChange, 
/**
 * The container after it (before it, if deleted).
 */
container: ContainerView, 
/**
 * When, in milliseconds since 1970 by the device's clock.
 */
at: number, };
export type CheckpointContainer = { 
/**
 * Which.
 */
container: ContainerId, 
/**
 * What the checkpoint is called; free for this container.
 */
name: CheckpointName, 
/**
 * Whether the container goes on afterwards; true if left out.
 */
leave_running: boolean, 
/**
 * A folder of its own among the device's checkpoints; the common one if left out.
 */
directory?: CheckpointName | null, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type RestoreContainer = { 
/**
 * The container that was saved.
 */
container: ContainerId, 
/**
 * The checkpoint.
 */
name: CheckpointName, 
/**
 * The folder it was put into, if it was.
 */
directory?: CheckpointName | null, 
/**
 * The container that it is restored into, of the same image and stopped; the one that was saved if left out.
 */
into?: ContainerId | null, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type DeleteCheckpoint = { 
/**
 * The container that was saved. It need not be there any more.
 */
container: ContainerId, 
/**
 * The checkpoint.
 */
name: CheckpointName, 
/**
 * The folder it was put into, if it was.
 */
directory?: CheckpointName | null, };
export type CopyCheckpoint = { 
/**
 * The container that was saved.
 */
container: ContainerId, 
/**
 * The checkpoint.
 */
name: CheckpointName, 
/**
 * The folder it was put into, if it was; the copy goes into the one of that name.
 */
directory?: CheckpointName | null, 
/**
 * The device that has it.
 */
source: DeviceId, 
/**
 * The device that gets a copy.
 */
destination: DeviceId, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type CheckpointQuery = { 
/**
 * Only those of this container.
 */
container?: ContainerId | null, };
export type CheckpointView = { 
/**
 * The container that was saved.
 */
container: ContainerId, 
/**
 * Its name.
 */
name: CheckpointName, 
/**
 * The folder it was put into, if it was.
 */
directory: CheckpointName | null, 
/**
 * The image of the container.
 */
image: string, 
/**
 * Bytes on the device's disk.
 */
bytes: number, 
/**
 * When, in milliseconds since 1970 by the device's clock.
 */
created_at: number, };
export type CheckpointList = { 
/**
 * The newest first.
 */
checkpoints: Array<CheckpointView>, };
export type KeptQuery = { 
/**
 * Only those of this container.
 */
container?: ContainerId | null, };
export type KeptView = { 
/**
 * The container that moved away.
 */
container: ContainerId, 
/**
 * The move that left the copy.
 */
migration: OperationId, 
/**
 * The container's name.
 */
name: ContainerName, 
/**
 * Its image.
 */
image: string, 
/**
 * The volumes that were kept with it.
 */
volumes: Array<string>, 
/**
 * When it was stopped, in milliseconds since 1970 by the device's clock.
 */
kept_at: number, };
export type KeptList = { 
/**
 * The newest first.
 */
kept: Array<KeptView>, };
export type DeleteKept = { 
/**
 * The container that moved away.
 */
container: ContainerId, 
/**
 * The move that left the copy.
 */
migration: OperationId, };
export type ArtifactDigest = string;
export type ArtifactKind = "image_archive" | "source_bundle" | "files";
export type ArtifactView = { 
/**
 * Its id.
 */
digest: ArtifactDigest, 
/**
 * The name of the file that was uploaded.
 */
name: string, 
/**
 * What it was found to be.
 */
kind: ArtifactKind, 
/**
 * Bytes, as they were uploaded.
 */
bytes: number, 
/**
 * Bytes of all that is in it.
 */
unpacked_bytes: number, 
/**
 * For which architectures its image is, as `docker` calls them (`amd64`, `arm64`, `arm/v7`); empty for other kinds.
 */
architectures: Array<string>, 
/**
 * When it was uploaded, in milliseconds since 1970.
 */
uploaded_at: number, 
/**
 * The applications that have a version of it.
 */
applications: Array<ApplicationName>, };
export type ArtifactList = { 
/**
 * The newest first.
 */
artifacts: Array<ArtifactView>, 
/**
 * Bytes of all of them, and of what is being uploaded.
 */
used_bytes: number, 
/**
 * Bytes that the tenant may have.
 */
quota_bytes: number, 
/**
 * Bytes of one upload at most.
 */
max_upload_bytes: number, };
export type ArtifactRef = { 
/**
 * Its id.
 */
digest: ArtifactDigest, };
export type Target = { "to": "devices", 
/**
 * Their ids, 1 to 100.
 */
devices: Array<DeviceId>, } | { "to": "place", 
/**
 * The place.
 */
location: Location, 
/**
 * On how many, 1 to 100; 1 if left out.
 */
count?: number | null, 
/**
 * No farther away than this many kilometres.
 */
within_km?: number | null, } | { "to": "anywhere", 
/**
 * On how many, 1 to 100; 1 if left out.
 */
count?: number | null, };
export type Candidate = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * Whether it was chosen.
 */
chosen: boolean, 
/**
 * Why, or why not: each a sentence, such as `12 km away, the nearest with room` or `is arm64, the image is for amd64`.
 */
reasons: Array<string>, 
/**
 * How far away it is from the place, in kilometres, where both are known.
 */
distance_km: number | null, };
export type Source = { "kind": "image", 
/**
 * An image reference; pulled where the device lacks it.
 */
image: string, } | { "kind": "image_archive", 
/**
 * The artifact.
 */
artifact: ArtifactDigest, } | { "kind": "source_bundle", 
/**
 * The artifact.
 */
artifact: ArtifactDigest, 
/**
 * The Dockerfile's path in it; `Dockerfile` if left out.
 */
dockerfile?: string | null, } | { "kind": "files", 
/**
 * The artifact.
 */
artifact: ArtifactDigest, 
/**
 * The base image's reference.
 */
base: string, 
/**
 * Where the files go; `/app` if left out. The application starts there.
 */
directory?: string | null, 
/**
 * A command of the shell that installs what the application depends on, run once in that folder before the application
 * starts for the first time.
 */
install?: string | null, };
export type Settings = { 
/**
 * Replaces the image's command.
 */
command?: Array<string> | null, 
/**
 * Environment variables.
 */
env: { [key in string]: string }, 
/**
 * Published ports.
 */
ports: Array<PortMapping>, 
/**
 * Named volumes.
 */
volumes: Array<VolumeMount>, 
/**
 * Limits.
 */
limits: Limits, 
/**
 * Restart policy; `no` for an application that runs once.
 */
restart: RestartPolicy, 
/**
 * A terminal is attached.
 */
tty: boolean, 
/**
 * More rights, as far as the device's policy allows.
 */
privileges: Privileges, 
/**
 * It runs once: when it has ended, its exit code, its output and what it wrote to `/results` are stored in the cloud, and then the
 * container is deleted.
 */
run_once: boolean, 
/**
 * After an update, for how many seconds the new container must have run to count as healthy, where its image has no health check: 1 to
 * 600; 10 if left out.
 */
healthy_after_seconds?: number | null, };
export type AddVersion = { 
/**
 * The application.
 */
application: ApplicationName, 
/**
 * Where its image comes from.
 */
source: Source, 
/**
 * How it runs.
 */
settings: Settings, 
/**
 * A line for people about what is new, up to 500 characters.
 */
note?: string | null, };
export type VersionView = { 
/**
 * Its number, from 1.
 */
number: number, 
/**
 * Where its image comes from.
 */
source: Source, 
/**
 * How it runs; the values of its environment variables are left out, for they may be secrets.
 */
settings: Settings, 
/**
 * A line for people about what is new.
 */
note: string | null, 
/**
 * Bytes to bring to a device; none for an image of a registry.
 */
bytes: number | null, 
/**
 * For which architectures it is, where that is known.
 */
architectures: Array<string>, 
/**
 * When it was added, in milliseconds since 1970.
 */
added_at: number, };
export type ApplicationView = { 
/**
 * Its name.
 */
name: ApplicationName, 
/**
 * Its versions, the newest first.
 */
versions: Array<VersionView>, 
/**
 * When it was made, in milliseconds since 1970.
 */
created_at: number, };
export type ApplicationList = { 
/**
 * By name.
 */
applications: Array<ApplicationView>, };
export type ApplicationRef = { 
/**
 * Its name.
 */
application: ApplicationName, };
export type VersionRef = { 
/**
 * The application.
 */
application: ApplicationName, 
/**
 * The version's number.
 */
version: number, };
export type DeployApplication = { 
/**
 * The application.
 */
application: ApplicationName, 
/**
 * The version's number; the newest if left out.
 */
version?: number | null, 
/**
 * Where to.
 */
target: Target, 
/**
 * The container's name; the application's if left out. On several devices all have the same.
 */
name?: ContainerName | null, 
/**
 * Other settings than the version's, whole.
 */
settings?: Settings | null, 
/**
 * The operation's id, if the caller chooses it; on several devices the ids are this one with `-1`, `-2`, … after it.
 */
operation?: OperationId | null, };
export type Deployed = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * The operation whose events tell how it goes on there.
 */
operation: OperationId, 
/**
 * Why it could not begin there, a sentence; the others go on.
 */
error: string | null, 
/**
 * The container's id, as soon as there is one.
 */
container_id: ContainerId | null, };
export type Deployment = { 
/**
 * The version.
 */
version: number, 
/**
 * On which devices.
 */
devices: Array<Deployed>, 
/**
 * Every device that was looked at, the chosen ones first, and why it was chosen or not.
 */
candidates: Array<Candidate>, };
export type PlaceApplication = { 
/**
 * The application.
 */
application: ApplicationName, 
/**
 * The version's number; the newest if left out.
 */
version?: number | null, 
/**
 * Where to.
 */
target: Target, 
/**
 * Other settings than the version's, whole.
 */
settings?: Settings | null, };
export type Placement = { 
/**
 * Every device that was looked at, the chosen ones first, and why it was chosen or not.
 */
candidates: Array<Candidate>, };
export type UpdateContainer = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * The version's number; the newest if left out.
 */
version?: number | null, 
/**
 * Other settings than the version's, whole.
 */
settings?: Settings | null, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type RunView = { 
/**
 * The device it ran on.
 */
device: DeviceId, 
/**
 * The container as it ended; it is deleted.
 */
container: ContainerView, 
/**
 * The kernel killed it for lack of memory.
 */
oom_killed: boolean, 
/**
 * Its output, among the stored files.
 */
log: OperationId | null, 
/**
 * What it wrote to `/results`, among the stored files.
 */
results: OperationId | null, 
/**
 * What of it could not be stored: a sentence.
 */
lost: string | null, 
/**
 * When that was told, in milliseconds since 1970 by the control plane's clock.
 */
ended_at: number, };
export type RunQuery = { 
/**
 * Only those of this application.
 */
application?: ApplicationName | null, 
/**
 * Only those that ended before this time, in milliseconds since 1970: for the next page.
 */
before?: number | null, };
export type RunList = { 
/**
 * The newest first, 100 at most.
 */
runs: Array<RunView>, };
export type ListFiles = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * An absolute path inside the container. Links are followed inside the container only.
 */
path: string, };
export type EntryKind = "file" | "directory" | "symlink" | "other";
export type EntryView = { 
/**
 * Its name; bytes that are not UTF-8 are replaced.
 */
name: string, 
/**
 * What it is.
 */
kind: EntryKind, 
/**
 * Bytes of a file.
 */
bytes: number, 
/**
 * When it was changed, in milliseconds since 1970.
 */
modified_at: number, 
/**
 * The permission bits.
 */
mode: number, 
/**
 * Where a link points to.
 */
link: string | null, };
export type EntryList = { 
/**
 * Folders first, by name.
 */
entries: Array<EntryView>, 
/**
 * There are more than are told.
 */
truncated: boolean, };
export type FetchFile = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * An absolute path inside the container.
 */
path: string, 
/**
 * The operation's id, if the caller chooses it: it becomes the stored file's.
 */
operation?: OperationId | null, };
export type FetchLog = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * Only lines at or after this time, in milliseconds since 1970.
 */
since?: number | null, 
/**
 * Only lines of this stream.
 */
stream?: LogStream | null, 
/**
 * The operation's id, if the caller chooses it: it becomes the stored file's.
 */
operation?: OperationId | null, };
export type StoredKind = "file" | "folder" | "log" | "results";
export type StoredFile = { 
/**
 * Its id.
 */
file: OperationId, 
/**
 * From where it is.
 */
kind: StoredKind, 
/**
 * The name that a download of it has.
 */
name: string, 
/**
 * The device that brought it.
 */
device: DeviceId, 
/**
 * The container that it is of.
 */
container: ContainerId, 
/**
 * The application that the container ran.
 */
application: ApplicationName, 
/**
 * Bytes.
 */
bytes: number, 
/**
 * When it was stored, in milliseconds since 1970.
 */
stored_at: number, 
/**
 * When it is deleted by itself; a run's log and results are kept.
 */
deleted_at: number | null, };
export type LogWish = { 
/**
 * How many of the last lines to begin with, 0 to 10,000; 200 if left out. A search looks through all of them.
 */
tail?: number | null, 
/**
 * Only lines at or after this time, in milliseconds since 1970.
 */
since?: number | null, 
/**
 * Only lines of this stream.
 */
stream?: LogStream | null, 
/**
 * Only lines that contain this text, whatever its case.
 */
search?: string | null, 
/**
 * Go on with new lines as they are written.
 */
follow: boolean, 
/**
 * Begin with the first line instead of the last ones.
 */
all: boolean, };
export type LogEnd = { 
/**
 * How.
 */
end: LogEnding, 
/**
 * A sentence for people.
 */
message: string, };
export type LogEnding = "complete" | "stopped" | "gone" | "device_lost" | "access_ended" | "failed";
export type OpenTerminal = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * What runs in it; the first of `bash` and `sh` that the container has if left out.
 */
command?: Array<string> | null, 
/**
 * Its size; 80 × 24 if left out.
 */
size?: TerminalSize | null, };
export type TerminalSize = { 
/**
 * 1 to 1,000.
 */
columns: number, 
/**
 * 1 to 1,000.
 */
rows: number, };
export type OpenedTerminal = { 
/**
 * Its id.
 */
terminal: OperationId, 
/**
 * For how many seconds it waits.
 */
waits_seconds: number, };
export type TerminalEnd = { 
/**
 * The command's exit code, where it ended by itself.
 */
exit_code: number | null, 
/**
 * Why it ended otherwise, a sentence.
 */
reason: string | null, };
export type PullImage = { 
/**
 * An image reference.
 */
image: string, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type DeleteImage = { 
/**
 * An image reference or id.
 */
image: string, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId | null, };
export type ImageView = { 
/**
 * The engine's id of it, `sha256:…`.
 */
id: string, 
/**
 * The references that point at it.
 */
tags: Array<string>, 
/**
 * Bytes on disk.
 */
size_bytes: number, 
/**
 * When it was made, in milliseconds since 1970.
 */
created_at: number, };
export type ImageList = { 
/**
 * By tag.
 */
images: Array<ImageView>, };
export type StatsEvent = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * Counts this device's ticks since its agent started; a gap means lost events.
 */
sequence: number, 
/**
 * When, in milliseconds since 1970 by the device's clock.
 */
at: number, 
/**
 * The device as a whole.
 */
host: HostStats, 
/**
 * The tenant's running containers.
 */
containers: Array<ContainerStats>, };
export type HostStats = { 
/**
 * CPU in use, in percent of all online cores together (0 to 100); `null` in the first tick.
 */
cpu_percent: number | null, 
/**
 * Online cores.
 */
cores: number, 
/**
 * Bytes of memory in use (total less available).
 */
memory_used_bytes: number, 
/**
 * Bytes of memory.
 */
memory_total_bytes: number, 
/**
 * Free bytes on the disk that holds the containers.
 */
disk_free_bytes: number, 
/**
 * Bytes per second that come in over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_received_bytes_per_s?: number | null, 
/**
 * Bytes per second that go out over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_sent_bytes_per_s?: number | null, 
/**
 * Bytes per second read from disks, not from the cache; `null` in the first tick and where the kernel does not
 * account it.
 */
disk_read_bytes_per_s?: number | null, 
/**
 * Bytes per second written to disks; `null` in the first tick and where the kernel does not account it.
 */
disk_written_bytes_per_s?: number | null, };
export type ContainerStats = { 
/**
 * Its ECEP id.
 */
id: ContainerId, 
/**
 * Its name.
 */
name: ContainerName, 
/**
 * The application it runs.
 */
application: ApplicationName, 
/**
 * CPU in use, in percent of one core (so up to 100 × cores); `null` in its first tick.
 */
cpu_percent: number | null, 
/**
 * Bytes of memory in use, less inactive file cache; `null` where the kernel does not account it.
 */
memory_bytes: number | null, 
/**
 * Bytes per second that come in over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_received_bytes_per_s?: number | null, 
/**
 * Bytes per second that go out over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_sent_bytes_per_s?: number | null, 
/**
 * Bytes per second read from disks, not from the cache; `null` in the first tick and where the kernel does not
 * account it.
 */
disk_read_bytes_per_s?: number | null, 
/**
 * Bytes per second written to disks; `null` in the first tick and where the kernel does not account it.
 */
disk_written_bytes_per_s?: number | null, };
export type Rates = { 
/**
 * Bytes per second that come in over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_received_bytes_per_s?: number | null, 
/**
 * Bytes per second that go out over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_sent_bytes_per_s?: number | null, 
/**
 * Bytes per second read from disks, not from the cache; `null` in the first tick and where the kernel does not
 * account it.
 */
disk_read_bytes_per_s?: number | null, 
/**
 * Bytes per second written to disks; `null` in the first tick and where the kernel does not account it.
 */
disk_written_bytes_per_s?: number | null, };
export type DeviceFacts = { 
/**
 * The agent's version.
 */
agent_version: string, 
/**
 * As `uname -m` says.
 */
architecture: string, 
/**
 * As `uname -r` says.
 */
kernel: string, 
/**
 * Online cores.
 */
cores: number, 
/**
 * Bytes of memory.
 */
memory_total_bytes: number, 
/**
 * The engine.
 */
engine: EngineFacts, 
/**
 * The device's name for the network.
 */
hostname: string, 
/**
 * Its addresses, without loopback and the containers' own bridges.
 */
addresses: Array<string>, 
/**
 * Where other devices reach its channel, once it listens.
 */
channel_port?: number, 
/**
 * Whether its containers can be moved with their memory.
 */
migration?: MigrationFacts, };
export type EngineFacts = { 
/**
 * `docker` or `sim`.
 */
kind: string, 
/**
 * Whether it answers.
 */
reachable: boolean, 
/**
 * Its version, once it has answered.
 */
version: string | null, 
/**
 * The API version agreed on.
 */
api_version: string | null, 
/**
 * Whether containers go on while the engine restarts.
 */
live_restore: boolean | null, 
/**
 * What a person should mend, each a sentence.
 */
problems: Array<string>, };
export type Liveness = "connected" | "degraded" | "stale" | "offline" | "never";
export type DeviceView = { 
/**
 * Its id.
 */
id: DeviceId, 
/**
 * The name that its owner gave it.
 */
name: string, 
/**
 * Where it stands, as its owner said.
 */
place: string | null, 
/**
 * The tenant that owns it.
 */
owner: TenantSlug, 
/**
 * How it is.
 */
liveness: Liveness, 
/**
 * Why, each a sentence.
 */
reasons: Array<string>, 
/**
 * When it was last heard of, in milliseconds since 1970 by the control plane's clock.
 */
last_seen_at: number | null, 
/**
 * When it was enrolled.
 */
enrolled_at: number, 
/**
 * What the agent last told of it; of another tenant's device without its name and addresses in that tenant's network.
 */
facts: DeviceFacts | null, 
/**
 * Where that is, where the place was found on the map.
 */
location?: Location, 
/**
 * How far its clock was ahead of the control plane's at its last report, in milliseconds; negative where it was behind.
 */
clock_ahead_ms?: number, 
/**
 * How the tenant shares it, where another one owns it.
 */
share?: DeviceShare, };
export type DeviceList = { 
/**
 * By name.
 */
devices: Array<DeviceView>, 
/**
 * The control plane's clock, in milliseconds since 1970: ages are counted from here.
 */
now: number, };
export type MigrationFacts = { 
/**
 * They can.
 */
live: boolean, 
/**
 * Why not, and how to mend it.
 */
reason: string | null, 
/**
 * Version of the control groups, 1 or 2.
 */
cgroup_version: number, };
export type KeyState = "current" | "rotation_ordered" | "rotating";
export type DeviceKeyView = { 
/**
 * Whether it is being changed.
 */
state: KeyState, 
/**
 * The first 16 hexadecimal digits of the SHA-256 of the public key, as it is on the wire.
 */
fingerprint: string, 
/**
 * Since when it is the device's, in milliseconds since 1970.
 */
since: number, };
export type OwnedDevice = { 
/**
 * Its id.
 */
id: DeviceId, 
/**
 * Its name.
 */
name: string, 
/**
 * Where it stands.
 */
place: string | null, 
/**
 * Where that is, where the place was found on the map.
 */
location: Location | null, 
/**
 * When it was enrolled, in milliseconds since 1970.
 */
enrolled_at: number, 
/**
 * Its key.
 */
key: DeviceKeyView, };
export type ChangeDevice = { 
/**
 * Another name.
 */
name?: string | null, 
/**
 * Another place, by name or as `lat,lon`; an empty one takes it away.
 */
place?: string | null, 
/**
 * Where exactly that is. Without it a place that is found on the map is put there.
 */
location?: Location | null, };
export type Location = { 
/**
 * Degrees north, -90 to 90.
 */
lat: number, 
/**
 * Degrees east, -180 to 180.
 */
lon: number, };
export type GeoQuery = { 
/**
 * The beginning of a place's name, whatever its case and accents; a country or region may follow after a comma, as in
 * `springfield, us`. Or a point, as `lat,lon`.
 */
text: string, 
/**
 * Most places wanted, 1 to 20; 10 unless given.
 */
limit?: number | null, };
export type GeoPlace = { 
/**
 * Its name; of a point, that of the nearest place.
 */
name: string, 
/**
 * The country's code (ISO 3166-1 alpha-2).
 */
country: string, 
/**
 * The region's code where it is more than a number, such as a state of the USA.
 */
region: string | null, 
/**
 * Degrees north.
 */
lat: number, 
/**
 * Degrees east.
 */
lon: number, 
/**
 * People; 0 for a point.
 */
population: number, };
export type GeoPlaces = { 
/**
 * The largest first.
 */
places: Array<GeoPlace>, };
export type Quota = { 
/**
 * Cores, such as 1.5: the limits of all its containers together. Each of them needs a limit then.
 */
cpus?: number | null, 
/**
 * Bytes of memory: the limits of all its containers together. Each of them needs a limit then.
 */
memory_bytes?: number | null, 
/**
 * Bytes on the disk: writable layers, volumes and checkpoints together, as the device measures them.
 */
disk_bytes?: number | null, 
/**
 * Containers, running or not.
 */
containers?: number | null, };
export type Allowance = "publish_ports" | "checkpoints" | "move_in" | "move_away" | "device_policy" | "terminal";
export type Terms = { 
/**
 * How much of it.
 */
quota: Quota, 
/**
 * What else is allowed, each once.
 */
allow: Array<Allowance>, };
export type GrantedTerms = { 
/**
 * What was agreed on.
 */
terms: Terms, 
/**
 * The share ends: nothing new is begun there, and it is over once the tenant has no container there any more.
 */
is_ending: boolean, };
export type ShareState = "offered" | "accepted" | "ending";
export type NewShare = { 
/**
 * To which tenant.
 */
tenant: TenantSlug, 
/**
 * On what terms.
 */
terms: Terms, };
export type ChangeShare = { 
/**
 * The new terms, whole.
 */
terms: Terms, };
export type EndShare = { 
/**
 * Stops and deletes these containers: the names of all that the tenant has on the device. Left empty, they go on.
 */
delete: Array<ContainerName>, };
export type EndedShare = { 
/**
 * It is over. Else it ends once the device has told that no container of the tenant is left there.
 */
ended: boolean, 
/**
 * The names of the containers that the tenant has there.
 */
containers: Array<ContainerName>, };
export type ShareView = { 
/**
 * With whom.
 */
tenant: TenantSlug, 
/**
 * Where it stands.
 */
state: ShareState, 
/**
 * On what terms.
 */
terms: Terms, 
/**
 * When it was offered, in milliseconds since 1970.
 */
offered_at: number, 
/**
 * When it was accepted.
 */
accepted_at: number | null, 
/**
 * How many containers the tenant has there, by the device's last report.
 */
containers: number, };
export type OfferView = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * Its name.
 */
device_name: string, 
/**
 * Where the device stands, as its owner said.
 */
place: string | null, 
/**
 * The name of the tenant that owns it.
 */
owner_name: string, 
/**
 * Where the share stands.
 */
state: ShareState, 
/**
 * On what terms.
 */
terms: Terms, 
/**
 * When an offer ends by itself, in milliseconds since 1970; none once it is accepted.
 */
expires_at: number | null, };
export type DeviceShare = { 
/**
 * The name of the tenant that owns the device.
 */
owner_name: string, 
/**
 * The terms.
 */
granted: GrantedTerms, };
export type MigrationMode = "live" | "cold";
export type OverDowntime = "refuse" | "cold";
export type MigrationOptions = { 
/**
 * Rounds of memory at most while the container runs.
 */
max_rounds: number | null, 
/**
 * The longest time that the container may stand still, by estimate before the freeze.
 */
max_downtime_ms: number | null, 
/**
 * What to do if the estimate is over it.
 */
over_downtime: OverDowntime, 
/**
 * Whether the copy at the source stays there, stopped.
 */
keep_source: boolean, };
export type MigrateContainer = { 
/**
 * Which.
 */
container: ContainerId, 
/**
 * Where to.
 */
destination: DeviceId, 
/**
 * `live` if left out. A container that can only be moved cold is not stopped unless `cold` is said.
 */
mode: MigrationMode, 
/**
 * How much of the link it may take, in bytes each second, from [`MIN_BYTES_PER_SECOND`] on; as much as there is if left
 * out. It holds from the first byte to the last: the container, which does not run while its memory and files travel,
 * stands still for longer.
 */
bytes_per_second?: number | null, 
/**
 * Rounds of memory at most while the container runs, from 1 to [`MAX_ROUNDS`], which is also what it is if left out. Only for
 * a live move.
 */
max_rounds?: number | null, 
/**
 * The longest time that the container may stand still, in milliseconds, up to [`MAX_DOWNTIME_MS`]; any if left out. While the
 * estimate is over it, further rounds go as long as they shrink. Only for a live move.
 */
max_downtime_ms?: number | null, 
/**
 * What to do if the estimate stays over `max_downtime_ms`; `refuse` if left out.
 */
over_downtime?: OverDowntime | null, 
/**
 * Whether the copy at the source stays there, stopped, with its volumes: see `ecep.device.<id>.container.kept.list`.
 */
keep_source: boolean, 
/**
 * The operation's id, if the caller chooses it. The same id again is the same order.
 */
operation?: OperationId | null, };
export type PreflightMigration = { 
/**
 * Which.
 */
container: ContainerId, 
/**
 * Where to.
 */
destination: DeviceId, };
export type Verdict = "live" | "cold" | "refused";
export type MigrationEnd = "source" | "destination" | "control_plane";
export type Check = { 
/**
 * Who looked.
 */
end: MigrationEnd, 
/**
 * What it allows.
 */
verdict: Verdict, 
/**
 * What was found, and where it hinders, what to do about it.
 */
text: string, };
export type MigrationEstimate = { 
/**
 * From the order to the end, in milliseconds.
 */
total_ms: number, 
/**
 * How long the container would stand still. One that writes much of its memory stands still for longer, as does one that does
 * not end by itself when it is stopped for a cold move.
 */
downtime_ms: number, 
/**
 * Bytes each second that the line between the two is taken to carry.
 */
bytes_per_second: number, 
/**
 * Whether that is only assumed, since nothing was moved between the two lately; else it is what their last move saw.
 */
is_rate_assumed: boolean, };
export type Preflight = { 
/**
 * The worst of all checks.
 */
verdict: Verdict, 
/**
 * All of them, from both ends, the worst first.
 */
checks: Array<Check>, 
/**
 * Bytes of memory that a live move would carry, as far as they are known now.
 */
memory_bytes: number, 
/**
 * Bytes of files (writable layer and volumes) that any move would carry.
 */
file_bytes: number, 
/**
 * Bytes of the image where the destination lacks it; layers that it has do not travel.
 */
image_bytes: number, 
/**
 * How long it would take; none where it cannot be moved.
 */
estimate: MigrationEstimate | null, };
export type MigrationState = "running" | "done" | "failed";
export type MigrationPhase = "preparing" | "copying" | "freezing" | "saving" | "sending" | "restoring" | "committing" | "finishing";
export type PhaseTook = { 
/**
 * Which.
 */
phase: MigrationPhase, 
/**
 * Milliseconds.
 */
milliseconds: number, 
/**
 * Bytes that travelled in it.
 */
bytes: number, };
export type RoundTook = { 
/**
 * Pages of 4 KiB that had not gone before: all in the first round, then what was written during the round before.
 */
pages: number, 
/**
 * Bytes that travelled for them; fewer where they were packed.
 */
bytes: number, 
/**
 * Milliseconds.
 */
milliseconds: number, };
export type MigrationView = { 
/**
 * The operation's id.
 */
operation: OperationId, 
/**
 * The container.
 */
container: ContainerId, 
/**
 * The container's name.
 */
name: ContainerName, 
/**
 * Where it was.
 */
source: DeviceId, 
/**
 * Where it goes.
 */
destination: DeviceId, 
/**
 * How.
 */
mode: MigrationMode, 
/**
 * What it may take of the link, in bytes each second, where that was limited.
 */
bytes_per_second: number | null, 
/**
 * What else was asked for.
 */
options: MigrationOptions, 
/**
 * It was to move live and moves cold, because it would have stood still for too long.
 */
went_cold: boolean, 
/**
 * Where the move stands.
 */
state: MigrationState, 
/**
 * What it is at, or was at last.
 */
phase: MigrationPhase, 
/**
 * Whether it can still be cancelled: until the freeze.
 */
cancellable: boolean, 
/**
 * Bytes done in this phase.
 */
bytes_done: number, 
/**
 * Bytes to do in this phase, where it is known.
 */
bytes_total: number | null, 
/**
 * Bytes that have travelled in all phases.
 */
bytes_sent: number, 
/**
 * The phases that are over.
 */
phases: Array<PhaseTook>, 
/**
 * The rounds of memory that are over.
 */
rounds: Array<RoundTook>, 
/**
 * How long the container would stand still, as the source estimated it right before the freeze.
 */
estimated_downtime_ms: number | null, 
/**
 * How long the container did not run, measured at the two devices, once it is known.
 */
downtime_ms: number | null, 
/**
 * When it began, in milliseconds since 1970 by the control plane's clock.
 */
started_at: number, 
/**
 * When it ended.
 */
ended_at: number | null, 
/**
 * Why it failed.
 */
error: string | null, };
export type MigrationRef = { 
/**
 * Its operation.
 */
operation: OperationId, };
export type MigrationQuery = { 
/**
 * Only those of this container.
 */
container?: ContainerId | null, };
export type MigrationList = { 
/**
 * The moves.
 */
migrations: Array<MigrationView>, };
export type NoticeLevel = "info" | "success" | "warning" | "error";
export type Notice = { 
/**
 * How much it matters.
 */
level: NoticeLevel, 
/**
 * A sentence.
 */
text: string, 
/**
 * When, in milliseconds since 1970 by the control plane's clock.
 */
at: number, };
export type ActorKind = "person" | "token" | "device" | "installation" | "nobody";
export type Actor = { 
/**
 * The id of the account, the token or the device; empty for somebody who is not known.
 */
authid: string, 
/**
 * What kind.
 */
kind: ActorKind, };
export type ViaKind = "login" | "token" | "join_token" | "wamp_session";
export type Via = { 
/**
 * What kind.
 */
kind: ViaKind, 
/**
 * Which; never a secret.
 */
id: string, };
export type Outcome = "done" | "running" | "refused" | "failed";
export type AuditEntry = { 
/**
 * Its id.
 */
id: string, 
/**
 * When it was written down, in milliseconds since 1970 by the control plane's clock.
 */
at: number, 
/**
 * The tenant; `null` if it concerns the installation.
 */
tenant: TenantSlug | null, 
/**
 * Who.
 */
actor: Actor, 
/**
 * By which right.
 */
via: Via | null, 
/**
 * From which address. For a WAMP session the one from which its actor has last joined, as far as that is known.
 */
address: string | null, 
/**
 * The device that served a call, and by whose word this entry stands here.
 */
device: DeviceId | null, 
/**
 * The URI of the procedure, or the method and path of the endpoint.
 */
action: string, 
/**
 * The id or name of what it was done to; empty where there is none.
 */
target: string, 
/**
 * What came of it.
 */
outcome: Outcome, 
/**
 * The error's URI, or the HTTP status of a refusal.
 */
error: string | null, 
/**
 * Named fields of the request.
 */
detail: { [key in string]: string }, 
/**
 * How often; more than 1 for refusals that were repeated within ten minutes.
 */
count: number, 
/**
 * When it was done by the device's clock, in milliseconds since 1970.
 */
device_at: number | null, 
/**
 * Whether the device told it only later, as after a time without a connection.
 */
late: boolean, 
/**
 * SHA-256 over the hash of the entry before and this entry without its hash: whoever changes or takes out an entry has
 * to write all later ones anew.
 */
hash: string, };
export type AuditQuery = { 
/**
 * Written down at this time or later, in milliseconds since 1970.
 */
from?: number | null, 
/**
 * Written down before this time.
 */
to?: number | null, 
/**
 * Of this authid.
 */
actor?: string | null, 
/**
 * Of this action.
 */
action?: string | null, 
/**
 * About this target.
 */
target?: string | null, 
/**
 * At most so many, 1 to 500; 100 if left out.
 */
limit?: number | null, 
/**
 * Goes on behind the entry of this id: `next` of the page before.
 */
after?: string | null, };
export type AuditPage = { 
/**
 * The newest first. May be fewer than asked for, even none, while `next` goes on.
 */
entries: Array<AuditEntry>, 
/**
 * What the next page comes after; `null` at the end.
 */
next: string | null, };
export type Span = { 
/**
 * The smallest.
 */
min: number, 
/**
 * The mean over time.
 */
avg: number, 
/**
 * The largest.
 */
max: number, };
export type StatsQuery = { 
/**
 * A device.
 */
device?: DeviceId | null, 
/**
 * A container, wherever it was.
 */
container?: ContainerId | null, 
/**
 * From when.
 */
from: number, 
/**
 * Until when.
 */
to: number, 
/**
 * Milliseconds for each point; if left out, the finest that is kept and gives 1000 points at most. The answer says
 * what it is: a step that is finer than what is kept, or no multiple of it, is made longer.
 */
step_ms?: number | null, };
export type StatsHistory = { 
/**
 * Milliseconds for each point.
 */
step_ms: number, 
/**
 * One for each step, the oldest first; in a gap they have no values.
 */
points: Array<HistoryPoint>, };
export type HistoryPoint = { 
/**
 * When the step begins, in milliseconds since 1970 by the control plane's clock.
 */
at: number, 
/**
 * CPU in use: of a device in percent of all cores together, of a container in percent of one core.
 */
cpu_percent: Span | null, 
/**
 * Bytes of memory in use, mean.
 */
memory_bytes: number | null, 
/**
 * Free bytes on the containers' disk, mean; only of a device.
 */
disk_free_bytes: number | null, 
/**
 * Bytes per second that come in over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_received_bytes_per_s?: number | null, 
/**
 * Bytes per second that go out over the network; `null` in the first tick, where the kernel does not account it, and of
 * a container that has the device's network, which is not its alone, or none.
 */
network_sent_bytes_per_s?: number | null, 
/**
 * Bytes per second read from disks, not from the cache; `null` in the first tick and where the kernel does not
 * account it.
 */
disk_read_bytes_per_s?: number | null, 
/**
 * Bytes per second written to disks; `null` in the first tick and where the kernel does not account it.
 */
disk_written_bytes_per_s?: number | null, };
export type AlertKind = "device_offline" | "disk_low" | "overload" | "migration_failed" | "restart_loop";
export type AlertView = { 
/**
 * Its id.
 */
id: string, 
/**
 * What is wrong.
 */
kind: AlertKind, 
/**
 * The device it is about.
 */
device: DeviceId | null, 
/**
 * The container it is about.
 */
container: ContainerId | null, 
/**
 * A sentence.
 */
text: string, 
/**
 * When it was raised, in milliseconds since 1970 by the control plane's clock.
 */
raised_at: number, 
/**
 * When it was over; `null` while it is active.
 */
cleared_at: number | null, 
/**
 * When a person said that they have seen it.
 */
acknowledged_at: number | null, 
/**
 * Who: the authid.
 */
acknowledged_by: string | null, };
export type AlertFilter = "active" | "all";
export type AlertQuery = { 
/**
 * Which; the active ones if left out.
 */
which: AlertFilter, 
/**
 * How many, 1 to 500; 100 if left out.
 */
limit?: number | null, 
/**
 * Goes on where another answer's `next` says.
 */
after?: string | null, };
export type AlertList = { 
/**
 * The newest first.
 */
alerts: Array<AlertView>, 
/**
 * For `after`, where there are more.
 */
next: string | null, };
export type AlertRef = { 
/**
 * Its id.
 */
alert: string, };
export type PlacedContainer = { 
/**
 * The device that runs it.
 */
device: DeviceId, 
/**
 * How that device is: of one that is offline, the container's state is what was last known.
 */
liveness: Liveness, 
/**
 * The container.
 */
container: ContainerView, };
export type FleetContainers = { 
/**
 * By device, then in the order of creation.
 */
containers: Array<PlacedContainer>, };
export type Problem = { 
/**
 * The HTTP status.
 */
status: number, 
/**
 * An error URI of the catalogue.
 */
type: string, 
/**
 * A sentence that says what is wrong and what to do.
 */
detail: string, };
export type Health = { 
/**
 * It runs.
 */
ok: boolean, 
/**
 * The control plane's version.
 */
version: string, 
/**
 * `joined` once it serves the control realm and every tenant's, else `connecting`.
 */
router: string, 
/**
 * `good` while the store takes changes, else a sentence that says why not.
 */
store: string, };
export type SetupState = { 
/**
 * True while there is no account yet.
 */
needed: boolean, };
export type SetupRequest = { 
/**
 * The code that the control plane wrote into its data folder at its first start; its log names the file.
 */
code: string, 
/**
 * The first account.
 */
email: string, 
/**
 * Its password, 12 characters or more.
 */
password: string, 
/**
 * The first tenant's slug.
 */
tenant: TenantSlug, 
/**
 * The first tenant's name for people.
 */
tenant_name: string, };
export type LoginRequest = { 
/**
 * The account.
 */
email: string, 
/**
 * Its password.
 */
password: string, };
export type SessionView = { 
/**
 * The account.
 */
email: string, 
/**
 * May make accounts and tenants.
 */
admin: boolean, 
/**
 * The tenants it belongs to.
 */
memberships: Array<Membership>, 
/**
 * When the login ends, in milliseconds since 1970.
 */
expires_at: number, };
export type Membership = { 
/**
 * The tenant.
 */
tenant: TenantSlug, 
/**
 * Its name for people.
 */
tenant_name: string, 
/**
 * `owner`, `operator` or `viewer`.
 */
role: Role, };
export type TicketRequest = { 
/**
 * The tenant whose realm is to be joined.
 */
tenant: TenantSlug, };
export type TicketReply = { 
/**
 * The WAMP router's address for browsers.
 */
wamp_url: string, 
/**
 * The realm to join.
 */
realm: string, 
/**
 * As whom.
 */
authid: string, 
/**
 * Single-use, for a few seconds.
 */
ticket: string, };
export type NewAccount = { 
/**
 * The account.
 */
email: string, 
/**
 * Its password, 12 characters or more.
 */
password: string, 
/**
 * Its role in each tenant.
 */
memberships: Array<NewMembership>, };
export type NewMembership = { 
/**
 * The tenant.
 */
tenant: TenantSlug, 
/**
 * `owner`, `operator` or `viewer`.
 */
role: Role, };
export type NewTenant = { 
/**
 * Its slug.
 */
slug: TenantSlug, 
/**
 * Its name for people.
 */
name: string, };
export type NewJoinToken = { 
/**
 * How many devices may use it, 1 to 1000.
 */
uses: number, 
/**
 * For how many seconds, 60 to 30 days.
 */
valid_seconds: number, 
/**
 * For this device of the tenant, which was wiped or lost its key: it comes back as itself, with its name, place and
 * shares, and its old key is dead. Such a token has one use.
 */
device?: DeviceId | null, };
export type NewApiToken = { 
/**
 * What it is for.
 */
name: string, 
/**
 * `telemetry`, `viewer` or `operator`.
 */
role: Role, 
/**
 * For how many seconds, 60 to 400 days.
 */
valid_seconds: number, };
export type CreatedToken = { 
/**
 * The token's id; for an API token also the authid to join with.
 */
id: string, 
/**
 * The secret; for an API token the ticket to join with.
 */
secret: string, 
/**
 * When it ends, in milliseconds since 1970.
 */
expires_at: number, };
export type TokenView = { 
/**
 * Its id.
 */
id: string, 
/**
 * What it is for; empty for a join token.
 */
name: string, 
/**
 * The role it gives.
 */
role: Role, 
/**
 * How often it may still be used; `null` for an API token.
 */
uses_left: number | null, 
/**
 * When it ends, in milliseconds since 1970.
 */
expires_at: number, 
/**
 * The account that made an API token; `null` where it is not known, and for a join token.
 */
made_by: string | null, 
/**
 * When an API token was last used; `null` if never, and for a join token.
 */
last_used: TokenUse | null, 
/**
 * The device that a join token is for, where it is for one only.
 */
device?: DeviceId, };
export type TokenUse = { 
/**
 * In milliseconds since 1970, to the minute.
 */
at: number, 
/**
 * From which address.
 */
address: string, };
export type UploadView = { 
/**
 * Its id, the last part of its URL.
 */
id: string, 
/**
 * The name of the file.
 */
name: string, 
/**
 * Bytes of the file.
 */
bytes: number, 
/**
 * Bytes that are here.
 */
received: number, 
/**
 * When it is forgotten, in milliseconds since 1970: what came of it, too.
 */
expires_at: number, 
/**
 * What it has become.
 */
artifact: ArtifactDigest | null, 
/**
 * Why it was refused, a sentence.
 */
error: string | null, };
export type StoredFilePage = { 
/**
 * The files.
 */
items: Array<StoredFile>, 
/**
 * Where the next page begins; none at the end.
 */
next: string | null, 
/**
 * Bytes of all of them, and of what is on its way.
 */
used_bytes: number, 
/**
 * Bytes that the tenant may have.
 */
quota_bytes: number, };
export type TenantView = { 
/**
 * Its slug.
 */
slug: TenantSlug, 
/**
 * Its name for people.
 */
name: string, 
/**
 * The role of whoever asks.
 */
role: Role, };
export type TenantPage = { 
/**
 * The tenants.
 */
tenants: Array<TenantSummary>, 
/**
 * Where the next page begins.
 */
next: string | null, };
export type TenantSummary = { 
/**
 * Its slug.
 */
slug: TenantSlug, 
/**
 * Its name for people.
 */
name: string, 
/**
 * When it was made, in milliseconds since 1970.
 */
created_at: number, };
export type ChangeTenant = { 
/**
 * Its new name for people.
 */
name: string, };
export type DeleteTenant = { 
/**
 * The slug once more, so that no slip deletes a tenant.
 */
confirm: string, };
export type MemberPage = { 
/**
 * The members.
 */
members: Array<MemberView>, 
/**
 * Where the next page begins.
 */
next: string | null, };
export type MemberView = { 
/**
 * The account's id, which is its name for the others and its authid.
 */
account: string, 
/**
 * Its e-mail address; for owners only, and for oneself.
 */
email: string | null, 
/**
 * `owner`, `operator` or `viewer`.
 */
role: Role, 
/**
 * Whether it is whoever asks.
 */
is_you: boolean, };
export type ChangeMember = { 
/**
 * `owner`, `operator` or `viewer`.
 */
role: Role, };
export type NewInvitation = { 
/**
 * Who is invited.
 */
email: string, 
/**
 * `owner`, `operator` or `viewer`.
 */
role: Role, 
/**
 * For how many seconds, 60 to 30 days; 7 days if it is left out.
 */
valid_seconds?: number | null, };
export type CreatedInvitation = { 
/**
 * Its id.
 */
id: string, 
/**
 * The secret.
 */
secret: string, 
/**
 * The dashboard's page for it, to be handed to whoever is invited. Begins with `/` where the dashboard's own
 * address is not configured.
 */
link: string, 
/**
 * When it ends, in milliseconds since 1970.
 */
expires_at: number, };
export type InvitationView = { 
/**
 * Its id.
 */
id: string, 
/**
 * Who is invited.
 */
email: string, 
/**
 * The role they will have.
 */
role: Role, 
/**
 * The account that made it.
 */
made_by: string, 
/**
 * When it ends, in milliseconds since 1970.
 */
expires_at: number, };
export type ShowInvitation = { 
/**
 * The invitation's secret.
 */
secret: string, };
export type InvitationOffer = { 
/**
 * The tenant.
 */
tenant: TenantSlug, 
/**
 * Its name for people.
 */
tenant_name: string, 
/**
 * Who is invited.
 */
email: string, 
/**
 * The role.
 */
role: Role, 
/**
 * When it ends, in milliseconds since 1970.
 */
expires_at: number, };
export type AcceptInvitation = { 
/**
 * The invitation's secret.
 */
secret: string, 
/**
 * The password of the invited address's account; where there is none yet, the one that it will have. Left out by
 * whoever is logged in as that address.
 */
password?: string | null, };
export type AccountPage = { 
/**
 * The accounts.
 */
accounts: Array<AccountView>, 
/**
 * Where the next page begins.
 */
next: string | null, };
export type AccountView = { 
/**
 * Its id, which is its authid.
 */
id: string, 
/**
 * Its e-mail address.
 */
email: string, 
/**
 * May make accounts and tenants.
 */
admin: boolean, 
/**
 * Cannot log in.
 */
disabled: boolean, 
/**
 * When it was made, in milliseconds since 1970.
 */
created_at: number, };
export type ChangeAccount = { 
/**
 * Whether it is kept out.
 */
disabled: boolean, };
export type ChangePassword = { 
/**
 * The present password.
 */
current: string, 
/**
 * The new one, 12 characters or more.
 */
new: string, };
export type LoginView = { 
/**
 * Its id.
 */
id: string, 
/**
 * When it began, in milliseconds since 1970; 0 if it is not known.
 */
opened_at: number, 
/**
 * From which address.
 */
address: string, 
/**
 * What the browser called itself.
 */
user_agent: string, 
/**
 * When it was last used, to the minute.
 */
last_seen: number, 
/**
 * When it ends.
 */
expires_at: number, 
/**
 * Whether it is the one that asks.
 */
is_this: boolean, };
export type Nothing = Record<symbol, never>;

export const CSRF_HEADER = "x-ecep-csrf";

/** Procedures of tenant realms. `{device}` stands for the device's id. */
export interface Procedures {
  DeviceInfo: { request: Nothing; reply: DeviceFacts };
  ContainerList: { request: Nothing; reply: ContainerList };
  ContainerCreate: { request: CreateContainer; reply: OperationReply };
  ContainerStart: { request: ContainerOrder; reply: OperationReply };
  ContainerStop: { request: StopContainer; reply: OperationReply };
  ContainerRestart: { request: StopContainer; reply: OperationReply };
  ContainerDelete: { request: DeleteContainer; reply: OperationReply };
  ContainerInspect: { request: ContainerRef; reply: ContainerDetail };
  ContainerLogs: { request: LogQuery; reply: LogLines };
  ContainerCheckpoint: { request: CheckpointContainer; reply: OperationReply };
  ContainerRestore: { request: RestoreContainer; reply: OperationReply };
  CheckpointListing: { request: CheckpointQuery; reply: CheckpointList };
  CheckpointDelete: { request: DeleteCheckpoint; reply: Nothing };
  KeptListing: { request: KeptQuery; reply: KeptList };
  KeptDelete: { request: DeleteKept; reply: Nothing };
  LogFetch: { request: FetchLog; reply: OperationReply };
  FileListing: { request: ListFiles; reply: EntryList };
  FileFetch: { request: FetchFile; reply: OperationReply };
  TerminalOpen: { request: OpenTerminal; reply: OpenedTerminal };
  ImageList: { request: Nothing; reply: ImageList };
  ImagePull: { request: PullImage; reply: OperationReply };
  ImageDelete: { request: DeleteImage; reply: OperationReply };
  DeviceList: { request: Nothing; reply: DeviceList };
  GeoSearch: { request: GeoQuery; reply: GeoPlaces };
  FleetContainerList: { request: Nothing; reply: FleetContainers };
  ContainerMigrate: { request: MigrateContainer; reply: MigrationView };
  ContainerPreflight: { request: PreflightMigration; reply: Preflight };
  CheckpointCopy: { request: CopyCheckpoint; reply: OperationReply };
  MigrationCancel: { request: MigrationRef; reply: MigrationView };
  MigrationHistory: { request: MigrationQuery; reply: MigrationList };
  ArtifactListing: { request: Nothing; reply: ArtifactList };
  ArtifactDelete: { request: ArtifactRef; reply: Nothing };
  ApplicationListing: { request: Nothing; reply: ApplicationList };
  VersionAdd: { request: AddVersion; reply: VersionView };
  VersionDelete: { request: VersionRef; reply: Nothing };
  ApplicationDelete: { request: ApplicationRef; reply: Nothing };
  ApplicationPlace: { request: PlaceApplication; reply: Placement };
  ApplicationDeploy: { request: DeployApplication; reply: Deployment };
  ContainerUpdate: { request: UpdateContainer; reply: OperationReply };
  RunListing: { request: RunQuery; reply: RunList };
  StatsHistoryQuery: { request: StatsQuery; reply: StatsHistory };
  AlertListing: { request: AlertQuery; reply: AlertList };
  AlertAcknowledge: { request: AlertRef; reply: AlertView };
  AuditList: { request: AuditQuery; reply: AuditPage };
}
export const PROCEDURES: { [name in keyof Procedures]: string } = {
  DeviceInfo: "ecep.device.{device}.info",
  ContainerList: "ecep.device.{device}.container.list",
  ContainerCreate: "ecep.device.{device}.container.create",
  ContainerStart: "ecep.device.{device}.container.start",
  ContainerStop: "ecep.device.{device}.container.stop",
  ContainerRestart: "ecep.device.{device}.container.restart",
  ContainerDelete: "ecep.device.{device}.container.delete",
  ContainerInspect: "ecep.device.{device}.container.inspect",
  ContainerLogs: "ecep.device.{device}.container.logs",
  ContainerCheckpoint: "ecep.device.{device}.container.checkpoint",
  ContainerRestore: "ecep.device.{device}.container.restore",
  CheckpointListing: "ecep.device.{device}.container.checkpoint.list",
  CheckpointDelete: "ecep.device.{device}.container.checkpoint.delete",
  KeptListing: "ecep.device.{device}.container.kept.list",
  KeptDelete: "ecep.device.{device}.container.kept.delete",
  LogFetch: "ecep.device.{device}.container.logs.fetch",
  FileListing: "ecep.device.{device}.file.list",
  FileFetch: "ecep.device.{device}.file.fetch",
  TerminalOpen: "ecep.device.{device}.terminal.open",
  ImageList: "ecep.device.{device}.image.list",
  ImagePull: "ecep.device.{device}.image.pull",
  ImageDelete: "ecep.device.{device}.image.delete",
  DeviceList: "ecep.device.list",
  GeoSearch: "ecep.geo.search",
  FleetContainerList: "ecep.container.list",
  ContainerMigrate: "ecep.container.migrate",
  ContainerPreflight: "ecep.container.preflight",
  CheckpointCopy: "ecep.container.checkpoint.copy",
  MigrationCancel: "ecep.migration.cancel",
  MigrationHistory: "ecep.migration.list",
  ArtifactListing: "ecep.artifact.list",
  ArtifactDelete: "ecep.artifact.delete",
  ApplicationListing: "ecep.app.list",
  VersionAdd: "ecep.app.version.add",
  VersionDelete: "ecep.app.version.delete",
  ApplicationDelete: "ecep.app.delete",
  ApplicationPlace: "ecep.app.place",
  ApplicationDeploy: "ecep.app.deploy",
  ContainerUpdate: "ecep.app.update",
  RunListing: "ecep.app.run.list",
  StatsHistoryQuery: "ecep.stats.query",
  AlertListing: "ecep.alert.list",
  AlertAcknowledge: "ecep.alert.acknowledge",
  AuditList: "ecep.audit.list",
};

/** Topics of tenant realms. `{device}` stands for the device's id. */
export interface Topics {
  DeviceStats: StatsEvent;
  ContainerEvents: ContainerEvent;
  OperationEvents: OperationEvent;
  DeviceStatusEvents: DeviceView;
  MigrationEvents: MigrationView;
  Notices: Notice;
}
export const TOPICS: { [name in keyof Topics]: string } = {
  DeviceStats: "ecep.device.{device}.stats",
  ContainerEvents: "ecep.device.{device}.container",
  OperationEvents: "ecep.device.{device}.operation",
  DeviceStatusEvents: "ecep.device.{device}.status",
  MigrationEvents: "ecep.migration",
  Notices: "ecep.notice",
};

/** The topics that devices publish; watch all with the device's component left empty. */
export const DEVICE_TOPICS = ["DeviceStats", "ContainerEvents", "OperationEvents"] as const;

/** The kinds of error by name. */
export const ERRORS = {
  NotFound: "ecep.error.not_found",
  Conflict: "ecep.error.conflict",
  InvalidArgument: "ecep.error.invalid_argument",
  Unavailable: "ecep.error.unavailable",
  Forbidden: "ecep.error.forbidden",
  Engine: "ecep.error.engine",
  Preflight: "ecep.error.preflight",
  Limit: "ecep.error.limit",
} as const satisfies Record<string, ErrorKind>;
