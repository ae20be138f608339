//! A terminal that somebody has opened on a device, as a WebSocket: bytes both ways, bounded, until one of the two ends is gone or
//! the right to it. It must not know what is typed.

use std::{sync::PoisonError, time::Duration};

use ecep_channel::{channel::ChannelStream, header::Header, packet::MAX_PAYLOAD, terminal::TerminalFrame};
use ecep_proto::api::{
    error::ErrorKind,
    terminal::{TerminalEnd, TerminalId, TerminalSize},
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use warp::{
    http::StatusCode,
    reply::Reply,
    ws::{Message, WebSocket},
};

use super::{
    Answer, Refusal,
    endpoints::WRITERS,
    log::{LOOK_EVERY, refused},
    request::Request,
    right::Right,
};
use crate::viewers::{View, Viewer};

/// Messages that the browser has not taken yet, each of 64 KiB at most. Policy: the device waits.
const SHOWN: usize = 8;
/// A browser that answers no ping for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// A browser that takes its last words no sooner does not get them.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Attaches it.
pub(super) async fn attach(request: Request) -> Answer {
    let socket = request.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    let right = Right::of(&request, WRITERS)?;
    request.check_own_origin()?;
    let terminal: TerminalId =
        request.id().parse().map_err(|_| Refusal::not_found("There is no such terminal. Open one first."))?;
    let socket = socket.ok_or_else(|| {
        let text = "A terminal is attached by a WebSocket. Open one to this address.";
        Refusal::new(StatusCode::UPGRADE_REQUIRED, ErrorKind::InvalidArgument, text)
    })?;
    let viewer = right.enter(View::Terminal)?;
    let authid = right.authid().to_owned();
    let header = Header::Terminal { tenant: right.tenant.clone(), terminal: terminal.clone(), authid };
    let stream = request.app.control.channels.open(&right.device, &header).await.map_err(refused)?;
    tracing::info!(%terminal, tenant = %right.tenant, device = %right.device, authid = right.authid(), "terminal attached");
    let socket = socket.max_message_size(MAX_PAYLOAD).max_frame_size(MAX_PAYLOAD);
    let session = move |socket: WebSocket| async move {
        run(socket, stream, &right, &viewer).await;
        tracing::info!(%terminal, tenant = %right.tenant, "terminal ended");
    };
    Ok(socket.on_upgrade(session).into_response())
}

async fn run(socket: WebSocket, stream: ChannelStream, right: &Right, viewer: &Viewer) {
    let (mut to_browser, mut from_browser) = socket.split();
    let (mut from_device, mut to_device) = tokio::io::split(stream);
    let (shows, mut shown) = mpsc::channel::<Message>(SHOWN);
    let heard = std::sync::Mutex::new(Instant::now());
    let because = |reason: &str| Some(TerminalEnd { exit_code: None, reason: Some(reason.to_owned()) });

    let showing = async {
        loop {
            match TerminalFrame::read(&mut from_device).await {
                Ok(Some(TerminalFrame::Bytes(bytes))) => {
                    if shows.send(Message::binary(bytes)).await.is_err() {
                        return None;
                    }
                }
                Ok(Some(TerminalFrame::End(end))) => {
                    // Behind all that was shown before; the browser has it when that is written.
                    drop(shows.send(Message::text(serde_json::to_string(&end).unwrap_or_default())).await);
                    drop(shows.send(Message::close()).await);
                    return std::future::pending().await;
                }
                Ok(Some(TerminalFrame::Size(_))) => {}
                Ok(None) | Err(_) => return because("the device has lost its connection"),
            }
        }
    };
    let typing = async {
        while let Some(Ok(message)) = from_browser.next().await {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let frame = if message.is_binary() {
                TerminalFrame::Bytes(message.as_bytes().to_vec())
            } else if message.is_close() {
                return None;
            } else if let Ok(text) = message.to_str() {
                match serde_json::from_str::<TerminalSize>(text) {
                    Ok(size) => TerminalFrame::Size(size),
                    Err(_) => return because("a text message was no size of a terminal"),
                }
            } else {
                continue;
            };
            if frame.write(&mut to_device).await.is_err() {
                return because("the device has lost its connection");
            }
        }
        None
    };
    let looking = async {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if !right.holds() {
                return because("you may not use this terminal any more");
            }
            if heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= SILENCE {
                return None;
            }
            // One that is full of what is to be shown is no silent one.
            drop(shows.try_send(Message::ping(Vec::new())));
        }
    };
    let writing = async {
        while let Some(message) = shown.recv().await {
            let is_last = message.is_close();
            if to_browser.send(message).await.is_err() || is_last {
                break;
            }
        }
        None
    };
    let end = tokio::select! {
        end = showing => end,
        end = typing => end,
        end = looking => end,
        end = writing => end,
        reason = viewer.ended() => because(&reason),
    };
    let last_words = async {
        shown.close();
        while let Some(message) = shown.recv().await {
            to_browser.send(message).await?;
        }
        if let Some(end) = end {
            to_browser.send(Message::text(serde_json::to_string(&end).unwrap_or_default())).await?;
        }
        to_browser.send(Message::close()).await?;
        to_browser.close().await
    };
    // Whoever is gone needs no word.
    drop(timeout(LAST_WORDS, last_words).await);
    drop(to_device.shutdown().await);
}
