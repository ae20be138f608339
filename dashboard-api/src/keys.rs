//! Devices' keys: how they are shown, ordered to be changed, and changed.
//!
//! A change of key never locks a device out: its old key is good until the new one has been used once.

use ecep_proto::api::{
    device::{ChangeDevice, DeviceKeyView, KeyState, OwnedDevice},
    enrol::{RotateReply, RotateRequest, rotate_text},
    error::{ApiError, ErrorKind},
    name::{DeviceId, TenantSlug},
};
use sha2::{Digest, Sha256};

use crate::{
    clock::unix_ms,
    control::ControlPlane,
    enrolment::{check_nonce, forbidden, is_signed_by, parse_key, unknown_device},
    geo,
    naming::check_title,
    store::{Device, Rotation},
};

/// Bytes of a fingerprint: enough to tell a person's keys apart.
const FINGERPRINT_BYTES: usize = 8;

impl ControlPlane {
    /// A device has made itself a new key, and proves both.
    ///
    /// # Errors
    /// `InvalidArgument` for what is malformed, `Forbidden` for an unknown device or a wrong key, `Conflict` for a key that is
    /// another device's, or a request that was seen before.
    pub async fn rotate_key(&self, request: &RotateRequest) -> Result<RotateReply, ApiError> {
        check_nonce(&request.nonce)?;
        let new = parse_key(&request.public_key)?;
        let text = rotate_text(&request.device, &request.public_key, request.at, &request.nonce);
        let known = self.store.device(&request.device)?.ok_or_else(|| unknown_device(&request.device))?;
        let Some(by) = signer(&known, &text, &request.signature)? else {
            return Err(unknown_device(&request.device));
        };
        if !is_signed_by(&new, &text, &request.new_signature)? {
            return Err(forbidden(
                "The new key has not signed the request: a device changes to a key of its own only.",
            ));
        }
        self.check_fresh(&request.device, request.at, &request.nonce)?;
        let device = match self.store.rotate_key(unix_ms(), &known.id, &by, &request.public_key).await? {
            Rotation::Begun(device) => {
                tracing::info!(device = %device.id, tenant = %device.owner, "device has a new key");
                device
            }
            Rotation::Known(device) => device,
            Rotation::NotGood => return Err(unknown_device(&request.device)),
            Rotation::Taken => {
                return Err(ApiError::new(
                    ErrorKind::Conflict,
                    "The new key is another device's already. Every device makes its own key.",
                ));
            }
        };
        Ok(RotateReply { papers: self.papers(&device)? })
    }

    /// The tenant's devices with their keys, by name.
    pub fn owned_devices(&self, owner: &TenantSlug) -> Vec<OwnedDevice> {
        self.view().owned(owner).iter().map(owned).collect()
    }

    /// Orders that a device makes itself a new key.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn order_rotation(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
    ) -> Result<OwnedDevice, ApiError> {
        let ordered = self.change_own(owner, device, |row| {
            row.rotation_ordered = true;
            Ok(owned(row))
        });
        let ordered = ordered.await?;
        tracing::info!(%device, %owner, "new key ordered");
        Ok(ordered)
    }

    /// Changes a device's name or place.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidArgument` for what is too long or no point on the earth.
    pub async fn edit_device(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
        wanted: ChangeDevice,
    ) -> Result<OwnedDevice, ApiError> {
        let ChangeDevice { name, place, location } = wanted;
        let name = name.map(|name| check_title("The device's name", &name)).transpose()?;
        let location = location.map(geo::checked).transpose()?;
        let place = match place.as_deref().map(str::trim) {
            None => None,
            Some("") => Some((None, location)),
            Some(text) => {
                let text = check_title("The place", text)?;
                let found = location.map_or_else(|| geo::locate(&text), |exactly| Ok(Some(exactly)))?;
                Some((Some(text), found))
            }
        };
        self.change_own(owner, device, |row| {
            if let Some(name) = &name {
                row.name.clone_from(name);
            }
            match &place {
                Some((place, location)) => {
                    row.place.clone_from(place);
                    row.location = *location;
                }
                None => row.location = location.or(row.location),
            }
            Ok(owned(row))
        })
        .await
    }
}

/// Which of a device's keys that are good now has signed this, if any.
pub(crate) fn signer(device: &Device, text: &str, signature: &str) -> Result<Option<String>, ApiError> {
    for key in std::iter::once(&device.public_key).chain(&device.old_key) {
        if is_signed_by(&parse_key(key)?, text, signature)? {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

fn owned(row: &Device) -> OwnedDevice {
    let state = match (&row.old_key, row.rotation_ordered) {
        (Some(_), _) => KeyState::Rotating,
        (None, true) => KeyState::RotationOrdered,
        (None, false) => KeyState::Current,
    };
    let digest = Sha256::digest(row.public_key.as_bytes());
    OwnedDevice {
        id: row.id.clone(),
        name: row.name.clone(),
        place: row.place.clone(),
        location: row.location,
        enrolled_at: row.enrolled_at,
        key: DeviceKeyView {
            state,
            fingerprint: digest.iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect(),
            since: row.key_since.unwrap_or(row.enrolled_at),
        },
    }
}
