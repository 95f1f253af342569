//! What a handshake agrees upon beside the protocol: permessage-deflate (RFC 7692, section 7.1).

use axum::http::{HeaderMap, header};

/// What is answered to an offer of permessage-deflate that can be accepted. No message depends on another in either
/// direction, so that one compressed message serves all sockets.
const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The same to a client that bounds the server's window, by as much as there is.
const ACCEPTED_BOUNDED: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// The `Sec-WebSocket-Extensions` of the answer, if there is an offer that can be accepted; the client's first choice
/// first.
pub(super) fn deflate(headers: &HeaderMap) -> Option<&'static str> {
    headers
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(offers)
        .find_map(accepted)
}

/// The offers of one header: between commas, but for those in quotes, where a backslash quotes one character (RFC 9110,
/// section 5.6.4).
fn offers(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |character| {
        quoted ^= character == '"' && !escaped;
        escaped = quoted && !escaped && character == '\\';
        character == ',' && !quoted
    })
}

/// The answer to one offer. Unknown, repeated or invalid parameters are reason to decline (RFC 7692, section 7.1).
fn accepted(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            None => (part, None),
        };
        let name = name.to_ascii_lowercase();
        let bits = value.and_then(bits);
        let acceptable = match name.as_str() {
            "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
            // A smaller window would need messages of its own.
            "server_max_window_bits" => bits == Some(15),
            // A hint: we read messages of any window.
            "client_max_window_bits" => value.is_none() || bits.is_some(),
            _ => false,
        };
        if !acceptable || seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    let bounded = seen.iter().any(|name| name == "server_max_window_bits");
    Some(if bounded { ACCEPTED_BOUNDED } else { ACCEPTED })
}

/// A value may stand in quotes (RFC 6455, section 9.1).
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// The size of a window: 8 to 15, without leading zeros.
fn bits(value: &str) -> Option<u8> {
    value
        .starts_with(|digit: char| matches!(digit, '1'..='9'))
        .then(|| value.parse().ok())
        .flatten()
        .filter(|bits| (8..=15).contains(bits))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn answer(offers: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        deflate(&headers)
    }

    #[test]
    fn what_clients_offer_is_accepted() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=\"10\" ; server_no_context_takeover",
            "Permessage-Deflate; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(answer(&[offer]), Some(ACCEPTED), "{offer}");
        }
        assert_eq!(answer(&["permessage-deflate; server_max_window_bits=15"]), Some(ACCEPTED_BOUNDED));
    }

    #[test]
    fn what_stands_in_quotes_is_no_offer() {
        for (offer, expected) in [
            (r#"foo; a="x, permessage-deflate, y""#, None),
            (r#"foo; a="\", permessage-deflate, y""#, None),
            (r#"foo; a="b,c", permessage-deflate"#, Some(ACCEPTED)),
            (r#"foo; a="\\", permessage-deflate"#, Some(ACCEPTED)),
        ] {
            assert_eq!(answer(&[offer]), expected, "{offer}");
        }
    }

    #[test]
    fn what_we_cannot_keep_is_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=+9",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; unheard_of",
            "permessage-deflate;",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
        assert_eq!(answer(&[]), None);
    }
}
