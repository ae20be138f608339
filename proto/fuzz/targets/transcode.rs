//! A message goes from any codec to any other, and what JSON can say of it stays the same on the way.

#![no_main]

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for from in Serializer::ALL {
        let Ok(message) = from.decode(Bytes::copy_from_slice(bytes)) else { continue };
        // Once there and back: what came as JSON may have been written in another way.
        let plain =
            Serializer::MsgPack.decode(Serializer::MsgPack.encode(&message)).expect("own bytes can be read");
        let said = Serializer::Json.encode(&plain);
        for through in Serializer::ALL {
            let received = Serializer::Json.decode(said.clone()).expect("own JSON can be read");
            let frame = through.encode(&received);
            let passed_on = through.decode(frame.clone()).expect("own bytes can be read");
            assert_eq!(through.encode(&passed_on), frame, "passed on untouched");
            assert_eq!(Serializer::Json.encode(&passed_on), said, "{from:?} through {through:?}");
        }
    }
});
