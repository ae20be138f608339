//! Where operators look.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TlsConfig;

/// `/metrics` and `/healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// IP address and port, for operators only: whoever reaches it learns the realms' names and how busy they are.
    pub address: SocketAddr,
    /// Speak TLS here, as a listener does.
    pub tls: Option<TlsConfig>,
}
