//! Any bytes are a message or are refused; what is taken can be read by others, and is written the same each time.

#![no_main]

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for serializer in Serializer::ALL {
        let Ok(message) = serializer.decode(Bytes::copy_from_slice(bytes)) else { continue };
        if serializer == Serializer::Json {
            let read = serde_json::from_slice::<serde_json::Value>(bytes);
            assert!(read.is_ok(), "serde_json refuses it: {read:?}");
        }
        // Reads the payload, too.
        let _ = format!("{message:?}");
        let once = serializer.encode(&message);
        let twice = serializer.encode(&serializer.decode(once.clone()).expect("own bytes can be read"));
        assert_eq!(once, twice);
    }
});
