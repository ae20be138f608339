use serde_json::json;
use wamp_async::{Client, WampError};

#[tokio::main]
async fn main() -> Result<(), WampError> {
    let url = std::env::var("WAMP_URL").unwrap_or("ws://127.0.0.1:8080/ws".into());
    let (mut client, (event_loop, _)) = Client::connect(url, None).await?;
    tokio::spawn(event_loop);
    client.join_realm("realm1").await?;
    let (sum, _) = client.call("com.example.add", Some(vec![json!(2), json!(3)]), None).await?;
    println!("2 + 3 = {}", sum.unwrap_or_default()[0]);
    client.publish("com.example.hello", Some(vec![json!("hello from Rust")]), None, true).await?;
    client.disconnect().await;
    Ok(())
}
