use super::*;

fn source(schema: Option<&str>, table: &str, on: &[(&str, &str)]) -> Source {
    let on = on.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect();
    Source { schema: schema.map(str::to_owned), table: table.to_owned(), on }
}

#[test]
fn a_comment_is_description_and_tags() {
    let tags = Tags::parse("What is for sale.\n @walcast name lot\n\nTwice a week.\n@walcast omit");
    assert_eq!(tags.name.as_deref(), Some("lot"));
    assert!(tags.omit);
    assert_eq!(tags.description.as_deref(), Some("What is for sale.\n\nTwice a week."));
    assert!(tags.faults.is_empty());
    assert_eq!(Tags::parse("@walcast omit").description, None);
    assert_eq!(Tags::parse("@walcaster says hello").description.as_deref(), Some("@walcaster says hello"));
}

#[test]
fn depends_on_lists_tables_and_how_they_are_bound() {
    let tags = Tags::parse(
        "@walcast depends_on bids(auction_id = id), Shop.rates\n\
         @walcast depends_on \"My \"\"Table\"(a=b,\"C d\" = e)",
    );
    assert_eq!(
        tags.depends_on,
        Some(vec![
            source(None, "bids", &[("auction_id", "id")]),
            source(Some("shop"), "rates", &[]),
            source(None, "My \"Table", &[("a", "b"), ("C d", "e")]),
        ])
    );
    assert!(tags.faults.is_empty());
}

#[test]
fn a_function_may_say_that_it_reads_nothing() {
    assert_eq!(Tags::parse("says little").depends_on, None);
    assert_eq!(Tags::parse("@walcast depends_on Nothing").depends_on, Some(Vec::new()));
    let table = Tags::parse("@walcast depends_on \"nothing\"").depends_on;
    assert_eq!(table, Some(vec![source(None, "nothing", &[])]));
}

#[test]
fn what_cannot_be_followed_is_a_fault_and_otherwise_ignored() {
    for (comment, fault) in [
        ("@walcast", TagError::Unknown(String::new())),
        ("@walcast rename x", TagError::Unknown("rename".to_owned())),
        ("@walcast name", TagError::Name(String::new())),
        ("@walcast name 2x", TagError::Name("2x".to_owned())),
        ("@walcast name __x", TagError::Name("__x".to_owned())),
        ("@walcast omit this", TagError::Omit("this".to_owned())),
        ("@walcast depends_on", TagError::DependsOn(String::new())),
        ("@walcast depends_on bids(", TagError::DependsOn("bids(".to_owned())),
        ("@walcast depends_on bids(a)", TagError::DependsOn("bids(a)".to_owned())),
        ("@walcast depends_on bids, ", TagError::DependsOn("bids,".to_owned())),
        ("@walcast depends_on \"bids", TagError::DependsOn("\"bids".to_owned())),
        ("@walcast depends_on bids b", TagError::DependsOn("bids b".to_owned())),
    ] {
        assert_eq!(Tags::parse(comment), Tags { faults: vec![fault], ..Tags::default() }, "{comment}");
    }
}

#[test]
fn tables_are_told_under_names_of_their_own() {
    use ChangeEvent::{Insert, Update};

    let named = |name: &str, events: &[ChangeEvent], columns: &[&str]| Subscription {
        name: name.to_owned(),
        events: events.iter().copied().collect(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    for (tag, expected) in [
        ("newMessage on insert (room_id)", named("newMessage", &[Insert], &["room_id"])),
        ("x ON Insert OR update (Room, \"B, c\")", named("x", &[Insert, Update], &["room", "B, c"])),
        ("x on update(a and b)", named("x", &[Update], &["a", "b"])),
        ("x on insert", named("x", &[Insert], &[])),
    ] {
        let tags = Tags::parse(&format!("@walcast subscription {tag}"));
        assert_eq!((tags.subscriptions, tags.faults), (vec![expected], Vec::new()), "{tag}");
    }
    for wrong in [
        "",
        "x",
        "x on",
        "x on delete",
        "1x on insert",
        "x on insert ()",
        "x on insert (a",
        "x insert",
        "x on insert a",
    ] {
        let fault = TagError::Subscription(wrong.to_owned());
        assert_eq!(Tags::parse(&format!("@walcast subscription {wrong}")).faults, [fault]);
    }
    let names = Names::default().with_subscriptions(&["newMessage = public.messages on insert"]).unwrap();
    let place = Place::Relation("public".to_owned(), "messages".to_owned());
    let tags = names.tags(&place, Some("@walcast subscription x on update"));
    assert_eq!(tags.subscriptions, [named("newMessage", &[Insert], &[]), named("x", &[Update], &[])]);
    let error = Names::default().with_subscriptions(&["x = messages on insert"]).unwrap_err();
    assert_eq!(error, [NamesError::Subscription("x = messages on insert".to_owned())]);
}

#[test]
fn settings_come_before_tags() {
    let names = Names::parse(
        &["public.auctions=Lot", "public.users.name = fullName", "public.highest_bid()=topBid"],
        &["public.secrets", "public.\"Users\".\"a.b\""],
    )
    .unwrap();
    let relation = |name: &str| Place::Relation("public".to_owned(), name.to_owned());
    let tags = names.tags(&relation("auctions"), Some("@walcast name thing"));
    assert_eq!(tags.name.as_deref(), Some("Lot"));
    assert!(names.tags(&relation("secrets"), None).omit);
    let column = Place::Column("public".to_owned(), "users".to_owned(), "name".to_owned());
    assert_eq!(names.names[&column], "fullName");
    let function = Place::Function("public".to_owned(), "highest_bid".to_owned());
    assert_eq!(names.names[&function], "topBid");
    let quoted = Place::Column("public".to_owned(), "Users".to_owned(), "a.b".to_owned());
    assert!(names.omit.contains(&quoted));
}

#[test]
fn all_wrong_settings_are_told_at_once() {
    let errors = Names::parse(&["auctions=Lot", "public.auctions", "public.a=b c"], &["f()"]).unwrap_err();
    assert_eq!(
        errors,
        [
            NamesError::Place("auctions".to_owned()),
            NamesError::Missing("public.auctions".to_owned()),
            NamesError::Name("b c".to_owned()),
            NamesError::Place("f()".to_owned()),
        ]
    );
}
