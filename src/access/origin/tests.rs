use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn rule(origins: &[&str], hosts: &[&str]) -> OriginRule {
    OriginRule::new(origins, hosts).unwrap()
}

fn origin_passes(rule: &OriginRule, origin: &str) -> bool {
    rule.decide(Some("localhost:4000"), Some(origin)).is_ok()
}

fn host_passes(rule: &OriginRule, host: &str) -> bool {
    rule.decide(Some(host), None).is_ok()
}

#[test]
fn loopback_passes_at_any_port_in_any_spelling() {
    let rule = rule(&[], &[]);
    let names = "localhost localhost:3000 LocalHost:4000 localhost. localhost: app.localhost:8080";
    let addresses = "127.0.0.1 127.0.0.1:1 127.8.9.10:65535 [::1] [::1]:4000 [0:0:0:0:0:0:0:1]:4000";
    for host in names.split(' ').chain(addresses.split(' ')) {
        assert!(host_passes(&rule, host), "Host {host}");
        for scheme in ["http", "https", "HTTP"] {
            assert!(origin_passes(&rule, &format!("{scheme}://{host}")), "Origin {scheme}://{host}");
        }
    }
}

#[test]
fn what_only_looks_like_loopback_is_refused() {
    let rule = rule(&[], &[]);
    let names =
        r"localhost.evil.com 127.0.0.1.evil.com evil.com evil-localhost localhost.. .localhost a..localhost";
    let tricks =
        r"localhost@evil.com evil.com@localhost localhost:80@evil.com localhost\.evil.com localhost/evil.com";
    let addresses = "0.0.0.0 [::] [::ffff:127.0.0.1] 192.168.0.1";
    for host in [names, tricks, addresses].iter().flat_map(|list| list.split(' ')).chain([""]) {
        assert_eq!(rule.decide(Some(host), None), Err(Refusal::Host(host.into())));
        let origin = format!("http://{host}");
        assert_eq!(rule.decide(Some("localhost"), Some(&origin)), Err(Refusal::Origin(origin.clone())));
    }
    for origin in [
        "null",
        "",
        "localhost",
        "file://localhost",
        "app://localhost",
        "http:localhost",
        " http://localhost",
        "http://localhost/",
        "http://loc\talhost",
        "http://%6cocalhost",
        "http://\u{24db}ocalhost",
        "http://localhost:x",
        "http://localhost:65536",
        "http://localhost http://evil.com",
        "blob:http://localhost",
    ] {
        assert!(!origin_passes(&rule, origin), "Origin {origin:?}");
    }
}

#[test]
fn no_origin_passes_and_no_host_never_does() {
    for rule in [rule(&[], &[]), rule(&["*"], &["*"])] {
        assert_eq!(rule.decide(Some("localhost"), None), Ok(()));
        assert_eq!(rule.decide(None, None), Err(Refusal::HostMissing));
        assert_eq!(rule.decide(None, Some("http://localhost")), Err(Refusal::HostMissing));
    }
}

#[test]
fn a_listed_origin_passes_by_scheme_host_and_port_and_lists_its_host() {
    let rule = rule(&["https://App.example.com", "http://dev.example:8080", "capacitor://localhost"], &[]);
    let same =
        "https://app.example.com https://app.example.com:443 http://dev.example:8080 capacitor://localhost";
    for origin in same.split(' ') {
        assert!(origin_passes(&rule, origin), "{origin}");
    }
    let other =
        "http://app.example.com https://app.example.com:8443 http://dev.example https://x.app.example.com";
    for origin in other.split(' ') {
        assert!(!origin_passes(&rule, origin), "{origin}");
    }
    assert!(host_passes(&rule, "APP.example.com.:4000") && host_passes(&rule, "dev.example"));
    assert!(!host_passes(&rule, "example.com") && !origin_passes(&rule, "null"));
}

#[test]
fn a_listed_host_lists_no_origin() {
    let rule = rule(&[], &["walcast", "10.0.0.5", "[fd00::5]"]);
    for host in ["walcast:4000", "10.0.0.5", "[fd00::5]:4000"] {
        assert!(host_passes(&rule, host), "{host}");
        assert!(!origin_passes(&rule, &format!("http://{host}")), "{host}");
    }
}

#[test]
fn a_star_lists_all_of_its_list_and_origins_imply_hosts() {
    let origins = rule(&["*"], &[]);
    assert_eq!(origins.decide(Some("db.evil.com"), Some("null")), Ok(()));
    let hosts = rule(&[], &["*"]);
    assert!(host_passes(&hosts, "db.evil.com") && !origin_passes(&hosts, "http://evil.com"));
    let null = rule(&["null"], &[]);
    assert!(origin_passes(&null, "null") && !origin_passes(&null, "http://evil.com"));
}

#[test]
fn cors_echoes_the_origin_that_passes_and_nothing_else() {
    let rule = rule(&["https://app.example.com"], &[]);
    for origin in ["https://app.example.com", "http://localhost:5173"] {
        assert_eq!(rule.cors_allow_origin(Some(origin)), Some(origin));
    }
    assert_eq!(rule.cors_allow_origin(Some("https://evil.com")), None);
    assert_eq!(rule.cors_allow_origin(None), None);
}

#[test]
fn every_wrong_entry_is_named() {
    let origins =
        ["app.example.com", "https://app.example.com/", "https://*.example.com", "https://a:b", "://x"];
    let hosts = ["walcast:4000", "http://walcast", "ok.example"];
    let errors = OriginRule::new(&origins[..], &hosts[..]).unwrap_err();
    let faults: Vec<_> = errors.iter().map(|e| (e.list, e.entry.as_str(), e.fault)).collect();
    let expected = [
        (List::Origins, origins[0], Fault::NoScheme),
        (List::Origins, origins[1], Fault::Character('/')),
        (List::Origins, origins[2], Fault::Character('*')),
        (List::Origins, origins[3], Fault::Invalid),
        (List::Origins, origins[4], Fault::NoScheme),
        (List::Hosts, hosts[0], Fault::Port),
        (List::Hosts, hosts[1], Fault::Character('/')),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn a_refusal_names_the_setting_and_bounds_what_it_repeats() {
    let rule = rule(&[], &[]);
    let long = format!("evil\n{}", "x".repeat(5000));
    let text = rule.decide(Some(&long), None).unwrap_err().to_string();
    assert!(text.contains("auth.hosts") && text.contains("WALCAST__AUTH__HOSTS"), "{text}");
    assert!(text.len() < 300 && !text.contains('\n'), "{text}");
    let text = rule.decide(Some("localhost"), Some("http://evil.com")).unwrap_err().to_string();
    assert!(text.contains("http://evil.com") && text.contains("WALCAST__AUTH__ORIGINS"), "{text}");
}

/// Loopback stated a second time, by letters alone.
fn may_be_loopback(host: &str) -> bool {
    let name = without_port(host).to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let labels: Vec<&str> = name.split('.').collect();
    let word = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric());
    let number = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let domain = labels.iter().all(word) && labels.last() == Some(&"localhost");
    let address = labels[0] == "127" && (2..=4).contains(&labels.len()) && labels.iter().all(number);
    domain || address || name == "[::1]"
}

fn without_port(host: &str) -> &str {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    port.map_or(host, |(name, _)| name)
}

fn is_app(host: &str) -> bool {
    let name = without_port(host);
    name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case("app.example.com")
}

fn hostile() -> impl Strategy<Value = String> {
    let hosts = ["localhost", "LOCALHOST", "evil", "com", "app.example.com", "127", "127.0.0.1", "0", "1"];
    let marks = [".", ":", "@", "/", "[", "]", "\\", "#", "?", "%", "%2e", "\t", " ", ",", "\u{3002}", "*"];
    let rest = ["[::1]", "::1", "4000", "443", "://", "http://", "https://"];
    let pieces: Vec<&str> = hosts.into_iter().chain(marks).chain(rest).collect();
    prop::collection::vec(select(pieces), 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_outside_loopback_or_the_lists_passes(text in hostile()) {
        let rule = rule(&["https://app.example.com"], &[]);
        if host_passes(&rule, &text) {
            prop_assert!(may_be_loopback(&text) || is_app(&text), "Host {:?}", text);
        }
        for origin in [format!("https://{text}"), text] {
            if origin_passes(&rule, &origin) {
                let (scheme, host) = origin.split_once("://").unwrap();
                let port = host.strip_prefix(without_port(host)).unwrap();
                let listed = scheme == "https" && is_app(host) && ["", ":", ":443"].contains(&port);
                prop_assert!(may_be_loopback(host) || listed, "Origin {:?}", origin);
                prop_assert!(["http", "https"].contains(&scheme), "Origin {:?}", origin);
            }
        }
    }

    #[test]
    fn a_host_that_seems_evident_is_what_the_url_standard_reads(text in hostile(), plain in "[a-z0-9.:-]{0,12}") {
        for text in [text, plain] {
            if let Some(host) = evident_host(&text) {
                prop_assert_eq!(Ok(host.to_owned()), read_host(&text).map(|(host, _)| host), "{:?}", text);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic_or_passes_by_chance(text in any::<String>()) {
        let rule = rule(&[], &[]);
        prop_assert!(!host_passes(&rule, &text) || may_be_loopback(&text));
        prop_assert!(!origin_passes(&rule, &text) || text.starts_with("http"));
    }
}
