//! How a device comes in: by a join token once, then by its own key for each session.
//!
//! Owns the checks and their sentences. Which of a token's faults it is, is told only to holders of a real token.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_proto::api::{
    enrol::{
        CLOCK_TOLERANCE_MS, EnrolReply, EnrolRequest, SessionReply, SessionRequest, enrol_text, session_text,
    },
    error::{ApiError, ErrorKind},
    fleet::ChannelPapers,
    name::DeviceId,
    realm,
};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::{
    clock::{readable, unix_ms},
    control::ControlPlane,
    geo, keys,
    naming::{check_title, id_from, invalid},
    nonces::Stale,
    store::{Device, Enrolment, JoinToken},
};

/// Random characters at the end of a device's id.
const DEVICE_SUFFIX: usize = 4;
/// Ids tried before giving up; with 30^4 of them for one name, more than one is rare.
const ID_ATTEMPTS: usize = 8;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// Which device has enrolled.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// A new one.
    New(Device),
    /// One that was known before, with another key; its old one is dead.
    Again(Device),
    /// One that has asked before.
    Known,
}

impl ControlPlane {
    /// Enrols a device, or lets one that is known come back with another key. The second value says which.
    ///
    /// # Errors
    /// `InvalidArgument` for what is malformed, `Forbidden` for a signature or token that is not good.
    pub async fn enrol(&self, request: EnrolRequest) -> Result<(EnrolReply, Came), ApiError> {
        let name = check_title("The device's name", &request.name)?;
        let place = request.place.as_deref().map(|place| check_title("The place", place)).transpose()?;
        let key = parse_key(&request.public_key)?;
        let text = enrol_text(&request.token, &request.public_key);
        if !is_signed_by(&key, &text, &request.signature)? {
            return Err(forbidden(
                "The signature does not fit the public key: the request must be signed by the device's own key.",
            ));
        }
        let location = place.as_deref().map(geo::locate).transpose()?.flatten();
        let token = self.join_token(&request.token)?;
        let tenant = self.store.tenant(&token.tenant)?.ok_or_else(unknown_token)?;
        for _ in 0..ID_ATTEMPTS {
            let id = id_from(&name, "device", DEVICE_SUFFIX);
            let device = Device {
                id: id.parse().map_err(|error| invalid(format!("{error}")))?,
                name: name.clone(),
                place: place.clone(),
                owner: token.tenant.clone(),
                public_key: request.public_key.clone(),
                enrolled_at: unix_ms(),
                facts: request.facts.clone(),
                location,
                old_key: None,
                key_since: None,
                rotation_ordered: false,
                shares: Vec::new(),
            };
            let reply = |device: &Device| {
                Ok::<_, ApiError>(EnrolReply {
                    device: device.id.clone(),
                    tenant_name: tenant.name.clone(),
                    papers: Some(self.papers(device)?),
                })
            };
            match self.store.enrol(unix_ms(), &token.id, &device).await? {
                Enrolment::Added(device) => {
                    tracing::info!(device = %device.id, tenant = %device.owner, token = %token.id, "device enrolled");
                    self.view().add(self.clock.now(), device.clone(), None);
                    return Ok((reply(&device)?, Came::New(device)));
                }
                Enrolment::Replaced(device) => {
                    tracing::info!(device = %device.id, tenant = %device.owner, token = %token.id, "device enrolled again");
                    // Whoever has the old key is shut out at once.
                    self.tickets().revoke(device.id.as_str());
                    self.channels.remove_device(&device.id).await;
                    return Ok((reply(&device)?, Came::Again(device)));
                }
                Enrolment::Known(device) => return Ok((reply(&device)?, Came::Known)),
                Enrolment::IdTaken => {}
                Enrolment::Expired => {
                    return Err(forbidden(format!(
                        "This join token expired on {}. Make a new one on the dashboard's devices page.",
                        readable(token.expires_at)
                    )));
                }
                Enrolment::Spent => {
                    return Err(forbidden(
                        "This join token has been used as often as it may be. Make a new one on the dashboard's devices page.",
                    ));
                }
                Enrolment::TokenGone => return Err(unknown_token()),
                Enrolment::OfAnotherTenant => {
                    return Err(ApiError::new(
                        ErrorKind::Conflict,
                        "This device's key is enrolled elsewhere already. Remove the device there first, or give the agent a new key.",
                    ));
                }
            }
        }
        Err(ApiError::new(ErrorKind::Conflict, "No free id was found for this name. Choose another name."))
    }

    /// A device's papers for the channel, made anew each time.
    pub(crate) fn papers(&self, device: &Device) -> Result<ChannelPapers, ApiError> {
        let key = parse_key(&device.public_key)?;
        self.channels.papers(&device.id, &key).map_err(|error| {
            tracing::error!(device = %device.id, %error, "no certificate could be made");
            ApiError::new(
                ErrorKind::Unavailable,
                "The control plane cannot make a certificate for the device now. Its log says why.",
            )
        })
    }

    /// Trades a device's signature for a ticket of the control realm. The second value tells that its old key is good no more:
    /// it has used the new one for the first time.
    ///
    /// # Errors
    /// `InvalidArgument` for what is malformed, `Forbidden` for an unknown device, a wrong key or a wrong clock,
    /// `Conflict` for a request that was seen before.
    pub async fn device_session(&self, request: &SessionRequest) -> Result<(SessionReply, bool), ApiError> {
        check_nonce(&request.nonce)?;
        let text = session_text(&request.device, request.at, &request.nonce);
        let known = match self.store.device(&request.device)? {
            Some(device) => keys::signer(&device, &text, &request.signature)?.map(|key| (device, key)),
            None => None,
        };
        let (device, key) = known.ok_or_else(|| unknown_device(&request.device))?;
        let now = self.check_fresh(&request.device, request.at, &request.nonce)?;
        let is_settled = device.old_key.is_some() && self.store.settle_key(&device.id, &key).await?.is_some();
        if is_settled {
            tracing::info!(device = %device.id, "device uses its new key; the old one is good no more");
            self.tickets().revoke(device.id.as_str());
            self.channels.remove_device(&device.id).await;
        }
        let ticket = self.issue_device_ticket(&request.device, &key)?;
        let reply = SessionReply {
            wamp_url: self.config.device_wamp_url.as_str().to_owned(),
            realm: realm::CONTROL.to_owned(),
            ticket,
            now,
        };
        Ok((reply, is_settled))
    }

    /// Accepts a signed request once, and only near our time, which it answers.
    ///
    /// # Errors
    /// `Forbidden` for a wrong clock, `Conflict` for a request that was seen before.
    pub(crate) fn check_fresh(&self, device: &DeviceId, at: u64, nonce: &str) -> Result<u64, ApiError> {
        let now = unix_ms();
        let accepted = self.nonces().accept(now, device, at, nonce);
        accepted.map(|()| now).map_err(|stale| match stale {
            Stale::Clock => forbidden(format!(
                "The device's clock says {}, the control plane's {}; they may differ by {} minutes. Set the clock, for example by NTP.",
                readable(at),
                readable(now),
                CLOCK_TOLERANCE_MS / 60_000
            ))
            .with("now", now),
            Stale::Replay => ApiError::new(
                ErrorKind::Conflict,
                "This request was sent before. Ask again with a new nonce and the present time.",
            ),
        })
    }

    /// The row of a join token whose secret is right.
    fn join_token(&self, token: &str) -> Result<JoinToken, ApiError> {
        let (id, _) = token.split_once('.').ok_or_else(unknown_token)?;
        let row = self.store.join_token(id)?.ok_or_else(unknown_token)?;
        if row.secret.matches(token) { Ok(row) } else { Err(unknown_token()) }
    }
}

pub(crate) fn parse_key(text: &str) -> Result<VerifyingKey, ApiError> {
    let wrong = || invalid("The public key must be an Ed25519 key: 32 bytes in base64 without padding.");
    let bytes: [u8; 32] = decode(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| wrong())?;
    // With a key of small order, one signature fits many texts.
    if key.is_weak() { Err(wrong()) } else { Ok(key) }
}

/// Refuses what is no nonce.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check_nonce(nonce: &str) -> Result<(), ApiError> {
    if decode(nonce).is_some_and(|nonce| nonce.len() == NONCE_BYTES) {
        return Ok(());
    }
    Err(invalid(format!("The nonce must be {NONCE_BYTES} bytes in base64 without padding.")))
}

pub(crate) fn is_signed_by(key: &VerifyingKey, text: &str, signature: &str) -> Result<bool, ApiError> {
    let bytes: [u8; 64] = decode(signature)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| invalid("The signature must be 64 bytes in base64 without padding."))?;
    Ok(key.verify_strict(text.as_bytes(), &Signature::from_bytes(&bytes)).is_ok())
}

/// A text that is not the one encoding of its bytes is refused, so a key has one spelling.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Forbidden, message)
}

pub(crate) fn unknown_device(device: &DeviceId) -> ApiError {
    forbidden(format!(
        "No device {device} with this key is enrolled here. If it was removed, enrol it again with a join token."
    ))
}

fn unknown_token() -> ApiError {
    forbidden(
        "This is not a valid join token. Check that it was copied whole, or make a new one on the dashboard's devices page.",
    )
}
