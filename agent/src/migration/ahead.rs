//! The memory of a running container goes ahead of it, and what is told and decided by that before the freeze.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ecep_channel::{channel::ChannelStream, transfer::Throttle};
use ecep_precopy::sent::Sent;
use tokio::time::sleep;

use super::{
    estimate::{Course, Known, course, downtime, limits},
    memory::{self, Gone},
    progress::Progress,
    step::Why,
};

/// What has gone is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Whether the container would stand still for too long even if it wrote nothing: then nothing need go ahead.
pub(super) fn course_at_once(known: &Known<'_>) -> Course {
    course(downtime(known, &[]), 0, known.options)
}

/// Sends the memory of the container whose first process is `pid`, in rounds; answers what has gone and how to go on.
pub(super) async fn send(
    stream: ChannelStream,
    pid: i32,
    known: &Known<'_>,
    throttle: Throttle,
    progress: &mut Progress,
) -> Result<(Sent, Course), Why> {
    let gone = Arc::<Mutex<Gone>>::default();
    let going = Arc::clone(&gone);
    let told = move |now: &Gone| now.clone_into(&mut going.lock().unwrap_or_else(PoisonError::into_inner));
    let latest = || gone.lock().unwrap_or_else(PoisonError::into_inner).clone();
    progress.total(known.memory_bytes);
    let (pages, limits) = (memory::limit(known.memory_bytes), limits(known));
    let mut copying = pin!(memory::copy_running(stream, pid, pages, limits, throttle, told));
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied,
            () = sleep(TELL_EVERY) => {
                let now = latest();
                progress.rounds(&now.rounds);
                progress.bytes(now.bytes, false);
            }
        }
    };
    let now = latest();
    progress.rounds(&now.rounds);
    progress.bytes(now.bytes, true);
    let (sent, rounds) = copied?;
    let estimated = downtime(known, &rounds);
    progress.estimated(estimated);
    Ok((sent, course(estimated, rounds.len(), known.options)))
}
