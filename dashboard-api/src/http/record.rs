//! Every changing request goes into the audit here, in one place around the handlers: who asked, by which right, from where,
//! for what, and what came of it. Of bodies only the fields named in `ecep_proto::api::audit` are told.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::{
    audit::{Actor, ActorKind, Outcome, Via, ViaKind, cut, named, target},
    name::TenantSlug,
};
use http_body_util::BodyExt;
use serde_json::Value;
use warp::{
    http::StatusCode,
    reply::{Reply, Response},
};

use super::{
    endpoints::{Access, Endpoint},
    once,
    request::Request,
};
use crate::{
    clock::unix_ms,
    secret::SecretHash,
    store::{Store, audit::Draft},
};

/// Who asks, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) actor: Actor,
    pub(super) via: Option<Via>,
    /// The tenant that it is about, if the asker belongs to it.
    pub(super) tenant: Option<TenantSlug>,
}

impl Asker {
    pub(super) fn nobody() -> Self {
        Self { actor: Actor::nobody(), via: None, tenant: None }
    }

    /// The person of an account.
    pub(super) fn person(account: &str) -> Self {
        Self { actor: Actor { authid: account.to_owned(), kind: ActorKind::Person }, via: None, tenant: None }
    }

    /// The person of an account, by the login with this cookie.
    pub(super) fn logged_in(account: &str, cookie: SecretHash) -> Self {
        let id = Store::login_id(cookie);
        Self { via: Some(Via { kind: ViaKind::Login, id }), ..Self::person(account) }
    }
}

/// What is noted of a request while it is handled.
#[derive(Debug, Default)]
pub(super) struct Record {
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    detail: BTreeMap<String, String>,
    asker: Option<Asker>,
    is_replay: bool,
}

impl Record {
    /// Notes the named fields of a body.
    pub(super) fn body(&self, bytes: &[u8]) {
        if let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) {
            self.lock().detail = named(&fields);
        }
    }

    /// Notes a field that a body names in a form of its own; no secret.
    pub(super) fn detail(&self, name: &str, value: &str) {
        self.lock().detail.insert(name.to_owned(), cut(value));
    }

    /// Notes who it was, where that shows in the body alone: a login, an enrolment.
    pub(super) fn is(&self, asker: Asker) {
        self.lock().asker = Some(asker);
    }

    /// Notes that an earlier answer is given again, which is no deed.
    pub(super) fn is_replay(&self) {
        self.lock().is_replay = true;
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Judges and handles a changing request, and writes down what came of it before it is answered.
pub(super) async fn recorded(mut request: Request, endpoint: &Endpoint) -> Response {
    let (app, record, peer) = (Arc::clone(&request.app), Arc::clone(&request.record), request.peer);
    // Before the handler: a logout ends the login that it is recorded for.
    let asker = request.asker(endpoint.access);
    let mut of_path = of_path(endpoint, &request.parameters).into_iter();
    let (of, other) = (of_path.next().map(|(_, value)| value), of_path);
    let answer = match request.judge(endpoint.access) {
        Ok(()) => once::done(request, endpoint, &asker.actor).await,
        Err(refusal) => Err(refusal),
    };
    let (answer, made) = with_made(answer.into_response()).await;
    let Noted { mut detail, asker: told, is_replay } = std::mem::take(&mut *record.lock());
    if is_replay {
        return answer;
    }
    let status = answer.status();
    let outcome = outcome(status);
    detail.extend(other.map(|(name, value)| (name.to_owned(), value)));
    let asker = told.unwrap_or(asker);
    if asker.actor == Actor::nobody() || !is_understood(endpoint.access, status) {
        // What was typed may be anything, a password in the wrong field too.
        detail.clear();
    }
    let target = of.or(made).or_else(|| target(&detail)).unwrap_or_default();
    let error = (outcome != Outcome::Done).then(|| status.as_u16().to_string());
    let draft = Draft { target, outcome, error, detail, ..asked(asker, endpoint, peer) };
    app.control.audit.note(unix_ms(), draft).await;
    answer
}

/// Who has asked an endpoint, and by which right; what came of it is the caller's to fill in.
pub(super) fn asked(asker: Asker, endpoint: &Endpoint, peer: IpAddr) -> Draft {
    Draft {
        tenant: asker.tenant,
        actor: asker.actor,
        via: asker.via,
        address: Some(peer.to_string()),
        device: None,
        action: endpoint.action(),
        target: String::new(),
        outcome: Outcome::Done,
        error: None,
        detail: BTreeMap::new(),
        count: 1,
        device_at: None,
        late: false,
        is_own: matches!(endpoint.access, Access::Person | Access::Anyone),
    }
}

/// What the path names, in order: a tenant's path what is in the tenant, if it names something there.
fn of_path(endpoint: &Endpoint, parameters: &[String]) -> Vec<(&'static str, String)> {
    let names = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut named: Vec<_> = names.zip(parameters.iter().map(|value| cut(value))).collect();
    let is_inner = matches!(endpoint.access, Access::Tenant { .. });
    if is_inner && (named.len() > 1 || !endpoint.path.ends_with('}')) {
        named.remove(0);
    }
    named
}

/// Whether the fields of the body were what they are called: not where one was wrong, or a login was refused.
fn is_understood(access: Access, status: StatusCode) -> bool {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::UNPROCESSABLE_ENTITY => false,
        status => status.is_success() || access != Access::Anyone,
    }
}

fn outcome(status: StatusCode) -> Outcome {
    if status.is_server_error() {
        Outcome::Failed
    } else if status.is_client_error() {
        Outcome::Refused
    } else {
        Outcome::Done
    }
}

/// The id of what was made, if the answer names one.
async fn with_made(answer: Response) -> (Response, Option<String>) {
    let (head, body) = answer.into_parts();
    // What handlers of changes answer is in memory already, so this neither waits nor fails.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let value: Option<Value> = serde_json::from_slice(&bytes).ok().filter(|_| head.status.is_success());
    let made = value.as_ref().and_then(|value| {
        ["id", "device", "slug", "tenant"].iter().find_map(|name| value.get(name)?.as_str().map(cut))
    });
    (Response::from_parts(head, bytes.into()), made)
}
