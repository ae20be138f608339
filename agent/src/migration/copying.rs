//! Copies of checkpoints between devices: this one brings one, or is brought one. What a checkpoint is made of, the
//! checkpoints know; what allows a copy, the control plane has signed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ecep_channel::{
    channel::ChannelStream,
    frame::write_message,
    grant::{Grant, Mode, SignedGrant},
    header::Header,
    transfer::{self, Inbox, Options, Source, Throttle, TransferError},
};
use ecep_fleet::quota::Action;
use ecep_proto::api::{
    checkpoint::{ExpectCheckpoint, SendCheckpoint},
    error::{ApiError, ErrorKind},
    operation::{OperationReply, OperationState},
    reply::Nothing,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Expected, Migrations, STREAMS,
    destination::LOT_LIMIT,
    files, lock, parse,
    wire::{Lot, Opening},
};
use crate::{
    checkpoints::{CHECKPOINT, Copy},
    engine::Engine,
    operations::What,
};

/// The source comes at once, and comes back as soon after its line broke.
const COMES_WITHIN: Duration = Duration::from_secs(60);
/// How often a source whose line breaks comes back.
const ATTEMPTS: u32 = 5;
/// Between two attempts.
const RETRY_EVERY: Duration = Duration::from_secs(2);

impl<E: Engine> Migrations<E> {
    /// A checkpoint will be brought here.
    ///
    /// # Errors
    /// The grant is not good, or there is such a checkpoint already.
    pub fn expect_checkpoint(self: &Arc<Self>, order: &ExpectCheckpoint) -> Result<OperationReply, ApiError> {
        let grant = self.verify_copy(&parse(order.grant.clone())?)?;
        if grant.destination != self.shared.device {
            return Err(ApiError::new(ErrorKind::Forbidden, "the grant is for another device"));
        }
        self.shared.orders.quotas.allow(&grant.tenant, Action::TakeCheckpoint)?;
        let begun = OperationReply {
            operation: grant.migration.clone(),
            state: OperationState::Running,
            container_id: None,
            container: None,
        };
        if lock(&self.expected).contains_key(&grant.migration) {
            return Ok(begun);
        }
        let orders = &self.shared.orders;
        let copy =
            orders.begin_copy(&grant.tenant, order.directory.as_ref(), &grant.container, &order.name)?;
        let what = What::new("container.checkpoint.copy", &(&order.name, &order.directory, &grant.source));
        let (this, tenant, operation) = (Arc::clone(self), grant.tenant.clone(), grant.migration.clone());
        let (streams, arriving) = mpsc::channel(STREAMS);
        let expected = Expected { grant: grant.id, streams: streams.clone() };
        lock(&self.expected).insert(operation.clone(), expected);
        let accepted =
            orders.accept(&tenant, Some(operation.clone()), what, |_, _, report| {
                Box::pin(async move {
                    report.phase("receiving", Some(&grant.container), None);
                    let quotas = &this.shared.orders.quotas;
                    let received = match quotas.allow_on_disk(&grant.tenant, Action::TakeCheckpoint, 0).await {
                        Ok(()) => match quotas.disk_left(&grant.tenant).await {
                            Ok(left) => receive(&copy, arriving, left.unwrap_or(LOT_LIMIT)).await,
                            Err(error) => Err(error),
                        },
                        Err(error) => Err(error),
                    };
                    lock(&this.expected).remove(&grant.migration);
                    if let Err(error) = lock(&this.ledger).finish(grant.id) {
                        tracing::warn!(operation = %grant.migration, %error, "a used grant was not written down; it ends by itself");
                    }
                    received?;
                    copy.keep().await?;
                    tracing::info!(operation = %grant.migration, container = %grant.container, source = %grant.source, "checkpoint was copied here");
                    Ok((None, None))
                })
            });
        if streams.is_closed() {
            // It was refused, or was done before.
            lock(&self.expected).remove(&operation);
        }
        accepted.map(|_| begun)
    }

    /// Brings a checkpoint to another device.
    ///
    /// # Errors
    /// The grant is not good, or there is no such checkpoint.
    pub fn send_checkpoint(self: &Arc<Self>, order: SendCheckpoint) -> Result<Nothing, ApiError> {
        let signed = parse(order.grant)?;
        let grant = self.verify_copy(&signed)?;
        if grant.source != self.shared.device {
            return Err(ApiError::new(ErrorKind::Forbidden, "the grant is for another device"));
        }
        let orders = &self.shared.orders;
        let place = orders.whole_checkpoint(
            &grant.tenant,
            order.directory.as_ref(),
            &grant.container,
            &order.name,
        )?;
        let this = Arc::clone(self);
        tokio::spawn(async move {
            for attempt in 1..=ATTEMPTS {
                match this.bring(&grant, &signed, &order.addresses, place.clone()).await {
                    Ok(()) => {
                        tracing::info!(operation = %grant.migration, destination = %grant.destination, "checkpoint was copied");
                        return;
                    }
                    Err((why, may_try_again)) => {
                        tracing::warn!(operation = %grant.migration, destination = %grant.destination, attempt, %why, "a checkpoint could not be copied");
                        if !may_try_again {
                            return;
                        }
                    }
                }
                sleep(RETRY_EVERY).await;
            }
        });
        Ok(Nothing {})
    }

    async fn bring(
        &self,
        grant: &Grant,
        signed: &SignedGrant,
        addresses: &[String],
        place: PathBuf,
    ) -> Result<(), (String, bool)> {
        let reached = self.shared.channels.reach(&grant.destination, addresses, signed).await;
        let (channel, is_relayed) = reached.map_err(|error| (error.to_string(), true))?;
        let header = Header::Migration { grant: signed.clone() };
        let mut stream = channel.open(&header).await.map_err(|error| (error.to_string(), false))?;
        let opened = write_message(&mut stream, &Opening::Items(Lot::Checkpoint)).await;
        opened.map_err(|error| (error.to_string(), true))?;
        let items =
            [files::item(CHECKPOINT, Source::Tree(place)).map_err(|error| (error.to_string(), false))?];
        let options = Options { compress: is_relayed, throttle: Throttle::new(None) };
        let sent = transfer::send(stream, &items, &options, &mut |_| {}).await;
        sent.map(drop).map_err(|error| {
            let may_try_again = matches!(error, TransferError::Stream(_));
            (error.to_string(), may_try_again)
        })
    }

    /// A grant for a copy, and for nothing else.
    fn verify_copy(&self, signed: &SignedGrant) -> Result<Grant, ApiError> {
        let grant = self.verify_order(signed)?;
        if grant.mode == Mode::Checkpoint {
            return Ok(grant);
        }
        Err(ApiError::new(ErrorKind::Forbidden, "the grant is for a move, not for a checkpoint"))
    }
}

/// Until the checkpoint is there: a source whose line broke comes back and goes on where it was.
async fn receive(
    copy: &Copy,
    mut arriving: mpsc::Receiver<(Opening, ChannelStream)>,
    limit: u64,
) -> Result<(), ApiError> {
    let failed = |text: String| ApiError::new(ErrorKind::Engine, text);
    let inbox = Inbox::open(copy.inbox(), limit).map_err(|error| failed(error.to_string()))?;
    let mut broke = None;
    loop {
        let arrived = timeout(COMES_WITHIN, arriving.recv()).await;
        let Ok(Some((opening, stream))) = arrived else {
            let why = broke.unwrap_or_else(|| {
                "the device that has the checkpoint did not come; its log tells why".to_owned()
            });
            return Err(ApiError::new(ErrorKind::Unavailable, why));
        };
        if opening != Opening::Items(Lot::Checkpoint) {
            return Err(failed("the device that has the checkpoint sent something else".to_owned()));
        }
        match transfer::receive(stream, &inbox, &mut |_| {}).await {
            Ok(_) => return Ok(()),
            Err(TransferError::Stream(error)) => {
                broke = Some(format!("the line to the other device broke: {error}"))
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}
