//! Reads what one of CRIU's images says: two magic numbers, a length and a protobuf message. What the fields mean is known where
//! they are asked for. Damaged images end early, and say nothing.

/// Before the message: two magic numbers and its length, of four bytes each.
pub(crate) const HEADER: usize = 12;

/// The fields of an image's message.
pub(crate) fn message(image: &[u8]) -> Option<impl Iterator<Item = (u64, Value<'_>)>> {
    image.get(HEADER..).map(fields)
}

/// What a field holds.
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message, up to the first that is none.
pub(crate) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = number(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut rest)?),
            1 => Value::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = number(&mut rest)?;
                Value::Bytes(take(&mut rest, usize::try_from(length).ok()?)?)
            }
            5 => Value::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// Seven bits a byte, the lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
