//! The same loads on NATS through `async-nats`, the library that programs have: what they see of the server. Here the
//! generator is the limit, not the server, so goals are not measured against it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_nats::Client;
use futures_util::StreamExt;
use futures_util::stream::{FuturesUnordered, select_all};

use crate::events::Book;
use crate::payload::Payload;
use crate::phase::Course;
use crate::protocol::{Incoming, PROCEDURE, TOPIC};
use crate::row::{Counts, Row, percentile};
use crate::{Calls, Events};

/// How many calls there are at most.
const MOST: u64 = 4_000_000;

/// How long an event is waited for before the clock is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Calls through the library.
///
/// # Errors
/// The server is not there.
pub fn calls(load: &Calls, server: SocketAddr) -> Result<Row> {
    runtime()?.block_on(async {
        let (caller, callee) = (connect(server).await?, connect(server).await?);
        let mut invocations = callee.subscribe(PROCEDURE).await?;
        callee.flush().await?;
        let answering = tokio::spawn(async move {
            while let Some(invocation) = invocations.next().await {
                let Some(reply) = invocation.reply else { continue };
                // The caller counts what has no answer.
                let _ = callee.publish(reply, invocation.payload).await;
            }
        });
        let (mut payload, mut counts, mut took) =
            (Payload::new(load.common.payload), Counts::default(), Vec::new());
        let mut course = Course::new(&load.common);
        let mut under_way = FuturesUnordered::new();
        while course.goes_on(under_way.is_empty(), counts.begun >= MOST, || took.clear())? {
            while course.sends() && under_way.len() < load.in_flight && counts.begun < MOST {
                counts.begun += 1;
                let (caller, number) = (caller.clone(), counts.begun);
                let sent = payload.numbered(number).to_vec();
                under_way.push(async move {
                    let began = Instant::now();
                    (number, began, caller.request(PROCEDURE, sent.into()).await)
                });
            }
            let Some((number, began, answer)) = under_way.next().await else { continue };
            match answer {
                Ok(answer) if payload.number(&answer.payload) == Some(number) => counts.good += 1,
                Ok(_) => counts.wrong += 1,
                Err(error) => {
                    counts.errors += 1;
                    counts.fail(|| error.to_string());
                }
            }
            if course.is_measured() {
                took.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
        }
        answering.abort();
        counts.lost = under_way.len() as u64;
        took.sort_unstable();
        let (p50_us, p99_us) = (percentile(&took, 50), percentile(&took, 99));
        Ok(Row { p50_us, p99_us, counts, ..course.row(took.len() as u64) })
    })
}

/// Events through the library, each subscriber with a connection of its own.
///
/// # Errors
/// The server is not there.
pub fn events(load: &Events, server: SocketAddr) -> Result<Row> {
    runtime()?.block_on(async {
        let publisher = connect(server).await?;
        let (mut clients, mut streams) = (Vec::new(), Vec::new());
        for number in 1..=load.subscribers {
            let client = connect(server).await?;
            let events = client.subscribe(TOPIC).await?;
            client.flush().await?;
            streams.push(events.map(move |event| (number, event.payload)));
            clients.push(client);
        }
        let mut received = select_all(streams);
        let mut payload = Payload::new(load.common.payload);
        let mut book = Book::new(load.subscribers);
        let mut course = Course::new(&load.common);
        while course.goes_on(book.under_way.is_empty(), false, || book.received = 0)? {
            book.is_measured = course.is_measured();
            while course.sends() && book.under_way.len() < load.most_under_way() {
                let number = book.publish();
                publisher.publish(TOPIC, payload.numbered(number).to_vec().into()).await?;
            }
            if let Ok(Some((number, event))) = tokio::time::timeout(TICK, received.next()).await {
                book.take(number, Incoming::Event { payload: &event }, &payload);
            }
        }
        Ok(book.row(course))
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the system gives no runtime")
}

async fn connect(server: SocketAddr) -> Result<Client> {
    async_nats::connect(format!("nats://{server}"))
        .await
        .with_context(|| format!("cannot connect to {server}"))
}
