//! What comes to a destination on the line: lots of files, memory while the container runs, and its state after the freeze.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ecep_channel::{
    channel::ChannelStream,
    frame::read_message,
    grant::Mode,
    transfer::{self, Inbox, TransferError},
};
use ecep_precopy::pool::Pool;
use tokio::{io::AsyncWriteExt, time::sleep};

use super::{
    super::{
        memory,
        step::{Why, text_of},
        wire::{FromSource, Lot, Opening},
    },
    LINE_LOST, LOT_LIMIT, Move, Streams, lost,
};
use crate::engine::Engine;

/// The source saves memory, or makes an image's archive, before it sends the next lot: for so long not a byte may come.
const NEXT_LOT: Duration = Duration::from_secs(600);
/// Said of a stream or a message that does not belong here.
const OUT_OF_TURN: &str = "the source sent something out of turn";

/// When something came last.
#[derive(Debug, Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn hear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends when nothing has come for too long: a lot may take hours on a slow link, or one that was limited; but not without a byte.
    async fn silence(&self) -> Why {
        loop {
            let quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            if quiet >= NEXT_LOT {
                return "the source does nothing".to_owned();
            }
            sleep(NEXT_LOT - quiet).await;
        }
    }
}

impl<E: Engine> Move<'_, E> {
    /// Receives a lot of files, and waits until the source says that it was all.
    pub(super) async fn take_lot(&mut self, lot: Lot, streams: &mut Streams) -> Result<(), Why> {
        let (inbox, heard) = (self.open_inbox(lot)?, Heard::now());
        let receiving = async {
            loop {
                match next(streams).await? {
                    (Opening::Items(of), stream) if of == lot => take_items(stream, &inbox, &heard).await?,
                    _ => return Err(OUT_OF_TURN.to_owned()),
                }
            }
        };
        let control = self.control.as_mut().ok_or(LINE_LOST)?;
        tokio::select! {
            received = receiving => received,
            said = sent(control, lot) => said,
            why = heard.silence() => Err(why),
        }
    }

    /// Receives the memory that comes while the container runs, and what the source says then; none where it comes cold.
    pub(super) async fn take_memory(&mut self, streams: &mut Streams) -> Result<Option<Arc<Pool>>, Why> {
        let memory_bytes = self.record.plan.as_ref().map_or(0, |plan| plan.needs.memory_bytes);
        let (own, heard) = (self.journal.folder().to_owned(), Heard::now());
        let control = self.control.as_mut().ok_or(LINE_LOST)?;
        let taking = async {
            let opened = tokio::select! {
                opened = next(streams) => opened?,
                said = read_message(control) => return Ok((None, said)),
            };
            let (Opening::Memory, stream) = opened else { return Err(OUT_OF_TURN.to_owned()) };
            let hearing = heard.clone();
            let limit = memory::limit(memory_bytes);
            let pool = memory::take_running(stream, own, limit, move || hearing.hear()).await?;
            Ok((Some(Arc::new(pool)), read_message(control).await))
        };
        let (pool, said) = tokio::select! {
            taken = taking => taken?,
            why = heard.silence() => return Err(why),
        };
        match said.map_err(|error| lost(&error))? {
            FromSource::WillFreeze if pool.is_some() => Ok(pool),
            FromSource::GoesCold if self.record.grant.mode == Mode::LiveOrCold => {
                self.record.came_cold = true;
                Ok(None)
            }
            _ => Err(OUT_OF_TURN.to_owned()),
        }
    }

    /// Receives what is left after the freeze, and rebuilds CRIU's images of pages from it and from the pool; answers the folder of
    /// the files.
    pub(super) async fn take_state(
        &mut self,
        pool: Option<Arc<Pool>>,
        streams: &mut Streams,
    ) -> Result<PathBuf, Why> {
        let (inbox, heard) = (self.open_inbox(Lot::State)?, Heard::now());
        let images = self.images();
        let (networks, awaited) = (&self.shared.networks, &mut self.awaited);
        let coming = self.record.plan.as_ref().and_then(|plan| Some((&plan.needs.container, plan.address?)));
        let receiving = async {
            loop {
                match (next(streams).await?, &pool) {
                    ((Opening::Traffic, mut stream), _) => {
                        if let Some((container, address)) = coming {
                            *awaited = networks.awaits(container, address).await;
                        }
                        stream.write_u8(1).await.map_err(text_of)?;
                        stream.shutdown().await.map_err(text_of)?;
                    }
                    ((Opening::Pages { number, is_packed }, stream), Some(pool)) => {
                        let (pool, place) = (Arc::clone(pool), images.join(memory::name_of(number)));
                        let hearing = heard.clone();
                        memory::rebuild_image(stream, pool, place, is_packed, move || hearing.hear()).await?;
                    }
                    ((Opening::Items(Lot::State), stream), _) => take_items(stream, &inbox, &heard).await?,
                    _ => return Err(OUT_OF_TURN.to_owned()),
                }
            }
        };
        let control = self.control.as_mut().ok_or(LINE_LOST)?;
        let taken = tokio::select! {
            received = receiving => received,
            said = sent(control, Lot::State) => said,
            why = heard.silence() => Err(why),
        };
        taken.map(|()| self.inbox(Lot::State))
    }

    fn open_inbox(&self, lot: Lot) -> Result<Inbox, Why> {
        // A machine that crashes meanwhile gives the move up.
        let inbox = Inbox::open(&self.inbox(lot), LOT_LIMIT).map_err(|error| error.to_string())?;
        Ok(inbox.without_flushing())
    }
}

async fn next(streams: &mut Streams) -> Result<(Opening, ChannelStream), Why> {
    streams.recv().await.ok_or_else(|| "the agent is stopping".to_owned())
}

async fn take_items(stream: ChannelStream, inbox: &Inbox, heard: &Heard) -> Result<(), Why> {
    match transfer::receive(stream, inbox, &mut |_| heard.hear()).await {
        // The source comes back with what is missing, or the control stream ends as well.
        Ok(_) | Err(TransferError::Stream(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The source says that the lot was all.
async fn sent(control: &mut ChannelStream, lot: Lot) -> Result<(), Why> {
    match read_message::<FromSource>(control).await {
        Ok(FromSource::Sent(of)) if of == lot => Ok(()),
        Ok(other) => Err(format!("the source spoke out of turn ({other:?})")),
        Err(error) => Err(lost(&error)),
    }
}
