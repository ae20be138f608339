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
operation?: OperationId, };
export type StopContainer = { 
/**
 * Its ECEP id.
 */
container: ContainerId, 
/**
 * Seconds between SIGTERM and SIGKILL, 0 to 300; 10 if left out.
 */
grace_seconds?: number, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId, };
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
operation?: OperationId, };
export type PortMapping = { 
/**
 * The port inside.
 */
container: number, 
/**
 * The device's port; any free one if left out.
 */
host?: number, 
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
memory_bytes?: number, 
/**
 * Cores, such as 0.5.
 */
cpus?: number, 
/**
 * Processes and threads.
 */
pids?: number, };
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
network_mode?: string, 
/**
 * A PID mode, such as `host`.
 */
pid_mode?: string, 
/**
 * An IPC mode, such as `host`.
 */
ipc_mode?: string, };
export type CreateContainer = { 
/**
 * A name that is free on this device within the tenant.
 */
name: ContainerName, 
/**
 * The application it runs; the container's name if left out.
 */
application?: ApplicationName, 
/**
 * An image reference; pulled where the device lacks it.
 */
image: string, 
/**
 * Replaces the image's command.
 */
command?: Array<string>, 
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
operation?: OperationId, };
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
address?: string | null, };
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
tail?: number, 
/**
 * Only lines at or after this time, in milliseconds since 1970.
 */
since?: number, };
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
text: string, };
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
directory?: CheckpointName, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId, };
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
directory?: CheckpointName, 
/**
 * The container that it is restored into, of the same image and stopped; the one that was saved if left out.
 */
into?: ContainerId, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId, };
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
directory?: CheckpointName, };
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
directory?: CheckpointName, 
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
operation?: OperationId, };
export type CheckpointQuery = { 
/**
 * Only those of this container.
 */
container?: ContainerId, };
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
container?: ContainerId, };
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
export type PullImage = { 
/**
 * An image reference.
 */
image: string, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId, };
export type DeleteImage = { 
/**
 * An image reference or id.
 */
image: string, 
/**
 * The operation's id, if the caller chooses it.
 */
operation?: OperationId, };
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
disk_free_bytes: number, };
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
memory_bytes: number | null, };
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
name?: string, 
/**
 * Another place, by name or as `lat,lon`; an empty one takes it away.
 */
place?: string, 
/**
 * Where exactly that is. Without it a place that is found on the map is put there.
 */
location?: Location, };
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
limit?: number, };
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
cpus?: number, 
/**
 * Bytes of memory: the limits of all its containers together. Each of them needs a limit then.
 */
memory_bytes?: number, 
/**
 * Bytes on the disk: writable layers, volumes and checkpoints together, as the device measures them.
 */
disk_bytes?: number, 
/**
 * Containers, running or not.
 */
containers?: number, };
export type Allowance = "publish_ports" | "checkpoints" | "move_in" | "move_away" | "device_policy";
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
bytes_per_second?: number, 
/**
 * Rounds of memory at most while the container runs, from 1 to [`MAX_ROUNDS`], which is also what it is if left out. Only for
 * a live move.
 */
max_rounds?: number, 
/**
 * The longest time that the container may stand still, in milliseconds, up to [`MAX_DOWNTIME_MS`]; any if left out. While the
 * estimate is over it, further rounds go as long as they shrink. Only for a live move.
 */
max_downtime_ms?: number, 
/**
 * What to do if the estimate stays over `max_downtime_ms`; `refuse` if left out.
 */
over_downtime?: OverDowntime, 
/**
 * Whether the copy at the source stays there, stopped, with its volumes: see `ecep.device.<id>.container.kept.list`.
 */
keep_source: boolean, 
/**
 * The operation's id, if the caller chooses it. The same id again is the same order.
 */
operation?: OperationId, };
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
container?: ContainerId, };
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
from?: number, 
/**
 * Written down before this time.
 */
to?: number, 
/**
 * Of this authid.
 */
actor?: string, 
/**
 * Of this action.
 */
action?: string, 
/**
 * About this target.
 */
target?: string, 
/**
 * At most so many, 1 to 500; 100 if left out.
 */
limit?: number, 
/**
 * Goes on behind the entry of this id: `next` of the page before.
 */
after?: string, };
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
device?: DeviceId, 
/**
 * A container, wherever it was.
 */
container?: ContainerId, 
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
step_ms?: number, };
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
disk_free_bytes: number | null, };
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
limit?: number, 
/**
 * Goes on where another answer's `next` says.
 */
after?: string, };
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
device?: DeviceId, };
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
valid_seconds?: number, };
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
password?: string, };
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
