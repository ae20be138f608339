//! The platform's realms: which they are, and their roles as the catalogue of `ecep-proto` defines them.

use ecep_proto::api::roles::{self, Matching};
use ecep_proto::api::{Authenticate, EndSessions, Home, Procedure, realm};
use ecep_proto::uri::{Match, Strictness};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::profile::Profile;
use ecep_router_core::{Limits, RealmConfig};

/// Authid and role of the router's own session on the control realm.
pub(crate) const ROUTER: &str = "router";

/// The name of the control realm.
pub(crate) use ecep_proto::api::realm::CONTROL;

pub(crate) fn is_platform_realm(name: &str) -> bool {
    name == CONTROL || name.starts_with(realm::TENANT_PREFIX)
}

/// Whether the platform has a realm of that name.
pub(crate) fn is_served(name: &str) -> bool {
    home(name).is_some()
}

fn home(name: &str) -> Option<Home> {
    if name == CONTROL { Some(Home::Control) } else { realm::tenant_of(name).map(|_| Home::Tenant) }
}

/// The realm of that name; none if the platform has none such.
pub(crate) fn realm_config(name: &str, limits: Limits) -> Option<RealmConfig> {
    let home = home(name)?;
    let mut roles: Vec<Role> = roles::Role::ALL.iter().map(|role| platform_role(*role, home)).collect();
    if home == Home::Control {
        let rule =
            |uri: &str, action| Rule { uri: uri.to_owned(), matching: Match::Exact, actions: vec![action] };
        let rules = vec![rule(Authenticate::URI, Action::Call), rule(EndSessions::URI, Action::Register)];
        roles.push(Role { name: ROUTER.to_owned(), rules, ..Role::default() });
    }
    Some(RealmConfig {
        name: name.to_owned(),
        roles,
        strictness: Strictness::Loose,
        strict_requests: false,
        limits,
    })
}

fn platform_role(role: roles::Role, home: Home) -> Role {
    let rules = roles::rules(role, home).into_iter().map(|rule| Rule {
        uri: rule.uri,
        matching: match rule.matching {
            Matching::Exact => Match::Exact,
            Matching::Wildcard => Match::Wildcard,
        },
        actions: vec![match rule.action {
            roles::Action::Call => Action::Call,
            roles::Action::Register => Action::Register,
            roles::Action::Publish => Action::Publish,
            roles::Action::Subscribe => Action::Subscribe,
        }],
    });
    let profile = if role.is_wamp_async() { Profile::WampAsync } else { Profile::Standard };
    Role { name: role.as_str().to_owned(), profile, rules: rules.collect(), ..Role::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The core puts authids into rules by its own placeholder: it must be the one that the catalogue writes.
    #[test]
    fn placeholders_agree() {
        assert_eq!(roles::AUTHID_PLACEHOLDER, ecep_router_core::permissions::AUTHID_PLACEHOLDER);
    }

    /// Only well-formed names of tenants become realms, or anybody could make the router keep any name.
    #[test]
    fn names() {
        assert!(is_served(CONTROL));
        let is_tenant = |slug: &str| is_served(&format!("{}{slug}", realm::TENANT_PREFIX));
        assert!(is_tenant("acme"));
        assert!(!is_tenant(""));
        assert!(!is_tenant("a.b"));
        assert!(!is_served("realm1"));
    }
}
