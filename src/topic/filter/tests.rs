use proptest::prelude::*;

use super::*;

fn test(column: &str, test: Test) -> Filter {
    Filter::Test { column: column.to_owned(), test }
}

fn compare(column: &str, comparison: Comparison, value: &str) -> Filter {
    test(column, Test::Compare(comparison, value.to_owned()))
}

fn eq(column: &str, value: &str) -> Filter {
    compare(column, Comparison::Eq, value)
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn among(column: &str, values: &[&str]) -> Filter {
    test(column, Test::Among(values.iter().map(|value| (*value).to_owned()).collect()))
}

fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn one_equality_takes_everything_verbatim() {
    for value in [
        "1",
        "",
        "a,b",
        "\"quoted\"",
        "a,b=c",
        "a,b=d.e",
        "10:00:00=%3A.",
        "(1,2)",
        "eq.1",
        "not.eq.1",
        "x,or=y",
        "\\",
        ",=eq.1",
        "a,b,",
    ] {
        assert_eq!(parse(&format!("id=eq.{value}")), eq("id", value), "{value}");
    }
    assert_eq!(parse("a,b=eq.1"), eq("a,b", "1"));
    assert_eq!(parse("or=eq.1"), eq("or", "1"));
}

#[test]
fn every_operator_is_read() {
    let comparisons = [
        ("eq", Comparison::Eq),
        ("neq", Comparison::Neq),
        ("lt", Comparison::Lt),
        ("lte", Comparison::Lte),
        ("gt", Comparison::Gt),
        ("gte", Comparison::Gte),
        ("isdistinct", Comparison::Distinct),
    ];
    for (name, comparison) in comparisons {
        assert_eq!(parse(&format!("a={name}.x.y")), compare("a", comparison, "x.y"));
        assert_eq!(parse(&format!("a=not.{name}.x")), not(compare("a", comparison, "x")));
        assert_eq!(parse(&format!("or=(a.{name}.x)")), Filter::Any(vec![compare("a", comparison, "x")]));
    }
    for matching in [Matching::Like, Matching::ILike, Matching::Match, Matching::IMatch] {
        let read = parse(&format!("a={}.%x_(", matching.name()));
        assert_eq!(read, test("a", Test::Matches(matching, "%x_(".to_owned())));
    }
    for (word, singleton) in [
        ("null", Singleton::Null),
        ("TRUE", Singleton::True),
        ("false", Singleton::False),
        ("unknown", Singleton::Unknown),
    ] {
        assert_eq!(parse(&format!("a=is.{word}")), test("a", Test::Is(singleton)));
    }
    assert_eq!(parse("a=in.(1,,\"x,\\\"y)\",z z)"), among("a", &["1", "", "x,\"y)", "z z"]));
    assert_eq!(parse("a=not.not.in.(1)"), among("a", &["1"]));
}

#[test]
fn commas_join_conditions_where_another_one_begins() {
    assert_eq!(parse("a=eq.1,b=eq.2"), Filter::All(vec![eq("a", "1"), eq("b", "2")]));
    assert_eq!(
        parse("a=eq.x,y,b=not.in.(1,2),or=(c.eq.3,d.is.null)"),
        Filter::All(vec![
            eq("a", "x,y"),
            not(among("b", &["1", "2"])),
            Filter::Any(vec![eq("c", "3"), test("d", Test::Is(Singleton::Null))]),
        ])
    );
    assert_eq!(parse("a=eq.\"x,b=eq.2\",b=gt.1"), {
        Filter::All(vec![eq("a", "x,b=eq.2"), compare("b", Comparison::Gt, "1")])
    });
    assert_eq!(parse("%61%2Cb=lt.1,c%3Dd=eq.2"), {
        Filter::All(vec![compare("a,b", Comparison::Lt, "1"), eq("c=d", "2")])
    });
}

#[test]
fn trees_nest() {
    assert_eq!(
        parse("not.or=(a.eq.1,and(b.gt.2,not.or(c.not.eq.\"x)\",\"d.e\".eq.3)),%66%2E.eq.4)"),
        not(Filter::Any(vec![
            eq("a", "1"),
            Filter::All(vec![
                compare("b", Comparison::Gt, "2"),
                not(Filter::Any(vec![not(eq("c", "x)")), eq("d.e", "3")])),
            ]),
            eq("f.", "4"),
        ]))
    );
}

#[test]
fn what_is_wrong_with_a_filter_is_named() {
    let deep = format!("or=({}a.eq.1{})", "and(".repeat(DEPTH), ")".repeat(DEPTH));
    let long = vec!["a=gt.1"; CONDITIONS + 1].join(",");
    let list = format!("a=in.({})", vec!["1"; LIST_VALUES + 1].join(","));
    for (text, error) in [
        ("", TopicError::FilterShape),
        ("id", TopicError::FilterShape),
        ("id=1", TopicError::FilterShape),
        ("=eq.1", TopicError::Empty { part: "column" }),
        ("id=EQ.1", TopicError::OperatorUnknown),
        ("id=xx.1", TopicError::OperatorUnknown),
        ("id=gt.1,b=in.(1),x", TopicError::FilterShape),
        ("id=in.1", TopicError::FilterList),
        ("id=in.()", TopicError::ListEmpty),
        ("id=in.(1", TopicError::FilterBracket),
        ("id=in.(1)x", TopicError::FilterTrailing),
        ("id=gt.\"1\"x", TopicError::FilterTrailing),
        ("id=gt.\"1", TopicError::FilterQuote),
        ("id=is.nothing", TopicError::FilterSingleton),
        ("or=(a.eq.1", TopicError::FilterBracket),
        ("or=()", TopicError::FilterShape),
        ("or=(.eq.1)", TopicError::Empty { part: "column" }),
        ("or=(\"\".eq.1)", TopicError::Empty { part: "column" }),
        (deep.as_str(), TopicError::FilterDeep),
        (long.as_str(), TopicError::FilterLong),
        (list.as_str(), TopicError::ListLong),
    ] {
        assert_eq!(Filter::parse(text), Err(error), "{text}");
    }
    parse(&format!("or=({}a.eq.1{})", "and(".repeat(DEPTH - 1), ")".repeat(DEPTH - 1)));
    parse(&vec!["a=gt.1"; CONDITIONS].join(","));
    parse(&format!("a=in.({})", vec!["1"; LIST_VALUES].join(",")));
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error(text in "[ab,.=()\"\\\\%12]{0,12}|(a=|or=\\(|not\\.|eq\\.|in\\.\\(|,|\\)|1|\"){0,9}") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn any_value_survives_its_quotes(value in ".{0,20}") {
        let quoted = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        prop_assert_eq!(parse(&format!("a=gt.{quoted},b=in.({quoted},{quoted})")), Filter::All(vec![
            compare("a", Comparison::Gt, &value),
            among("b", &[&value, &value]),
        ]));
        prop_assert_eq!(parse(&format!("or=(a.eq.{quoted})")), Filter::Any(vec![eq("a", &value)]));
    }
}
