use wamp_async::{Client, WampArgs, WampError, WampKwArgs};

async fn add(
    args: Option<WampArgs>,
    _: Option<WampKwArgs>,
) -> Result<(Option<WampArgs>, Option<WampKwArgs>), WampError> {
    let sum: i64 = args.unwrap_or_default().iter().filter_map(|number| number.as_i64()).sum();
    Ok((Some(vec![sum.into()]), None))
}

#[tokio::main]
async fn main() -> Result<(), WampError> {
    let url = std::env::var("WAMP_URL").unwrap_or("ws://127.0.0.1:8080/ws".into());
    let (mut client, (event_loop, calls)) = Client::connect(url, None).await?;
    tokio::spawn(event_loop);
    let mut calls = calls.expect("a callee has a queue of calls");
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            tokio::spawn(call);
        }
    });
    client.join_realm("realm1").await?;
    client.register("com.example.add", add).await?;
    let (_, mut events) = client.subscribe("com.example.hello").await?;
    println!("ready");
    while let Some((_, args, _)) = events.recv().await {
        println!("event: {}", args.unwrap_or_default()[0].as_str().unwrap_or_default());
    }
    Ok(())
}
