//! Orders a copy of a checkpoint from one device to another: both are the tenant's, and get a signed grant. From there they work
//! by themselves; the destination tells how it goes on.

use ecep_channel::grant::{Grant, GrantId, Mode};
use ecep_proto::api::{
    CheckpointExpect, CheckpointSend,
    checkpoint::{CopyCheckpoint, ExpectCheckpoint, SendCheckpoint},
    error::{ApiError, ErrorKind},
    name::TenantSlug,
    operation::OperationReply,
    reply::Caller,
};

use super::{
    Uplink,
    migration::{grant_ends, operation_or_new},
};

impl Uplink {
    /// Begins a copy.
    ///
    /// # Errors
    /// `NotFound` where there is no such device or checkpoint, `Conflict` where the destination has one of that name,
    /// `Unavailable` where an end does not answer.
    pub(super) async fn copy_checkpoint(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: CopyCheckpoint,
    ) -> Result<OperationReply, ApiError> {
        let CopyCheckpoint { container, name, directory, source, destination, operation } = request;
        if source == destination {
            let text =
                format!("the checkpoint is on {source} already; name another device as its destination");
            return Err(ApiError::new(ErrorKind::InvalidArgument, text));
        }
        for (device, end) in [(&source, "has the checkpoint"), (&destination, "would get it")] {
            self.refuse_unless_shared(tenant, device)?;
            self.refuse_unless_reporting(device, end)?;
        }
        self.refuse_if_ending(tenant, &destination)?;
        let operation = operation_or_new(operation, "copy")?;
        tracing::info!(
            %container, %tenant, %source, %destination, checkpoint = %name, %operation,
            caller = %caller.authid, role = %caller.authrole, session = caller.session, "checkpoint is to be copied"
        );
        let grant = Grant {
            id: GrantId::random(),
            migration: operation,
            container,
            tenant: tenant.clone(),
            source: source.clone(),
            destination: destination.clone(),
            generation: 0,
            mode: Mode::Checkpoint,
            not_after: grant_ends(),
        };
        let addresses = self.channel_addresses(&destination);
        let grant = self.signed(grant)?;
        let expect =
            ExpectCheckpoint { grant: grant.clone(), name: name.clone(), directory: directory.clone() };
        let begun = self.ask::<CheckpointExpect>(&destination, &expect).await?;
        let send = SendCheckpoint { grant, addresses, name, directory };
        self.ask::<CheckpointSend>(&source, &send).await?;
        Ok(begun)
    }
}
