//! Alerts, active and over. Each tenant keeps a bounded number.

use ecep_proto::api::{alert::AlertView, name::TenantSlug};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// Alerts kept for each tenant: everything that can be wrong with a large fleet at once, and months of an ordinary
/// one. Policy: past it the oldest that is over goes; if none is, the oldest.
const MAX_ALERTS_OF_A_TENANT: usize = 2_000;

/// An alert, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAlert {
    /// Whose.
    pub tenant: TenantSlug,
    /// The name, for people, of what it is about.
    pub name: String,
    /// The alert.
    pub view: AlertView,
}

impl Store {
    /// All alerts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn alerts(&self) -> Result<Vec<StoredAlert>, StoreError> {
        Ok(self.alerts.rows()?.into_iter().map(|(_, alert)| alert).collect())
    }

    /// A tenant's alerts, the oldest first: their ids are in the order in which they were raised.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn alerts_of(&self, tenant: &TenantSlug) -> Result<Vec<StoredAlert>, StoreError> {
        Ok(self.alerts.rows_under(&prefix(tenant))?.into_iter().map(|(_, alert)| alert).collect())
    }

    /// One of a tenant's alerts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn alert(&self, tenant: &TenantSlug, id: &str) -> Result<Option<StoredAlert>, StoreError> {
        self.alerts.get(&key(tenant, id))
    }

    /// Keeps an alert as it is now. Not awaited to disk: whoever has to be sure flushes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn put_alert(&self, alert: &StoredAlert) -> Result<(), StoreError> {
        let tenant = &alert.tenant;
        self.alerts.put(&key(tenant, &alert.view.id), alert)?;
        if self.alerts.count_under(&prefix(tenant)) > MAX_ALERTS_OF_A_TENANT {
            let all = self.alerts_of(tenant)?;
            let oldest = all.iter().find(|alert| alert.view.cleared_at.is_some()).or(all.first());
            if let Some(oldest) = oldest {
                self.alerts.remove(&key(tenant, &oldest.view.id))?;
            }
        }
        Ok(())
    }
}

fn prefix(tenant: &TenantSlug) -> String {
    format!("{tenant}/")
}

fn key(tenant: &TenantSlug, id: &str) -> String {
    format!("{tenant}/{id}")
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::alert::AlertKind;

    use super::*;

    /// A tenant's alerts are bounded; what is over goes first, and no other tenant's.
    #[test]
    fn the_oldest_that_is_over_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let alert = |tenant: &str, number: usize, cleared_at| StoredAlert {
            tenant: tenant.parse().unwrap(),
            name: "Edge".to_owned(),
            view: AlertView {
                id: format!("{number:013}"),
                kind: AlertKind::Overload,
                device: None,
                container: None,
                text: String::new(),
                raised_at: 0,
                cleared_at,
                acknowledged_at: None,
                acknowledged_by: None,
            },
        };
        store.put_alert(&alert("acme-2", 0, Some(1))).unwrap();
        for number in 0..MAX_ALERTS_OF_A_TENANT + 2 {
            store.put_alert(&alert("acme", number, (number == 5).then_some(1))).unwrap();
        }
        let left = store.alerts_of(&"acme".parse().unwrap()).unwrap();
        assert_eq!(left.len(), MAX_ALERTS_OF_A_TENANT);
        assert_eq!(left[0].view.id, "0000000000001", "5 was over and went, then 0");
        assert!(left.iter().all(|alert| alert.view.cleared_at.is_none()));
        assert_eq!(store.alerts_of(&"acme-2".parse().unwrap()).unwrap().len(), 1);
    }
}
