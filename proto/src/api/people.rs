//! The bodies of the HTTP endpoints about people: the members of a tenant, invitations, accounts and their logins, and the
//! tenants as administrators see them. Errors are [`super::http::Problem`]s. What lists by pages takes `limit` (1 to 500,
//! 100 if it is left out) and `after` in its query; `next` is the `after` of the next page, `null` on the last.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{name::TenantSlug, roles::Role};

/// `GET /api/tenants/{slug}`: a tenant, as its members and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TenantView {
    /// Its slug.
    pub slug: TenantSlug,
    /// Its name for people.
    pub name: String,
    /// The role of whoever asks.
    pub role: Role,
}

/// `GET /api/tenants` (administrator): a page of all tenants, by slug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TenantPage {
    /// The tenants.
    pub tenants: Vec<TenantSummary>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A tenant, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TenantSummary {
    /// Its slug.
    pub slug: TenantSlug,
    /// Its name for people.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

/// `PATCH /api/tenants/{slug}` (administrator). Answered with 204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ChangeTenant {
    /// Its new name for people.
    pub name: String,
}

/// `DELETE /api/tenants/{slug}` (administrator). Answered with 204; refused while it has devices or containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct DeleteTenant {
    /// The slug once more, so that no slip deletes a tenant.
    pub confirm: String,
}

/// `GET /api/tenants/{slug}/members`: a page of the tenant's members, by account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<MemberView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MemberView {
    /// The account's id, which is its name for the others and its authid.
    pub account: String,
    /// Its e-mail address; for owners only, and for oneself.
    pub email: Option<String>,
    /// `owner`, `operator` or `viewer`.
    pub role: Role,
    /// Whether it is whoever asks.
    pub is_you: bool,
}

/// `PATCH /api/tenants/{slug}/members/{id}` (owner). Answered with 204; the member's WAMP sessions in the tenant end.
/// (`DELETE` removes a member; `POST /api/tenants/{slug}/leave` oneself. The last owner can do neither.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ChangeMember {
    /// `owner`, `operator` or `viewer`.
    pub role: Role,
}

/// `POST /api/tenants/{slug}/invitations` (owner). Answered with 201 and a [`CreatedInvitation`]. It replaces an earlier
/// one for the same address. `DELETE …/{id}` withdraws one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewInvitation {
    /// Who is invited.
    pub email: String,
    /// `owner`, `operator` or `viewer`.
    pub role: Role,
    /// For how many seconds, 60 to 30 days; 7 days if it is left out.
    #[serde(default)]
    pub valid_seconds: Option<u64>,
}

/// An invitation just made: its secret is shown this once. No mail is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CreatedInvitation {
    /// Its id.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The dashboard's page for it, to be handed to whoever is invited. Begins with `/` where the dashboard's own
    /// address is not configured.
    pub link: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// `GET /api/tenants/{slug}/invitations` (owner): an invitation that waits, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct InvitationView {
    /// Its id.
    pub id: String,
    /// Who is invited.
    pub email: String,
    /// The role they will have.
    pub role: Role,
    /// The account that made it.
    pub made_by: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// `POST /api/invitations/show`. Answered with an [`InvitationOffer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ShowInvitation {
    /// The invitation's secret.
    pub secret: String,
}

/// What an invitation offers. It does not tell whether there is an account for the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct InvitationOffer {
    /// The tenant.
    pub tenant: TenantSlug,
    /// Its name for people.
    pub tenant_name: String,
    /// Who is invited.
    pub email: String,
    /// The role.
    pub role: Role,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// `POST /api/invitations/accept`. Answered with the [`super::http::Membership`]; log in then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct AcceptInvitation {
    /// The invitation's secret.
    pub secret: String,
    /// The password of the invited address's account; where there is none yet, the one that it will have. Left out by
    /// whoever is logged in as that address.
    #[serde(default)]
    pub password: Option<String>,
}

/// `GET /api/accounts` (administrator): a page of all accounts, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AccountPage {
    /// The accounts.
    pub accounts: Vec<AccountView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// An account, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AccountView {
    /// Its id, which is its authid.
    pub id: String,
    /// Its e-mail address.
    pub email: String,
    /// May make accounts and tenants.
    pub admin: bool,
    /// Cannot log in.
    pub disabled: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

/// `PATCH /api/accounts/{id}` (administrator). Answered with 204. Disabling ends its logins and sessions at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ChangeAccount {
    /// Whether it is kept out.
    pub disabled: bool,
}

/// `POST /api/account/password`. Answered with 204; all other logins and all WAMP sessions of the account end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ChangePassword {
    /// The present password.
    pub current: String,
    /// The new one, 12 characters or more.
    pub new: String,
}

/// `GET /api/account/logins`: one of one's own logins, the newest first. `DELETE …/{id}` ends one; `DELETE` without an id
/// all but this. Either ends the account's WAMP sessions, which the remaining browsers open again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LoginView {
    /// Its id.
    pub id: String,
    /// When it began, in milliseconds since 1970; 0 if it is not known.
    pub opened_at: u64,
    /// From which address.
    pub address: String,
    /// What the browser called itself.
    pub user_agent: String,
    /// When it was last used, to the minute.
    pub last_seen: u64,
    /// When it ends.
    pub expires_at: u64,
    /// Whether it is the one that asks.
    pub is_this: bool,
}
