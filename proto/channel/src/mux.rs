//! Drives one yamux connection: the only file that names that crate. Streams come in and go out; nothing is read of
//! what they carry.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt},
    sync::CancellationToken,
};

use crate::{channel::EndReason, tls};

/// Streams that each end may have opened at a time: a device's migrations, terminals and log views, ten times over.
pub const MAX_STREAMS: usize = 128;
/// What yamux itself allows: both ends' streams, and as many again that are closing. An end that goes beyond loses
/// its connection.
const HARD_STREAM_LIMIT: usize = 4 * MAX_STREAMS;
/// A stream's first receive window (yamux's own constant).
const FIRST_WINDOW: usize = 256 * 1024;
/// What all windows together may grow by, on fast long links.
const WINDOW_GROWTH: usize = 16 * 1024 * 1024;
/// A closing peer gets this long to take what is on its way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) type RawStream = Compat<yamux::Stream>;
pub(crate) type OpenRequest = oneshot::Sender<RawStream>;

enum Event {
    Inbound(yamux::Stream),
    Ended(EndReason),
}

/// Which end made the connection below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Called,
}

/// Runs until the connection ends or `stop` is cancelled. `inbound` must not wait: it is called in the driver.
pub(crate) async fn drive<T>(
    io: T,
    side: Side,
    mut opens: mpsc::Receiver<OpenRequest>,
    mut inbound: impl FnMut(RawStream),
    stop: CancellationToken,
) -> EndReason
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = yamux::Config::default();
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(HARD_STREAM_LIMIT);
    config.set_max_connection_receive_window(Some(HARD_STREAM_LIMIT * FIRST_WINDOW + WINDOW_GROWTH));
    let mode = match side {
        Side::Caller => yamux::Mode::Client,
        Side::Called => yamux::Mode::Server,
    };
    let mut connection = yamux::Connection::new(io.compat(), config, mode);
    let mut waiting: Option<OpenRequest> = None;
    loop {
        let next = poll_fn(|cx| {
            loop {
                if waiting.is_none()
                    && let Poll::Ready(Some(request)) = opens.poll_recv(cx)
                {
                    waiting = Some(request);
                }
                if waiting.is_some() {
                    match connection.poll_new_outbound(cx) {
                        Poll::Ready(Ok(stream)) => {
                            if let Some(request) = waiting.take() {
                                // Whoever asked may have given up: the stream ends by being dropped.
                                drop(request.send(stream.compat()));
                            }
                            continue;
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Event::Ended(reason(error))),
                        Poll::Pending => {}
                    }
                }
                return match connection.poll_next_inbound(cx) {
                    Poll::Ready(Some(Ok(stream))) => Poll::Ready(Event::Inbound(stream)),
                    Poll::Ready(Some(Err(error))) => Poll::Ready(Event::Ended(reason(error))),
                    Poll::Ready(None) => Poll::Ready(Event::Ended(EndReason::ClosedByPeer)),
                    Poll::Pending => Poll::Pending,
                };
            }
        });
        match stop.run_until_cancelled(next).await {
            Some(Event::Inbound(stream)) => inbound(stream.compat()),
            Some(Event::Ended(reason)) => return reason,
            None => break,
        }
    }
    // A peer that takes nothing any more does not hold us.
    drop(timeout(CLOSE_TIMEOUT, poll_fn(|cx| connection.poll_close(cx))).await);
    EndReason::Closed
}

fn reason(error: yamux::ConnectionError) -> EndReason {
    match error {
        yamux::ConnectionError::Closed => EndReason::ClosedByPeer,
        yamux::ConnectionError::Io(error) => EndReason::Lost(tls::from_io(error, None).to_string()),
        yamux::ConnectionError::Decode(error) => {
            let text = error.to_string();
            let below =
                std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
            match below
                .and_then(std::io::Error::get_ref)
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                Some(inner) => EndReason::Lost(tls::from_rustls(inner, None).to_string()),
                None => EndReason::Lost(text),
            }
        }
        other => EndReason::Lost(other.to_string()),
    }
}
