//! The configuration: what the TOML file can say, with its defaults and limits.
//!
//! Unknown keys are refused, so that a misspelt limit is not silently the default.

mod error;
mod limits;
mod listen;
mod realms;
mod roles;
mod ticket;

use std::path::Path;

use ecep_proto::uri::{Strictness, Uri};
use serde::Deserialize;

pub use error::ConfigError;
pub use limits::Limits;
pub use listen::{Listen, TransportKind};
pub use realms::{PlatformConfig, PrincipalConfig, RealmConfig};
pub use roles::{ActionConfig, DisclosureConfig, MatchConfig, ProfileConfig, RoleConfig, RuleConfig};
pub(crate) use ticket::read_ticket;

/// What the router is made from.
///
/// ```toml
/// [[listen]]
/// kind = "websocket"            # or "rawsocket"
/// address = "127.0.0.1:8080"    # port 0: any free one
///
/// [limits]                      # each has a default, see `Limits`
/// max_message_bytes = 4194304
///
/// [platform]                    # serves ecep.control and ecep.tenant.<slug>
/// control_ticket_file = "/etc/ecep/control.ticket"
///
/// [[realm]]
/// name = "realm1"
/// anonymous_role = "guest"      # without it nobody joins anonymously
///
/// [[realm.role]]
/// name = "guest"
/// rule = [{ uri = "com.example.", match = "prefix", allow = ["call", "subscribe"] }]
///
/// [[realm.principal]]
/// authid = "sensor"
/// role = "guest"
/// ticket_file = "/etc/ecep/sensor.ticket"
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// What a client may use up.
    pub limits: Limits,
    /// Serve the platform's realms, whose clients the control plane vouches for.
    pub platform: Option<PlatformConfig>,
    /// Other realms.
    pub realm: Vec<RealmConfig>,
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Says what is wrong in which line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), reason: error.to_string() })
    }

    /// Checks what the types can't say.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListener);
        }
        self.limits.check()?;
        for (number, realm) in self.realm.iter().enumerate() {
            let wrong = |reason: String| ConfigError::Realm { name: realm.name.clone(), reason };
            Uri::parse(realm.name.as_str(), Strictness::Loose).map_err(|error| wrong(error.to_string()))?;
            if crate::platform::is_platform_realm(&realm.name) {
                return Err(wrong("the name belongs to the platform; use [platform]".into()));
            }
            if self.realm[..number].iter().any(|other| other.name == realm.name) {
                return Err(wrong("there are two of that name".into()));
            }
            let named = realm.principal.iter().map(|principal| &principal.role).chain(&realm.anonymous_role);
            for role in named {
                if !realm.role.iter().any(|known| known.name == *role) {
                    return Err(ConfigError::NoSuchRole { realm: realm.name.clone(), role: role.clone() });
                }
            }
        }
        Ok(())
    }
}
