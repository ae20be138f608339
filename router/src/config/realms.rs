//! The realms, and who can join them.

use std::path::PathBuf;

use ecep_proto::uri::Strictness;
use ecep_router_core::permissions::Role;
use serde::Deserialize;

use super::{ActionConfig, Config, MatchConfig, RoleConfig, RuleConfig};

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

impl RealmConfig {
    pub(crate) fn roles(&self) -> Vec<Role> {
        self.role.iter().map(RoleConfig::role).collect()
    }

    pub(crate) fn strictness(&self) -> Strictness {
        if self.strict_uris { Strictness::Strict } else { Strictness::Loose }
    }
}

impl Config {
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
        let role = RoleConfig { name: "anonymous".into(), rule: vec![everything], ..RoleConfig::default() };
        RealmConfig {
            name: name.into(),
            anonymous_role: Some("anonymous".into()),
            strict_uris: false,
            role: vec![role],
            principal: Vec::new(),
        }
    }
}
