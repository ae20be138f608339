//! Devices, their keys and what they last told. A key belongs to one device.

use ecep_proto::api::name::{DeviceId, TenantSlug};

use super::{
    Device, LastReport, Placement, Store, StoreError, placements::forget, table::abort, tree::Transactional,
};

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
    /// The key belongs to a device of another tenant, or to another device than the token.
    OfAnotherTenant,
    /// The token's device has another key from now on; its row as it is now.
    Replaced(Device),
}

/// What became of a new key.
#[derive(Debug, Clone, PartialEq)]
pub enum Rotation {
    /// Both keys are good now; the device's row as it is now.
    Begun(Device),
    /// The new key was the device's already.
    Known(Device),
    /// The key that was to prove it is none of the device's any more.
    NotGood,
    /// The new key belongs to another device.
    Taken,
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
                let of_token = tokens.get(token)?.and_then(|join| join.device);
                let same = known.owner == device.owner && of_token.is_none_or(|device| device == known.id);
                return Ok(if same { Enrolment::Known(known) } else { Enrolment::OfAnotherTenant });
            }
            let Some(mut join) = tokens.get(token)? else { return Ok(Enrolment::TokenGone) };
            if join.expires_at <= now {
                return Ok(Enrolment::Expired);
            }
            if join.uses_left == 0 {
                return Ok(Enrolment::Spent);
            }
            if let Some(id) = &join.device {
                let Some(known) = devices.get(id.as_str())?.filter(|known| known.owner == join.tenant) else {
                    return Ok(Enrolment::TokenGone);
                };
                for old in std::iter::once(&known.public_key).chain(&known.old_key) {
                    keys.remove(old)?;
                }
                let replaced = Device {
                    public_key: device.public_key.clone(),
                    old_key: None,
                    key_since: Some(now),
                    rotation_ordered: false,
                    facts: device.facts.clone(),
                    ..known
                };
                join.uses_left -= 1;
                tokens.put(token, &join)?;
                devices.put(id.as_str(), &replaced)?;
                keys.put(&replaced.public_key, &id.to_string())?;
                return Ok(Enrolment::Replaced(replaced));
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

    /// Changes a device, but for its id, owner and keys; its row as it is then, with what `change` answers. None where there is
    /// no such device. `change` may run more than once.
    ///
    /// # Errors
    /// What `change` refuses; else see [`StoreError`].
    pub async fn change_device<T>(
        &self,
        id: &DeviceId,
        change: impl Fn(&mut Device) -> Result<T, StoreError>,
    ) -> Result<Option<(Device, T)>, StoreError> {
        let changed = self.change_row(id, change)?;
        self.flush().await?;
        Ok(changed)
    }

    /// The same, on behalf of a tenant, which must be there still.
    ///
    /// # Errors
    /// `Conflict` if the tenant was deleted; else as [`Store::change_device`].
    pub async fn change_device_for<T>(
        &self,
        tenant: &TenantSlug,
        id: &DeviceId,
        change: impl Fn(&mut Device) -> Result<T, StoreError>,
    ) -> Result<Option<(Device, T)>, StoreError> {
        let changed = {
            // A tenant that is being deleted counts its shares. (Not asked within the transaction: sled would wait for itself.)
            let _alone = self.alone();
            self.check_tenant(tenant)?;
            self.change_row(id, change)?
        };
        self.flush().await?;
        Ok(changed)
    }

    fn change_row<T>(
        &self,
        id: &DeviceId,
        change: impl Fn(&mut Device) -> Result<T, StoreError>,
    ) -> Result<Option<(Device, T)>, StoreError> {
        let changed = self.devices.tree.transaction(|devices| {
            let devices = self.devices.within(devices);
            let Some(mut device) = devices.get(id.as_str())? else { return Ok(None) };
            let answer = change(&mut device).map_err(abort)?;
            devices.put(id.as_str(), &device)?;
            Ok(Some((device, answer)))
        })?;
        Ok(changed)
    }

    /// Gives a device a new key, which `by`, a key that is good now, has proved. Both are good until [`Store::settle_key`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rotate_key(
        &self,
        now: u64,
        id: &DeviceId,
        by: &str,
        new: &str,
    ) -> Result<Rotation, StoreError> {
        let trees = (&self.devices.tree, &self.device_of_key.tree);
        let rotation = trees.transaction(|(devices, keys)| {
            let (devices, keys) = (self.devices.within(devices), self.device_of_key.within(keys));
            let Some(device) = devices.get(id.as_str())? else { return Ok(Rotation::NotGood) };
            if by != device.public_key && device.old_key.as_deref() != Some(by) {
                return Ok(Rotation::NotGood);
            }
            if device.public_key == new {
                return Ok(Rotation::Known(device));
            }
            if keys.get(new)?.is_some() {
                return Ok(Rotation::Taken);
            }
            // Of a new key that was never used, the one that comes after it takes the place.
            let dropped =
                if by == device.public_key { device.old_key.as_ref() } else { Some(&device.public_key) };
            if let Some(dropped) = dropped {
                keys.remove(dropped)?;
            }
            let rotated = Device {
                public_key: new.to_owned(),
                old_key: Some(by.to_owned()),
                key_since: Some(now),
                rotation_ordered: false,
                ..device
            };
            keys.put(new, &id.to_string())?;
            devices.put(id.as_str(), &rotated)?;
            Ok(Rotation::Begun(rotated))
        })?;
        self.flush().await?;
        Ok(rotation)
    }

    /// The device has used this key, its newest: the one before it is good no more. The device's row if that has changed
    /// anything.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle_key(&self, id: &DeviceId, used: &str) -> Result<Option<Device>, StoreError> {
        let trees = (&self.devices.tree, &self.device_of_key.tree);
        let settled = trees.transaction(|(devices, keys)| {
            let devices = self.devices.within(devices);
            let Some(device) = devices.get(id.as_str())?.filter(|device| device.public_key == used) else {
                return Ok(None);
            };
            let Some(old) = &device.old_key else { return Ok(None) };
            self.device_of_key.within(keys).remove(old)?;
            let settled = Device { old_key: None, ..device.clone() };
            devices.put(id.as_str(), &settled)?;
            Ok(Some(settled))
        })?;
        self.flush().await?;
        Ok(settled)
    }

    /// All devices.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        Ok(self.devices.rows()?.into_iter().map(|(_, device)| device).collect())
    }

    /// Deletes the tenant's device of this id with its key, its last report and these placements, which it has;
    /// whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_device(
        &self,
        tenant: &TenantSlug,
        id: &DeviceId,
        placed: &[Placement],
        now: u64,
    ) -> Result<bool, StoreError> {
        let trees = (
            &self.devices.tree,
            &self.device_of_key.tree,
            &self.reports.tree,
            &self.placements.tree,
            &self.gone.tree,
            &self.audit.marks.tree,
            &self.deliveries.tree,
        );
        let delivered = self.deliveries.keys_under(&format!("{id}/"))?;
        let removed =
            trees.transaction(|(devices, keys, reports, placements, gone, marks, deliveries)| {
                let devices = self.devices.within(devices);
                let Some(device) = devices.get(id.as_str())?.filter(|device| device.owner == *tenant) else {
                    return Ok(false);
                };
                devices.remove(id.as_str())?;
                for key in std::iter::once(&device.public_key).chain(&device.old_key) {
                    self.device_of_key.within(keys).remove(key)?;
                }
                self.reports.within(reports).remove(id.as_str())?;
                self.audit.marks.within(marks).remove(id.as_str())?;
                for key in &delivered {
                    self.deliveries.within(deliveries).remove(key)?;
                }
                let (placements, gone) = (self.placements.within(placements), self.gone.within(gone));
                for placement in placed {
                    forget(&placements, &gone, placement, now)?;
                }
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
