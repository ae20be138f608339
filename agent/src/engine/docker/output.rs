//! What containers have said, as the engine keeps it: the last lines, or all of it as it comes.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use ecep_proto::api::container::{LogLines, LogStream};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::{ASK_SECONDS, DockerEngine, failure::Doing, lines::LineCollector, pieces::Pieces, raw};
use crate::engine::{EngineError, LogWindow, Output, OutputWish};

impl DockerEngine {
    pub(super) async fn last_lines(
        &self,
        engine_id: &str,
        tty: bool,
        window: LogWindow,
    ) -> Result<LogLines, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let since = window.since.map_or(0, |at| i32::try_from(at / 1000).unwrap_or(i32::MAX));
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(since)
            .tail(&window.tail.to_string())
            .build();
        let mut output = client.logs(engine_id, Some(options));
        let mut lines = LineCollector::new(window, tty);
        let reading = async {
            while let Some(piece) = output.try_next().await? {
                lines.push(piece);
            }
            Ok(())
        };
        match timeout(Duration::from_secs(ASK_SECONDS), reading).await {
            Ok(read) => read.map_err(|error| self.told(&Doing::Container("read the output of"), error))?,
            Err(_) => return Err(EngineError::Unreachable("it does not send the output".to_owned())),
        }
        Ok(lines.finish())
    }

    pub(super) async fn pieces(
        &self,
        engine_id: &str,
        tty: bool,
        wish: OutputWish,
    ) -> Result<Output, EngineError> {
        let version = self.client(ASK_SECONDS).await?.client_version();
        let wants = |stream| wish.stream.is_none_or(|wanted| wanted == stream);
        let path = format!(
            "/v{version}/containers/{engine_id}/logs?stdout={}&stderr={}&timestamps=true&follow={}&since={}&tail={}",
            wants(LogStream::Stdout),
            wants(LogStream::Stderr),
            wish.follow,
            wish.since_seconds,
            wish.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
        );
        let bytes = raw::get(&self.socket, &path, Doing::Container("read the output of")).await?;
        let mut pieces = Pieces::new(tty);
        let pieces = bytes.map(move |bytes| {
            let mut out = Vec::new();
            match bytes {
                Ok(bytes) => {
                    let mut read = Vec::new();
                    pieces.push(bytes, &mut read);
                    out.extend(read.into_iter().map(Ok));
                }
                Err(error) => out.push(Err(error)),
            }
            stream::iter(out)
        });
        Ok(pieces.flatten().boxed())
    }
}
