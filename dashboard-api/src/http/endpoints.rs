//! The table of every HTTP endpoint: its method and path, who may call it, what goes in and comes out, and its handler.
//! Requests are routed and callers are judged by this table, so what is not in it does not exist.
//!
//! Must not know how callers are told apart (`guard`), nor what the handlers do.

use std::pin::Pin;

use ecep_proto::api::roles::Role;
use warp::http::Method;

use super::{
    Answer, accounts, audit, devices, files, invitations, log, login, members, metrics, own_account,
    request::Request, session, setup, shares, tenants, terminal, tokens, uploads,
};
use crate::openapi::{BYTES, OBJECT, TEXT};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever can reach the port.
    Anyone,
    /// A device, which proves in the body who it is. It has no cookie, so other sites are not guarded against.
    Device,
    /// Somebody who is logged in.
    Person,
    /// An administrator of the installation.
    Administrator,
    /// Somebody who is logged in and has one of these roles in the tenant of the path, or one of its API tokens with one
    /// of those. To everybody else the tenant looks as if it did not exist.
    Tenant {
        /// The roles of people.
        members: &'static [Role],
        /// The roles of API tokens.
        tokens: &'static [Role],
    },
}

/// Every member of a tenant, and its API tokens.
const ALL: Access = Access::Tenant {
    members: &[Role::Owner, Role::Operator, Role::Viewer],
    tokens: &[Role::Operator, Role::Viewer, Role::Telemetry],
};
/// Every member of a tenant, and those of its API tokens that may ask.
pub(super) const READERS: Access = Access::Tenant {
    members: &[Role::Owner, Role::Operator, Role::Viewer],
    tokens: &[Role::Operator, Role::Viewer],
};
/// A tenant's owners and operators, and its API tokens that may change things.
pub(super) const WRITERS: Access =
    Access::Tenant { members: &[Role::Owner, Role::Operator], tokens: &[Role::Operator] };
/// Every member of a tenant.
const MEMBERS: Access = Access::Tenant { members: &[Role::Owner, Role::Operator, Role::Viewer], tokens: &[] };
/// A tenant's owners.
const OWNERS: Access = Access::Tenant { members: &[Role::Owner], tokens: &[] };

/// Does what an endpoint is for, once its caller has been judged.
pub(super) type Handler = fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// One method of one path.
pub struct Endpoint {
    /// The method; `GET` stands for `HEAD` too.
    pub method: Method,
    /// The path; a segment in braces stands for any one segment.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// The type of `ecep_proto::api` that the body must have.
    pub request: Option<&'static str>,
    /// The type of the answer's body, `[]` after it for a list.
    pub reply: Option<&'static str>,
    /// The filters that its query takes.
    pub query: &'static [&'static str],
    /// Whether its answer is a line of `reply` after the other (`application/x-ndjson`, or CSV) instead of one JSON value.
    pub is_stream: bool,
    /// The status of a good answer.
    pub status: u16,
    /// Whether it lists by pages: takes `limit` and `after` in its query, and answers `next`.
    pub paged: bool,
    /// The status of a good answer alone says nothing: it speaks tus 1.0, whose headers say the rest, and takes no key for doing an order once.
    pub is_tus: bool,
    pub(super) handler: Handler,
}

impl Endpoint {
    const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method,
            path,
            access,
            summary,
            request: None,
            reply: None,
            query: &[],
            is_stream: false,
            status: 204,
            paged: false,
            is_tus: false,
            handler,
        }
    }

    /// Whether it may change something, and so goes into the audit. Parts of uploads do not: their handler writes down what has come of them
    /// all.
    pub fn is_change(&self) -> bool {
        let is_part = self.is_tus && matches!(self.method, Method::PATCH | Method::OPTIONS);
        self.method != Method::GET && !is_part && !NO_CHANGES.contains(&self.path)
    }

    /// Whether it makes something, and so can be told by a key to do it once.
    pub fn takes_key(&self) -> bool {
        self.method == Method::POST
            && self.status == 201
            && !self.is_tus
            && !matches!(self.access, Access::Anyone | Access::Device)
    }

    /// What it is called in the audit.
    pub fn action(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    const fn get(path: &'static str, access: Access, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::GET, path, access, summary, handler)
    }

    const fn post(path: &'static str, access: Access, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::POST, path, access, summary, handler)
    }

    const fn put(path: &'static str, access: Access, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::PUT, path, access, summary, handler)
    }

    const fn patch(path: &'static str, access: Access, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::PATCH, path, access, summary, handler)
    }

    const fn delete(path: &'static str, access: Access, summary: &'static str, handler: Handler) -> Self {
        Self::new(Method::DELETE, path, access, summary, handler)
    }

    const fn takes(mut self, request: &'static str) -> Self {
        self.request = Some(request);
        self
    }

    const fn answers(mut self, status: u16, reply: &'static str) -> Self {
        self.status = status;
        self.reply = Some(reply);
        self
    }

    const fn by_pages(mut self) -> Self {
        self.paged = true;
        self
    }

    /// Lines, and the filters of an export.
    const fn exports(mut self, reply: &'static str, query: &'static [&'static str]) -> Self {
        self.status = 200;
        self.reply = Some(reply);
        self.query = query;
        self.is_stream = true;
        self
    }

    const fn tus(mut self) -> Self {
        self.is_tus = true;
        self
    }

    const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Paths whose `POST` changes nothing that is kept: they show, or give tickets, far too often to be noted.
const NO_CHANGES: &[&str] = &["/api/wamp-ticket", "/api/device/session", "/api/invitations/show"];

/// Where the OpenAPI document is.
pub const OPENAPI_PATH: &str = "/api/openapi.json";

/// All of them.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint::get(OPENAPI_PATH, Access::Anyone, "This API as an OpenAPI 3.1 document.", |request| {
        Box::pin(session::openapi(request))
    })
    .answers(200, OBJECT),
    Endpoint::get("/healthz", Access::Anyone, "Whether it runs, and serves every realm.", |request| {
        Box::pin(session::health(request))
    })
    .answers(200, "Health"),
    // The first run and logins.
    Endpoint::get("/api/setup", Access::Anyone, "Whether there is no account yet.", |request| {
        Box::pin(setup::state(request))
    })
    .answers(200, "SetupState"),
    Endpoint::post(
        "/api/setup",
        Access::Anyone,
        "Makes the first account and the first tenant.",
        |request| Box::pin(setup::first_account(request)),
    )
    .takes("SetupRequest")
    .with_status(201),
    Endpoint::post("/api/login", Access::Anyone, "Logs in; sets the session cookie.", |request| {
        Box::pin(login::login(request))
    })
    .takes("LoginRequest")
    .answers(200, "SessionView"),
    Endpoint::post("/api/logout", Access::Anyone, "Ends the login, also one that has ended.", |request| {
        Box::pin(login::logout(request))
    }),
    Endpoint::get("/api/session", Access::Person, "Who is logged in.", |request| {
        Box::pin(session::session(request))
    })
    .answers(200, "SessionView"),
    Endpoint::post(
        "/api/wamp-ticket",
        Access::Person,
        "A single-use ticket to join a tenant's realm.",
        |request| Box::pin(session::wamp_ticket(request)),
    )
    .takes("TicketRequest")
    .answers(200, "TicketReply"),
    // One's own account.
    Endpoint::post(
        "/api/account/password",
        Access::Person,
        "Changes one's own password; ends all other logins and all WAMP sessions.",
        |request| Box::pin(own_account::change_password(request)),
    )
    .takes("ChangePassword"),
    Endpoint::get("/api/account/logins", Access::Person, "Where one is logged in.", |request| {
        Box::pin(own_account::logins(request))
    })
    .answers(200, "LoginView[]"),
    Endpoint::delete("/api/account/logins", Access::Person, "Ends all of one's other logins.", |request| {
        Box::pin(own_account::end_other_logins(request))
    }),
    Endpoint::delete("/api/account/logins/{id}", Access::Person, "Ends one of one's logins.", |request| {
        Box::pin(own_account::end_login(request))
    }),
    // Invitations, for whoever has one.
    Endpoint::post("/api/invitations/show", Access::Anyone, "What an invitation offers.", |request| {
        Box::pin(invitations::show(request))
    })
    .takes("ShowInvitation")
    .answers(200, "InvitationOffer"),
    Endpoint::post(
        "/api/invitations/accept",
        Access::Anyone,
        "Accepts an invitation, by a login or by a password.",
        |request| Box::pin(invitations::accept(request)),
    )
    .takes("AcceptInvitation")
    .answers(200, "Membership"),
    // The installation.
    Endpoint::get("/api/accounts", Access::Administrator, "All accounts.", |request| {
        Box::pin(accounts::accounts(request))
    })
    .answers(200, "AccountPage")
    .by_pages(),
    Endpoint::post("/api/accounts", Access::Administrator, "Makes an account.", |request| {
        Box::pin(accounts::make_account(request))
    })
    .takes("NewAccount")
    .with_status(201),
    Endpoint::patch(
        "/api/accounts/{id}",
        Access::Administrator,
        "Disables an account, which ends everything of it at once, or enables it.",
        |request| Box::pin(accounts::change_account(request)),
    )
    .takes("ChangeAccount"),
    Endpoint::get("/api/tenants", Access::Administrator, "All tenants.", |request| {
        Box::pin(tenants::tenants(request))
    })
    .answers(200, "TenantPage")
    .by_pages(),
    Endpoint::post(
        "/api/tenants",
        Access::Administrator,
        "Makes a tenant, which whoever makes it owns.",
        |request| Box::pin(tenants::make_tenant(request)),
    )
    .takes("NewTenant")
    .answers(201, "Membership"),
    Endpoint::patch("/api/tenants/{slug}", Access::Administrator, "Renames a tenant.", |request| {
        Box::pin(tenants::rename_tenant(request))
    })
    .takes("ChangeTenant"),
    Endpoint::delete(
        "/api/tenants/{slug}",
        Access::Administrator,
        "Deletes a tenant that has neither devices nor shares of others' nor containers.",
        |request| Box::pin(tenants::delete_tenant(request)),
    )
    .takes("DeleteTenant"),
    // A tenant's people.
    Endpoint::get("/api/tenants/{slug}", ALL, "The tenant, and the role of whoever asks.", |request| {
        Box::pin(tenants::tenant(request))
    })
    .answers(200, "TenantView"),
    Endpoint::get("/api/tenants/{slug}/members", READERS, "The tenant's members.", |request| {
        Box::pin(members::members(request))
    })
    .answers(200, "MemberPage")
    .by_pages(),
    Endpoint::patch(
        "/api/tenants/{slug}/members/{id}",
        OWNERS,
        "Changes a member's role; their WAMP sessions in the tenant end.",
        |request| Box::pin(members::change_member(request)),
    )
    .takes("ChangeMember"),
    Endpoint::delete("/api/tenants/{slug}/members/{id}", OWNERS, "Removes a member.", |request| {
        Box::pin(members::remove_member(request))
    }),
    Endpoint::post("/api/tenants/{slug}/leave", MEMBERS, "Leaves the tenant.", |request| {
        Box::pin(members::leave(request))
    }),
    Endpoint::get("/api/tenants/{slug}/invitations", OWNERS, "Invitations that wait.", |request| {
        Box::pin(invitations::invitations(request))
    })
    .answers(200, "InvitationView[]"),
    Endpoint::post(
        "/api/tenants/{slug}/invitations",
        OWNERS,
        "Invites somebody; the answer holds the secret.",
        |request| Box::pin(invitations::invite(request)),
    )
    .takes("NewInvitation")
    .answers(201, "CreatedInvitation"),
    Endpoint::delete("/api/tenants/{slug}/invitations/{id}", OWNERS, "Withdraws an invitation.", |request| {
        Box::pin(invitations::withdraw(request))
    }),
    // A tenant's tokens.
    Endpoint::get("/api/tenants/{slug}/join-tokens", OWNERS, "The tenant's join tokens.", |request| {
        Box::pin(tokens::join_tokens(request))
    })
    .answers(200, "TokenView[]"),
    Endpoint::post("/api/tenants/{slug}/join-tokens", OWNERS, "Makes a join token.", |request| {
        Box::pin(tokens::make_join_token(request))
    })
    .takes("NewJoinToken")
    .answers(201, "CreatedToken"),
    Endpoint::delete("/api/tenants/{slug}/join-tokens/{id}", OWNERS, "Deletes a join token.", |request| {
        Box::pin(tokens::delete_join_token(request))
    }),
    Endpoint::get("/api/tenants/{slug}/api-tokens", OWNERS, "The tenant's API tokens.", |request| {
        Box::pin(tokens::api_tokens(request))
    })
    .answers(200, "TokenView[]"),
    Endpoint::post("/api/tenants/{slug}/api-tokens", OWNERS, "Makes an API token.", |request| {
        Box::pin(tokens::make_api_token(request))
    })
    .takes("NewApiToken")
    .answers(201, "CreatedToken"),
    Endpoint::delete(
        "/api/tenants/{slug}/api-tokens/{id}",
        OWNERS,
        "Revokes an API token; its sessions end at once.",
        |request| Box::pin(tokens::delete_api_token(request)),
    ),
    // The audit.
    Endpoint::get(
        "/api/tenants/{slug}/audit",
        OWNERS,
        "Exports who has done what in the tenant.",
        |request| Box::pin(audit::of_tenant(request)),
    )
    .exports("AuditEntry", audit::FILTERS),
    Endpoint::get(
        "/api/audit",
        Access::Administrator,
        "Exports who has done what to the installation.",
        |request| Box::pin(audit::of_installation(request)),
    )
    .exports("AuditEntry", audit::FILTERS),
    // Devices.
    Endpoint::post("/api/device/enrol", Access::Device, "Enrols a device by a join token.", |request| {
        Box::pin(devices::enrol(request))
    })
    .takes("EnrolRequest")
    .answers(200, "EnrolReply"),
    Endpoint::post(
        "/api/device/session",
        Access::Device,
        "Trades a device's signature for a ticket.",
        |request| Box::pin(devices::session(request)),
    )
    .takes("SessionRequest")
    .answers(200, "SessionReply"),
    Endpoint::post(
        "/api/device/rotate-key",
        Access::Device,
        "Gives a device a new key, proved by the old one and the new one.",
        |request| Box::pin(devices::rotate(request)),
    )
    .takes("RotateRequest")
    .answers(200, "RotateReply"),
    Endpoint::get(
        "/api/tenants/{slug}/devices",
        OWNERS,
        "The tenant's own devices, with their keys.",
        |request| Box::pin(devices::devices(request)),
    )
    .answers(200, "OwnedDevice[]"),
    Endpoint::patch(
        "/api/tenants/{slug}/devices/{id}",
        OWNERS,
        "Changes a device's name or place.",
        |request| Box::pin(devices::change(request)),
    )
    .takes("ChangeDevice")
    .answers(200, "OwnedDevice"),
    Endpoint::delete("/api/tenants/{slug}/devices/{id}", OWNERS, "Removes a device.", |request| {
        Box::pin(devices::remove(request))
    }),
    Endpoint::post(
        "/api/tenants/{slug}/devices/{id}/rotate-key",
        OWNERS,
        "Orders that a device makes itself a new key.",
        |request| Box::pin(devices::order_rotation(request)),
    )
    .answers(202, "OwnedDevice"),
    // Shares of devices.
    Endpoint::get(
        "/api/tenants/{slug}/devices/{id}/shares",
        OWNERS,
        "With whom a device is shared or offered to be.",
        |request| Box::pin(shares::of_device(request)),
    )
    .answers(200, "ShareView[]"),
    Endpoint::post(
        "/api/tenants/{slug}/devices/{id}/shares",
        OWNERS,
        "Offers a device to another tenant.",
        |request| Box::pin(shares::offer(request)),
    )
    .takes("NewShare")
    .answers(201, "ShareView"),
    Endpoint::put(
        "/api/tenants/{slug}/devices/{id}/shares/{tenant}",
        OWNERS,
        "Changes the terms of a share or an offer.",
        |request| Box::pin(shares::change_terms(request)),
    )
    .takes("ChangeShare")
    .answers(200, "ShareView"),
    Endpoint::post(
        "/api/tenants/{slug}/devices/{id}/shares/{tenant}/end",
        OWNERS,
        "Ends a share, or withdraws an offer.",
        |request| Box::pin(shares::end(request)),
    )
    .takes("EndShare")
    .answers(200, "EndedShare"),
    Endpoint::get(
        "/api/tenants/{slug}/shares",
        OWNERS,
        "What is shared with or offered to the tenant.",
        |request| Box::pin(shares::with_tenant(request)),
    )
    .answers(200, "OfferView[]"),
    Endpoint::post("/api/tenants/{slug}/shares/{id}", OWNERS, "Accepts an offer.", |request| {
        Box::pin(shares::accept(request))
    }),
    Endpoint::delete(
        "/api/tenants/{slug}/shares/{id}",
        OWNERS,
        "Declines an offer, or leaves a share.",
        |request| Box::pin(shares::leave(request)),
    ),
    // Uploads, by tus 1.0 (https://tus.io/protocols/resumable-upload).
    Endpoint::new(
        Method::OPTIONS,
        "/api/tenants/{slug}/uploads",
        WRITERS,
        "What of tus 1.0 is spoken, and how large an upload may be.",
        |request| Box::pin(uploads::options(request)),
    )
    .tus(),
    Endpoint::post(
        "/api/tenants/{slug}/uploads",
        WRITERS,
        "Begins an upload of `Upload-Length` bytes; `Upload-Metadata` has its `filename`, and its `sha256` if that is known.",
        |request| Box::pin(uploads::begin(request)),
    )
    .with_status(201)
    .tus(),
    Endpoint::get(
        "/api/tenants/{slug}/uploads/{id}",
        WRITERS,
        "How an upload stands, and what has become of it; by `HEAD` as tus says.",
        |request| Box::pin(uploads::look(request)),
    )
    .answers(200, "UploadView"),
    Endpoint::patch(
        "/api/tenants/{slug}/uploads/{id}",
        WRITERS,
        "Sends a part of an upload; the answer to the last one names the artifact in `Ecep-Artifact`, or says why the file is refused.",
        |request| Box::pin(uploads::part(request)),
    )
    .tus(),
    Endpoint::delete(
        "/api/tenants/{slug}/uploads/{id}",
        WRITERS,
        "Gives an upload up; the artifact that it may have become stays.",
        |request| Box::pin(uploads::give_up(request)),
    )
    .tus(),
    // Files, logs and terminals of containers.
    Endpoint::get(
        "/api/tenants/{slug}/files",
        READERS,
        "The files and logs that devices brought, the newest first. Whoever may only look sees logs alone.",
        |request| Box::pin(files::list(request)),
    )
    .answers(200, "StoredFilePage")
    .by_pages(),
    Endpoint::get(
        "/api/tenants/{slug}/files/{id}/content",
        READERS,
        "A stored file's bytes, all or a part (Range, If-Range). Whoever may only look gets logs alone.",
        |request| Box::pin(files::content(request)),
    )
    .answers(200, BYTES),
    Endpoint::delete("/api/tenants/{slug}/files/{id}", WRITERS, "Deletes a stored file.", |request| {
        Box::pin(files::delete(request))
    }),
    Endpoint::get(
        "/api/tenants/{slug}/devices/{id}/containers/{container}/log",
        READERS,
        "A container's output: its last lines, those that come, or all of it to be saved. The last line is a LogEnd; empty lines only say that somebody is there. With Accept: text/plain a time and the text of each line.",
        |request| Box::pin(log::log(request)),
    )
    .exports("LogLine", log::QUERY),
    Endpoint::get(
        "/api/tenants/{slug}/devices/{id}/terminals/{terminal}",
        WRITERS,
        "Attaches a terminal that was opened on a device, as a WebSocket: binary messages are its bytes, text messages a TerminalSize to it and a TerminalEnd from it.",
        |request| Box::pin(terminal::attach(request)),
    )
    .with_status(101),
    // Figures.
    Endpoint::get(
        "/api/tenants/{slug}/metrics",
        ALL,
        "The figures of the tenant's devices and containers, for Prometheus.",
        |request| Box::pin(metrics::tenant_metrics(request)),
    )
    .answers(200, TEXT),
];

/// What the table says about a request.
pub(super) enum Found {
    /// This endpoint, and what stands in the path for its braces, in order.
    Endpoint(&'static Endpoint, Vec<String>),
    /// There is such a path; it takes these methods only.
    Methods(String),
    /// There is no such path.
    Nothing,
}

/// Looks a request up.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut methods = Vec::new();
    for endpoint in ENDPOINTS {
        let Some(parameters) = parameters(endpoint.path, path) else { continue };
        if endpoint.method == *method {
            return Found::Endpoint(endpoint, parameters);
        }
        methods.push(endpoint.method.as_str());
    }
    if methods.is_empty() { Found::Nothing } else { Found::Methods(methods.join(", ")) }
}

/// What stands for the braces, if the path is of this form.
fn parameters(template: &str, path: &str) -> Option<Vec<String>> {
    let (mut expected, mut segments) = (template.split('/'), path.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (expected.next(), segments.next()) {
            (None, None) => return Some(parameters),
            (Some(expected), Some(segment)) if expected.starts_with('{') && !segment.is_empty() => {
                parameters.push(segment.to_owned());
            }
            (Some(expected), Some(segment)) if expected == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row must be reached: a second one of the same method and form would never be called.
    #[test]
    fn every_endpoint_is_found_by_its_own_path() {
        for endpoint in ENDPOINTS {
            let Found::Endpoint(found, _) = find(&endpoint.method, endpoint.path) else {
                panic!("{} {} is not found", endpoint.method, endpoint.path);
            };
            assert!(std::ptr::eq(found, endpoint), "{} {} is shadowed", endpoint.method, endpoint.path);
        }
    }

    /// A guard that reads the tenant from the path must find one there.
    #[test]
    fn what_is_a_tenants_names_the_tenant_first() {
        for endpoint in ENDPOINTS {
            let of_tenant = matches!(endpoint.access, Access::Tenant { .. });
            assert!(!of_tenant || endpoint.path.starts_with("/api/tenants/{slug}"), "{}", endpoint.path);
        }
    }

    /// Paths are compared whole, and a missing segment is no parameter.
    #[test]
    fn paths_are_compared_segment_by_segment() {
        let found = |path: &str| parameters("/api/tenants/{slug}/join-tokens/{id}", path);
        assert_eq!(found("/api/tenants/acme/join-tokens/x"), Some(vec!["acme".to_owned(), "x".to_owned()]));
        for other in [
            "/api/tenants/acme/join-tokens",
            "/api/tenants/acme/join-tokens/",
            "/api/tenants//join-tokens/x",
            "/api/tenants/acme/join-tokens/x/",
            "api/tenants/acme/join-tokens/x",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
