//! In which form results travel: the `Accept` header and the number of results decide.
//!
//! Rules: RFC 9110, section 12.5.1 (ranges, quality values), and the GraphQL-over-HTTP draft, sections "Media
//! Types" and "Processing a request". What the draft leaves open follows what clients were seen to send:
//! urql offers JSON, an event stream and multipart in one header, stock `GraphiQL` only JSON and multipart.

/// How many results an operation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// One: queries and mutations, and every refusal.
    One,
    /// Any number: live queries and subscriptions.
    Many,
}

/// The two media types of a plain response; they differ in their status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// `application/graphql-response+json`: the status tells whether the request was good.
    Response,
    /// `application/json`: 200 for whatever is well-formed, since proxies answer with this type, too.
    Legacy,
}

impl Json {
    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Legacy => "application/json; charset=utf-8",
        }
    }
}

/// A form of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json(Json),
    /// `text/event-stream`
    EventStream,
    /// `multipart/mixed`
    Multipart,
}

/// What a 406 offers, for its own `Accept` header (RFC 9110, section 12.5.1).
pub const OFFERED: &str =
    "application/graphql-response+json, application/json, text/event-stream, multipart/mixed";

impl Form {
    const ALL: [Self; 4] =
        [Self::Json(Json::Response), Self::Json(Json::Legacy), Self::EventStream, Self::Multipart];

    const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json(Json::Response) => ("application", "graphql-response+json"),
            Self::Json(Json::Legacy) => ("application", "json"),
            Self::EventStream => ("text", "event-stream"),
            Self::Multipart => ("multipart", "mixed"),
        }
    }

    const fn holds(self, results: Results) -> bool {
        matches!((self, results), (_, Results::One) | (Self::EventStream | Self::Multipart, Results::Many))
    }

    /// Among forms that a client likes equally, the highest. A form that it named goes before one that a wildcard
    /// lets pass, but a single result is sent as a stream only when no JSON will do.
    fn preference(self, named: bool, results: Results) -> u8 {
        match (results, self, named) {
            (Results::One, Self::Json(Json::Response), true) => 6,
            (Results::One, Self::Json(Json::Legacy), true) => 5,
            // Who accepts anything may not know the newer type.
            (Results::One, Self::Json(Json::Legacy), false) => 4,
            (Results::One, Self::Json(Json::Response), false) => 3,
            (_, Self::EventStream, true) => 2,
            (_, Self::Multipart, true) => 1,
            _ => 0,
        }
    }
}

/// An `Accept` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    ranges: Vec<Range>,
}

/// One entry of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    kind: String,
    subtype: String,
    /// Thousandths.
    quality: u16,
}

impl Accept {
    /// Reads the header; several lines of it are joined with commas. Entries that make no sense are passed over, as
    /// if they were not there; a header without any entry accepts everything.
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        Self { ranges: header.unwrap_or_default().split(',').filter_map(Range::parse).collect() }
    }

    /// The form for so many results; `None` is a 406.
    #[must_use]
    pub fn form(&self, results: Results) -> Option<Form> {
        let ranked = Form::ALL.into_iter().filter(|form| form.holds(results)).filter_map(|form| {
            let (quality, named) = self.quality(form);
            (quality > 0).then(|| ((quality, form.preference(named, results)), form))
        });
        // Of equal ones `max_by_key` takes the last, and the event stream is to go before multipart.
        ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, form)| form)
    }

    /// The quality in thousandths that the most specific range gives this form, and whether it names it.
    fn quality(&self, form: Form) -> (u16, bool) {
        if self.ranges.is_empty() {
            return (1000, false);
        }
        let (kind, subtype) = form.media_type();
        let matching = self.ranges.iter().filter_map(|range| {
            let specific = match (range.kind.as_str(), range.subtype.as_str()) {
                ("*", "*") => 0,
                (k, "*") if k == kind => 1,
                (k, s) if (k, s) == (kind, subtype) => 2,
                _ => return None,
            };
            Some((specific, range.quality))
        });
        matching.max().map_or((0, false), |(specific, quality)| (quality, specific == 2))
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut range =
            Self { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), quality: 1000 };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = quality(value.trim())?,
                // All that is sent is UTF-8.
                "charset" if !is_utf8(value) => return None,
                // `boundary`, `deferSpec` and the like say what a client understands besides.
                _ => {}
            }
        }
        Some(range)
    }
}

/// RFC 9110, section 12.4.2: 0 to 1 with at most three decimals.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// What the body of a POST may be.
#[must_use]
pub fn is_json_request(content_type: Option<&str>) -> bool {
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let charset = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => is_utf8(value),
        _ => true,
    };
    json && parts.all(charset)
}

fn is_utf8(charset: &str) -> bool {
    let name = charset.trim().trim_matches('"');
    name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests;
