//! A third-party client in Rust: joins with an API token, subscribes to one device's telemetry, and prints one
//! JSON line for each event. It uses `wamp_async` alone, nothing of the platform.
//!
//! `wamp_async` cannot subscribe by pattern, so it needs the device's id; the Python and JavaScript examples
//! watch all devices at once.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use tokio::time::timeout;
use wamp_async::{
    AuthenticationChallengeResponse, AuthenticationMethod, Client, ClientConfig, SerializerType,
};

/// Prints a device's telemetry.
#[derive(Parser)]
struct Arguments {
    /// The router's address, such as ws://127.0.0.1:8081/ws
    #[arg(long)]
    url: String,
    /// The tenant's realm, such as ecep.tenant.acme
    #[arg(long)]
    realm: String,
    /// The API token's id
    #[arg(long)]
    authid: String,
    /// A file that holds the API token's secret
    #[arg(long)]
    ticket_file: PathBuf,
    /// The device to watch
    #[arg(long)]
    device: String,
    /// Leave after this many events
    #[arg(long, default_value_t = 10)]
    events: u32,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let limit = Duration::from_secs(arguments.timeout);
    timeout(limit, watch(arguments)).await.context("not enough events in time; is the device connected?")?
}

#[allow(clippy::print_stdout, reason = "the events are this program's output")]
async fn watch(arguments: Arguments) -> anyhow::Result<()> {
    let ticket = fs::read_to_string(&arguments.ticket_file)
        .with_context(|| format!("cannot read {}", arguments.ticket_file.display()))?
        .trim()
        .to_owned();

    let config = ClientConfig::default().set_serializers(vec![SerializerType::Json]);
    let (mut client, (event_loop, _)) = Client::connect(&arguments.url, Some(config)).await?;
    tokio::spawn(event_loop);
    let answer = move |_method, _extra| {
        let ticket = ticket.clone();
        async move { Ok(AuthenticationChallengeResponse::with_signature(ticket)) }
    };
    client
        .join_realm_with_authentication(
            &arguments.realm,
            vec![AuthenticationMethod::Ticket],
            &arguments.authid,
            answer,
        )
        .await
        .with_context(|| format!("the router refused {} on {}", arguments.authid, arguments.realm))?;

    let topic = format!("ecep.device.{}.stats", arguments.device);
    let (_, mut events) =
        client.subscribe(&topic).await.with_context(|| format!("cannot subscribe to {topic}"))?;
    for _ in 0..arguments.events {
        let Some((_, _, Some(event))) = events.recv().await else { bail!("the connection has ended") };
        println!("{}", serde_json::Value::Object(event));
    }
    client.disconnect().await;
    Ok(())
}
