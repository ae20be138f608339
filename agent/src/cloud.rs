//! HTTP to the control plane: enrolling, and trading a signature for a ticket. It keeps nothing.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_link::{Credentials, CredentialsError, Trust};
use ecep_proto::api::{
    device::DeviceFacts,
    enrol::{
        EnrolReply, EnrolRequest, RotateReply, RotateRequest, SessionReply, SessionRequest, enrol_text,
        rotate_text, session_text,
    },
    http::Problem,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    clock,
    http::{self, HttpError},
    identity::{DeviceKey, Identity},
};

/// A small device on a slow line may need this long.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why the control plane did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// It does not answer.
    #[error(
        "the control plane at {cloud} does not answer ({reason}); check the address and the network, then try again"
    )]
    Unreachable {
        /// Its address.
        cloud: String,
        /// What went wrong.
        reason: String,
    },
    /// It refused, and says why.
    #[error("the control plane refused: {0}")]
    Refused(String),
    /// It says to go on without TLS.
    #[error(
        "the control plane at {cloud} says that the router is at {router}, without TLS; a device that was enrolled by https does \
         not send its tickets there. Start the control plane with a --device-wamp-url that begins with wss://"
    )]
    Plain {
        /// Its address.
        cloud: String,
        /// The router's.
        router: String,
    },
    /// The answer makes no sense.
    #[error(
        "{cloud} answered with something else than a control plane would ({reason}); is the address right?"
    )]
    Strange {
        /// Its address.
        cloud: String,
        /// What is strange.
        reason: String,
    },
}

/// Enrols this device with a join token.
///
/// # Errors
/// See [`CloudError`].
pub async fn enrol(
    cloud: &str,
    trust: &Trust,
    token: &str,
    key: &DeviceKey,
    name: &str,
    place: Option<&str>,
    facts: DeviceFacts,
) -> Result<EnrolReply, CloudError> {
    let public_key = key.public();
    let request = EnrolRequest {
        token: token.to_owned(),
        signature: key.sign(&enrol_text(token, &public_key)),
        public_key,
        name: name.to_owned(),
        place: place.map(ToOwned::to_owned),
        facts,
    };
    post(cloud, trust, "/api/device/enrol", &request).await
}

/// Credentials for the control realm.
///
/// # Errors
/// See [`CloudError`].
pub async fn credentials(identity: &Identity) -> Result<Credentials, CredentialsError> {
    let reply = session(identity, &identity.key).await?;
    let cloud = &identity.enrolled.cloud;
    if cloud.starts_with("https://") && !reply.wamp_url.starts_with("wss://") {
        return Err(CloudError::Plain { cloud: cloud.clone(), router: reply.wamp_url }.into());
    }
    Ok(Credentials {
        url: reply.wamp_url,
        realm: reply.realm,
        authid: identity.enrolled.device.to_string(),
        ticket: reply.ticket,
    })
}

/// A session for whoever holds this key.
///
/// # Errors
/// See [`CloudError`].
pub(crate) async fn session(identity: &Identity, key: &DeviceKey) -> Result<SessionReply, CloudError> {
    let device = identity.enrolled.device.clone();
    let (at, nonce) = (clock::now_ms(), nonce());
    let signature = key.sign(&session_text(&device, at, &nonce));
    let request = SessionRequest { device, at, nonce, signature };
    post(&identity.enrolled.cloud, &identity.trust, "/api/device/session", &request).await
}

/// Tells the control plane of the device's next key.
///
/// # Errors
/// See [`CloudError`].
pub(crate) async fn rotate(identity: &Identity, next: &DeviceKey) -> Result<RotateReply, CloudError> {
    let device = identity.enrolled.device.clone();
    let (at, nonce, public_key) = (clock::now_ms(), nonce(), next.public());
    let text = rotate_text(&device, &public_key, at, &nonce);
    let (signature, new_signature) = (identity.key.sign(&text), next.sign(&text));
    let request = RotateRequest { device, public_key, at, nonce, signature, new_signature };
    post(&identity.enrolled.cloud, &identity.trust, "/api/device/rotate-key", &request).await
}

fn nonce() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>())
}

async fn post<T: DeserializeOwned>(
    cloud: &str,
    trust: &Trust,
    path: &str,
    body: &impl Serialize,
) -> Result<T, CloudError> {
    let strange = |reason: String| CloudError::Strange { cloud: cloud.to_owned(), reason };
    let unreachable = |reason: String| CloudError::Unreachable { cloud: cloud.to_owned(), reason };
    let body = serde_json::to_vec(body).map_err(|error| strange(error.to_string()))?;
    let answered = timeout(TIMEOUT, http::post(&format!("{cloud}{path}"), trust, body)).await;
    let (status, answer) = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error @ HttpError::Huge)) => return Err(strange(error.to_string())),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable(format!("no answer within {TIMEOUT:?}"))),
    };
    if status.is_success() {
        return serde_json::from_slice(&answer).map_err(|error| strange(error.to_string()));
    }
    match serde_json::from_slice::<Problem>(&answer) {
        Ok(problem) => Err(CloudError::Refused(problem.detail)),
        Err(_) => Err(strange(format!("status {status}"))),
    }
}
