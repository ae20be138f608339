//! Devices, their keys and what they last told. A key belongs to one device.

use ecep_proto::api::name::{DeviceId, TenantSlug};
use sled::Transactional;

use super::{Device, LastReport, Store, StoreError, table::abort};

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq)]
pub enum Enrolment {
    /// The device is new; a use of the token is spent.
    Added(Device),
    /// The key is enrolled already; nothing is spent.
    Known(Device),
    /// The token ended before.
    Expired,
    /// The token has no use left.
    Spent,
    /// The token was deleted in the meantime.
    TokenGone,
    /// The id is taken; try another.
    IdTaken,
    /// The key belongs to a device of another tenant.
    OfAnotherTenant,
}

impl Store {
    /// Enrols a device with a use of this join token, whose secret the caller has checked. The use is spent if and
    /// only if the device is added. A key that is enrolled already is known again whatever became of the token:
    /// the answer to its first enrolment may have been lost.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn enrol(&self, now: u64, token: &str, device: &Device) -> Result<Enrolment, StoreError> {
        let outcome = self.enrol_alone(now, token, device)?;
        self.flush().await?;
        Ok(outcome)
    }

    fn enrol_alone(&self, now: u64, token: &str, device: &Device) -> Result<Enrolment, StoreError> {
        let trees = (&self.join_tokens.tree, &self.devices.tree, &self.device_of_key.tree);
        // A tenant that is being deleted counts its devices.
        let _alone = self.alone();
        let outcome = trees.transaction(|(tokens, devices, keys)| {
            let (tokens, devices, keys) = (
                self.join_tokens.within(tokens),
                self.devices.within(devices),
                self.device_of_key.within(keys),
            );
            if let Some(id) = keys.get(&device.public_key)? {
                let Some(known) = devices.get(&id)? else {
                    return Err(abort(StoreError::Conflict(format!(
                        "The device {id} has a key but no row."
                    ))));
                };
                let same = known.owner == device.owner;
                return Ok(if same { Enrolment::Known(known) } else { Enrolment::OfAnotherTenant });
            }
            let Some(mut join) = tokens.get(token)? else { return Ok(Enrolment::TokenGone) };
            if join.expires_at <= now {
                return Ok(Enrolment::Expired);
            }
            if join.uses_left == 0 {
                return Ok(Enrolment::Spent);
            }
            if devices.get(device.id.as_str())?.is_some() {
                return Ok(Enrolment::IdTaken);
            }
            join.uses_left -= 1;
            tokens.put(token, &join)?;
            devices.put(device.id.as_str(), device)?;
            keys.put(&device.public_key, &device.id.to_string())?;
            Ok(Enrolment::Added(device.clone()))
        })?;
        Ok(outcome)
    }

    /// The device with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn device(&self, id: &DeviceId) -> Result<Option<Device>, StoreError> {
        self.devices.get(id.as_str())
    }

    /// All devices.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        Ok(self.devices.rows()?.into_iter().map(|(_, device)| device).collect())
    }

    /// Deletes the tenant's device of this id with its key and its last report; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_device(&self, tenant: &TenantSlug, id: &DeviceId) -> Result<bool, StoreError> {
        let trees = (&self.devices.tree, &self.device_of_key.tree, &self.reports.tree);
        let removed = trees.transaction(|(devices, keys, reports)| {
            let devices = self.devices.within(devices);
            let Some(device) = devices.get(id.as_str())?.filter(|device| device.owner == *tenant) else {
                return Ok(false);
            };
            devices.remove(id.as_str())?;
            self.device_of_key.within(keys).remove(&device.public_key)?;
            self.reports.within(reports).remove(id.as_str())?;
            Ok(true)
        })?;
        self.flush().await?;
        Ok(removed)
    }

    /// Keeps what a device last told, if it is still enrolled. Not awaited to disk: a crash may lose the last half
    /// second of it, and the next report tells it again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn put_report(&self, id: &DeviceId, report: &LastReport) -> Result<(), StoreError> {
        (&self.devices.tree, &self.reports.tree).transaction(|(devices, reports)| {
            if self.devices.within(devices).get(id.as_str())?.is_some() {
                self.reports.within(reports).put(id.as_str(), report)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// What a device last told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn report(&self, id: &DeviceId) -> Result<Option<LastReport>, StoreError> {
        self.reports.get(id.as_str())
    }
}
