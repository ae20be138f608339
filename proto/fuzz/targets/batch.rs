//! Any bytes are a batch or are refused; the messages of a batch, put together again, are the batch.

#![no_main]

use bytes::Bytes;
use ecep_proto::websocket::Subprotocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for framing in Subprotocol::ALL.into_iter().filter_map(Subprotocol::framing) {
        let framing = framing.like(bytes);
        let Ok(messages) = framing.split(Bytes::copy_from_slice(bytes)).collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let mut again = Vec::new();
        for message in &messages {
            framing.append(message, &mut again);
        }
        assert!(!messages.is_empty());
        assert_eq!(again, bytes);
    }
});
