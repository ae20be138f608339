//! Any four bytes are a handshake or a header, or are refused; what is taken is written the same way.

#![no_main]

use ecep_proto::rawsocket::{FrameHeader, Handshake};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: [u8; 4]| {
    match Handshake::decode(bytes) {
        Ok(handshake) => assert_eq!(handshake.encode(), bytes),
        Err(error) => drop(error.answer()),
    }
    if let Ok(header) = FrameHeader::decode(bytes) {
        assert_eq!(header.encode(), Some(bytes));
    }
});
