//! What it costs to read a CALL and to write its INVOCATION. Prints figures and asserts nothing: run it by
//! `ONLY="Json -> Json" cargo test --release -p ecep-proto --test wire speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::message::{Call, Invocation, Message};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

/// As a router does it.
fn pass_on(serializer: Serializer, frame: &Bytes, to: Serializer) -> Bytes {
    let Ok(Message::Call(call)) = serializer.decode(frame.clone()) else { panic!("a CALL") };
    let Call { request, options, payload, .. } = call;
    let registration = RegistrationId::FIRST;
    to.encode(&Invocation { request, registration, details: options, payload }.into())
}

fn nanoseconds(mut work: impl FnMut()) -> f64 {
    let best = (0..5).map(|_| {
        let start = Instant::now();
        let mut rounds = 0_u32;
        while start.elapsed() < Duration::from_millis(60) {
            (0..16).for_each(|_| work());
            rounds += 16;
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    });
    best.fold(f64::INFINITY, f64::min)
}

/// One text of this length, or records of a few fields each.
fn payloads() -> Vec<(String, Payload)> {
    let record = |number: u64| {
        Value::Map(Dict::from([
            ("id".to_owned(), Value::from(number)),
            ("load".to_owned(), Value::Float(0.25)),
            ("name".to_owned(), Value::from("sensor")),
        ]))
    };
    let text =
        [64, 1 << 10, 64 << 10].map(|length| (format!("text {length}"), Payload::of("x".repeat(length))));
    let records = [1, 20, 1300].map(|count| {
        let list: Vec<Value> = (0..count).map(record).collect();
        (format!("records {count}"), Payload::of(list))
    });
    text.into_iter().chain(records).collect()
}

#[test]
#[ignore = "prints figures"]
fn speed() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for (name, payload) in payloads() {
        for from in Serializer::ALL {
            for to in Serializer::ALL {
                let call = Call {
                    request: RequestId::FIRST,
                    options: Dict::new(),
                    procedure: "com.example.sum".into(),
                    payload: payload.clone(),
                };
                let frame = from.encode(&call.into());
                let text = format!("{name} ({} bytes) {from:?} -> {to:?}", frame.len());
                if !text.contains(&only) {
                    continue;
                }
                let ns = nanoseconds(|| drop(black_box(pass_on(from, black_box(&frame), to))));
                eprintln!("{text:<50} {ns:>12.0} ns");
            }
        }
    }
}
