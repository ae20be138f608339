//! Who may join which realm, and in which role: the answer to the router's question.

use ecep_proto::api::{
    auth::{AuthenticateReply, AuthenticateRequest},
    error::{ApiError, ErrorKind},
    realm,
};

use crate::{
    clock::{readable, unix_ms},
    control::ControlPlane,
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

    fn decide(&self, request: &AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
        if request.authmethod != "ticket" {
            return Err(forbidden("This realm takes the method ticket only."));
        }
        let tenant = self.tenant_of_realm(&request.realm)?;
        if tenant.is_none() && request.realm != realm::CONTROL {
            return Err(forbidden("The ticket does not open this realm. Check the realm's name."));
        }
        let spent = self.tickets().spend(self.clock.now(), &request.authid, &request.realm, &request.ticket);
        if let Some(authrole) = spent {
            return Ok(AuthenticateReply { authid: request.authid.clone(), authrole, ends_in_ms: None });
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
            Some(token) if token.expires_at > now => Ok(AuthenticateReply {
                authid: token.id,
                authrole: token.role,
                ends_in_ms: Some(token.expires_at - now),
            }),
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

/// What a stranger sent goes into the log quoted and cut.
fn start_of(text: &str) -> &str {
    const LOGGED: usize = 80;
    text.char_indices().nth(LOGGED).map_or(text, |(end, _)| &text[..end])
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Forbidden, message)
}
