//! HTTP to the control plane: enrolling, and trading a signature for a ticket. It keeps nothing.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_link::{Credentials, CredentialsError};
use ecep_proto::api::{
    device::DeviceFacts,
    enrol::{
        EnrolReply, EnrolRequest, RotateReply, RotateRequest, SessionReply, SessionRequest, enrol_text,
        rotate_text, session_text,
    },
    http::Problem,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    clock,
    identity::{DeviceKey, Identity},
};

/// A small device on a slow line may need this long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// An answer is small; more is not from a control plane.
const MAX_ANSWER: usize = 1024 * 1024;

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
    post(cloud, "/api/device/enrol", &request).await
}

/// Credentials for the control realm.
///
/// # Errors
/// See [`CloudError`].
pub async fn credentials(identity: &Identity) -> Result<Credentials, CredentialsError> {
    let reply = session(identity, &identity.key).await?;
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
    post(&identity.enrolled.cloud, "/api/device/session", &SessionRequest { device, at, nonce, signature })
        .await
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
    post(&identity.enrolled.cloud, "/api/device/rotate-key", &request).await
}

fn nonce() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>())
}

async fn post<T: DeserializeOwned>(cloud: &str, path: &str, body: &impl Serialize) -> Result<T, CloudError> {
    let unreachable = |error: reqwest::Error| CloudError::Unreachable {
        cloud: cloud.to_owned(),
        reason: root_cause(&error),
    };
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(unreachable)?;
    let mut response = client.post(format!("{cloud}{path}")).json(body).send().await.map_err(unreachable)?;
    let status = response.status();
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER {
            return Err(CloudError::Strange { cloud: cloud.to_owned(), reason: "a huge answer".to_owned() });
        }
    }
    if status.is_success() {
        return serde_json::from_slice(&answer)
            .map_err(|error| CloudError::Strange { cloud: cloud.to_owned(), reason: error.to_string() });
    }
    match serde_json::from_slice::<Problem>(&answer) {
        Ok(problem) => Err(CloudError::Refused(problem.detail)),
        Err(_) => Err(CloudError::Strange { cloud: cloud.to_owned(), reason: format!("status {status}") }),
    }
}

/// What a person can act on is at the end of the chain ("connection refused"), not at its head.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
