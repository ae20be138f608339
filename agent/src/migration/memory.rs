//! The memory of a move on its way: pages while the container runs, round after round, and after the freeze CRIU's images of
//! pages as recipes. Both ends; what a page, a pool and a recipe are, `ecep_precopy` knows.

use std::{
    fs::OpenOptions,
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ecep_channel::{channel::ChannelStream, transfer::Throttle};
use ecep_precopy::{
    memory,
    page::{PAGE, hash, is_zero},
    pool::Pool,
    recipe,
    rounds::{self, Limits, Next, Round},
    sent::{Sent, Verdict},
};
use ecep_proto::api::migration::RoundTook;
use ecep_runtime::freezer;
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;

use super::step::{SetOnDrop, Why, blocking};

/// Pages of one batch: 1 MiB.
const BATCH: usize = 256;
/// A link that takes fewer bytes a second is slower than zstd on the processors that we know.
const COMPRESS_BELOW: f64 = 60e6;
/// zstd's fastest ordinary level.
const ZSTD_LEVEL: i32 = 1;
/// In place of a batch's number of pages: the round is over; the receiver answers with one byte.
const ROUND_OVER: u32 = 0;
/// In place of a batch's number of pages: nothing more comes while the container runs.
const ALL_OVER: u32 = u32::MAX;
/// A packed batch is not longer than this, whatever was packed.
const MAX_PACKED: usize = 2 * BATCH * PAGE;
/// What the receiver answers.
const TAKEN: u8 = 1;
/// Pages beyond those that the container had when it was looked at: 64 MiB.
const SPARE_PAGES: u64 = 16 * 1024;
/// An image of more pages than this is none that a device could hold: 1 TiB.
const MAX_IMAGE_PAGES: u64 = 1 << 28;
/// Between two looks at an image that CRIU is writing.
const GROWS_EVERY: Duration = Duration::from_millis(1);
/// What goes through between two looks at the line.
const BUFFER: usize = 256 * 1024;

/// How many pages may go ahead: twice what the container has, and some that it writes meanwhile.
pub(super) fn limit(memory_bytes: u64) -> u32 {
    let pages = memory_bytes / PAGE as u64 * 2 + SPARE_PAGES;
    u32::try_from(pages).unwrap_or(u32::MAX)
}

/// The number of one of CRIU's images of pages.
pub(super) fn number_of(image: &str) -> Option<u32> {
    image.strip_prefix("pages-")?.strip_suffix(".img")?.parse().ok()
}

/// The name of one of CRIU's images of pages.
pub(super) fn name_of(number: u32) -> String {
    format!("pages-{number}.img")
}

/// What has gone ahead.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone {
    /// Bytes on the line.
    pub bytes: u64,
    /// The rounds that are over.
    pub rounds: Vec<RoundTook>,
}

/// Sends the pages of a running container, in rounds, until another round would not pay off; answers what has gone, and how the
/// rounds went. `told` hears of it on the way.
///
/// # Errors
/// The line broke.
pub(super) async fn copy_running(
    stream: ChannelStream,
    pid: i32,
    limit: u32,
    limits: Limits,
    throttle: Throttle,
    told: impl FnMut(&Gone) + Send + 'static,
) -> Result<(Sent, Vec<Round>), Why> {
    let stop = Arc::<AtomicBool>::default();
    let _guard = SetOnDrop(Arc::clone(&stop));
    let bridge = SyncIoBridge::new(stream);
    on_its_way(move || {
        let mut copier = Copier {
            line: bridge,
            throttle,
            runtime: Handle::current(),
            batch: Vec::with_capacity(BATCH * PAGE),
            rate: f64::INFINITY,
            gone: Gone::default(),
            unsent: 0,
            told,
            stop,
        };
        copier.copy(pid, Sent::new(limit), &limits)
    })
    .await
}

struct Copier<F> {
    line: SyncIoBridge<ChannelStream>,
    throttle: Throttle,
    runtime: Handle,
    batch: Vec<u8>,
    /// Bytes a second that the line took lately.
    rate: f64,
    gone: Gone,
    /// Pages of this round that the destination's pool does not take.
    unsent: u64,
    told: F,
    stop: Arc<AtomicBool>,
}

impl<F: FnMut(&Gone)> Copier<F> {
    fn copy(&mut self, pid: i32, mut sent: Sent, limits: &Limits) -> io::Result<(Sent, Vec<Round>)> {
        let mut rounds = Vec::new();
        while rounds::next(&rounds, limits) == Next::Again {
            let (start, before, bytes_before) = (Instant::now(), sent.len(), self.gone.bytes);
            for process in freezer::processes(pid).map_err(io::Error::other)? {
                memory::read(process, |pages| self.pages(pages, &mut sent))?;
            }
            self.flush()?;
            self.line.write_all(&ROUND_OVER.to_le_bytes())?;
            self.line.flush()?;
            expect_taken(&mut self.line)?;
            let (pages, took) = (sent.len() - before, start.elapsed());
            let unsent = std::mem::take(&mut self.unsent) * PAGE as u64;
            rounds.push(Round { sent: (pages * PAGE) as u64, unsent, took });
            self.gone.rounds.push(RoundTook {
                pages: pages as u64,
                bytes: self.gone.bytes - bytes_before,
                milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
            (self.told)(&self.gone);
        }
        self.line.write_all(&ALL_OVER.to_le_bytes())?;
        self.line.flush()?;
        expect_taken(&mut self.line)?;
        tracing::info!(rounds = rounds.len(), pages = sent.len(), last = ?rounds.last(), "memory has gone ahead");
        Ok((sent, rounds))
    }

    fn pages(&mut self, pages: &[u8], sent: &mut Sent) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        for page in pages.chunks_exact(PAGE).filter(|page| !is_zero(page)) {
            match sent.judge(hash(page)) {
                Verdict::Known(_) => continue,
                Verdict::Full => self.unsent += 1,
                Verdict::New(_) => self.batch.extend_from_slice(page),
            }
            if self.batch.len() == BATCH * PAGE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let packed = if self.rate < COMPRESS_BELOW {
            Some(zstd::bulk::compress(&self.batch, ZSTD_LEVEL)?)
                .filter(|packed| packed.len() < self.batch.len())
        } else {
            None
        };
        let count = u32::try_from(self.batch.len() / PAGE).unwrap_or(ROUND_OVER);
        let length = packed.as_ref().map_or(0, |packed| u32::try_from(packed.len()).unwrap_or_default());
        let bytes = packed.as_ref().unwrap_or(&self.batch);
        let start = Instant::now();
        self.runtime.block_on(self.throttle.take(bytes.len()));
        self.line.write_all(&count.to_le_bytes())?;
        self.line.write_all(&length.to_le_bytes())?;
        self.line.write_all(bytes)?;
        let rate = bytes.len() as f64 / start.elapsed().as_secs_f64().max(1e-6);
        // The line's own buffers take the first ones at once.
        self.rate = if self.rate.is_finite() { 0.8 * self.rate + 0.2 * rate } else { rate };
        self.gone.bytes += bytes.len() as u64;
        (self.told)(&self.gone);
        self.batch.clear();
        Ok(())
    }
}

/// Takes the pages of a container that runs elsewhere into a pool in a folder. `hear` is called whenever some have come.
///
/// # Errors
/// The line broke, the source broke the rules, or the disk is full.
pub(super) async fn take_running(
    stream: ChannelStream,
    folder: PathBuf,
    limit: u32,
    hear: impl Fn() + Send + 'static,
) -> Result<Pool, Why> {
    let bridge = SyncIoBridge::new(stream);
    on_its_way(move || take(bridge, &folder, limit, hear)).await
}

fn take(
    mut line: SyncIoBridge<ChannelStream>,
    folder: &Path,
    limit: u32,
    hear: impl Fn(),
) -> io::Result<Pool> {
    let mut pool = Pool::make(folder, limit)?;
    let mut buffer = Vec::new();
    loop {
        let count = read_u32(&mut line)?;
        hear();
        if count == ROUND_OVER || count == ALL_OVER {
            say_taken(&mut line)?;
            if count == ALL_OVER {
                return Ok(pool);
            }
            continue;
        }
        let (pages, packed) = (count as usize, read_u32(&mut line)? as usize);
        if pages > BATCH || packed > MAX_PACKED {
            return Err(io::Error::other("the source sent a batch that is too long"));
        }
        buffer.resize(if packed == 0 { pages * PAGE } else { packed }, 0);
        line.read_exact(&mut buffer)?;
        if packed == 0 {
            pool.add(&buffer).map_err(io::Error::other)?;
        } else {
            let unpacked = zstd::bulk::decompress(&buffer, pages * PAGE)?;
            if unpacked.len() != pages * PAGE {
                return Err(io::Error::other("the source sent a batch of another length"));
            }
            pool.add(&unpacked).map_err(io::Error::other)?;
        }
    }
}

/// Sends one of CRIU's images of pages, without the pages that have gone, as it grows until `is_whole`; returns once it is
/// rebuilt, with what it was and how many bytes travelled.
///
/// # Errors
/// The line broke, or the disk refuses.
pub(super) async fn send_image(
    stream: ChannelStream,
    image: PathBuf,
    is_whole: impl Fn() -> bool + Send + 'static,
    sent: Arc<Sent>,
    throttle: Throttle,
    compress: bool,
) -> Result<(recipe::Sums, u64), Why> {
    let stop = Arc::<AtomicBool>::default();
    let _guard = SetOnDrop(Arc::clone(&stop));
    let bridge = SyncIoBridge::new(stream);
    on_its_way(move || {
        let is_whole = || is_whole() || stop.load(Ordering::Relaxed);
        let line = Throttled { line: bridge, throttle, runtime: Handle::current(), gone: 0 };
        let buffered = BufWriter::with_capacity(BUFFER, line);
        let (mut line, sums) = if compress {
            let (encoder, sums) = write_recipe(
                zstd::stream::write::Encoder::new(buffered, ZSTD_LEVEL)?,
                &image,
                is_whole,
                &sent,
            )?;
            (encoder.finish()?, sums)
        } else {
            write_recipe(buffered, &image, is_whole, &sent)?
        };
        line.flush()?;
        let mut throttled = line.into_inner().map_err(io::IntoInnerError::into_error)?;
        expect_taken(&mut throttled.line)?;
        Ok((sums, throttled.gone))
    })
    .await
}

fn write_recipe<W: Write>(
    out: W,
    image: &Path,
    is_whole: impl Fn() -> bool,
    sent: &Sent,
) -> io::Result<(W, recipe::Sums)> {
    let mut writer = recipe::Writer::new(out, sent);
    let mut file = std::fs::File::open(image)?;
    let mut buffer = vec![0; BATCH * PAGE];
    let mut filled = 0;
    loop {
        // Asked before the read: what is whole then is read to its end.
        let was_whole = is_whole();
        let read = file.read(&mut buffer[filled..])?;
        filled += read;
        let pages = filled - filled % PAGE;
        buffer[..pages].chunks_exact(PAGE).try_for_each(|page| writer.page(page))?;
        buffer.copy_within(pages..filled, 0);
        filled -= pages;
        if read > 0 {
            continue;
        }
        if !was_whole {
            thread::sleep(GROWS_EVERY);
        } else if filled == 0 {
            return writer.finish();
        } else {
            return Err(io::Error::other(format!("{} is not whole pages", image.display())));
        }
    }
}

/// Rebuilds one of CRIU's images of pages, in place of one that came of an attempt before.
///
/// # Errors
/// The line broke, the image differs from the source's, or the disk is full.
pub(super) async fn rebuild_image(
    stream: ChannelStream,
    pool: Arc<Pool>,
    place: PathBuf,
    is_packed: bool,
    hear: impl Fn() + Send + 'static,
) -> Result<(), Why> {
    let bridge = SyncIoBridge::new(stream);
    on_its_way(move || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&place)?;
        let mut line = BufReader::with_capacity(BUFFER, Heard { line: bridge, hear });
        let rebuilt = if is_packed {
            let decoder = zstd::stream::read::Decoder::with_buffer(&mut line)?.single_frame();
            recipe::rebuild(decoder, &pool, &file, MAX_IMAGE_PAGES)
        } else {
            recipe::rebuild(&mut line, &pool, &file, MAX_IMAGE_PAGES)
        };
        rebuilt.map_err(io::Error::other)?;
        say_taken(&mut line.into_inner().line)
    })
    .await
}

/// A line of which somebody hears.
struct Heard<F> {
    line: SyncIoBridge<ChannelStream>,
    hear: F,
}

impl<F: Fn()> Read for Heard<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(into)?;
        (self.hear)();
        Ok(read)
    }
}

/// A line that takes no more than it may.
struct Throttled {
    line: SyncIoBridge<ChannelStream>,
    throttle: Throttle,
    runtime: Handle,
    /// Bytes that it took.
    gone: u64,
}

impl Write for Throttled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.throttle.take(bytes.len()));
        let written = self.line.write(bytes)?;
        self.gone += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

fn expect_taken(line: &mut impl Read) -> io::Result<()> {
    let mut answer = [0];
    line.read_exact(&mut answer)?;
    if answer == [TAKEN] { Ok(()) } else { Err(io::Error::other("the destination did not take it")) }
}

fn say_taken(line: &mut impl Write) -> io::Result<()> {
    line.write_all(&[TAKEN])?;
    line.flush()
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Does its part of it on a thread for work that blocks.
async fn on_its_way<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Why> {
    blocking(work).await.map_err(|why| format!("the memory could not travel: {why}"))
}
