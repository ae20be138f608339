//! A new configuration for a router that runs: checked first, then put into force without dropping sessions.
//!
//! Principals, roles and limits change at once, but for the few limits that are of use only when a connection is made:
//! their keys say so. What a socket or a realm is built on can't change: that is refused, and then nothing changes at
//! all.

use std::sync::{Arc, Weak};

use thiserror::Error;
use tokio::sync::Mutex;

use crate::auth::Gatekeeper;
use crate::config::{Config, ConfigError};
use crate::connection::Shared;
use crate::realm_configs::RealmConfigs;

/// Why nothing has changed.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what can't change.
    #[error("this can't change while the router runs; start it anew:\n  {}", .0.join("\n  "))]
    Fixed(
        /// What, each with its place.
        Vec<String>,
    ),
}

/// The way to give a running router another configuration. Cloning gives another way to the same router.
#[derive(Clone)]
pub struct Reloader {
    /// Gone when the router is.
    shared: Weak<Shared>,
    current: Arc<Mutex<Config>>,
}

impl Reloader {
    pub(crate) fn new(shared: &Arc<Shared>, current: Config) -> Self {
        Self { shared: Arc::downgrade(shared), current: Arc::new(Mutex::new(current)) }
    }

    /// Checks the configuration and puts it into force; tickets are read anew.
    ///
    /// # Errors
    /// Says why nothing has changed.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let mut current = self.current.lock().await;
        config.check()?;
        let fixed = fixed(&current, &config);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let Shared { hub, gatekeeper, limits, .. } = &*shared;
        let old = gatekeeper.get();
        let new = Gatekeeper::new(&config, old.authenticator())?;
        let changes = new.changes_since(&old);
        limits.set(config.limits.clone());
        hub.limits.set(&config.limits);
        hub.budget.set_total(config.limits.max_total_queue_bytes);
        // First nobody is let in any more as before; then those who were are dealt with.
        gatekeeper.set(new);
        hub.reconfigure(RealmConfigs::of(&config), &changes).await;
        *current = config;
        Ok(())
    }
}

/// What differs that can't be changed.
fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let mut fixed = Vec::new();
    if old.listen != new.listen {
        fixed.push("listen: clients would lose the address that they connect to".to_owned());
    }
    if old.http != new.http {
        fixed.push("http: the listener is bound once".to_owned());
    }
    if old.platform.is_some() != new.platform.is_some() {
        fixed.push("platform: its realms are served from the start or not at all".to_owned());
    }
    for realm in &old.realm {
        match new.realm.iter().find(|other| other.name == realm.name) {
            None => {
                fixed.push(format!("realm {}: it is gone, and its sessions would have no place", realm.name))
            }
            Some(other) if other.strict_uris != realm.strict_uris => {
                let name = &realm.name;
                fixed.push(format!(
                    "realm {name}: strict_uris, as URIs that it has already may be wrong then"
                ));
            }
            Some(other) if other.strict_request_ids != realm.strict_request_ids => {
                fixed.push(format!(
                    "realm {}: strict_request_ids, as its sessions have begun to count",
                    realm.name
                ));
            }
            Some(_) => {}
        }
    }
    fixed
}
