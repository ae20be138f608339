//! Audit: who did what to what, from where, by which right, and what came of it. Entries are only ever added.
//!
//! A request goes into an entry by [`named`] alone, which takes fields by their names: what is not listed there (values of
//! environment variables, passwords, tokens) cannot get in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

use super::{
    Home, OWNERS_READS, PROCEDURES, ProcedureInfo,
    error::ErrorKind,
    name::{DeviceId, TenantSlug},
    operation::OperationState,
    reply::{Caller, Reply},
    roles::Role,
};

/// Calls in one [`AuditReport`] at most: far below what a WAMP message may hold.
pub const MAX_CALLS_OF_A_REPORT: usize = 100;
/// Characters of a text in an entry; what is longer is cut. No name or id of ours is as long.
pub const MAX_TEXT: usize = 200;

/// The fields of requests that may be told: names of things and plain settings.
const NAMED: &[&str] = &[
    "alert",
    "application",
    "container",
    "destination",
    "digest",
    "directory",
    "disabled",
    "email",
    "force",
    "grace_seconds",
    "image",
    "into",
    "keep_source",
    "leave_running",
    "migration",
    "mode",
    "name",
    "operation",
    "path",
    "place",
    "role",
    "slug",
    "source",
    "tenant",
    "tenant_name",
    "uses",
    "valid_seconds",
    "version",
];

/// The fields that say what a request is about, the first that is there.
const TARGETS: &[&str] =
    &["container", "migration", "alert", "application", "digest", "image", "slug", "tenant", "name", "email"];

/// What kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Somebody who is logged in.
    Person,
    /// A program with an API token.
    Token,
    /// A device.
    Device,
    /// The platform itself.
    Installation,
    /// Somebody who is not known, or not any more.
    Nobody,
}

impl ActorKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ActorKind::Person => "person",
            ActorKind::Token => "token",
            ActorKind::Device => "device",
            ActorKind::Installation => "installation",
            ActorKind::Nobody => "nobody",
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub struct Actor {
    /// The id of the account, the token or the device; empty for somebody who is not known.
    pub authid: String,
    /// What kind.
    pub kind: ActorKind,
}

impl Actor {
    /// Somebody who is not known.
    pub fn nobody() -> Self {
        Self { authid: String::new(), kind: ActorKind::Nobody }
    }

    /// The platform itself.
    pub fn installation() -> Self {
        Self { authid: super::realm::CONTROL_PLANE_AUTHID.to_owned(), kind: ActorKind::Installation }
    }
}

/// By which kind of right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ViaKind {
    /// A login; the id is the beginning of its cookie's hash.
    Login,
    /// An API token.
    Token,
    /// A join token.
    JoinToken,
    /// A WAMP session.
    WampSession,
}

impl ViaKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ViaKind::Login => "login",
            ViaKind::Token => "token",
            ViaKind::JoinToken => "join_token",
            ViaKind::WampSession => "wamp_session",
        }
    }
}

/// By which right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Via {
    /// What kind.
    pub kind: ViaKind,
    /// Which; never a secret.
    pub id: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was begun, and went on after the answer.
    Running,
    /// It was not allowed, or wrong as asked.
    Refused,
    /// It went wrong.
    Failed,
}

impl Outcome {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Running => "running",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }

    /// What an error of this kind means for whoever asked.
    pub fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable | ErrorKind::Engine => Outcome::Failed,
            ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::InvalidArgument
            | ErrorKind::Forbidden
            | ErrorKind::Preflight
            | ErrorKind::Limit => Outcome::Refused,
        }
    }
}

/// One thing that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AuditEntry {
    /// Its id.
    pub id: String,
    /// When it was written down, in milliseconds since 1970 by the control plane's clock.
    pub at: u64,
    /// The tenant; `null` if it concerns the installation.
    pub tenant: Option<TenantSlug>,
    /// Who.
    pub actor: Actor,
    /// By which right.
    pub via: Option<Via>,
    /// From which address. For a WAMP session the one from which its actor has last joined, as far as that is known.
    pub address: Option<String>,
    /// The device that served a call, and by whose word this entry stands here.
    pub device: Option<DeviceId>,
    /// The URI of the procedure, or the method and path of the endpoint.
    pub action: String,
    /// The id or name of what it was done to; empty where there is none.
    pub target: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The error's URI, or the HTTP status of a refusal.
    pub error: Option<String>,
    /// Named fields of the request.
    pub detail: BTreeMap<String, String>,
    /// How often; more than 1 for refusals that were repeated within ten minutes.
    pub count: u32,
    /// When it was done by the device's clock, in milliseconds since 1970.
    pub device_at: Option<u64>,
    /// Whether the device told it only later, as after a time without a connection.
    pub late: bool,
    /// SHA-256 over the hash of the entry before and this entry without its hash: whoever changes or takes out an entry has
    /// to write all later ones anew.
    pub hash: String,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct AuditQuery {
    /// Written down at this time or later, in milliseconds since 1970.
    #[serde(default)]
    pub from: Option<u64>,
    /// Written down before this time.
    #[serde(default)]
    pub to: Option<u64>,
    /// Of this authid.
    #[serde(default)]
    pub actor: Option<String>,
    /// Of this action.
    #[serde(default)]
    pub action: Option<String>,
    /// About this target.
    #[serde(default)]
    pub target: Option<String>,
    /// At most so many, 1 to 500; 100 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Goes on behind the entry of this id: `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// Some of the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AuditPage {
    /// The newest first. May be fewer than asked for, even none, while `next` goes on.
    pub entries: Vec<AuditEntry>,
    /// What the next page comes after; `null` at the end.
    pub next: Option<String>,
}

/// What somebody called on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceCall {
    /// Its number in the journal, from 1 without gaps.
    pub sequence: u64,
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
    /// In whose realm.
    pub tenant: TenantSlug,
    /// Who.
    pub caller: Caller,
    /// The call.
    #[serde(flatten)]
    pub told: Told,
}

/// What a call was about and came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The procedure's URI, with the placeholder for the device.
    pub action: String,
    /// The id or name of what it was done to.
    pub target: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The error's URI.
    pub error: Option<String>,
    /// Named fields of the request.
    pub detail: BTreeMap<String, String>,
}

impl Told {
    /// What may be told of a call.
    pub fn of(uri: &str, request: &Map<String, Value>, reply: &Reply) -> Self {
        let detail = named(request);
        let made = match reply {
            Reply::Ok(value) => value.get("container_id").or_else(|| value.get("id")).and_then(Value::as_str),
            Reply::Error(_) => None,
        };
        let target = made.map(cut).or_else(|| target(&detail)).unwrap_or_default();
        let (outcome, error) = match reply {
            Reply::Error(error) => (Outcome::of_error(error.uri), Some(error.uri.uri().to_owned())),
            Reply::Ok(value) => {
                let state = value.get("state").cloned().map(serde_json::from_value);
                let runs = matches!(state, Some(Ok(OperationState::Running)));
                (if runs { Outcome::Running } else { Outcome::Done }, None)
            }
        };
        Self { action: uri.to_owned(), target, outcome, error, detail }
    }

    /// The same as far as it may be told: whoever receives it trusts nobody to have kept to [`named`].
    #[must_use]
    pub fn checked(self) -> Self {
        Self {
            action: cut(&self.action),
            target: cut(&self.target),
            outcome: self.outcome,
            error: self.error.as_deref().map(cut),
            detail: self
                .detail
                .iter()
                .filter(|(name, _)| NAMED.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), cut(value)))
                .collect(),
        }
    }
}

/// What a device tells of calls that it has served, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditReport {
    /// The journal's id; a device that has lost its journal begins another, and counts from 1 again.
    pub journal: String,
    /// The device's clock, in milliseconds since 1970.
    pub sent_at: u64,
    /// At most [`MAX_CALLS_OF_A_REPORT`].
    pub calls: Vec<DeviceCall>,
}

/// What has been written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReceipt {
    /// The number of the last call of that journal that is on disk; the device need not tell it and those before again.
    pub sequence: u64,
}

/// The named fields of a request, as text.
pub fn named(request: &Map<String, Value>) -> BTreeMap<String, String> {
    let told = |(name, value): (&String, &Value)| {
        let text = match value {
            _ if !NAMED.contains(&name.as_str()) => return None,
            Value::String(text) => cut(text),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name.clone(), text))
    };
    request.iter().filter_map(told).collect()
}

/// What a request with these named fields is about.
pub fn target(detail: &BTreeMap<String, String>) -> Option<String> {
    TARGETS.iter().find_map(|name| detail.get(*name)).cloned()
}

/// The beginning of a text, without control characters.
pub fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect()
}

/// Whether a call of this procedure is written down: it may change something, or look into more than a viewer may.
pub fn is_audited(procedure: &ProcedureInfo) -> bool {
    procedure.home == Home::Tenant
        && !procedure.callers.contains(&Role::Viewer)
        && !OWNERS_READS.contains(&procedure.uri)
}

/// As [`is_audited`], by the URI.
pub fn is_audited_uri(uri: &str) -> bool {
    PROCEDURES.iter().any(|procedure| procedure.uri == uri && is_audited(procedure))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{ContainerCreate, ContainerInspect, Procedure, error::ApiError};

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("the test passes maps, not {other}"),
        }
    }

    /// A secret must not get into an entry by any field that is not named, however deep.
    #[test]
    fn only_named_fields_are_told() {
        let request = map(json!({
            "name": "web", "image": "app:1", "env": {"KEY": "SECRET"}, "password": "SECRET", "token": "SECRET",
            "code": "SECRET", "command": ["SECRET"], "container": {"name": "SECRET"}, "uses": 3, "force": true,
        }));
        let told = Told::of(
            ContainerCreate::URI,
            &request,
            &Reply::Ok(json!({"container_id": "c1", "state": "done"})),
        );
        let text = serde_json::to_string(&told).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        assert_eq!(told.target, "c1");
        assert_eq!(told.detail["uses"], "3");
        let mut forged = told;
        forged.detail.insert("password".to_owned(), "SECRET".to_owned());
        assert!(!serde_json::to_string(&forged.checked()).unwrap().contains("SECRET"));
    }

    /// The message of an error may repeat what was sent; only its kind is told.
    #[test]
    fn an_error_is_told_by_its_kind_alone() {
        let error = ApiError::new(ErrorKind::Conflict, "SECRET");
        let told = Told::of(ContainerCreate::URI, &map(json!({"name": "web"})), &Reply::Error(error));
        assert_eq!(
            (told.outcome, told.error.as_deref()),
            (Outcome::Refused, Some(ErrorKind::Conflict.uri()))
        );
        assert!(!serde_json::to_string(&told).unwrap().contains("SECRET"));
    }

    /// What changes something must be audited; what everybody may read must not flood the audit.
    #[test]
    fn changes_are_audited_and_reads_are_not() {
        assert!(is_audited_uri(ContainerCreate::URI));
        assert!(!is_audited_uri(ContainerInspect::URI));
        assert!(!is_audited_uri(super::super::AuditList::URI));
    }
}
