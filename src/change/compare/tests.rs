use super::*;

fn kind(base_type: &str) -> Kind {
    Kind::of(base_type).expect("a type that is compared")
}

/// Texts of values in ascending order; those in one slice are equal.
const ASCENDING: &[(&str, &[&[&str]])] = &[
    ("bool", &[&["f"], &["t"]]),
    (
        "int8",
        &[&["-9223372036854775808"], &["-10"], &["-9"], &["0"], &["9"], &["10"], &["9223372036854775807"]],
    ),
    ("oid", &[&["0"], &["9"], &["10"], &["4294967295"]]),
    ("xid8", &[&["3"], &["9223372036854775807"], &["18446744073709551615"]]),
    (
        "numeric",
        &[
            &["-Infinity"],
            &["-1000"],
            &["-10.5"],
            &["-10", "-10.0"],
            &["-1.55"],
            &["-1.5", "-1.500"],
            &["-1"],
            &["-0.011"],
            &["-0.01", "-0.010"],
            &["0", "0.00", "-0.00"],
            &["0.0001"],
            &["0.001"],
            &["0.09"],
            &["0.1", "0.10"],
            &["0.11"],
            &["1", "1.0"],
            &["1.05"],
            &["2"],
            &["9.99"],
            &["10", "10.000"],
            &["100"],
            &["100.001"],
            &["123456789012345678901234567890"],
            &["Infinity"],
            &["NaN"],
        ],
    ),
    (
        "float8",
        &[
            &["-Infinity"],
            &["-1e+300"],
            &["-1.5"],
            &["-1e-300"],
            &["0", "-0"],
            &["5e-324"],
            &["0.1"],
            &["1e+20"],
            &["Infinity"],
            &["NaN"],
        ],
    ),
    ("text", &[&[""], &[" "], &["A"], &["B"], &["a"], &["a "], &["ab"], &["é"]]),
    ("bpchar", &[&["", "   "], &["a", "a   "], &["a b"], &["ab"]]),
    ("uuid", &[&["00000000-0000-0000-0000-000000000001"], &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]]),
    ("bytea", &[&["\\x"], &["\\x00"], &["\\x0000"], &["\\x01"], &["\\xff"]]),
    ("bit", &[&["000"], &["001"], &["100"]]),
    ("varbit", &[&[""], &["0"], &["01"], &["1"], &["10"], &["100000001"], &["101"]]),
    ("macaddr", &[&["08:00:2b:01:02:03"], &["08:00:2b:01:02:0a"], &["a8:00:2b:01:02:03"]]),
    (
        "date",
        &[
            &["-infinity"],
            &["4713-01-01 BC"],
            &["0044-03-15 BC"],
            &["0001-12-31 BC"],
            &["0001-01-01"],
            &["2024-02-29"],
            &["2024-10-01"],
            &["9999-12-31"],
            &["10000-01-01"],
            &["infinity"],
        ],
    ),
    (
        "time",
        &[&["00:00:00"], &["09:59:59.999999"], &["10:00:00", "10:00:00.000"], &["10:00:00.5"], &["24:00:00"]],
    ),
    (
        "timetz",
        &[
            &["10:00:00+05:30"],
            &["10:00:00+02"],
            &["08:00:00+00"],
            &["07:00:00-01"],
            &["10:00:00+00"],
            &["10:00:00-08:00:01"],
        ],
    ),
    (
        "timestamptz",
        &[
            &["-infinity"],
            &["0044-03-15 12:00:00+00 BC"],
            &["0044-03-15 12:00:00.5+00 BC"],
            &["2024-01-01 12:00:00+00"],
            &["2024-01-01 12:00:00.000001+00"],
            &["2024-01-01 12:00:00.1+00"],
            &["2024-01-02 00:00:00+00"],
            &["infinity"],
        ],
    ),
    (
        "interval",
        &[
            &["-infinity"],
            &["-1 years -2 mons"],
            &["-1 days", "-24:00:00"],
            &["-00:00:00.5"],
            &["00:00:00"],
            &["1 day -01:00:00", "23:00:00"],
            &["1 day", "24:00:00"],
            &["1 mon", "30 days", "720:00:00"],
            &["1 mon 00:00:00.000001"],
            &["1 year", "12 mons", "360 days"],
            &["365 days"],
            &["1 year 2 mons +3 days 04:05:06"],
            &["infinity"],
        ],
    ),
    ("pg_lsn", &[&["0/0"], &["0/9"], &["0/A"], &["0/FFFFFFFF"], &["1/0"], &["FF/0"]]),
];

#[test]
fn keys_are_equal_and_ordered_as_values_are() {
    for (name, ascending) in ASCENDING {
        let kind = kind(name);
        assert!(kind.ordered(), "{name}");
        let key = |text: &str| kind.key(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a {name}"));
        for (place, texts) in ascending.iter().enumerate() {
            for (other, others) in ascending.iter().enumerate() {
                for one in *texts {
                    for two in *others {
                        assert_eq!(key(one).cmp(&key(two)), place.cmp(&other), "{name}: {one:?} and {two:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn labels_have_the_order_of_their_type() {
    let kind = Kind::Labels(["sad".into(), "ok".into(), "happy".into()].into());
    assert!(kind.key(b"sad") < kind.key(b"ok") && kind.key(b"ok") < kind.key(b"happy"));
    assert_eq!(kind.key(b"new"), None);
}

#[test]
fn a_text_that_is_no_value_has_no_key() {
    for (name, text) in [
        ("int4", "1.5"),
        ("int4", "one"),
        ("numeric", "1e5"),
        ("numeric", ""),
        ("numeric", "-NaN"),
        ("float8", "x"),
        ("date", "01/02/2024"),
        ("date", "2024-01"),
        ("time", "10:00:00.0000001"),
        ("timestamptz", "2024-01-01 12:00:00+02"),
        ("timetz", "10:00:00"),
        ("interval", "@ 1 day"),
        ("interval", "P1D"),
        ("pg_lsn", "1"),
    ] {
        assert_eq!(kind(name).key(text.as_bytes()), None, "{text} as {name}");
    }
    assert_eq!(kind("int4").key(b"\xff"), None);
}

#[test]
fn types_with_loose_equality_have_no_kind() {
    for name in ["citext", "json", "jsonb", "_int4", "point", "hstore", "tsvector", "int4range"] {
        assert_eq!(Kind::of(name), None, "{name}");
        assert!(!comparable(name));
    }
    assert!(!comparable("interval") && comparable("timetz"));
    for name in ["inet", "cidr", "money", "xid", "char"] {
        assert!(!kind(name).ordered(), "{name}");
    }
}
