use proptest::prelude::*;

use super::*;

const RESPONSE: Option<Form> = Some(Form::Json(Json::Response));
const LEGACY: Option<Form> = Some(Form::Json(Json::Legacy));
const EVENTS: Option<Form> = Some(Form::EventStream);
const PARTS: Option<Form> = Some(Form::Multipart);

fn forms(header: &str) -> [Option<Form>; 2] {
    let accept = Accept::parse(Some(header));
    [accept.form(Results::One), accept.form(Results::Many)]
}

#[test]
fn clients_get_the_form_that_they_can_read() {
    for (header, one, many) in [
        // Nothing said, curl, fetch.
        ("", LEGACY, EVENTS),
        ("*/*", LEGACY, EVENTS),
        ("application/json", LEGACY, None),
        ("application/graphql-response+json", RESPONSE, None),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE, None),
        // graphql-sse, EventSource.
        ("text/event-stream", EVENTS, EVENTS),
        // urql.
        (
            "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
            RESPONSE,
            EVENTS,
        ),
        // GraphiQL's fetcher.
        ("application/json, multipart/mixed", LEGACY, PARTS),
        // Apollo Client.
        ("application/graphql-response+json,application/json;q=0.9", RESPONSE, None),
        (
            "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9",
            RESPONSE,
            PARTS,
        ),
        ("multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json", LEGACY, PARTS),
        // A browser's address bar.
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", LEGACY, EVENTS),
    ] {
        assert_eq!(forms(header), [one, many], "{header}");
    }
    assert_eq!(Accept::parse(None), Accept::parse(Some("")));
}

#[test]
fn quality_and_specificity_decide_as_rfc_9110_says() {
    for (header, one, many) in [
        ("application/json;q=0.5, application/graphql-response+json;q=0.4", LEGACY, None),
        ("application/json, application/graphql-response+json", RESPONSE, None),
        ("application/*", LEGACY, None),
        ("application/*, application/json;q=0", RESPONSE, None),
        ("text/*", EVENTS, EVENTS),
        ("multipart/*;q=0.2, text/event-stream;q=0.1", PARTS, PARTS),
        ("text/event-stream;q=0, */*", LEGACY, PARTS),
        ("multipart/mixed, */*", LEGACY, PARTS),
        ("multipart/mixed, */*;q=0.5", PARTS, PARTS),
        ("TEXT/Event-Stream ; Q=0.3", EVENTS, EVENTS),
        ("text/html", None, None),
        ("*/*;q=0", None, None),
        ("application/json;charset=latin1", LEGACY, EVENTS),
        ("application/json;charset=latin1, text/html", None, None),
        ("application/json; charset=\"UTF-8\"", LEGACY, None),
        // An entry that makes no sense is not there.
        ("json, */json, application/json;q=2, multipart/mixed", PARTS, PARTS),
    ] {
        assert_eq!(forms(header), [one, many], "{header}");
    }
}

#[test]
fn a_body_is_json_in_utf8_or_nothing() {
    for good in
        ["application/json", "Application/JSON ; charset=UTF-8", "application/json; charset=\"utf-8\"; a=b"]
    {
        assert!(is_json_request(Some(good)), "{good}");
    }
    for bad in
        ["text/plain", "application/graphql", "application/json5", "application/json; charset=utf-16", ""]
    {
        assert!(!is_json_request(Some(bad)), "{bad}");
    }
    assert!(!is_json_request(None));
}

fn range() -> impl Strategy<Value = (String, u16)> {
    let names = [
        "application/graphql-response+json",
        "application/json",
        "text/event-stream",
        "multipart/mixed",
        "application/*",
        "text/*",
        "multipart/*",
        "*/*",
        "text/html",
    ];
    (prop::sample::select(names.to_vec()).prop_map(str::to_owned), 0..=1000_u16)
}

fn header(ranges: &[(String, u16)]) -> String {
    let entry = |(name, q): &(String, u16)| format!("{name};q={}.{:03}", q / 1000, q % 1000);
    ranges.iter().map(entry).collect::<Vec<_>>().join(", ")
}

/// The quality of a form by the text of RFC 9110: the exact type, else its group, else everything.
fn told(ranges: &[(String, u16)], form: Form) -> u16 {
    let (kind, subtype) = form.media_type();
    [format!("{kind}/{subtype}"), format!("{kind}/*"), "*/*".to_owned()]
        .iter()
        .find_map(|name| ranges.iter().filter(|(range, _)| range == name).map(|(_, q)| *q).max())
        .unwrap_or(0)
}

proptest! {
    #[test]
    fn any_text_is_read(header in any::<String>()) {
        let accept = Accept::parse(Some(&header));
        prop_assert!(!matches!(accept.form(Results::Many), Some(Form::Json(_))));
        let _ = is_json_request(Some(&header));
    }

    #[test]
    fn no_form_is_liked_better_than_the_chosen_one(ranges in prop::collection::vec(range(), 1..6)) {
        let accept = Accept::parse(Some(&header(&ranges)));
        for results in [Results::One, Results::Many] {
            let best = Form::ALL.into_iter().filter(|form| form.holds(results)).map(|form| told(&ranges, form)).max();
            let chosen = accept.form(results).map(|form| told(&ranges, form));
            prop_assert_eq!(chosen, best.filter(|best| *best > 0));
        }
    }

    #[test]
    fn the_order_of_entries_means_nothing(ranges in prop::collection::vec(range(), 1..6)) {
        let turned: Vec<_> = ranges.iter().rev().cloned().collect();
        prop_assert_eq!(forms(&header(&ranges)), forms(&header(&turned)));
    }
}
