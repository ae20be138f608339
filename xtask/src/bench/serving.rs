//! How many requests each second a container answers while its memory goes ahead, beside how many it answers in peace: one
//! client that asks the counter over HTTP, again as soon as it has the answer.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ecep_proto::api::migration::{
    MigrateContainer, MigrationMode, MigrationPhase, MigrationQuery, MigrationRef, MigrationView,
};
use ecep_proto::api::name::OperationId;
use ecep_proto::api::{ContainerMigrate, MigrationCancel, MigrationHistory};
use serde::{Deserialize, Serialize};

use super::cells::Cell;
use super::link::Link;
use super::ours::Ours;
use super::subject::{LIMIT, Subject};
use crate::stack::{Stack, read_answer};
use crate::wait;

/// The counter's port of HTTP.
const PORT: u16 = 8080;
/// How long requests are counted each time.
const COUNTED: Duration = Duration::from_secs(3);
/// The memory goes ahead as over a link of 100 Mbit/s, so that it takes longer than [`COUNTED`].
const BYTES_PER_SECOND: u64 = 12_500_000;
const CELL: Cell = Cell { megabytes: 200, rewritten: 5, link: Link::Unlimited };

/// Requests each second, round by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Serving {
    /// When it was measured.
    pub date: String,
    /// Of which commit.
    pub commit: String,
    /// In peace.
    pub in_peace: Vec<f64>,
    /// While memory went ahead.
    pub beside: Vec<f64>,
}

impl Serving {
    /// The median of the rounds' ratios: 1 where a move costs the container nothing.
    pub fn ratio(&self) -> Option<f64> {
        let mut ratios: Vec<f64> =
            self.in_peace.iter().zip(&self.beside).map(|(peace, beside)| beside / peace).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }
}

/// Counts by turns. The moves are cancelled before the freeze.
///
/// # Errors
/// A move cannot be ordered, or froze the container before the requests were counted.
pub(super) fn measure(stack: &Stack, rounds: u32) -> Result<Serving> {
    let mut serving = Serving::default();
    let mut container = Ours::create(stack, &CELL, MigrationMode::Live, 1)?;
    for round in 0..rounds {
        let peace = requests_per_second(container.address())?;
        let beside = beside_move(stack, &container)?;
        eprintln!("requests, round {round}: {peace:.0}/s in peace, {beside:.0}/s while memory goes ahead");
        serving.in_peace.push(peace);
        serving.beside.push(beside);
    }
    container.remove()?;
    Ok(serving)
}

fn beside_move(stack: &Stack, container: &Ours) -> Result<f64> {
    let mut order =
        MigrateContainer::new(container.container().clone(), stack.id(2).clone(), MigrationMode::Live);
    order.bytes_per_second = Some(BYTES_PER_SECOND);
    let operation = wait::until("the move can be ordered", LIMIT, || {
        Ok(Some(stack.operator().ask::<ContainerMigrate>(&order)?.operation))
    })?;
    wait::until("memory goes ahead", LIMIT, || {
        let view = view(stack, &operation)?;
        ensure!(view.error.is_none(), "{}", view.error.unwrap_or_default());
        Ok((view.phase == MigrationPhase::Copying && view.bytes_done > 0).then_some(()))
    })?;
    let counted = requests_per_second(container.address())?;
    let still = view(stack, &operation)?;
    ensure!(
        still.phase == MigrationPhase::Copying,
        "its memory went ahead too fast to be measured beside it"
    );
    stack.operator().ask::<MigrationCancel>(&MigrationRef { operation: operation.clone() })?;
    stack.await_move(&operation, LIMIT)?;
    Ok(counted)
}

fn view(stack: &Stack, operation: &OperationId) -> Result<MigrationView> {
    let all = stack.operator().ask::<MigrationHistory>(&MigrationQuery { container: None })?;
    all.migrations.into_iter().find(|view| view.operation == *operation).context("the move is not listed")
}

fn requests_per_second(address: Ipv4Addr) -> Result<f64> {
    let stream = TcpStream::connect((address, PORT)).context("cannot connect to the counter")?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (start, mut answers) = (Instant::now(), 0_u32);
    while start.elapsed() < COUNTED {
        (&stream).write_all(b"GET /count HTTP/1.1\r\nHost: counter\r\n\r\n")?;
        read_answer(&mut reader)?;
        answers += 1;
    }
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}
