//! What tus 1.0 says in headers (<https://tus.io/protocols/resumable-upload>), read and written. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use ecep_proto::api::{
    artifact::{ArtifactDigest, MAX_UPLOAD_BYTES},
    error::ErrorKind,
};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Refusal;

/// The version that is spoken.
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// What of it is spoken beside its core.
pub(super) const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,expiration,checksum,termination");
/// The checksums that parts may carry.
pub(super) const ALGORITHMS: HeaderValue = HeaderValue::from_static("sha256");

pub(super) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(super) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(super) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// What the body of a part is.
const PART: &str = "application/offset+octet-stream";
/// Longest name of a file, in characters; what is longer is cut.
const MAX_FILE_NAME: usize = 255;
/// What a file is called that has no name.
const NAMELESS: &str = "upload";

/// An upload that is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) digest: Option<ArtifactDigest>,
}

/// A part that is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) checksum: Option<[u8; 32]>,
}

/// Refuses whoever speaks another version.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(&RESUMABLE).is_some_and(|version| *version == VERSION) {
        return Ok(());
    }
    let refusal = Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        ErrorKind::InvalidArgument,
        "Uploads go by tus 1.0. Send the header Tus-Resumable: 1.0.0.",
    );
    Err(refusal.with(VERSIONS, VERSION))
}

/// Reads what begins an upload.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Wanted, Refusal> {
    if headers.contains_key("upload-defer-length") {
        return Err(wrong("The length must be known when an upload begins. Send it in Upload-Length."));
    }
    let bytes = number(headers, &LENGTH)?
        .ok_or_else(|| wrong("How long will it be? Send the file's length in Upload-Length."))?;
    if bytes == 0 {
        return Err(wrong("The file is empty. Choose another one."));
    }
    if bytes > MAX_UPLOAD_BYTES {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Limit,
            format!(
                "The file has {bytes} bytes, and an upload may have {MAX_UPLOAD_BYTES}. Make it smaller, or keep the image in a registry."
            ),
        ));
    }
    let (mut name, mut digest) = (NAMELESS.to_owned(), None);
    let metadata = text(headers, &METADATA)?.unwrap_or_default();
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let value = value.ok_or_else(|| wrong(format!("Upload-Metadata: {key} must be UTF-8 as base64.")))?;
        match key {
            "filename" if !value.trim().is_empty() => {
                let shown = value.chars().filter(|character| !character.is_control());
                name = shown.take(MAX_FILE_NAME).collect();
            }
            "sha256" if !value.is_empty() => {
                digest = Some(value.parse().map_err(|error| wrong(format!("Upload-Metadata: {error}.")))?);
            }
            // Clients tell more about a file than we ask.
            _ => {}
        }
    }
    Ok(Wanted { name, bytes, digest })
}

/// Reads what stands before a part.
pub(super) fn part(headers: &HeaderMap) -> Result<Part, Refusal> {
    let kind = text(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    if !kind.eq_ignore_ascii_case(PART) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::InvalidArgument,
            format!("A part of an upload is sent with the header content-type: {PART}."),
        ));
    }
    let offset = number(headers, &OFFSET)?
        .ok_or_else(|| wrong("Where does this part belong? Send its place in Upload-Offset."))?;
    let Some(checksum) = text(headers, &CHECKSUM)? else { return Ok(Part { offset, checksum: None }) };
    let (algorithm, value) = checksum.split_once(' ').unwrap_or((checksum, ""));
    let value = STANDARD.decode(value.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    match value.filter(|_| algorithm == "sha256") {
        Some(value) => Ok(Part { offset, checksum: Some(value) }),
        None => Err(wrong("Upload-Checksum must be sha256, a blank, and the 32 bytes as base64.")),
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.map(Some).ok_or_else(|| wrong(format!("The header {name} must be a number of bytes.")))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(Some).ok_or_else(|| wrong(format!("The header {name} must be there once, as plain text.")))
}

fn wrong(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorKind::InvalidArgument, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    /// What the stock client sends must be understood, names in any script among it.
    #[test]
    fn an_upload_is_read_as_the_stock_client_writes_it() {
        let digest = "ab".repeat(32);
        let metadata = format!(
            "filename {},filetype {},sha256 {}",
            STANDARD.encode("Küche 日本.tar.gz"),
            STANDARD.encode("application/gzip"),
            STANDARD.encode(&digest)
        );
        let read = wanted(&headers(&[("upload-length", "12"), ("upload-metadata", &metadata)])).unwrap();
        assert_eq!(
            read,
            Wanted {
                name: "Küche 日本.tar.gz".to_owned(), bytes: 12, digest: Some(digest.parse().unwrap())
            }
        );
        let nameless = wanted(&headers(&[("upload-length", "1")])).unwrap();
        assert_eq!((nameless.name.as_str(), nameless.digest), (NAMELESS, None));
    }

    /// A number that is taken for another one, or a header that is there twice, mixes up files.
    #[test]
    fn what_is_not_plain_is_refused() {
        let encoded = STANDARD.encode([7; 32]);
        let good = [("content-type", PART), ("upload-offset", "5")];
        assert_eq!(part(&headers(&good)).unwrap(), Part { offset: 5, checksum: None });
        let with = |checksum: &str| part(&headers(&[good[0], good[1], ("upload-checksum", checksum)]));
        assert_eq!(with(&format!("sha256 {encoded}")).unwrap().checksum, Some([7; 32]));
        for checksum in [format!("md5 {encoded}"), "sha256".to_owned(), "sha256 AAAA".to_owned()] {
            assert!(with(&checksum).is_err(), "{checksum}");
        }
        for offset in ["", "-1", "+1", "1.5", "0x1", "99999999999999999999999"] {
            assert!(part(&headers(&[good[0], ("upload-offset", offset)])).is_err(), "{offset:?}");
        }
        assert!(part(&headers(&[good[1]])).is_err() && part(&headers(&[good[0]])).is_err());
        let mut twice = headers(&good);
        twice.append(OFFSET, HeaderValue::from_static("6"));
        assert!(part(&twice).is_err());
        for length in ["0", &(MAX_UPLOAD_BYTES + 1).to_string()] {
            assert!(wanted(&headers(&[("upload-length", length)])).is_err(), "{length}");
        }
        assert!(wanted(&headers(&[("upload-defer-length", "1")])).is_err());
        assert!(check_version(&headers(&[("tus-resumable", "0.2.2")])).is_err());
    }
}
