//! The source's line to the destination: lots of files on it, and what the destination answers.

use std::{fs, time::Duration};

use ecep_channel::{
    channel::{Channel, ChannelStream},
    frame::{read_message, write_message},
    header::Header,
    transfer::{self, Item, Options, Source as Content, TransferError},
};
use tokio::time::timeout;

use super::{
    super::{
        step::{Why, advise},
        wire::{FromDestination, FromSource, Lot, Opening},
    },
    Move,
};
use crate::engine::Engine;

/// The destination unpacks an image, or restores a container of gigabytes from a slow card.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// A destination that gives up says so at once, unless it is gone.
const WORD_LIMIT: Duration = Duration::from_secs(2);
/// How what it says then begins.
const GAVE_UP: &str = "the destination gave up";
/// Said where something is to be sent and there is no way.
pub(super) const LINE_LOST: &str = "the line to the destination is lost";

/// The way to the destination.
pub(super) struct Line {
    /// Lives as long as it is held.
    pub(super) channel: Channel,
    pub(super) control: ChannelStream,
    /// Through the cloud, where the link is slower than the processor.
    pub(super) is_relayed: bool,
}

impl<E: Engine> Move<'_, E> {
    pub(super) fn line(&mut self) -> Result<&mut Line, Why> {
        self.line.as_mut().ok_or_else(|| LINE_LOST.to_owned())
    }

    /// A further stream on the line.
    pub(super) async fn open(&mut self, opening: Opening) -> Result<ChannelStream, Why> {
        let channel = self.line()?.channel.clone();
        self.open_on(&channel, opening).await
    }

    pub(super) async fn open_on(&self, channel: &Channel, opening: Opening) -> Result<ChannelStream, Why> {
        let header = Header::Migration { grant: self.record.signed.clone() };
        let mut stream = channel.open(&header).await.map_err(|error| error.to_string())?;
        write_message(&mut stream, &opening).await.map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// Sends a lot of files and says so.
    pub(super) async fn send(&mut self, lot: Lot, items: Vec<Item>) -> Result<(), Why> {
        let stream = self.open(Opening::Items(lot)).await?;
        let options = Options { compress: self.line()?.is_relayed, throttle: self.throttle.clone() };
        let sizes = items.iter().map(|item| match &item.source {
            Content::File(path) => fs::metadata(path).map(|file| file.len()).unwrap_or_default(),
            Content::Tree(_) | Content::Part { .. } => 0,
        });
        self.progress.total(sizes.sum());
        let progress = &mut self.progress;
        let mut tell = |step: transfer::Progress| {
            progress.bytes(step.done, step.phase == transfer::Phase::Stored);
        };
        match transfer::send(stream, &items, &options, &mut tell).await {
            Ok(_) => {}
            Err(TransferError::Peer(why)) => {
                return Err(advise(format!("the destination could not go on: {why}"), "destination"));
            }
            Err(error) => return Err(self.or_what_was_said(error.to_string()).await),
        }
        self.tell(FromSource::Sent(lot)).await
    }

    pub(super) async fn tell(&mut self, message: FromSource) -> Result<(), Why> {
        let control = &mut self.line()?.control;
        write_message(control, &message).await.map_err(|error| error.to_string())
    }

    pub(super) async fn answer(&mut self) -> Result<FromDestination, Why> {
        let control = &mut self.line()?.control;
        let answer = timeout(ANSWER_LIMIT, read_message(control)).await;
        match answer.map_err(|_| "the destination does not answer".to_owned())? {
            Ok(FromDestination::Failed(why)) => Err(format!("{GAVE_UP}: {why}")),
            Ok(answer) => Ok(answer),
            Err(error) => Err(format!("the line to the destination broke: {error}")),
        }
    }

    /// A stream that breaks does not say why; the destination does, if it still can.
    pub(super) async fn or_what_was_said(&mut self, why: Why) -> Why {
        match timeout(WORD_LIMIT, self.answer()).await {
            Ok(Err(said)) if said.starts_with(GAVE_UP) => said,
            _ => why,
        }
    }
}

/// What to say of it.
pub(super) fn unexpected(answer: &FromDestination) -> Why {
    format!("the destination answered out of turn ({answer:?}); do both devices have the same version?")
}
