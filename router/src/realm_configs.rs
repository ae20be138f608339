//! What each realm is made from: those of the configuration, and the platform's if they are served.

use std::collections::HashMap;

use ecep_router_core::{Limits, RealmConfig};

use crate::config::Config;
use crate::platform;

/// All realms that can be started.
#[derive(Debug, Default)]
pub(crate) struct RealmConfigs {
    configured: HashMap<String, RealmConfig>,
    /// Whether the platform's realms are served.
    platform: bool,
    limits: Limits,
}

impl RealmConfigs {
    /// As the configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        let limits = config.limits.of_session();
        let configured = config.realm.iter().map(|realm| {
            let (name, roles, strictness) = (realm.name.clone(), realm.roles(), realm.strictness());
            let strict_requests = realm.strict_request_ids;
            (name.clone(), RealmConfig { name, roles, strictness, strict_requests, limits })
        });
        Self { configured: configured.collect(), platform: config.platform.is_some(), limits }
    }

    /// What the realm is made from; none if there is no such realm.
    pub(crate) fn get(&self, name: &str) -> Option<RealmConfig> {
        if let Some(config) = self.configured.get(name) {
            return Some(config.clone());
        }
        if self.platform { platform::realm_config(name, self.limits) } else { None }
    }

    /// Whether the realm is one of the configuration.
    pub(crate) fn is_configured(&self, name: &str) -> bool {
        self.configured.contains_key(name)
    }
}
