//! Waits until connections have something to read, or room to write.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::Timespec;

use crate::session::Session;

/// How many connections are answered at once; more are asked for again.
const READY: usize = 1024;

/// Files that are open beside the connections.
const OTHER_FILES: u64 = 64;

/// The connections that are watched, each under a number.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// Room for the numbers of those that are ready.
pub struct Ready(Vec<Event>);

impl Default for Ready {
    fn default() -> Self {
        Self(Vec::with_capacity(READY))
    }
}

impl Poller {
    /// None yet, with leave to open so many.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(connections: usize) -> Result<Self> {
        allow_files(connections as u64 + OTHER_FILES)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("the system gives no epoll")?;
        Ok(Self { epoll })
    }

    /// Watches one more.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(&self, session: &Session, number: usize) -> Result<()> {
        Ok(epoll::add(&self.epoll, session, EventData::new_u64(number as u64), EventFlags::IN)?)
    }

    /// Sends what a session has to send; what the connection does not take now is waited for.
    ///
    /// # Errors
    /// The router ended the connection.
    pub fn flush(&self, session: &mut Session, number: usize) -> Result<()> {
        let wants_room = !session.flush()?;
        if wants_room != session.wants_room {
            let flags = if wants_room { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &*session, EventData::new_u64(number as u64), flags)?;
            session.wants_room = wants_room;
        }
        Ok(())
    }

    /// Waits at most `limit` for any of them.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait<'a>(
        &self,
        ready: &'a mut Ready,
        limit: Duration,
    ) -> Result<impl Iterator<Item = usize> + use<'a>> {
        ready.0.clear();
        let limit = Timespec::try_from(limit)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut ready.0), Some(&limit)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error).context("epoll"),
            _ => Ok(ready.0.iter().map(|event| event.data.u64() as usize)),
        }
    }
}

fn allow_files(needed: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).context("the system allows too few open files")?;
    }
    Ok(())
}
