//! GraphiQL at `/graphiql`: a page and its bundle, part of the binary, so that it needs no other host.
//!
//! `scripts/bundle_graphiql.sh` makes the bundle of `graphiql/`. It is kept compressed, since that is how every
//! browser wants it; for a client that does not it is decompressed once, when it first asks.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::read::GzDecoder;

use super::App;

/// A file of the bundle: a gzip member (RFC 1952).
struct Asset {
    path: &'static str,
    kind: &'static str,
    packed: &'static [u8],
    plain: OnceLock<Bytes>,
}

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        Asset {
            path: concat!("/graphiql/", $name),
            kind: $kind,
            packed: include_bytes!(concat!("graphiql/", $name, ".gz")),
            plain: OnceLock::new(),
        }
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 7] = [
    asset!("page.js", SCRIPT),
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("codicon.ttf", "font/ttf"),
    asset!("editor.js", SCRIPT),
    asset!("graphql.js", SCRIPT),
    asset!("json.js", SCRIPT),
    asset!("licenses.txt", "text/plain; charset=utf-8"),
];

const PAGE: &str = include_str!("graphiql/index.html");

/// Nothing but our own origin. Two exceptions, neither of which lets a script run: the editor (Monaco) writes its
/// theme and the places of its lines as style elements and attributes that exist only at run time, so that neither
/// hash nor nonce could name them; and its style sheet has two small pictures as `data:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; \
                      font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Adds the page and its files.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let page = router.route("/graphiql", get(async || page()));
    ASSETS.iter().fold(page, |router, asset| {
        router.route(asset.path, get(async move |headers: HeaderMap| asset.response(&headers)))
    })
}

fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

impl Asset {
    /// The file in the coding that the request accepts, or 304 if the client has it already. `no-cache` lets a
    /// browser keep it, but has it ask each time, so that an upgraded server is never mixed with an older page.
    fn response(&'static self, request: &HeaderMap) -> Response {
        let gzip = accepts_gzip(request);
        let tag = self.tag(gzip);
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            // A worker is governed by the policy that it comes with, not by that of its page.
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "Accept-Encoding"),
            (header::ETAG, tag.as_str()),
        ];
        if matches(request, &tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if gzip {
            (headers, [(header::CONTENT_ENCODING, "gzip")], self.packed).into_response()
        } else {
            (headers, self.plain()).into_response()
        }
    }

    /// A member ends with the CRC-32 and the length of its content (RFC 1952, section 2.3), which is all that an
    /// entity tag has to tell apart here: the versions of one file. Each coding has a tag of its own (RFC 9110,
    /// section 8.8.3.3).
    fn tag(&self, gzip: bool) -> String {
        let trailer = self.packed.last_chunk().copied().map_or(0, u64::from_le_bytes);
        format!("\"{trailer:016x}{}\"", if gzip { "-gzip" } else { "" })
    }

    fn plain(&self) -> Bytes {
        let decompress = || {
            let mut plain = Vec::new();
            // What the build has put in is whole; a test reads each file.
            let _ = GzDecoder::new(self.packed).read_to_end(&mut plain);
            plain.into()
        };
        self.plain.get_or_init(decompress).clone()
    }
}

/// Whether gzip is named with a weight above zero, itself or by `*` (RFC 9110, section 12.5.3). A client that names
/// nothing may be sent anything, but is most likely one that cannot decompress.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        list(request, header::ACCEPT_ENCODING).find_map(|coding| {
            let (name, parameter) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = parameter.trim().trim_start_matches(['q', 'Q', '=']).parse::<f32>();
            name.trim().eq_ignore_ascii_case(wanted).then(|| weight.unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// Whether `If-None-Match` names this tag, compared weakly (RFC 9110, section 13.1.2).
fn matches(request: &HeaderMap, tag: &str) -> bool {
    list(request, header::IF_NONE_MATCH).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn list(request: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn request(headers: &[(header::HeaderName, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn every_file_is_whole() {
        for asset in &ASSETS {
            let mut plain = Vec::new();
            GzDecoder::new(asset.packed).read_to_end(&mut plain).unwrap();
            assert!(plain.len() > asset.packed.len(), "{}", asset.path);
            assert_eq!(asset.plain(), plain, "{}", asset.path);
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_name_it() {
        for (accepted, gzip) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP ; q=0.001", true),
            ("*", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000, *", false),
            ("*;q=0", false),
            ("gzip;q=?", false),
        ] {
            assert_eq!(accepts_gzip(&request(&[(header::ACCEPT_ENCODING, accepted)])), gzip, "{accepted}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        let tag = ASSETS[0].tag(true);
        for (known, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("W/{tag}"), StatusCode::NOT_MODIFIED),
            (format!("\"old\", {tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            (ASSETS[0].tag(false), StatusCode::OK),
            (ASSETS[1].tag(true), StatusCode::OK),
            ("\"old\"".to_owned(), StatusCode::OK),
        ] {
            let request = request(&[(header::ACCEPT_ENCODING, "gzip"), (header::IF_NONE_MATCH, &known)]);
            let response = ASSETS[0].response(&request);
            assert_eq!(response.status(), status, "{known}");
            assert_eq!(response.headers()[header::ETAG], tag.as_str(), "{known}");
        }
    }

    #[test]
    fn the_page_names_no_other_host() {
        let named = PAGE.split(['"', '\'']).filter(|text| text.contains("://") || text.starts_with("//"));
        assert_eq!(named.count(), 0);
        for path in ["graphiql/page.js", "graphiql/page.css"] {
            assert!(PAGE.contains(path) && ASSETS.iter().any(|asset| asset.path.ends_with(path)), "{path}");
        }
    }
}
