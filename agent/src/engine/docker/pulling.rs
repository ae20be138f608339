//! Pulls of images. The engine says nothing before the registry has told it what the image is: until then it is not known whether
//! anybody is there at all, so that is not waited for as long as for bytes.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use ecep_fleet::image_reference::registry_of;
use futures_util::TryStreamExt;
use tokio::time::timeout;

use super::{DockerEngine, failure::Doing, progress::LayerBytes};
use crate::engine::{EngineError, PullProgress};

/// A registry that is there says within this what an image is, also over a slow link: that are a few handshakes and one small file. The
/// engine itself tries name servers, addresses and protocols for minutes.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// One that sends nothing for so long afterwards is given up; large layers are unpacked meanwhile.
const SILENCE: Duration = Duration::from_secs(180);

impl DockerEngine {
    /// `progress` hears of it first when the registry has answered.
    pub(super) async fn pull_image(
        &self,
        reference: &str,
        mut progress: impl FnMut(PullProgress) + Send,
    ) -> Result<(), EngineError> {
        let client = self.client(SILENCE.as_secs()).await?;
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        let mut steps = client.create_image(Some(options), None, None);
        let registry = registry_of(reference);
        let mut layers = LayerBytes::default();
        let mut has_answered = false;
        loop {
            let patience = if has_answered { SILENCE } else { ANSWERS_WITHIN };
            let step = timeout(patience, steps.try_next()).await.map_err(|_| {
                let seconds = patience.as_secs();
                EngineError::RegistryUnreachable(if has_answered {
                    format!("the registry {registry} sent nothing of {reference} for {seconds} seconds; try again later")
                } else {
                    format!(
                        "the image {reference} is not on this device, and the registry {registry} has not answered for {seconds} \
                         seconds; is the device on the internet, and may it reach that registry?"
                    )
                })
            })?;
            let Some(step) = step.map_err(|error| self.told(&Doing::Pull(reference), error))? else {
                return Ok(());
            };
            if !std::mem::replace(&mut has_answered, true) {
                progress(PullProgress::default());
            }
            if let Some(now) = layers.step(step) {
                progress(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{UnixListener, UnixStream},
        sync::mpsc,
    };

    use super::*;

    /// One request of a client that keeps its connection; none at its end.
    async fn request(io: &mut UnixStream) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await.ok()?);
        }
        Some(String::from_utf8_lossy(&head).lines().next()?.to_owned())
    }

    /// An engine that pulls and says this, and then nothing more.
    fn engine(folder: &std::path::Path, says: &'static str) -> (DockerEngine, mpsc::Receiver<()>) {
        let socket = folder.join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (asked, is_asked) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok((mut io, _)) = listener.accept().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    while let Some(line) = request(&mut io).await {
                        if line.contains("/images/create") {
                            if !says.is_empty() {
                                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                                let text = format!("{head}{:x}\r\n{says}\r\n", says.len());
                                io.write_all(text.as_bytes()).await.unwrap();
                            }
                            asked.send(()).await.unwrap();
                            return std::future::pending().await;
                        }
                        let version = r#"{"ApiVersion":"1.44","MinAPIVersion":"1.24","Version":"27"}"#;
                        let length = version.len();
                        let text = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{version}"
                        );
                        io.write_all(text.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (DockerEngine::new(&format!("unix://{}", socket.display())).unwrap(), is_asked)
    }

    /// Whoever deploys where there is no internet must be told so soon and in words; an image that comes slowly must not be given up so
    /// soon, and what is told of it must not say that it comes before it does.
    #[tokio::test]
    async fn a_registry_that_does_not_answer_is_given_up_soon() {
        // The clock that is paused counts in these.
        const TICK: Duration = Duration::from_millis(2);
        for (says, waits, told) in [
            ("", ANSWERS_WITHIN, "the registry r.example:5000 has not answered"),
            ("{\"status\":\"Pulling from app\",\"id\":\"1\"}\n", SILENCE, "sent nothing of"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (engine, mut asked) = engine(folder.path(), says);
            let (steps, mut progress) = mpsc::channel(1);
            let begun = std::time::Instant::now();
            let pull = tokio::spawn(async move {
                engine.pull_image("r.example:5000/app:1", |step| steps.try_send(step).unwrap()).await
            });
            asked.recv().await.unwrap();
            if !says.is_empty() {
                assert_eq!(progress.recv().await, Some(PullProgress::default()));
            }
            tokio::time::pause();
            // The wait has begun somewhere in this time, however long that took.
            let before = begun.elapsed();
            let since = tokio::time::Instant::now();
            let error = pull.await.unwrap().unwrap_err();
            assert!(
                matches!(&error, EngineError::RegistryUnreachable(text) if text.contains(told)),
                "{error:?}"
            );
            let waited = since.elapsed();
            assert!(waited <= waits + TICK && waited + before >= waits, "{before:?}, then {waited:?}");
            assert_eq!(progress.recv().await, None);
            tokio::time::resume();
        }
    }
}
