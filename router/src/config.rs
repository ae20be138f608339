//! The configuration: what the TOML file can say, with its defaults and limits.
//!
//! Unknown keys are refused, so that a misspelt limit is not silently the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ecep_proto::codec::MAX_MESSAGE_BYTES;
use ecep_proto::uri::{Match, Strictness};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::profile::Profile;
use serde::Deserialize;
use thiserror::Error;

/// What the router is made from.
///
/// ```toml
/// [[listen]]
/// kind = "websocket"            # or "rawsocket", or "any" for both on one port
/// address = "127.0.0.1:8080"    # port 0: any free one; or a path, "/run/ecep/router.sock"
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

/// One listening socket.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What it speaks.
    pub kind: TransportKind,
    /// Where.
    pub address: Address,
}

/// Where a socket listens: an address with a port, or the path of a Unix socket, which begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<(std::net::Ipv4Addr, u16)> for Address {
    fn from(address: (std::net::Ipv4Addr, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let wrong = |_| {
            format!(
                "{text:?} is neither an address with a port, such as 127.0.0.1:8080, nor a path that begins with /"
            )
        };
        text.parse().map(Self::Tcp).map_err(wrong)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// WebSocket, with the subprotocols `wamp.2.json` and `wamp.2.msgpack`, under any path.
    WebSocket,
    /// RawSocket.
    RawSocket,
    /// Both: the client's first byte tells.
    Any,
}

impl TransportKind {
    /// The word in configuration and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawSocket => "rawsocket",
            Self::Any => "any",
        }
    }
}

/// What a client may use up.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest message that is taken from a client. Bulk data does not travel in WAMP; 4 MiB leave room for a
    /// long list. At least 512 bytes, at most 16 MiB, where RawSocket ends.
    pub max_message_bytes: usize,
    /// How long a client may take from connecting to its last word before it has joined. Ten seconds are ten times
    /// a slow mobile round trip; more only helps who wants to tie up connections.
    pub handshake_timeout_ms: u64,
    /// How many connections are open at once. Further ones are closed at once. 20,000 is twice the fleet that the
    /// router is built for; the operating system's limit of open files must be above it.
    pub max_connections: usize,
    /// How often a client is pinged. Common NAT gateways and proxies forget a silent connection after 30 to 60 s.
    /// A client that said nothing from one ping to the next is gone.
    pub ping_interval_ms: u64,
    /// How many bytes may wait for a client that reads too slowly, before it is closed.
    pub max_queue_bytes: usize,
    /// How many messages may wait for a client that reads too slowly, before it is closed.
    pub max_queue_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            handshake_timeout_ms: 10_000,
            max_connections: 20_000,
            ping_interval_ms: 20_000,
            max_queue_bytes: 32 << 20,
            max_queue_messages: 65_536,
        }
    }
}

impl Limits {
    /// See [`Limits::handshake_timeout_ms`].
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// See [`Limits::ping_interval_ms`].
    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let numbers = [
            ("max_message_bytes", self.max_message_bytes, 512, MAX_MESSAGE_BYTES - 1),
            ("max_connections", self.max_connections, 1, 1 << 20),
            ("max_queue_bytes", self.max_queue_bytes, 2 * self.max_message_bytes, 1 << 30),
            ("max_queue_messages", self.max_queue_messages, 16, 1 << 24),
            ("handshake_timeout_ms", self.handshake_timeout_ms as usize, 10, 600_000),
            ("ping_interval_ms", self.ping_interval_ms as usize, 10, 3_600_000),
        ];
        for (name, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Limit { name, value, least, most });
            }
        }
        Ok(())
    }
}

/// The platform's realms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformConfig {
    /// The file with the ticket by which the control plane proves itself. White space at its ends does not count.
    pub control_ticket_file: PathBuf,
}

/// A realm that is not the platform's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealmConfig {
    /// Its URI.
    pub name: String,
    /// The role of clients that don't say who they are. Without it there are none.
    pub anonymous_role: Option<String>,
    /// Check URIs strictly: lower-case letters, digits and `_` only.
    #[serde(default)]
    pub strict_uris: bool,
    /// What sessions can be.
    #[serde(default)]
    pub role: Vec<RoleConfig>,
    /// Who can join by ticket.
    #[serde(default)]
    pub principal: Vec<PrincipalConfig>,
}

/// A role.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// Its name.
    pub name: String,
    /// `wamp_async`: speak the compatibility profile to its sessions.
    pub profile: Option<ProfileConfig>,
    /// What it may do; nothing without a rule.
    #[serde(default)]
    pub rule: Vec<RuleConfig>,
}

/// How to speak to a session.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileConfig {
    /// As the crate `wamp_async` needs it.
    WampAsync,
}

/// A rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A URI or pattern; `{authid}` in it stands for the session's authid.
    pub uri: String,
    /// `exact` (the default), `prefix` or `wildcard`.
    #[serde(default, rename = "match")]
    pub matching: MatchConfig,
    /// `call`, `register`, `publish`, `subscribe`.
    pub allow: Vec<ActionConfig>,
}

/// How a rule's URI is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchConfig {
    /// The same URI.
    #[default]
    Exact,
    /// A URI that begins with it.
    Prefix,
    /// Component by component; an empty one stands for any.
    Wildcard,
}

/// What a rule allows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionConfig {
    /// CALL.
    Call,
    /// REGISTER.
    Register,
    /// PUBLISH.
    Publish,
    /// SUBSCRIBE.
    Subscribe,
}

/// Somebody who can join by ticket.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalConfig {
    /// Who.
    pub authid: String,
    /// In which role.
    pub role: String,
    /// The file with the ticket. White space at its ends does not count.
    pub ticket_file: PathBuf,
}

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no such TOML.
    #[error("{path} is no valid configuration: {reason}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A ticket file holds nothing.
    #[error("{0} is empty: put a long random ticket into it")]
    EmptyTicket(PathBuf),
    /// There is nowhere to listen.
    #[error("no listener: add a [[listen]] with kind and address")]
    NoListener,
    /// A number is out of range.
    #[error("limits.{name} is {value}; it must be from {least} to {most}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What it is.
        value: usize,
        /// The least that it can be.
        least: usize,
        /// The most that it can be.
        most: usize,
    },
    /// A role is named that the realm lacks.
    #[error("realm {realm} has no role {role}: add a [[realm.role]] with that name")]
    NoSuchRole {
        /// The realm.
        realm: String,
        /// The role.
        role: String,
    },
    /// A realm's name is wrong or taken.
    #[error("realm {name:?} can't be used: {reason}")]
    Realm {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
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

    /// Realm `realm1`, open to everybody for everything: to try WAMP on one's own machine.
    pub fn open_realm(name: &str) -> RealmConfig {
        let everything = RuleConfig {
            uri: String::new(),
            matching: MatchConfig::Prefix,
            allow: vec![
                ActionConfig::Call,
                ActionConfig::Register,
                ActionConfig::Publish,
                ActionConfig::Subscribe,
            ],
        };
        let role = RoleConfig { name: "anonymous".into(), profile: None, rule: vec![everything] };
        RealmConfig {
            name: name.into(),
            anonymous_role: Some("anonymous".into()),
            strict_uris: false,
            role: vec![role],
            principal: Vec::new(),
        }
    }

    /// Checks what the types can't say.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListener);
        }
        self.limits.check()?;
        for (number, realm) in self.realm.iter().enumerate() {
            let wrong = |reason: String| ConfigError::Realm { name: realm.name.clone(), reason };
            ecep_proto::uri::Uri::parse(realm.name.as_str(), Strictness::Loose)
                .map_err(|error| wrong(error.to_string()))?;
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

impl RealmConfig {
    pub(crate) fn roles(&self) -> Vec<Role> {
        self.role.iter().map(RoleConfig::role).collect()
    }

    pub(crate) fn strictness(&self) -> Strictness {
        if self.strict_uris { Strictness::Strict } else { Strictness::Loose }
    }
}

impl RoleConfig {
    fn role(&self) -> Role {
        let profile = match self.profile {
            Some(ProfileConfig::WampAsync) => Profile::WampAsync,
            None => Profile::Standard,
        };
        Role { name: self.name.clone(), profile, rules: self.rule.iter().map(RuleConfig::rule).collect() }
    }
}

impl RuleConfig {
    fn rule(&self) -> Rule {
        let matching = match self.matching {
            MatchConfig::Exact => Match::Exact,
            MatchConfig::Prefix => Match::Prefix,
            MatchConfig::Wildcard => Match::Wildcard,
        };
        let actions = self.allow.iter().map(|action| match action {
            ActionConfig::Call => Action::Call,
            ActionConfig::Register => Action::Register,
            ActionConfig::Publish => Action::Publish,
            ActionConfig::Subscribe => Action::Subscribe,
        });
        Rule { uri: self.uri.clone(), matching, actions: actions.collect() }
    }
}

/// A secret from a file, without the white space at its ends.
pub(crate) fn read_ticket(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    match text.trim() {
        "" => Err(ConfigError::EmptyTicket(path.to_owned())),
        ticket => Ok(ticket.to_owned()),
    }
}
