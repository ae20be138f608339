//! Who may join which realm, and in which role: the answer to the router's question.

use ecep_proto::api::{
    auth::{AuthenticateReply, AuthenticateRequest},
    error::{ApiError, ErrorKind},
    name::TenantSlug,
    realm,
};

use crate::{
    clock::{readable, unix_ms},
    control::ControlPlane,
    tickets::Opens,
};

impl ControlPlane {
    /// Decides about a client that wants to join. Devices come with tickets, people's browsers too, programs with
    /// the secret of an API token.
    ///
    /// # Errors
    /// `Forbidden` with a sentence for the client; `Unavailable` if the store fails.
    pub fn authenticate(&self, request: &AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
        let verdict = self.decide(request);
        self.metrics.joined(verdict.is_ok());
        if let Err(refusal) = &verdict {
            tracing::info!(
                realm = ?start_of(&request.realm),
                authid = ?start_of(&request.authid),
                peer = %request.transport.peer,
                reason = %refusal,
                "client refused"
            );
        }
        verdict
    }

    /// Lets in whoever has a ticket. A person's role is looked up anew, since it may have changed while the ticket was on
    /// its way; their session ends with their login.
    fn admit(
        &self,
        authid: &str,
        tenant: Option<&TenantSlug>,
        opens: &Opens,
    ) -> Result<AuthenticateReply, ApiError> {
        let now = unix_ms();
        if let (Some(tenant), Some(ends_at)) = (tenant, opens.login_ends_at) {
            let account = self.store.account(authid)?.filter(|account| !account.disabled);
            let role = self.store.role_in(authid, tenant)?;
            if account.is_none() || role != Some(opens.role) || ends_at <= now {
                return Err(forbidden("Your access to this tenant has changed. Log in again."));
            }
        }
        let ends_in_ms = opens.login_ends_at.map(|ends_at| ends_at.saturating_sub(now));
        Ok(AuthenticateReply { authid: authid.to_owned(), authrole: opens.role, ends_in_ms })
    }

    fn decide(&self, request: &AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
        if request.authmethod != "ticket" {
            return Err(forbidden("This realm takes the method ticket only."));
        }
        let tenant = self.tenant_of_realm(&request.realm)?;
        if tenant.is_none() && request.realm != realm::CONTROL {
            return Err(forbidden("The ticket does not open this realm. Check the realm's name."));
        }
        let spent = self.tickets().spend(self.clock.now(), &request.authid, &request.realm, &request.ticket);
        if let Some(opens) = spent {
            return self.admit(&request.authid, tenant.as_ref(), &opens);
        }
        let Some(tenant) = tenant else {
            return Err(forbidden(
                "This ticket is not good: it was used already, has expired, or was never made. Ask the control plane for a new one.",
            ));
        };
        let now = unix_ms();
        let token = self.store.api_token(&request.authid)?;
        let token = token.filter(|token| token.tenant == tenant && token.secret.matches(&request.ticket));
        match token {
            Some(token) if token.expires_at > now => {
                self.store.note_token_use(&token, now, address_of(&request.transport.peer))?;
                Ok(AuthenticateReply {
                    authid: token.id,
                    authrole: token.role,
                    ends_in_ms: Some(token.expires_at - now),
                })
            }
            Some(token) => Err(forbidden(format!(
                "This API token expired on {}. An owner of the tenant can make a new one on the dashboard.",
                readable(token.expires_at)
            ))),
            None => Err(forbidden(
                "This ticket is not good: it was used already, has expired, was revoked, or is not this realm's. Browsers and devices ask the control plane for a new one; programs need a valid API token, with its id as the authid.",
            )),
        }
    }
}

/// The peer's address without its port.
fn address_of(peer: &str) -> &str {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    start_of(host.trim_start_matches('[').trim_end_matches(']'))
}

/// What a stranger sent goes into the log quoted and cut.
fn start_of(text: &str) -> &str {
    const LOGGED: usize = 80;
    text.char_indices().nth(LOGGED).map_or(text, |(end, _)| &text[..end])
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Forbidden, message)
}
