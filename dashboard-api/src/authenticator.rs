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
    store::Device,
    tickets::{Basis, Opens},
};

/// What opens no tenant's realm.
const NOT_GOOD: &str = "This ticket is not good: it was used already, has expired, was revoked, or is not this realm's. Browsers and devices ask the control plane for a new one; programs need a valid API token, with its id as the authid.";

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

    /// Lets in whoever has a ticket. What it was given for is looked up anew: it may have ended while the ticket was made or
    /// on its way, and whatever ends takes back only the tickets that there are. A person's session ends with their login.
    fn admit(
        &self,
        authid: &str,
        tenant: Option<&TenantSlug>,
        opens: &Opens,
    ) -> Result<AuthenticateReply, ApiError> {
        let now = unix_ms();
        let mut ends_in_ms = None;
        match &opens.basis {
            Basis::Login { cookie, ends_at } => {
                let is_in = self.store.session(*cookie)?.is_some_and(|login| login.account == authid);
                let account = self.store.account(authid)?.filter(|account| !account.disabled);
                let role = tenant.map(|tenant| self.store.role_in(authid, tenant)).transpose()?.flatten();
                if !is_in || account.is_none() || role != Some(opens.role) || *ends_at <= now {
                    return Err(forbidden("Your access to this tenant has changed. Log in again."));
                }
                ends_in_ms = Some(ends_at.saturating_sub(now));
            }
            Basis::Key(key) => {
                let device = authid.parse().ok().map(|id| self.store.device(&id)).transpose()?.flatten();
                let is_good =
                    |row: &Device| row.public_key == *key || row.old_key.as_deref() == Some(key.as_str());
                if !device.as_ref().is_some_and(is_good) {
                    return Err(forbidden(
                        "This device was removed, or has another key. Ask for a ticket with that key, or enrol it again.",
                    ));
                }
            }
            Basis::Share(tenant) => {
                let tenants = authid.parse().ok().and_then(|id| self.view().tenants_of(&id));
                if !tenants.is_some_and(|tenants| tenants.contains(tenant)) {
                    return Err(forbidden("This tenant has no share in the device any more."));
                }
            }
        }
        Ok(AuthenticateReply { authid: authid.to_owned(), authrole: opens.role, ends_in_ms })
    }

    fn decide(&self, request: &AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
        if request.authmethod != "ticket" {
            return Err(forbidden("This realm takes the method ticket only."));
        }
        let tenant = self.tenant_of_realm(&request.realm)?;
        if tenant.is_none() && request.realm != realm::CONTROL {
            // As of a tenant that there is: nobody learns which there are.
            return Err(forbidden(NOT_GOOD));
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
            None => Err(forbidden(NOT_GOOD)),
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

#[cfg(test)]
mod tests {
    use ecep_proto::api::{auth::Transport, roles::Role};

    use super::*;
    use crate::{
        config::Config,
        password::Passwords,
        secret::SecretHash,
        store::{Account, Session, Store, Tenant},
    };

    fn control(folder: &std::path::Path) -> ControlPlane {
        let config = Config {
            data: folder.to_owned(),
            listen: vec![],
            tls_certificate: None,
            tls_key: None,
            router: "ws://127.0.0.1:9/".parse().unwrap(),
            router_ca: None,
            router_ticket_file: folder.join("ticket"),
            wamp_url: "ws://127.0.0.1:9/".parse().unwrap(),
            device_wamp_url: "ws://127.0.0.1:9/".parse().unwrap(),
            public_url: None,
            trusted_proxy: vec![],
            address_pool: "10.192.0.0/10".parse().unwrap(),
            channel_listen: vec![],
            device_channel: None,
            stored_bytes: crate::config::STORED_BYTES,
            artifact_quota: crate::artifacts::DEFAULT_QUOTA_BYTES,
            keep_free: 0,
            metrics_listen: None,
        };
        let store = Store::open(folder).unwrap();
        ControlPlane::load(config, store, Passwords::new().unwrap()).unwrap()
    }

    fn ask(control: &ControlPlane, realm: &str, authid: &str, ticket: String) -> Result<Role, ApiError> {
        let request = AuthenticateRequest {
            realm: realm.to_owned(),
            authid: authid.to_owned(),
            authmethod: "ticket".to_owned(),
            ticket,
            transport: Transport { kind: "websocket".to_owned(), peer: "127.0.0.1:1".to_owned() },
        };
        control.authenticate(&request).map(|reply| reply.authrole)
    }

    /// A ticket that was made while its login ended was not there yet to be taken back: it must open nothing all the same.
    #[tokio::test]
    async fn a_ticket_of_a_login_that_has_ended_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(folder.path());
        let maria = Account { admin: true, ..Account::maria() };
        let acme: TenantSlug = "acme".parse().unwrap();
        let tenant = Tenant { slug: acme.clone(), name: "Acme".to_owned(), created_at: 1, deleted_at: None };
        control.store.add_first_account(&maria, &tenant).await.unwrap();
        let (cookie, ends_at) = (SecretHash::of("cookie"), unix_ms() + 600_000);
        let login = Session { account: maria.id.clone(), expires_at: ends_at, ..Session::default() };
        control.store.log_in(&maria, cookie, &login).await.unwrap();
        let ticket = || control.issue_browser_ticket("maria", &acme, Role::Owner, (cookie, ends_at)).unwrap();
        let realm = realm::of_tenant(&acme);
        assert_eq!(ask(&control, &realm, "maria", ticket()), Ok(Role::Owner));
        control.store.close_session(cookie).await.unwrap();
        assert!(ask(&control, &realm, "maria", ticket()).is_err());
    }

    /// The same for a device that was removed or has another key, and for a share that is over.
    #[tokio::test]
    async fn a_ticket_of_a_device_that_was_removed_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(folder.path());
        let (edge, acme): (ecep_proto::api::name::DeviceId, TenantSlug) =
            ("edge".parse().unwrap(), "acme".parse().unwrap());
        let by_key = control.issue_device_ticket(&edge, "a key").unwrap();
        let by_share = control.issue_share_ticket(&edge, &acme).unwrap();
        assert!(ask(&control, realm::CONTROL, "edge", by_key).unwrap_err().message.contains("removed"));
        let account = Account { admin: true, ..Account::maria() };
        let tenant = Tenant { slug: acme.clone(), name: "Acme".to_owned(), created_at: 1, deleted_at: None };
        control.store.add_first_account(&account, &tenant).await.unwrap();
        let refused = ask(&control, &realm::of_tenant(&acme), "edge", by_share).unwrap_err();
        assert!(refused.message.contains("no share"), "{refused:?}");
    }
}
