//! The configuration: what the TOML file and the environment can say, with its defaults and limits.
//!
//! Unknown keys are refused, so that a misspelt limit is not silently the default. The comments of the types are the
//! reference for people too, see `reference`.

mod environment;
mod error;
mod http;
mod limits;
mod listen;
mod mistakes;
mod origin;
mod realms;
mod reference;
mod roles;
mod shape;
mod ticket;
mod tls;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use error::ConfigError;
pub use http::HttpConfig;
pub use limits::Limits;
pub use listen::{Address, Listen, TransportKind};
pub use origin::AllowedOrigin;
pub use realms::{PlatformConfig, PrincipalConfig, RealmConfig};
pub use reference::reference;
pub use roles::{ActionConfig, DisclosureConfig, MatchConfig, ProfileConfig, RoleConfig, RuleConfig};
pub(crate) use ticket::read_ticket;
pub use tls::TlsConfig;

/// What the router is made from. `docs/router-config.md` has an example.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen for WAMP clients: at least one.
    pub listen: Vec<Listen>,
    /// Serve `/metrics` and `/healthz` on a listener of their own. Without this table there are none.
    pub http: Option<HttpConfig>,
    /// What a client may use up. Every limit has a default that suits most; a client that runs into one is told its
    /// key.
    pub limits: Limits,
    /// Serve the platform's realms, `ecep.control` and those of its tenants, whose clients the control plane vouches
    /// for. Without this table there are none.
    pub platform: Option<PlatformConfig>,
    /// Other realms.
    pub realm: Vec<RealmConfig>,
}

impl Config {
    /// Reads a TOML file alone.
    ///
    /// # Errors
    /// Says everything that is wrong, each with its place.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::load(path, std::iter::empty())
    }

    /// Reads a TOML file, and the environment's variables over it. What its parts must have to do with each other is
    /// for [`Config::check`] to say.
    ///
    /// # Errors
    /// Says everything that is wrong, each with its place.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        let mut table: Table = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })?;
        let mut wrong = environment::override_by(&mut table, environment);
        let file = Value::Table(table);
        wrong.extend(mistakes::mistakes(&file));
        if !wrong.is_empty() {
            return Err(ConfigError::Wrong(wrong));
        }
        // What is left is what the text of an address or the like can have wrong.
        serde_path_to_error::deserialize(file)
            .map_err(|error| ConfigError::Wrong(vec![format!("{}: {}", error.path(), error.inner())]))
    }

    /// All of it as TOML, every default included, for people and for [`Config::load`]. There are no secrets in it.
    ///
    /// # Errors
    /// A path in it is no text.
    pub fn print(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Checks all that is said, whoever made it.
    ///
    /// # Errors
    /// Says everything that is wrong, each with its place.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut wrong = match Value::try_from(self) {
            Ok(value) => mistakes::mistakes(&value),
            Err(error) => vec![error.to_string()],
        };
        if self.listen.is_empty() {
            wrong.push("there is no listener: add a [[listen]] with kind and address".to_owned());
        }
        wrong.extend(listen::mistakes(&self.listen));
        wrong.extend(self.limits.mistakes());
        wrong.extend(realms::mistakes(&self.realm));
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError::Wrong(wrong)) }
    }
}
