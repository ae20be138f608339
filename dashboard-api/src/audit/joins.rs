//! From where who has last joined which tenant's realm. It is in memory alone: the router tells it with each join.

use std::collections::HashMap;

use ecep_proto::api::{audit::cut, name::TenantSlug};

/// Places remembered, about 2 MB. Policy: when there are as many, all are forgotten; entries lack the address until their actors
/// join again.
const MAX_REMEMBERED: usize = 20_000;

/// The addresses.
#[derive(Debug, Default)]
pub(super) struct Joins {
    peers: HashMap<(TenantSlug, String), String>,
}

impl Joins {
    pub(super) fn joined(&mut self, tenant: &TenantSlug, authid: &str, peer: &str) {
        let key = (tenant.clone(), authid.to_owned());
        if self.peers.len() >= MAX_REMEMBERED && !self.peers.contains_key(&key) {
            self.peers.clear();
        }
        // The port says nothing to a person.
        let address =
            peer.parse().map_or_else(|_| cut(peer), |peer: std::net::SocketAddr| peer.ip().to_string());
        self.peers.insert(key, address);
    }

    pub(super) fn address(&self, tenant: &TenantSlug, authid: &str) -> Option<String> {
        self.peers.get(&(tenant.clone(), authid.to_owned())).cloned()
    }
}
