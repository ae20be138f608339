//! The web app: the files of `web/dist`, in the program itself (in a debug build, on the disk).
//!
//! Paths without a file and without an extension are the app's own pages, so they get its first page. The build has put the gzip of
//! each text beside it.

use std::borrow::Cow;

use rust_embed::{EmbeddedFile, RustEmbed};
use warp::{
    http::{HeaderValue, Method, Response as HttpResponse, StatusCode, header},
    reply::Reply,
};

use super::{Answer, Refusal, request::Request};

/// `build.rs` makes the folder where it is missing.
#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Web;

const FIRST_PAGE: &str = "index.html";
/// In this folder a file's name holds a hash of its content.
const HASHED: &str = "assets/";

/// `GET` and `HEAD` of anything that is not the API.
pub(super) fn serve(request: &Request) -> Answer {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::method("GET, HEAD"));
    }
    let name = request.path.trim_start_matches('/');
    let known_to = request.text_header(&header::IF_NONE_MATCH);
    let zipped = request.text_header(&header::ACCEPT_ENCODING).is_some_and(takes_gzip);
    if let Some(file) = Web::get(name) {
        return Ok(answer(name, file, known_to, zipped));
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains('.') {
        return Err(Refusal::no_route(&request.path));
    }
    match Web::get(FIRST_PAGE) {
        Some(file) => Ok(answer(FIRST_PAGE, file, known_to, zipped)),
        None => Ok(HttpResponse::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(
                "The web app is not built yet. Run `npm ci && npm run build` in web/, then build ecep-dashboard-api again.\n",
            )
            .map(Reply::into_response)
            .unwrap_or_default()),
    }
}

/// Whether a browser that says this of encodings takes gzip (RFC 9110, section 12.5.3).
fn takes_gzip(accepts: &str) -> bool {
    accepts.split(',').any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, "q=1"));
        let refused =
            weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn answer(name: &str, file: EmbeddedFile, known_to: Option<&str>, zipped: bool) -> warp::reply::Response {
    let small = zipped.then(|| Web::get(&format!("{name}.gz"))).flatten();
    let is_small = small.is_some();
    let file = small.unwrap_or(file);
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let unchanged =
        known_to.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.data {
            Cow::Borrowed(bytes) => HttpResponse::new(bytes).into_response(),
            Cow::Owned(bytes) => HttpResponse::new(bytes).into_response(),
        }
    };
    let headers = response.headers_mut();
    let caching = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_small && !unchanged {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if !unchanged && let Ok(kind) = HeaderValue::from_str(&content_type(name)) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}

fn content_type(name: &str) -> String {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let text = kind.type_() == "text" || kind.subtype() == "javascript" || kind.subtype() == "json";
    if text { format!("{}; charset=utf-8", kind.essence_str()) } else { kind.to_string() }
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    /// Who does not take gzip must not get it: what it would show is noise.
    #[test]
    fn only_who_takes_gzip_gets_it() {
        for accepts in ["gzip", "deflate, GZIP;q=0.5, br", " br , gzip "] {
            assert!(takes_gzip(accepts), "{accepts}");
        }
        for refuses in ["", "br", "gzip;q=0", "br, gzip; q=0.0", "identity", "x-gzipped"] {
            assert!(!takes_gzip(refuses), "{refuses}");
        }
    }
}
