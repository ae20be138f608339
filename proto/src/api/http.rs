//! The bodies of the control plane's HTTP endpoints for people. Errors are [`Problem`]s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    name::{DeviceId, TenantSlug},
    roles::Role,
};

/// The header that every changing request from a browser carries: a page of another origin cannot send it.
pub const CSRF_HEADER: &str = "x-ecep-csrf";

/// The header by which an order that makes something is done once: the same order again within a day, with the same value, gets the same
/// answer; another order with it is refused.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The header by which an upload's answer names the artifact that it has become.
pub const ARTIFACT_HEADER: &str = "ecep-artifact";

/// An error body (`application/problem+json`, RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// An error URI of the catalogue.
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence that says what is wrong and what to do.
    pub detail: String,
}

/// `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Health {
    /// It runs.
    pub ok: bool,
    /// The control plane's version.
    pub version: String,
    /// `joined` once it serves the control realm and every tenant's, else `connecting`.
    pub router: String,
    /// `good` while the store takes changes, else a sentence that says why not.
    pub store: String,
}

/// `GET /api/setup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SetupState {
    /// True while there is no account yet.
    pub needed: bool,
}

/// `POST /api/setup`: the first account and the first tenant. Answered with 201, without a body; log in then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct SetupRequest {
    /// The code that the control plane wrote into its data folder at its first start; its log names the file.
    pub code: String,
    /// The first account.
    pub email: String,
    /// Its password, 12 characters or more.
    pub password: String,
    /// The first tenant's slug.
    pub tenant: TenantSlug,
    /// The first tenant's name for people.
    pub tenant_name: String,
}

/// `POST /api/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct LoginRequest {
    /// The account.
    pub email: String,
    /// Its password.
    pub password: String,
}

/// `GET /api/session`, and the answer to a login: who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SessionView {
    /// The account.
    pub email: String,
    /// May make accounts and tenants.
    pub admin: bool,
    /// The tenants it belongs to.
    pub memberships: Vec<Membership>,
    /// When the login ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// An account's role in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantSlug,
    /// Its name for people.
    pub tenant_name: String,
    /// `owner`, `operator` or `viewer`.
    pub role: Role,
}

/// `POST /api/wamp-ticket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct TicketRequest {
    /// The tenant whose realm is to be joined.
    pub tenant: TenantSlug,
}

/// The answer: all that a browser needs to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TicketReply {
    /// The WAMP router's address for browsers.
    pub wamp_url: String,
    /// The realm to join.
    pub realm: String,
    /// As whom.
    pub authid: String,
    /// Single-use, for a few seconds.
    pub ticket: String,
}

/// `POST /api/accounts` (admin): a new account. Answered with 201, without a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewAccount {
    /// The account.
    pub email: String,
    /// Its password, 12 characters or more.
    pub password: String,
    /// Its role in each tenant.
    pub memberships: Vec<NewMembership>,
}

/// A role in a tenant that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewMembership {
    /// The tenant.
    pub tenant: TenantSlug,
    /// `owner`, `operator` or `viewer`.
    pub role: Role,
}

/// `POST /api/tenants` (admin): a new tenant; whoever makes it becomes its owner. Answered with 201 and the
/// [`Membership`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewTenant {
    /// Its slug.
    pub slug: TenantSlug,
    /// Its name for people.
    pub name: String,
}

/// `POST /api/tenants/{slug}/join-tokens` (owner). Answered with 201 and a [`CreatedToken`];
/// `DELETE …/{id}` deletes the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewJoinToken {
    /// How many devices may use it, 1 to 1000.
    pub uses: u32,
    /// For how many seconds, 60 to 30 days.
    pub valid_seconds: u64,
    /// For this device of the tenant, which was wiped or lost its key: it comes back as itself, with its name, place and
    /// shares, and its old key is dead. Such a token has one use.
    #[serde(default)]
    pub device: Option<DeviceId>,
}

/// `POST /api/tenants/{slug}/api-tokens` (owner). Answered with 201 and a [`CreatedToken`];
/// `DELETE …/{id}` revokes the token. Its role is all that bounds it. Over HTTP it is sent as
/// `Authorization: Bearer <id>.<secret>`. (`DELETE /api/tenants/{slug}/devices/{id}` removes a device.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewApiToken {
    /// What it is for.
    pub name: String,
    /// `telemetry`, `viewer` or `operator`.
    pub role: Role,
    /// For how many seconds, 60 to 400 days.
    pub valid_seconds: u64,
}

/// A token just made: its secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CreatedToken {
    /// The token's id; for an API token also the authid to join with.
    pub id: String,
    /// The secret; for an API token the ticket to join with.
    pub secret: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// `GET /api/tenants/{slug}/join-tokens` and `…/api-tokens` (owner): a token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TokenView {
    /// Its id.
    pub id: String,
    /// What it is for; empty for a join token.
    pub name: String,
    /// The role it gives.
    pub role: Role,
    /// How often it may still be used; `null` for an API token.
    pub uses_left: Option<u32>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
    /// The account that made an API token; `null` where it is not known, and for a join token.
    pub made_by: Option<String>,
    /// When an API token was last used; `null` if never, and for a join token.
    pub last_used: Option<TokenUse>,
    /// The device that a join token is for, where it is for one only.
    #[serde(default)]
    #[ts(optional)]
    pub device: Option<DeviceId>,
}

/// A use of an API token, over WAMP or HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TokenUse {
    /// In milliseconds since 1970, to the minute.
    pub at: u64,
    /// From which address.
    pub address: String,
}

/// Calls a macro with the types of the bodies that people's browsers and programs send and get over HTTP.
macro_rules! http_types {
    ($types:ident) => {
        $types!(
            http::Problem,
            http::Health,
            http::SetupState,
            http::SetupRequest,
            http::LoginRequest,
            http::SessionView,
            http::Membership,
            http::TicketRequest,
            http::TicketReply,
            http::NewAccount,
            http::NewMembership,
            http::NewTenant,
            http::NewJoinToken,
            http::NewApiToken,
            http::CreatedToken,
            http::TokenView,
            http::TokenUse,
            artifact::UploadView,
            file::StoredFilePage,
            people::TenantView,
            people::TenantPage,
            people::TenantSummary,
            people::ChangeTenant,
            people::DeleteTenant,
            people::MemberPage,
            people::MemberView,
            people::ChangeMember,
            people::NewInvitation,
            people::CreatedInvitation,
            people::InvitationView,
            people::ShowInvitation,
            people::InvitationOffer,
            people::AcceptInvitation,
            people::AccountPage,
            people::AccountView,
            people::ChangeAccount,
            people::ChangePassword,
            people::LoginView,
        );
    };
}
pub(super) use http_types;
