use super::text::{PatternError, TextPattern};
use super::*;

fn pattern(matching: Matching, source: &str) -> Result<TextPattern, PatternError> {
    TextPattern::new(matching, source)
}

#[test]
fn patterns_match_as_under_the_collation_c() {
    use Matching::{ILike, IMatch, Like, Match};
    for (matching, source, yes, no) in [
        (Like, "a%", &["a", "ab", "a\n"][..], &["", "ba", "A"][..]),
        (Like, "_", &["é", "\n"], &["", "ab"]),
        (Like, "\\%\\a\\\\", &["%a\\"], &["xa\\"]),
        (Like, "a.c*", &["a.c*"], &["abc"]),
        (ILike, "a%É", &["AxÉ"], &["Axé"]),
        (Match, "b", &["abc"], &["B"]),
        (Match, "^a.c$", &["abc", "a\nc"], &["abc\n", "xabc"]),
        (Match, "^(?:a|bc){2,3}?$", &["aa", "bca", "aaa"], &["a", "aaaa"]),
        (Match, "^[^a-c\\d[:space:]]+$", &["xyz", "é"], &["xa", "1", " ", ""]),
        (Match, "^[]x-]$", &["]", "x", "-"], &["y"]),
        (Match, "^{x}$", &["{x}"], &["x"]),
        (Match, "^\\w\\W\\.\\\\$", &["a-.\\", "aé.\\"], &["ab.\\"]),
        (Match, "\\mfoo\\M", &["a foo b", "éfoo"], &["foox", "xfoo"]),
        (Match, "\\Aa\\Z", &["a"], &["a\n"]),
        (IMatch, "^[a-c]X[^y]É$", &["bxzÉ", "CXzÉ"], &["bxYÉ", "bxzé"]),
        (IMatch, "^[[:upper:]]$", &["a", "A"], &["1"]),
        (Match, "^[[:cntrl:]]$", &["\x01", "\x7f", "\u{85}", "\u{9f}"], &["a", "\u{a0}"]),
    ] {
        let pattern = pattern(matching, source).unwrap_or_else(|error| panic!("{source}: {error}"));
        for text in yes {
            assert!(pattern.matches(text), "{text:?} {} {source}", matching.name());
        }
        for text in no {
            assert!(!pattern.matches(text), "{text:?} not {} {source}", matching.name());
        }
    }
}

#[test]
fn what_cannot_be_translated_is_named() {
    for source in [
        "(a)\\1", "a(?=b)", "a(?!b)", "(?<=a)b", "(?i)a", "***=a", "[[.a.]]", "[[=a=]]", "\\u0041", "\\x41",
        "\\Y", "[z-a]",
    ] {
        let refused = pattern(Matching::Match, source);
        assert!(matches!(refused, Err(PatternError::Untranslatable(_))), "{source}: {refused:?}");
    }
    assert_eq!(pattern(Matching::Like, "a\\"), Err(PatternError::Unfinished));
    assert_eq!(pattern(Matching::Match, "[a"), Err(PatternError::Unfinished));
    assert_eq!(pattern(Matching::Match, "(a{200}){200}"), Err(PatternError::TooLarge));
}

#[test]
fn tests_are_three_valued_and_may_be_unknown() {
    let integer = Kind::Integer;
    let two = || Operand::new(&Kind::Integer, "2".to_owned()).expect("a number");
    let compare = |comparison| Test::Compare(integer.clone(), comparison, two());
    let known = [Known::Value(b"2"), Known::Value(b"10"), Known::Null, Known::Unknown, Known::Value(b"x")];
    let (t, f, n, any, either) = (Truth::TRUE, Truth::FALSE, Truth::NULL, Truth::ANY, Truth::EITHER);
    for (test, truths) in [
        (compare(Comparison::Eq), [t, f, n, any, either]),
        (compare(Comparison::Neq), [f, t, n, any, either]),
        (compare(Comparison::Lt), [f, f, n, any, either]),
        (compare(Comparison::Lte), [t, f, n, any, either]),
        (compare(Comparison::Gt), [f, t, n, any, either]),
        (compare(Comparison::Gte), [t, t, n, any, either]),
        (compare(Comparison::Distinct), [f, t, t, either, either]),
        (Test::Among(Kind::Integer, [two()].into()), [t, f, n, any, either]),
        (Test::Is(Singleton::Null), [f, f, t, either, f]),
    ] {
        assert_eq!(known.map(|known| test.truth(known)), truths, "{test:?}");
    }
    let boolean = [Known::Value(b"t"), Known::Value(b"f"), Known::Null];
    for (singleton, truths) in
        [(Singleton::True, [t, f, f]), (Singleton::False, [f, t, f]), (Singleton::Unknown, [f, f, t])]
    {
        assert_eq!(boolean.map(|known| Test::Is(singleton).truth(known)), truths, "{singleton:?}");
    }
}

#[test]
fn sql_is_quoted_and_cast() {
    let column =
        |name: &str, sql_type: &str, text| Column { name: name.into(), sql_type: sql_type.into(), text };
    let columns = [column("o\"dd", "pg_catalog.text", true), column("n", "pg_catalog.int4", false)];
    let text = |text: &str| Operand::new(&Kind::Bytes, text.to_owned()).expect("a text");
    let number = |text: &str| Operand::new(&Kind::Integer, text.to_owned()).expect("a number");
    let test = |column, test| Condition::Test { column, test };
    let like = pattern(Matching::ILike, "a\\%'").expect("a pattern");
    let condition = Condition::All(
        [
            test(0, Test::Compare(Kind::Bytes, Comparison::Lt, text("it's"))),
            Condition::Not(Box::new(Condition::Any(
                [
                    test(1, Test::Among(Kind::Integer, [number("1"), number("2")].into())),
                    test(1, Test::Is(Singleton::Null)),
                ]
                .into(),
            ))),
            test(0, Test::Matches(Matching::ILike, like)),
        ]
        .into(),
    );
    assert_eq!(
        condition.sql(&columns),
        "((\"o\"\"dd\"::pg_catalog.text COLLATE \"C\" < 'it''s'::pg_catalog.text) AND \
         NOT ((\"n\"::pg_catalog.int4 IN ('1'::pg_catalog.int4, '2'::pg_catalog.int4)) OR (\"n\" IS NULL)) AND \
         (\"o\"\"dd\"::pg_catalog.text COLLATE \"C\" ILIKE E'a\\\\%'''::pg_catalog.text))"
    );
}
