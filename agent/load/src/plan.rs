//! What there is to load: the platform's addresses, its tenants, and how many devices each has. Written by whoever set the
//! platform up; it holds secrets.

use std::path::Path;

use anyhow::{Context, Result};
use ecep_proto::api::name::TenantSlug;
use serde::Deserialize;

/// The platform.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// The control plane, `http://host:port`.
    pub cloud: String,
    /// The router.
    pub wamp: String,
    /// A login's cookie, as a browser sends it.
    pub cookie: String,
    /// The tenants.
    pub tenants: Vec<Tenant>,
}

/// A tenant.
#[derive(Debug, Clone, Deserialize)]
pub struct Tenant {
    /// Which.
    pub slug: TenantSlug,
    /// Lets its devices in.
    pub join_token: String,
    /// The id of an API token of the role `operator`.
    pub token_id: String,
    /// Its secret.
    pub token_secret: String,
    /// How many devices it has.
    pub devices: u32,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// The file cannot be read, or is no plan.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no plan", file.display()))
    }

    /// Every device, with its tenant and its name; the same in each process that reads the plan.
    pub fn devices(&self) -> Vec<(&Tenant, String)> {
        let of = |tenant| move |number| (tenant, format!("edge-{number}"));
        self.tenants.iter().flat_map(|tenant| (1..=tenant.devices).map(of(tenant))).collect()
    }

    /// How many devices all tenants have.
    pub fn device_count(&self) -> usize {
        self.devices().len()
    }
}
