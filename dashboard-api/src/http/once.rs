//! Orders that carry an `Idempotency-Key` are done once: the same order of the same actor again gets the same answer.
//!
//! An answer that holds a secret is not kept, since secrets are kept as hashes alone: whoever sends such an order again is told
//! what was made, and has to make another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ecep_proto::api::{audit::Actor, error::ErrorKind, http::IDEMPOTENCY_HEADER};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use super::{Answer, Refusal, endpoints::Endpoint, request::Request};
use crate::{
    clock::unix_ms,
    naming::invalid,
    store::orders::{KEEP_ORDERS_MS, Order, OrderAnswer},
};

/// Longest key in characters; a UUID has 36.
const MAX_KEY: usize = 255;
/// Fields of answers that are shown once.
const SECRETS: &[&str] = &["secret", "link", "ticket", "password"];

/// Orders with keys that are at work. It holds no more than there are requests.
#[derive(Debug, Default)]
pub struct AtWork {
    keys: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl AtWork {
    fn of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(keys.entry(key.to_owned()).or_default())
    }
}

/// Does what the endpoint is for; if the request carries a key, once.
pub(super) async fn done(mut request: Request, endpoint: &Endpoint, actor: &Actor) -> Answer {
    let key = if endpoint.takes_key() && *actor != Actor::nobody() { key(&request)? } else { None };
    let Some(key) = key else { return (endpoint.handler)(request).await };
    let body = request.buffer().await?;
    let app = Arc::clone(&request.app);
    let (store, actor) = (&app.control.store, actor.authid.as_str());
    // With the key in it, which is kept nowhere: a body may hold a password, which nobody shall guess by its hash.
    let asked = hash(&[key.as_bytes(), endpoint.method.as_str().as_bytes(), request.path.as_bytes(), &body]);
    let key = hash(&[key.as_bytes()]);
    // Of two at once the second waits here for the first.
    let lock = app.at_work.of(&format!("{actor}/{key}"));
    let _alone = lock.lock().await;
    let now = unix_ms();
    let known = store.order(actor, &key)?.filter(|order| now.saturating_sub(order.at) < KEEP_ORDERS_MS);
    if let Some(known) = known {
        request.record.is_replay();
        return again(known, &asked);
    }
    let mut order = Order { at: now, request: asked, answer: None };
    store.put_order(actor, &key, &order).await?;
    let answer = (endpoint.handler)(request).await.unwrap_or_else(Reply::into_response);
    if !answer.status().is_success() {
        // Of one that went wrong inside nobody knows how far it came: its row stays as it is.
        if !answer.status().is_server_error() {
            store.forget_order(actor, &key).await?;
        }
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    // It is in memory already, so this neither waits nor fails.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    order.answer = Some(kept(head.status, &bytes));
    store.put_order(actor, &key, &order).await?;
    Ok(Response::from_parts(head, bytes.into()))
}

/// What the request's header says. It is kept as a hash, so that keys of any form are keys of the table.
fn key(request: &Request) -> Result<Option<String>, Refusal> {
    let Some(value) = request.headers.get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > MAX_KEY {
        return Err(invalid(format!(
            "The header {IDEMPOTENCY_HEADER} has 1 to {MAX_KEY} printable characters."
        ))
        .into());
    }
    Ok(Some(text.to_owned()))
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kept(status: StatusCode, body: &[u8]) -> OrderAnswer {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| value.as_ref().and_then(|value| value.get(name)).is_some();
    let is_secret = SECRETS.iter().any(|name| field(name));
    let made = value.as_ref().and_then(|value| value.get("id")?.as_str().map(str::to_owned));
    let text = String::from_utf8(body.to_vec()).ok();
    OrderAnswer { status: status.as_u16(), body: text.filter(|_| !is_secret), made }
}

/// The answer to an order that was sent before.
fn again(known: Order, asked: &str) -> Answer {
    if known.request != asked {
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::InvalidArgument,
            format!("Another order was sent with this {IDEMPOTENCY_HEADER}. Use a new key for each order."),
        ));
    }
    let conflict = |detail: String| Err(Refusal::new(StatusCode::CONFLICT, ErrorKind::Conflict, detail));
    let Some(OrderAnswer { status, body, made }) = known.answer else {
        return conflict(
            "This order was begun and not ended, so it is not known whether it was done. Look whether it was, and send it with a new key if not."
                .to_owned(),
        );
    };
    let Some(body) = body else {
        let made = made.unwrap_or_default();
        return conflict(format!(
            "This order was done and made {made}, whose secret was shown once. If it was not received, delete {made} and make another with a new key."
        ));
    };
    let has_body = !body.is_empty();
    let mut response = body.into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if has_body {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(response)
}
