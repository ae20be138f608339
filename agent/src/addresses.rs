//! Containers' addresses in their tenant's network: the control plane gives them, the agent asks. Nothing is kept here.

use std::sync::OnceLock;

use ecep_link::{CallError, Link};
use ecep_proto::api::{
    AddressAssign, AddressRelease, Procedure,
    error::{ApiError, ErrorKind},
    name::ContainerId,
    network::{AssignAddress, AssignedAddress, ReleaseAddress},
};

/// Who gives addresses: the control plane, once there is a link to it. Without one (in tests) containers live on the
/// engine's own network.
#[derive(Default)]
pub struct Addresses {
    control: OnceLock<Link>,
}

impl Addresses {
    /// The link to the control plane, told once.
    pub fn ask_over(&self, control: Link) {
        // A second one would be the same.
        let _ = self.control.set(control);
    }

    /// The container's address; the same container again has the same one. None where nobody gives any.
    ///
    /// # Errors
    /// Why there is none: the control plane is out of reach, or has none left.
    pub async fn assign(&self, request: &AssignAddress) -> Result<Option<AssignedAddress>, ApiError> {
        let Some(control) = self.control.get() else { return Ok(None) };
        match control.call::<AddressAssign>(AddressAssign::URI, request).await {
            Ok(assigned) => Ok(Some(assigned)),
            Err(CallError::Remote { uri, message }) if uri == ErrorKind::Limit.uri() => {
                Err(ApiError::new(ErrorKind::Limit, message))
            }
            Err(error) => Err(ApiError::new(
                ErrorKind::Unavailable,
                format!(
                    "the control plane gives no address for the container: {error}; try again in a moment"
                ),
            )),
        }
    }

    /// The container was not created after all. Best effort: the control plane forgets it by itself some minutes later.
    pub async fn release(&self, container: &ContainerId) {
        let Some(control) = self.control.get() else { return };
        let request = ReleaseAddress { container: container.clone() };
        if let Err(error) = control.call::<AddressRelease>(AddressRelease::URI, &request).await {
            tracing::debug!(%container, %error, "an address was not released");
        }
    }
}
