//! A tenant's figures for Prometheus, for people of the tenant and for programs with an API token of it.

use super::{Answer, request::Request};
use crate::metrics::page_of;

/// Answers the page.
pub(super) async fn tenant_metrics(request: Request) -> Answer {
    Ok(page_of(request.app.control.telemetry_of(request.tenant()?)))
}
