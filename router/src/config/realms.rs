//! The realms, and who can join them.

use std::path::PathBuf;

use ecep_proto::uri::{Strictness, Uri};
use ecep_router_core::greeting::ANONYMOUS;
use ecep_router_core::permissions::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActionConfig, Config, MatchConfig, RoleConfig, RuleConfig};
use crate::platform;

/// The platform's realms.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlatformConfig {
    /// The file with the ticket by which the control plane proves itself. White space at its ends does not
    /// count.
    pub control_ticket_file: PathBuf,
}

/// A realm that is not the platform's.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealmConfig {
    /// Its URI: what clients name in HELLO.
    pub name: String,
    /// The role of clients that don't say who they are. Without it they are not let in.
    pub anonymous_role: Option<String>,
    /// Take only URIs of lower-case letters, digits and `_`, so that no two look alike. Loose ones (anything but white
    /// space and `#`) are what the specification makes the default.
    #[serde(default)]
    pub strict_uris: bool,
    /// Take the ids of a session's requests only in sequence, from 1, as the specification has it. By default they can
    /// come in any order, as some clients (wamp_async) draw them at random.
    #[serde(default)]
    pub strict_request_ids: bool,
    /// What sessions of the realm can be.
    #[serde(default)]
    pub role: Vec<RoleConfig>,
    /// Somebody who can join the realm by ticket.
    #[serde(default)]
    pub principal: Vec<PrincipalConfig>,
}

/// Somebody who can join by ticket.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalConfig {
    /// The name: what the client says in HELLO, and what others learn.
    pub authid: String,
    /// The role that it gets: one of the realm's.
    pub role: String,
    /// The file with the ticket, a long random text; it stands in a file of its own so that this one can be shown around.
    /// White space at its ends does not count.
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

/// What is wrong with them beyond their shape.
pub(super) fn mistakes(realms: &[RealmConfig]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, realm) in realms.iter().enumerate() {
        let (place, name) = (format!("realm[{number}]"), &realm.name);
        if let Err(error) = Uri::parse(name.as_str(), Strictness::Loose) {
            wrong.push(format!("{place}.name {name:?} is no name of a realm: {error}"));
        }
        if platform::is_platform_realm(name) {
            wrong.push(format!("{place}.name {name:?} belongs to the platform: use [platform]"));
        }
        if realms[..number].iter().any(|other| other.name == *name) {
            wrong.push(format!("{place}.name {name:?} is there twice"));
        }
        for (number, role) in realm.role.iter().enumerate() {
            if realm.role[..number].iter().any(|other| other.name == role.name) {
                wrong.push(format!("{place}.role[{number}].name {:?} is there twice", role.name));
            }
        }
        for (number, principal) in realm.principal.iter().enumerate() {
            if realm.principal[..number].iter().any(|other| other.authid == principal.authid) {
                wrong.push(format!(
                    "{place}.principal[{number}].authid {:?} is there twice",
                    principal.authid
                ));
            }
        }
        if let Some(number) = realm.principal.iter().position(|principal| principal.authid == ANONYMOUS) {
            wrong.push(format!(
                "{place}.principal[{number}].authid {ANONYMOUS:?} is what clients without a name are called"
            ));
        }
        let principals = realm.principal.iter().enumerate();
        let roles =
            principals.map(|(number, principal)| (format!("principal[{number}].role"), &principal.role));
        let roles = roles.chain(realm.anonymous_role.iter().map(|role| ("anonymous_role".to_owned(), role)));
        for (key, role) in roles.filter(|(_, role)| !realm.role.iter().any(|known| known.name == **role)) {
            wrong.push(format!(
                "{place}.{key} is {role:?}, but realm {name} has no role {role}: add a [[realm.role]]"
            ));
        }
    }
    wrong
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
            strict_request_ids: false,
            role: vec![role],
            principal: Vec::new(),
        }
    }
}
