//! A container's output on its way to the cloud: lines, and then how it ended. After a [`crate::header::Header::Log`] the
//! device sends nothing else, and the cloud nothing at all. Knows neither engines nor who reads.

use std::io;

use ecep_proto::api::{
    container::{LogLine, LogStream},
    file::LogEnd,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::packet::{from_json, malformed, read_packet, to_json, write_packet};

/// Bytes of a line's text at most, as the container has written them; the rest is left off.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

const LINE: u8 = 1;
const END: u8 = 2;
/// Time and flags.
const LINE_HEAD: usize = 9;
const STDERR: u8 = 1;
const CUT: u8 = 2;

/// What the device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The next line.
    Line(LogLine),
    /// Nothing more comes.
    End(LogEnd),
}

impl Output {
    /// Reads the next one; none where the device has gone without an end. Not cancel-safe.
    ///
    /// # Errors
    /// The stream broke, or these are no lines.
    pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let Some((kind, mut payload)) = read_packet(io).await? else { return Ok(None) };
        match kind {
            LINE => {
                let (at, flags) = match payload.first_chunk::<LINE_HEAD>() {
                    Some([at @ .., flags]) => (u64::from_be_bytes(*at), *flags),
                    None => return Err(malformed("a line without a time")),
                };
                payload.drain(..LINE_HEAD);
                let stream = if flags & STDERR == 0 { LogStream::Stdout } else { LogStream::Stderr };
                let text = String::from_utf8(payload).map_err(|_| malformed("a line that is not UTF-8"))?;
                Ok(Some(Self::Line(LogLine { at, stream, text, cut: flags & CUT != 0 })))
            }
            END => from_json(&payload).map(|end| Some(Self::End(end))),
            other => Err(malformed(format!("output of unknown kind {other}"))),
        }
    }

    /// Writes it. Does not flush.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn write(&self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Line(LogLine { at, stream, text, cut }) => {
                let stderr = if *stream == LogStream::Stderr { STDERR } else { 0 };
                let flags = stderr | if *cut { CUT } else { 0 };
                write_packet(io, LINE, &[&at.to_be_bytes(), &[flags], text.as_bytes()]).await
            }
            Self::End(end) => write_packet(io, END, &[&to_json(end)?]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::file::LogEnding;
    use proptest::prelude::*;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        /// What was written is read, and cut short never.
        #[test]
        fn round_trip(at in any::<u64>(), text in ".{0,300}", is_err in any::<bool>(), cut in any::<bool>()) {
            let stream = if is_err { LogStream::Stderr } else { LogStream::Stdout };
            let line = Output::Line(LogLine { at, stream, text, cut });
            let mut bytes = Vec::new();
            run(line.write(&mut bytes)).unwrap();
            prop_assert_eq!(run(Output::read(&mut bytes.as_slice())).unwrap(), Some(line));
            prop_assert!(run(Output::read(&mut &bytes[..bytes.len() - 1])).is_err());
        }

        /// No bytes of a device may panic the cloud's reader.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(run(Output::read(&mut bytes.as_slice())));
        }
    }

    /// A device may not make the cloud allocate what it merely announces; an end is told from a device that went away.
    #[test]
    fn ends_are_told_and_long_announcements_refused() {
        let end = Output::End(LogEnd { end: LogEnding::Stopped, message: "it ended".to_owned() });
        let mut bytes = Vec::new();
        run(end.write(&mut bytes)).unwrap();
        assert_eq!(run(Output::read(&mut bytes.as_slice())).unwrap(), Some(end));
        assert_eq!(run(Output::read(&mut [].as_slice())).unwrap(), None);
        assert!(run(Output::read(&mut [LINE, 0xff, 0xff, 0xff, 0xff].as_slice())).is_err());
    }
}
