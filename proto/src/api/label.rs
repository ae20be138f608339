//! The labels by which an agent knows its containers at the engine again. They are the truth about whose a
//! container is, so callers can never set them.

/// The tenant's slug.
pub const TENANT: &str = "ecep.tenant";
/// The ECEP id.
pub const CONTAINER: &str = "ecep.container";
/// The container's name for people.
pub const NAME: &str = "ecep.name";
/// The application's name.
pub const APPLICATION: &str = "ecep.application";
/// The operation that created it: the same order again finds it.
pub const OPERATION: &str = "ecep.operation";
/// On a volume: the tenant's name for it.
pub const VOLUME: &str = "ecep.volume";
/// The number of the application's version.
pub const VERSION: &str = "ecep.version";
/// The container runs once: what it leaves is stored, then it is deleted.
pub const RUN_ONCE: &str = "ecep.run-once";
/// After an update, for how many seconds a container without a health check must have run to count as healthy: whoever ends an
/// update that was cut off knows it from here.
pub const HEALTHY_AFTER: &str = "ecep.healthy-after";
