//! Tells how an operation goes on: to whoever waits for its answer, and to the tenant by events.

use std::sync::Arc;

use ecep_proto::api::{
    container::ContainerView,
    error::ApiError,
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
    operation::{OperationEvent, OperationState},
};
use tokio::sync::watch;

use crate::{
    clock,
    engine::PullProgress,
    operations::Progress,
    outbox::{Event, Outbox},
};

/// What an order came to: the container it was about, if it is there now.
pub(crate) type Ended = Result<(Option<ContainerId>, Option<ContainerView>), ApiError>;

/// Tells how an operation goes on.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) device: DeviceId,
    pub(crate) tenant: TenantSlug,
    pub(crate) operation: OperationId,
    pub(crate) kind: &'static str,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
}

impl Reporter {
    /// It has come to this phase.
    pub(crate) fn phase(&self, phase: &str, container: Option<&ContainerId>, bytes: Option<PullProgress>) {
        if let Some(container) = container {
            self.progress.send_replace(Progress::Running(Some(container.clone())));
        }
        self.send(OperationState::Running, phase, container.cloned(), bytes, None);
    }

    /// Nothing more comes after this.
    pub(crate) fn end(&self, ended: Ended) {
        match ended {
            Ok((container_id, container)) => {
                self.send(OperationState::Done, "done", container_id.clone(), None, None);
                self.progress.send_replace(Progress::Done { container_id, container });
            }
            Err(error) => {
                self.send(OperationState::Failed, "failed", None, None, Some(error.clone()));
                self.progress.send_replace(Progress::Failed(error));
            }
        }
    }

    fn send(
        &self,
        state: OperationState,
        phase: &str,
        container_id: Option<ContainerId>,
        bytes: Option<PullProgress>,
        error: Option<ApiError>,
    ) {
        let event = OperationEvent {
            device: self.device.clone(),
            operation: self.operation.clone(),
            kind: self.kind.to_owned(),
            state,
            phase: phase.to_owned(),
            bytes_done: bytes.map(|bytes| bytes.done),
            bytes_total: bytes.map(|bytes| bytes.total),
            container_id,
            error,
            at: clock::now_ms(),
        };
        self.outbox.send(&self.tenant, Event::Operation(event));
    }
}
