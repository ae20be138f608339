//! Logging in and out, and the proof of a password wherever one is asked for.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    http::LoginRequest,
};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use super::{
    Answer, Refusal,
    cookie::{Cookie, SESSION_SECONDS},
    guard::LoggedIn,
    record::Asker,
    request::Request,
    session::view,
};
use crate::{
    clock::unix_ms,
    limits::Attempt,
    naming::normal_email,
    password::Who,
    secret::{SecretHash, random_secret},
    store::{Account, Session},
};

/// Characters kept of what a browser calls itself: enough to tell it by.
const MAX_USER_AGENT: usize = 200;

/// Logs in by an e-mail address and a password; answers who is logged in, and sets the cookies. Unknown addresses,
/// disabled accounts and wrong passwords get the same answer after the same time.
pub(super) async fn login(mut request: Request) -> Answer {
    let wanted: LoginRequest = request.json().await?;
    let control = &request.app.control;
    let email = normal_email(&wanted.email);
    let account = request.prove(&email, wanted.password).await?.ok_or_else(wrong_password)?;
    if let Some(old) = request.cookie() {
        if control.store.session(old)?.is_some_and(|old| old.account == account.id) {
            control.store.close_session(old).await?;
        } else {
            request.app.end_login(old).await?;
        }
    }
    let (secret, now) = (random_secret(), unix_ms());
    let cookie = SecretHash::of(&secret);
    let expires_at = now.saturating_add(SESSION_SECONDS * 1_000);
    let session = Session {
        account: account.id.clone(),
        expires_at,
        opened_at: now,
        address: request.peer.to_string(),
        user_agent: user_agent(&request),
        last_seen: now,
    };
    if !control.store.log_in(&account, cookie, &session).await? {
        return Err(wrong_password());
    }
    request.record.is(Asker::logged_in(&account.id, cookie));
    tracing::info!(account = %account.id, peer = %request.peer, "logged in");
    let known = control.known_browsers.cookie(&email, now);
    let view = view(&request, &LoggedIn { account, cookie, expires_at })?;
    let answer = warp::reply::json(&view).into_response();
    let answer = with_cookie(answer, Cookie::Session.set(&secret, request.secure()));
    Ok(with_cookie(answer, Cookie::KnownBrowser.set(&known, request.secure())))
}

/// Ends the login, also one that has ended already. The browser stays known.
pub(super) async fn logout(request: Request) -> Answer {
    if let Some(cookie) = request.cookie() {
        request.app.end_login(cookie).await?;
    }
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), Cookie::Session.clear(request.secure())))
}

impl Request {
    /// The account of this e-mail address, in lower case, if the password is its own and it is not disabled. Takes the
    /// same time whatever is wrong, and counts what is.
    ///
    /// # Errors
    /// 429 if there were too many attempts; 503 if too many passwords are checked at this moment.
    pub(super) async fn prove(&self, email: &str, password: String) -> Result<Option<Account>, Refusal> {
        let control = &self.app.control;
        let cookie = Cookie::KnownBrowser.find(&self.headers, self.secure());
        let browser = cookie.and_then(|cookie| control.known_browsers.name(cookie, email, unix_ms()));
        let who = if browser.is_some() { Who::Known } else { Who::Stranger };
        let attempt = Attempt::new(self.peer, email, browser);
        control.limits.begin(control.clock.now(), &attempt).map_err(Refusal::too_often)?;
        let account = control.store.account_of_email(email)?.filter(|account| !account.disabled);
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        match control.passwords.verify(who, password, stored).await {
            Ok(true) => {
                control.limits.forgive(&attempt);
                Ok(account)
            }
            Ok(false) => {
                tracing::info!(peer = %self.peer, "a password was refused");
                Ok(None)
            }
            Err(error) => {
                control.limits.forgive(&attempt);
                Err(ApiError::from(error).into())
            }
        }
    }
}

/// The one answer to whatever is wrong with a login.
pub(super) fn wrong_password() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden,
        "The e-mail address or the password is wrong. Check both and try again.",
    )
}

fn user_agent(request: &Request) -> String {
    let agent = request.text_header(&header::USER_AGENT).unwrap_or_default();
    agent.chars().take(MAX_USER_AGENT).collect()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
