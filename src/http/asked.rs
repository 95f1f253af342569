//! What a request asks for in its query string: a topic, from where on, in which form.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use url::form_urlencoded;

use super::refused::Refused;
use crate::change::value::Profile;
use crate::lsn::Since;
use crate::topic::Topic;

/// A topic that somebody wants to read.
pub(super) struct Asked {
    /// As the client spells it.
    pub(super) spelled: Arc<str>,
    /// What it means.
    pub(super) topic: Topic,
    /// From where on.
    pub(super) since: Option<Since>,
    /// How values become JSON.
    pub(super) profile: Profile,
}

impl Asked {
    /// Reads `topic`, `since` and `profile`; without a word on it, values have the `standard` profile. Clients send others,
    /// such as `apikey`.
    pub(super) fn parse(uri: &Uri, standard: Profile) -> Result<Self, Refused> {
        let topic = parameter(uri, "topic", "topic is given more than once")?;
        let spelled = topic.ok_or(Refused::Parameter("the parameter topic is missing"))?;
        let since = parameter(uri, "since", "since is given more than once")?;
        let profile = parameter(uri, "profile", "profile is given more than once")?;
        let profile = profile
            .map_or(Some(standard), |name| Profile::parse(&name))
            .ok_or(Refused::Parameter("profile is default, exact or text"))?;
        Ok(Self {
            topic: Topic::parse(&spelled).map_err(crate::channel::Refusal::from)?,
            spelled: spelled.into(),
            since: since.map(|token| parse_since(&token)).transpose()?,
            profile,
        })
    }

    /// The same behind what an `EventSource` saw last (HTML standard, "The `Last-Event-ID` header").
    pub(super) fn resuming(mut self, headers: &HeaderMap) -> Result<Self, Refused> {
        if let Some(last) = headers.get("last-event-id").filter(|last| !last.is_empty()) {
            self.since = Some(parse_since(last.to_str().unwrap_or_default())?);
        }
        Ok(self)
    }
}

fn parse_since(token: &str) -> Result<Since, Refused> {
    token.parse().map_err(|_| {
        Refused::Parameter("since, or Last-Event-ID, is EPOCH.CURSOR as it was told, or a cursor")
    })
}

/// A parameter that has a value; `twice` is what a client is told that gives it more than once.
pub(super) fn parameter(uri: &Uri, wanted: &str, twice: &'static str) -> Result<Option<String>, Refused> {
    let parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut values = parameters.filter(|(name, value)| name == wanted && !value.is_empty());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refused::Parameter(twice)),
        (value, None) => Ok(value.map(|(_, value)| value.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Asked, String> {
        let uri = format!("/events?{query}").parse().unwrap();
        Asked::parse(&uri, Profile::Default).map_err(|refused| refused.to_string())
    }

    #[test]
    fn what_a_request_asks_for_is_read_from_its_query() {
        let asked =
            parse("apikey=x&topic=realtime%3Apublic%3At%3An%3Deq.1%2B1&since=1-1.A-B-0&profile=exact")
                .unwrap();
        assert_eq!(&*asked.spelled, "realtime:public:t:n=eq.1+1");
        assert_eq!((asked.since, asked.profile), (Some("1-1.A-B-0".parse().unwrap()), Profile::Exact));
        let asked = parse("topic=realtime:*&since=&profile=").unwrap();
        assert_eq!((asked.since, asked.profile), (None, Profile::Default));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (query, text) in [
            ("", "the parameter topic is missing"),
            ("topic=realtime:*&topic=realtime:*", "topic is given more than once"),
            ("topic=realtime:*&profile=loud", "profile is default, exact or text"),
            ("topic=phoenix", "unmatched topic"),
        ] {
            assert_eq!(parse(query).err().as_deref(), Some(text), "{query}");
        }
        assert!(parse("topic=realtime:*&since=now").is_err_and(|text| text.starts_with("since")));
    }

    #[test]
    fn the_last_event_wins_over_since() {
        let asked = |last: &str| {
            let headers = HeaderMap::from_iter([("last-event-id".parse().unwrap(), last.parse().unwrap())]);
            parse("topic=realtime:*&since=1-1.A-B-0").unwrap().resuming(&headers).map(|asked| asked.since)
        };
        assert_eq!(asked("1-1.C-D-0").unwrap(), Some("1-1.C-D-0".parse().unwrap()));
        assert_eq!(asked("").unwrap(), Some("1-1.A-B-0".parse().unwrap()));
        assert!(asked("7").is_err());
    }
}
