//! What an extended header says about the entry behind it. Everything that is not about its name or its bytes is passed over.

use crate::{ArchiveError, name::shown};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) is_sparse: bool,
}

impl Pax {
    /// Records of the form `LENGTH KEY=VALUE\n`; of several with one key the last one counts.
    pub(crate) fn read(mut records: &[u8]) -> Result<Self, ArchiveError> {
        let mut pax = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(|| ArchiveError::Extension {
                entry: shown(records),
                reason: "a record of its extended header has another length than it says",
            })?;
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"linkpath" => pax.link = Some(value.to_vec()),
                b"size" => pax.size = Some(number(value).ok_or_else(|| bad("its size is not a number"))?),
                key if key.starts_with(b"GNU.sparse.") => pax.is_sparse = true,
                _ => {}
            }
            records = rest;
        }
        Ok(pax)
    }

    /// Whether it says anything that matters here.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn bad(reason: &'static str) -> ArchiveError {
    ArchiveError::Extension { entry: String::new(), reason }
}

fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&records[..space])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.iter().all(u8::is_ascii_digit) { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value may hold a line break and what looks like another record; it is no other record.
    #[test]
    fn records_are_as_long_as_they_say() {
        let pax = Pax::read(b"30 comment=x\n12 path=../evil\n\n13 path=good\n").expect("records");
        assert_eq!(pax, Pax { path: Some(b"good".to_vec()), ..Pax::default() });
        assert!(Pax::read(b"18 SCHILY.x=path=\n").expect("a record").is_empty());
        for bad in
            [&b"5 a=b\n"[..], b"99 a=b\n", b"6 a=b ", b"x", b"0 ", b"4 a\n", b"11 size=-1\n", b" a=b\n"]
        {
            assert!(Pax::read(bad).is_err(), "{bad:?}");
        }
    }
}
