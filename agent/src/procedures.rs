//! The procedures that this device serves in a tenant's realm. Thin: each checks, asks, and answers; for an order
//! the log names who asked for what, and what came of it.

use std::sync::Arc;

use ecep_link::LinkBuilder;
use ecep_proto::api::{
    CheckpointDelete, CheckpointListing, ContainerCheckpoint, ContainerCreate, ContainerDelete,
    ContainerInspect, ContainerList, ContainerLogs, ContainerRestart, ContainerRestore, ContainerStart,
    ContainerStop, DeviceInfo, FileFetch, FileListing, ImageDelete, ImageList, ImagePull, KeptDelete,
    KeptListing, LogFetch, Procedure, TerminalOpen,
    checkpoint::{CheckpointContainer, CheckpointList, CheckpointQuery, DeleteCheckpoint, RestoreContainer},
    container::{
        ContainerDetail, ContainerList as Containers, ContainerOrder, ContainerRef, CreateContainer,
        DeleteContainer, LogLines, LogQuery, StopContainer,
    },
    device::DeviceFacts,
    error::{ApiError, ErrorKind},
    file::{EntryList, FetchFile, FetchLog, ListFiles},
    image::{DeleteImage, ImageList as Images, PullImage},
    kept::{DeleteKept, KeptList, KeptQuery},
    name::{ContainerId, TenantSlug},
    operation::OperationReply,
    reply::{Caller, Nothing},
    terminal::{OpenTerminal, OpenedTerminal},
};
use tokio::sync::watch;

use crate::{
    applications::names,
    engine::{Engine, EngineError, LogWindow},
    orders::{Accepted, Orders},
};

/// Lines of output unless the query says otherwise.
const DEFAULT_TAIL: u32 = 200;
/// More lines in one answer would only make a browser slow; downloads have another way.
const MAX_TAIL: u32 = 1000;
/// Bytes of output in one answer: far below what a WAMP message may hold.
const MAX_LOG_BYTES: usize = 256 * 1024;

/// What the procedures of one tenant need.
struct Share<E> {
    orders: Arc<Orders<E>>,
    tenant: TenantSlug,
    facts: watch::Receiver<DeviceFacts>,
}

impl<E> Clone for Share<E> {
    fn clone(&self) -> Self {
        Self { orders: Arc::clone(&self.orders), tenant: self.tenant.clone(), facts: self.facts.clone() }
    }
}

/// Registers all of them on the tenant's link.
pub fn serve<E: Engine>(
    mut link: LinkBuilder,
    orders: &Arc<Orders<E>>,
    tenant: &TenantSlug,
    facts: watch::Receiver<DeviceFacts>,
) -> LinkBuilder {
    let share = Share { orders: Arc::clone(orders), tenant: tenant.clone(), facts };
    macro_rules! procedures {
        ($($procedure:ty => $method:ident($request:ty);)+) => { $(
            let this = share.clone();
            link = link.procedure::<$procedure, _, _>(
                <$procedure>::on(&share.orders.device),
                move |caller: Caller, request: $request| {
                    let this = this.clone();
                    async move { this.$method(caller, request).await }
                },
            );
        )+ };
    }
    procedures! {
        DeviceInfo => info(Nothing);
        ContainerList => list(Nothing);
        ContainerCreate => create(CreateContainer);
        ContainerStart => start(ContainerOrder);
        ContainerStop => stop(StopContainer);
        ContainerRestart => restart(StopContainer);
        ContainerDelete => delete(DeleteContainer);
        ContainerInspect => inspect(ContainerRef);
        ContainerLogs => logs(LogQuery);
        LogFetch => fetch_log(FetchLog);
        FileListing => list_files(ListFiles);
        FileFetch => fetch_file(FetchFile);
        TerminalOpen => open_terminal(OpenTerminal);
        ContainerCheckpoint => checkpoint(CheckpointContainer);
        ContainerRestore => restore(RestoreContainer);
        CheckpointListing => checkpoints(CheckpointQuery);
        CheckpointDelete => delete_checkpoint(DeleteCheckpoint);
        KeptListing => kept(KeptQuery);
        KeptDelete => delete_kept(DeleteKept);
        ImageList => images(Nothing);
        ImagePull => pull(PullImage);
        ImageDelete => delete_image(DeleteImage);
    }
    link
}

impl<E: Engine> Share<E> {
    async fn info(self, _: Caller, _: Nothing) -> Result<DeviceFacts, ApiError> {
        let engine = self.orders.engine.facts().await;
        let facts = DeviceFacts { engine, ..self.facts.borrow().clone() };
        Ok(if self.orders.quotas.is_guest(&self.tenant) { facts.for_guest() } else { facts })
    }

    async fn list(self, _: Caller, _: Nothing) -> Result<Containers, ApiError> {
        let listed = self.orders.engine.list().await.map_err(EngineError::into_api)?;
        let moving = &self.orders.moving;
        let of_tenant = listed
            .into_iter()
            .filter(|container| container.tenant == self.tenant && !moving.is_hidden(&container.view().id));
        let mut containers: Vec<_> = of_tenant.map(|container| container.detail.container).collect();
        containers.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(Containers { containers })
    }

    async fn inspect(self, _: Caller, request: ContainerRef) -> Result<ContainerDetail, ApiError> {
        Ok(self.orders.find(&self.tenant, &request.container).await?.detail)
    }

    async fn logs(self, _: Caller, query: LogQuery) -> Result<LogLines, ApiError> {
        let tail = query.tail.unwrap_or(DEFAULT_TAIL);
        if !(1..=MAX_TAIL).contains(&tail) {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                format!("tail is {tail}; use 1 to {MAX_TAIL}"),
            ));
        }
        let found = self.orders.find(&self.tenant, &query.container).await?;
        let window = LogWindow { tail, since: query.since, max_bytes: MAX_LOG_BYTES };
        let lines = self.orders.engine.logs(&found.detail.engine_id, found.detail.tty, window).await;
        lines.map_err(EngineError::into_api)
    }

    async fn fetch_log(self, caller: Caller, order: FetchLog) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.fetch_log(&self.tenant, order);
        self.answer(&caller, "container.logs.fetch", Some(container), accepted).await
    }

    async fn list_files(self, _: Caller, request: ListFiles) -> Result<EntryList, ApiError> {
        self.orders.list_files(&self.tenant, request).await
    }

    async fn fetch_file(self, caller: Caller, order: FetchFile) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.fetch_file(&self.tenant, order);
        self.answer(&caller, "file.fetch", Some(container), accepted).await
    }

    async fn open_terminal(self, caller: Caller, order: OpenTerminal) -> Result<OpenedTerminal, ApiError> {
        let container = order.container.clone();
        let opened = self.orders.open_terminal(&self.tenant, &caller.authid, order).await;
        let (tenant, caller_id) = (&self.tenant, &caller.authid);
        match &opened {
            Ok(_) => tracing::info!(%container, %tenant, caller = %caller_id, "terminal opened"),
            Err(error) => {
                tracing::info!(%container, %tenant, caller = %caller_id, reason = %error.message, "no terminal");
            }
        }
        opened
    }

    async fn images(self, _: Caller, _: Nothing) -> Result<Images, ApiError> {
        let mut images = self.orders.engine.images().await.map_err(EngineError::into_api)?;
        names::hide_foreign(&self.tenant, &mut images);
        if self.orders.quotas.is_guest(&self.tenant) {
            // What the others run is none of its business.
            let listed = self.orders.engine.list().await.map_err(EngineError::into_api)?;
            let own: Vec<&str> = listed
                .iter()
                .filter(|container| container.tenant == self.tenant)
                .map(|container| container.view().image.as_str())
                .collect();
            images.iter_mut().for_each(|image| image.tags.retain(|tag| own.contains(&tag.as_str())));
            images.retain(|image| !image.tags.is_empty() || own.contains(&image.id.as_str()));
        }
        images.sort_by(|a, b| (&a.tags, &a.id).cmp(&(&b.tags, &b.id)));
        Ok(Images { images })
    }

    async fn create(self, caller: Caller, order: CreateContainer) -> Result<OperationReply, ApiError> {
        let accepted = self.orders.create(&self.tenant, order);
        self.answer(&caller, "container.create", None, accepted).await
    }

    async fn start(self, caller: Caller, order: ContainerOrder) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.start(&self.tenant, order);
        self.answer(&caller, "container.start", Some(container), accepted).await
    }

    async fn stop(self, caller: Caller, order: StopContainer) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.stop(&self.tenant, order);
        self.answer(&caller, "container.stop", Some(container), accepted).await
    }

    async fn restart(self, caller: Caller, order: StopContainer) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.restart(&self.tenant, order);
        self.answer(&caller, "container.restart", Some(container), accepted).await
    }

    async fn delete(self, caller: Caller, order: DeleteContainer) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.delete(&self.tenant, order);
        self.answer(&caller, "container.delete", Some(container), accepted).await
    }

    async fn checkpoint(
        self,
        caller: Caller,
        order: CheckpointContainer,
    ) -> Result<OperationReply, ApiError> {
        let container = order.container.clone();
        let accepted = self.orders.checkpoint(&self.tenant, order);
        self.answer(&caller, "container.checkpoint", Some(container), accepted).await
    }

    async fn restore(self, caller: Caller, order: RestoreContainer) -> Result<OperationReply, ApiError> {
        let container = order.into.clone().unwrap_or_else(|| order.container.clone());
        let accepted = self.orders.restore(&self.tenant, order);
        self.answer(&caller, "container.restore", Some(container), accepted).await
    }

    async fn checkpoints(self, _: Caller, query: CheckpointQuery) -> Result<CheckpointList, ApiError> {
        self.orders.checkpoints(&self.tenant, query).await
    }

    async fn delete_checkpoint(self, caller: Caller, order: DeleteCheckpoint) -> Result<Nothing, ApiError> {
        let (container, name) = (order.container.clone(), order.name.clone());
        self.orders.delete_checkpoint(&self.tenant, order).await?;
        let (tenant, caller_id) = (&self.tenant, &caller.authid);
        tracing::info!(%container, checkpoint = %name, %tenant, caller = %caller_id, "checkpoint deleted");
        Ok(Nothing {})
    }

    async fn kept(self, _: Caller, query: KeptQuery) -> Result<KeptList, ApiError> {
        self.orders.kept(&self.tenant, query).await
    }

    async fn delete_kept(self, caller: Caller, order: DeleteKept) -> Result<Nothing, ApiError> {
        let (container, migration) = (order.container.clone(), order.migration.clone());
        self.orders.delete_kept(&self.tenant, order).await?;
        let (tenant, caller_id) = (&self.tenant, &caller.authid);
        tracing::info!(%container, %migration, %tenant, caller = %caller_id, "kept copy deleted");
        Ok(Nothing {})
    }

    async fn pull(self, caller: Caller, order: PullImage) -> Result<OperationReply, ApiError> {
        let accepted = self.orders.pull(&self.tenant, order);
        self.answer(&caller, "image.pull", None, accepted).await
    }

    async fn delete_image(self, caller: Caller, order: DeleteImage) -> Result<OperationReply, ApiError> {
        let accepted = self.orders.delete_image(&self.tenant, order);
        self.answer(&caller, "image.delete", None, accepted).await
    }

    /// Answers in time, and logs the order.
    async fn answer(
        &self,
        caller: &Caller,
        order: &'static str,
        container: Option<ContainerId>,
        accepted: Result<Accepted, ApiError>,
    ) -> Result<OperationReply, ApiError> {
        let answer = match accepted {
            Ok(accepted) => accepted.answer().await,
            Err(error) => Err(error),
        };
        let container = container.or_else(|| answer.as_ref().ok()?.container_id.clone());
        let container = container.as_ref().map_or("-", ContainerId::as_str);
        let (caller_id, role, session) = (&caller.authid, &caller.authrole, caller.session);
        let tenant = &self.tenant;
        match &answer {
            Ok(reply) => tracing::info!(
                %order, %container, %tenant, caller = %caller_id, %role, session,
                operation = %reply.operation, state = ?reply.state, "order"
            ),
            Err(error) => tracing::info!(
                %order, %container, %tenant, caller = %caller_id, %role, session,
                error = error.uri.uri(), reason = error.message.as_str(), "order refused"
            ),
        }
        answer
    }
}
