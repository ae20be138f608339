//! Finds a peer that is gone without a word (a cut cable, a NAT that forgot): one byte to and fro on a stream of its
//! own. The calling end asks; the called end answers, and misses the question as the caller misses the answer.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

/// Below the 30 s after which mobile networks and home routers forget an idle connection.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Two questions and a slow link: less would cut a link that a bulk transfer fills.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(30);

const PING: u8 = 1;

/// Why watching ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Nothing came within [`SILENCE_LIMIT`].
    Silent,
    /// The stream ended: the channel is closing.
    Ended,
}

/// The calling end's half.
pub(crate) async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Watch {
    loop {
        sleep(KEEP_ALIVE_INTERVAL).await;
        let round = async {
            stream.write_u8(PING).await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        match timeout(SILENCE_LIMIT, round).await {
            Err(_) => return Watch::Silent,
            Ok(Err(_)) => return Watch::Ended,
            Ok(Ok(_)) => {}
        }
    }
}

/// The called end's half.
pub(crate) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Watch {
    loop {
        let round = async {
            stream.read_u8().await?;
            stream.write_u8(PING).await?;
            stream.flush().await
        };
        match timeout(KEEP_ALIVE_INTERVAL + SILENCE_LIMIT, round).await {
            Err(_) => return Watch::Silent,
            Ok(Err(_)) => return Watch::Ended,
            Ok(Ok(())) => {}
        }
    }
}
