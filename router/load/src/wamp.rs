//! The messages of WAMP that a load needs: writes a client's, and reads a router's.

use anyhow::{Context, Result};

use crate::encoding::{Encoding, Reader, Writer};
use crate::protocol::{Incoming, PROCEDURE, TOPIC};

/// The numbers that messages begin with.
mod code {
    pub const HELLO: u64 = 1;
    pub const WELCOME: u64 = 2;
    pub const ABORT: u64 = 3;
    pub const GOODBYE: u64 = 6;
    pub const ERROR: u64 = 8;
    pub const PUBLISH: u64 = 16;
    pub const PUBLISHED: u64 = 17;
    pub const SUBSCRIBE: u64 = 32;
    pub const SUBSCRIBED: u64 = 33;
    pub const EVENT: u64 = 36;
    pub const CALL: u64 = 48;
    pub const RESULT: u64 = 50;
    pub const REGISTER: u64 = 64;
    pub const REGISTERED: u64 = 65;
    pub const INVOCATION: u64 = 68;
    pub const YIELD: u64 = 70;
}

pub(crate) fn hello(realm: &str, writer: &mut Writer<'_>) {
    writer.list(3);
    writer.number(code::HELLO);
    writer.text(realm.as_bytes());
    writer.map(1);
    writer.key("roles");
    writer.map(4);
    for role in ["caller", "callee", "publisher", "subscriber"] {
        writer.key(role);
        writer.map(0);
        writer.end_map();
    }
    writer.end_map();
    writer.end_map();
    writer.end_list();
}

/// Without options.
fn request(code: u64, request: u64, uri: &str, payload: Option<&[u8]>, writer: &mut Writer<'_>) {
    begin(code, request, payload.is_some(), writer);
    writer.map(0);
    writer.end_map();
    end(uri, payload, writer);
}

fn begin(code: u64, request: u64, has_payload: bool, writer: &mut Writer<'_>) {
    writer.list(4 + u64::from(has_payload));
    writer.number(code);
    writer.number(request);
}

fn end(uri: &str, payload: Option<&[u8]>, writer: &mut Writer<'_>) {
    writer.text(uri.as_bytes());
    if let Some(payload) = payload {
        writer.list(1);
        writer.text(payload);
        writer.end_list();
    }
    writer.end_list();
}

pub(crate) fn register(writer: &mut Writer<'_>) {
    request(code::REGISTER, 1, PROCEDURE, None, writer);
}

pub(crate) fn subscribe(writer: &mut Writer<'_>) {
    request(code::SUBSCRIBE, 1, TOPIC, None, writer);
}

pub(crate) fn call(id: u64, payload: &[u8], writer: &mut Writer<'_>) {
    request(code::CALL, id, PROCEDURE, Some(payload), writer);
}

pub(crate) fn publish(id: u64, acknowledge: bool, payload: &[u8], writer: &mut Writer<'_>) {
    if !acknowledge {
        return request(code::PUBLISH, id, TOPIC, Some(payload), writer);
    }
    begin(code::PUBLISH, id, true, writer);
    writer.map(1);
    writer.key("acknowledge");
    writer.flag(true);
    writer.end_map();
    end(TOPIC, Some(payload), writer);
}

pub(crate) fn answer(id: u64, payload: &[u8], writer: &mut Writer<'_>) {
    writer.list(4);
    writer.number(code::YIELD);
    writer.number(id);
    writer.map(0);
    writer.end_map();
    writer.list(1);
    writer.text(payload);
    writer.end_list();
    writer.end_list();
}

/// Reads one message of a router.
///
/// # Errors
/// It is none, or one that a router must not send.
pub(crate) fn read(encoding: Encoding, bytes: &[u8]) -> Result<Incoming<'_>> {
    let mut reader = Reader::new(encoding, bytes);
    incoming(&mut reader).with_context(|| format!("not understood: {}", String::from_utf8_lossy(bytes)))
}

fn incoming<'a>(reader: &mut Reader<'a>) -> Option<Incoming<'a>> {
    reader.list()?;
    let code = reader.number()?;
    Some(match code {
        code::WELCOME => Incoming::Welcome,
        code::REGISTERED | code::SUBSCRIBED => Incoming::Done,
        code::PUBLISHED => Incoming::Published,
        code::INVOCATION => {
            let request = reader.number()?;
            reader.number()?;
            Incoming::Invocation { request, payload: payload(reader)? }
        }
        code::RESULT => Incoming::Answer { request: reader.number()?, payload: payload(reader)? },
        code::EVENT => {
            reader.number()?;
            reader.number()?;
            Incoming::Event { payload: payload(reader)? }
        }
        code::ERROR => {
            reader.number()?;
            let request = reader.number()?;
            reader.skip()?;
            Incoming::Refused { request, reason: reader.text()? }
        }
        code::ABORT | code::GOODBYE => {
            reader.skip()?;
            Incoming::Gone { reason: reader.text()? }
        }
        _ => return None,
    })
}

/// Details, and then the arguments, of which the first is what was sent.
fn payload<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    reader.skip()?;
    reader.list()?;
    reader.text()
}
