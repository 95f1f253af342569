use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::table::{Fallback, Rule, TABLE};
use super::*;
use crate::postgres::tls::SslMode;

const DOCS: &str = include_str!("../../docs/configuration.md");
const URL: &str = "postgres://walcast:hunter2@db:6432/app";

/// Loads with `toml` as /w.toml and, below /run, two secret files.
fn load_in(mode: Mode, toml: Option<&str>, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let path = Path::new("/w.toml");
    Settings::load_with(toml.map(|_| path), env, mode, &|path| match path.to_str() {
        Some("/w.toml") => Ok(toml.unwrap_or_default().to_owned()),
        Some("/run/url") => Ok(format!("{URL}\n")),
        Some("/run/secret") => Ok("sixteen characters or more\r\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

fn serve(toml: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load_in(Mode::Serve, Some(toml), env)
}

/// With a database, so that only what a test is about is wrong.
fn with_env(env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load_in(Mode::Serve, None, &[&[("DATABASE_URL", URL)], env].concat())
}

fn lines(result: Result<Settings, SettingsError>) -> Vec<String> {
    result.unwrap_err().problems.iter().map(ToString::to_string).collect()
}

/// The only problem's line, which must begin with `name: `.
fn only(result: Result<Settings, SettingsError>, name: &str) -> String {
    let lines = lines(result);
    assert!(lines.len() == 1 && lines[0].starts_with(&format!("{name}: ")), "{name} in {lines:#?}");
    lines[0].clone()
}

fn host(settings: &Settings) -> String {
    settings.database.as_ref().unwrap().host.to_string()
}

#[test]
fn defaults_are_those_of_the_table_and_differ_by_mode() {
    let serve = with_env(&[]).unwrap();
    assert_eq!(serve.listen.to_string(), "127.0.0.1:4000");
    assert_eq!((&*serve.replication.slot, &*serve.replication.publication), ("walcast", "walcast"));
    assert!(!serve.replication.temporary && !serve.replication.create_publication);
    assert_eq!((serve.limits.frame_bytes, serve.limits.row_bytes), (1 << 20, 256 << 20));
    assert_eq!((serve.limits.sockets, serve.limits.idle), (16_384, Duration::from_secs(60)));
    assert_eq!((serve.outbox.bytes, serve.outbox.pause), (4 << 20, Duration::from_secs(1)));
    assert_eq!((serve.log.format, &*serve.log.filter), (LogFormat::Text, "info"));
    assert!(serve.admin.secret.is_none());
    let demo = load_in(Mode::Demo, None, &[]).unwrap();
    assert!(demo.database.is_none() && demo.replication.create_publication);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
    let toml = "listen = '127.0.0.1:1'\n[database]\nurl = 'host=file user=u'\n[limits]\nsockets = 5\nidle_seconds = 7\n\
                [auth]\norigins = ['https://file.example', 'https://more.example']\n[log]\nformat = 'json'";
    let env = [("WALCAST__LIMITS__SOCKETS", "6"), ("WALCAST__AUTH__ORIGINS", "https://env.example, null")];
    let settings = serve(toml, &env).unwrap();
    assert_eq!((settings.limits.sockets, settings.limits.idle), (6, Duration::from_secs(7)));
    assert_eq!((settings.listen.port(), host(&settings).as_str()), (1, "file"));
    assert_eq!(settings.log.format, LogFormat::Json);
    let passes = |origin| settings.auth.rule.cors_allow_origin(Some(origin)).is_some();
    assert!(passes("https://env.example") && passes("null"));
    assert!(!passes("https://file.example") && !passes("https://more.example"));
}

#[test]
fn settings_of_tls_win_over_every_address() {
    let env = [
        ("DATABASE_URL", "postgres://u@h/d?sslmode=disable"),
        ("WALCAST__GRAPHQL__URL", "postgres://v@h/d?sslmode=require"),
        ("WALCAST__DATABASE__SSLMODE", "verify-full"),
        ("WALCAST__DATABASE__SSLROOTCERT", "/ca.pem"),
    ];
    let settings = load_in(Mode::Serve, None, &env).unwrap();
    for database in [settings.database.unwrap(), settings.graphql.database.unwrap()] {
        assert_eq!((database.tls.mode, database.tls.roots), (SslMode::VerifyFull, Some("/ca.pem".into())));
    }
    let half = only(with_env(&[("WALCAST__DATABASE__SSLKEY", "/k")]), "DATABASE_URL");
    assert!(half.contains("gives only one of sslcert and sslkey"), "{half}");
    let wrong = with_env(&[("WALCAST__DATABASE__SSLMODE", "on"), ("WALCAST__GRAPHQL__URL", URL)]);
    let wrong = only(wrong, "WALCAST__DATABASE__SSLMODE");
    assert!(wrong.contains("write disable or prefer or require or verify-full"), "{wrong}");
}

#[test]
fn everything_wrong_is_reported_at_once_by_the_name_its_writer_used() {
    let toml = "lisen = 'x'\n[limits]\nsockets = 0\nidle_seconds = 1.5\n[replication]\nslot = 'My-Slot'\ntemporary = 3";
    let env = [
        ("WALCAST__LISTEN", "localhost"),
        ("WALCAST__LIMITS__FRAME_BYTE", "5"),
        ("WALCAST__AUTH__MODE", "jwt"),
        ("WALCAST__LOG__FILTER", "walcast=loud"),
        ("WALCAST__LIMITS__ROW_BYTES", "-1"),
        ("WALCAST__AUTH__ORIGINS", "app.example.com"),
        ("WALCAST__ADMIN__SECRET", "too short"),
    ];
    let lines = lines(serve(toml, &env));
    let expected = [
        ("lisen in /w.toml", "nearest known name is listen"),
        ("WALCAST__LIMITS__FRAME_BYTE", "nearest known name is WALCAST__LIMITS__FRAME_BYTES"),
        ("DATABASE_URL", "DATABASE_URL=postgres://walcast:PASSWORD@localhost:5432/app"),
        ("WALCAST__LISTEN", "found \"localhost\"; write an IP address and port, such as 127.0.0.1:4000"),
        ("replication.slot in /w.toml", "found \"My-Slot\"; write 1 to 63 of the characters a-z, 0-9 and _"),
        ("replication.temporary in /w.toml", "found a number; write true or false"),
        ("WALCAST__AUTH__MODE", "found \"jwt\"; write none"),
        ("WALCAST__AUTH__ORIGINS", "the entry \"app.example.com\" has no scheme"),
        ("WALCAST__ADMIN__SECRET", "has only 9 characters; write at least 16 characters"),
        ("limits.sockets in /w.toml", "found \"0\"; write a whole number of sockets from 1 to 1000000"),
        ("limits.idle_seconds in /w.toml", "found \"1.5\"; write a whole number of seconds from 1 to 86400"),
        ("WALCAST__LIMITS__ROW_BYTES", "found \"-1\"; write a whole number of bytes from 1024 to 2147483647"),
        ("WALCAST__LOG__FILTER", "found \"walcast=loud\"; write a level"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (name, text)) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("{name}: ")) && line.contains(text), "{line}\nnot {name}: {text}");
    }
}

#[test]
fn unknown_names_are_errors_whatever_their_case_place_or_value() {
    for (toml, key) in [
        ("frame_bytes = 1", "frame_bytes"),
        ("[limit]", "limit"),
        ("[limits.socket]\nmax = 1", "limits.socket.max"),
        ("[listen]\nport = 1", "listen.port"),
    ] {
        let line = only(serve(toml, &[("DATABASE_URL", URL)]), &format!("{key} in /w.toml"));
        assert!(line.contains("is not a setting; the nearest known name is "), "{line}");
    }
    let line = only(serve("limits = 5", &[("DATABASE_URL", URL)]), "limits in /w.toml");
    assert!(line.contains("is a section"), "{line}");
    for name in ["walcast__listen", "WALCAST__LISTENN", "WALCAST__"] {
        only(with_env(&[(name, "")]), name);
    }
    with_env(&[("WALCAST_PORT", "tcp://10.0.0.1:4000"), ("LISTEN", "x")]).unwrap();
}

#[test]
fn a_file_that_cannot_be_used_is_one_problem_and_repeats_nothing_of_it() {
    for toml in
        ["[admin]\nsecret = \"hunter2", "[admin]\nsecret = hunter2", "secret = 'hunter2'\nsecret = 'hunter2'"]
    {
        let line = only(serve(toml, &[]), "/w.toml");
        assert!(line.contains("is not TOML at line 2, column "), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    only(serve("a = 99999999999999999999", &[]), "/w.toml");
    let path = PathBuf::from("/does/not/exist.toml");
    let line = only(Settings::load(Some(&path), [], Mode::Serve), "/does/not/exist.toml");
    assert!(line.contains("cannot be read"), "{line}");
    assert_eq!(
        lines(serve("=", &[("WALCAST__LISTEN", "0.0.0.0:1"), ("WALCAST__LIMITS__SOCKETS", "x")])).len(),
        2
    );
}

#[test]
fn the_database_is_named_by_the_strongest_of_its_names() {
    let older =
        [("DB_HOST", "h1"), ("DB_PORT", "5433"), ("DB_NAME", "n"), ("DB_USER", "u"), ("DB_PASSWORD", "p%40")];
    let settings = serve("", &older).unwrap();
    let database = settings.database.unwrap();
    assert_eq!(database.to_string(), "host=h1 port=5433 user=u dbname=n");
    assert_eq!(database.password.unwrap().expose(), "p%40");

    let file = "database.url = 'host=h2 user=u'";
    assert_eq!(host(&serve(file, &older).unwrap()), "h2");
    let url = [&older[..], &[("DATABASE_URL", "host=h3 user=u")]].concat();
    assert_eq!(host(&serve(file, &url).unwrap()), "h3");
    let ours = [&url[..], &[("WALCAST__DATABASE__URL", "host=h4 user=u")]].concat();
    assert_eq!(host(&serve(file, &ours).unwrap()), "h4");
}

#[test]
fn older_names_are_checked_under_their_own_names() {
    only(serve("", &[("DB_HOST", "a,b")]), "DB_HOST");
    only(serve("", &[("DB_PORT", "0")]), "DB_PORT");
    only(serve("", &[("DB_PASSWORD", "x"), ("DB_PASSWORD_FILE", "/run/secret")]), "DB_PASSWORD_FILE");
    let settings = serve("", &[("DB_PASSWORD_FILE", "/run/secret")]).unwrap();
    let database = settings.database.unwrap();
    assert_eq!(database.to_string(), "host=localhost port=5432 user=postgres dbname=postgres");
    assert_eq!(database.password.unwrap().expose(), "sixteen characters or more");
}

#[test]
fn secrets_come_from_files_without_their_line_end() {
    for env in ["DATABASE_URL_FILE", "WALCAST__DATABASE__URL_FILE"] {
        assert_eq!(host(&serve("", &[(env, "/run/url")]).unwrap()), "db");
    }
    assert_eq!(host(&serve("[database]\nurl_file = '/run/url'", &[]).unwrap()), "db");
    let settings = with_env(&[("WALCAST__ADMIN__SECRET_FILE", "/run/secret")]).unwrap();
    assert_eq!(settings.admin.secret.unwrap().expose(), "sixteen characters or more");
    let over = serve("[database]\nurl_file = '/run/none'", &[("DATABASE_URL", URL)]);
    only(over, "database.url_file in /w.toml");
}

#[test]
fn a_secret_and_its_file_together_or_a_missing_file_are_one_problem() {
    let both =
        [("WALCAST__ADMIN__SECRET", "hunter2hunter2hunter2"), ("WALCAST__ADMIN__SECRET_FILE", "/run/secret")];
    let line = only(with_env(&both), "WALCAST__ADMIN__SECRET_FILE");
    assert!(line.contains("together with WALCAST__ADMIN__SECRET;") && !line.contains("hunter2"), "{line}");
    only(serve("", &[("DATABASE_URL", URL), ("DATABASE_URL_FILE", "/run/url")]), "DATABASE_URL_FILE");
    let line = only(serve("", &[("DATABASE_URL_FILE", URL)]), "DATABASE_URL_FILE");
    assert!(line.contains("cannot be read") && !line.contains("hunter2"), "{line}");
    only(serve("database.url_file = 3", &[]), "database.url_file in /w.toml");
}

#[test]
fn no_secret_is_printed() {
    let env = [("DATABASE_URL", URL), ("WALCAST__ADMIN__SECRET", "hunter2hunter2hunter2")];
    let settings = load_in(Mode::Serve, None, &env).unwrap();
    let text = format!("{settings:?}{}", settings.database.as_ref().unwrap());
    assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    for wrong in
        ["host=x password=a hunter2=b", "postgres://u:p@hunter2@h/d", "nonsense hunter2", "'hunter2'"]
    {
        let line = only(serve("", &[("WALCAST__DATABASE__URL", wrong)]), "WALCAST__DATABASE__URL");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn the_demo_takes_no_notice_of_any_database() {
    let env = [("DATABASE_URL", "nonsense"), ("DB_HOST", "a,b"), ("WALCAST__DATABASE__URL_FILE", "/none")];
    assert!(load_in(Mode::Demo, Some("database.url = 'nonsense'"), &env).unwrap().database.is_none());
}

#[test]
fn a_port_counts_only_where_nothing_is_said_about_listening() {
    assert_eq!(with_env(&[("PORT", "8080")]).unwrap().listen.to_string(), "127.0.0.1:8080");
    let listen = with_env(&[("PORT", "what"), ("WALCAST__LISTEN", "[::1]:9")]).unwrap().listen;
    assert_eq!(listen.to_string(), "[::1]:9");
    let file = serve("listen = '127.0.0.1:7'", &[("PORT", "8080"), ("DATABASE_URL", URL)]).unwrap();
    assert_eq!(file.listen.port(), 7);
    only(with_env(&[("PORT", "what")]), "PORT");
}

#[test]
fn other_machines_are_let_in_only_where_the_mode_is_set() {
    for address in ["0.0.0.0:4000", "[::]:4000", "192.168.0.5:4000", "[::ffff:10.0.0.1]:4000"] {
        let listen = ("WALCAST__LISTEN", address);
        let line = only(with_env(&[listen]), "WALCAST__LISTEN");
        assert!(line.contains("WALCAST__AUTH__MODE=none"), "{line}");
        with_env(&[listen, ("WALCAST__AUTH__MODE", "none")]).unwrap();
        serve("[auth]\nmode = 'none'", &[listen, ("DATABASE_URL", URL)]).unwrap();
    }
    for address in ["127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        with_env(&[("WALCAST__LISTEN", address)]).unwrap();
    }
}

#[test]
fn every_number_is_held_to_its_range_in_both_sources() {
    for setting in &TABLE {
        let Rule::Number { min, max, .. } = setting.rule else { continue };
        let variable = setting.variable();
        for good in [min, max] {
            with_env(&[(&variable, &good.to_string())]).unwrap();
            serve(&format!("{} = {good}", setting.key), &[("DATABASE_URL", URL)]).unwrap();
        }
        for bad in [i128::from(min) - 1, i128::from(max) + 1] {
            only(with_env(&[(&variable, &bad.to_string())]), &variable);
            let file = serve(&format!("{} = {bad}", setting.key), &[("DATABASE_URL", URL)]);
            only(file, &format!("{} in /w.toml", setting.key));
        }
    }
}

#[test]
fn graphql_asks_the_database_that_is_followed_unless_told_otherwise() {
    let graphql = with_env(&[]).unwrap().graphql;
    assert_eq!(graphql.database.unwrap().to_string(), "host=db port=6432 user=walcast dbname=app");
    let env = [("WALCAST__GRAPHQL__URL", "host=other user=u password=hunter2")];
    let settings = with_env(&env).unwrap();
    assert_eq!(settings.graphql.database.as_ref().unwrap().host.to_string(), "other");
    assert_eq!(host(&settings), "db");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let file = serve("[graphql]\nurl_file = '/run/url'", &[("DB_HOST", "h")]).unwrap();
    assert_eq!(file.graphql.database.unwrap().host.to_string(), "db");
    assert!(load_in(Mode::Demo, None, &env).unwrap().graphql.database.is_none());
    only(with_env(&[("WALCAST__GRAPHQL__URL", "nonsense")]), "WALCAST__GRAPHQL__URL");
}

#[test]
fn graphql_has_bounds_by_default_and_shows_itself() {
    let graphql = with_env(&[]).unwrap().graphql;
    assert!(graphql.enabled && graphql.introspection && graphql.graphiql && !graphql.documents_only);
    assert_eq!((graphql.role, graphql.schemas, graphql.documents), (None, vec!["public".to_owned()], None));
    assert_eq!((graphql.connections, graphql.depth, graphql.cost, graphql.rows), (8, 16, 2000, 1000));
    assert_eq!((graphql.wait, graphql.statement), (Duration::from_secs(5), Duration::from_secs(10)));
    assert!(graphql.names.is_empty() && graphql.omit.is_empty() && graphql.subscriptions.is_empty());
}

#[test]
fn topics_that_coalesce_are_checked_as_a_list() {
    let toml = "[channels]\ncoalesce = ['realtime:public:a,b*=50', 'realtime:public:c:id=eq.1=7']";
    let coalescing = serve(toml, &[("DATABASE_URL", URL)]).unwrap().channels.coalescing;
    assert_eq!(coalescing.wait("realtime:public:a,b"), Duration::from_millis(50));
    let env = with_env(&[("WALCAST__CHANNELS__COALESCE", "realtime:public:c=9, realtime:*=1")]).unwrap();
    assert_eq!(env.channels.coalescing.wait("realtime:public"), Duration::from_millis(1));
    let error = with_env(&[("WALCAST__CHANNELS__COALESCE", "realtime:public:c")]).unwrap_err().to_string();
    assert!(error.contains("found the entry \"realtime:public:c\""), "{error}");
    assert!(error.contains("1 to 10000 milliseconds"), "{error}");
}

#[test]
fn graphql_takes_lists_of_schemas_names_and_what_to_leave_out() {
    let toml = "[graphql]\nrole = 'web anon'\nschemas = ['api', 'a, b']\ndocuments = '/srv/documents.json'\n\
                documents_only = true\nnames = ['api.a=b=Lot', 'api.users.name = fullName', 'api.best()=topBid']\n\
                omit = ['api.secrets', 'api.users.password', 'api.reset()']";
    let graphql = serve(toml, &[("DATABASE_URL", URL)]).unwrap().graphql;
    assert_eq!(graphql.role.as_deref(), Some("web anon"));
    assert_eq!(graphql.schemas, ["api", "a, b"]);
    assert_eq!(graphql.documents.as_deref(), Some(Path::new("/srv/documents.json")));
    let names: Vec<(&str, &str)> = graphql.names.iter().map(|new| (&*new.object, &*new.name)).collect();
    assert_eq!(names, [("api.a=b", "Lot"), ("api.users.name", "fullName"), ("api.best()", "topBid")]);
    assert_eq!(graphql.omit, ["api.secrets", "api.users.password", "api.reset()"]);
    let env = with_env(&[("WALCAST__GRAPHQL__OMIT", "public.a, public.b.c,")]).unwrap();
    assert_eq!(env.graphql.omit, ["public.a", "public.b.c"]);
}

#[test]
fn named_subscriptions_are_checked_as_settings() {
    let toml = "[graphql]\nsubscriptions = ['newBid = public.bids on insert or update (auction_id, amount)']";
    let graphql = serve(toml, &[("DATABASE_URL", URL)]).unwrap().graphql;
    assert_eq!(graphql.subscriptions, ["newBid = public.bids on insert or update (auction_id, amount)"]);
    let variable = "WALCAST__GRAPHQL__SUBSCRIPTIONS";
    let env = with_env(&[(variable, "a=public.a on insert (x and y), b=public.b on update")]).unwrap();
    assert_eq!(env.graphql.subscriptions, ["a=public.a on insert (x and y)", "b=public.b on update"]);
    for wrong in ["a = public.a", "a = public.a on delete", "public.a on insert", "a b = public.a on insert"]
    {
        only(with_env(&[(variable, wrong)]), variable);
    }
}

#[test]
fn graphql_lists_are_held_to_their_forms() {
    for wrong in
        ["auctions=Lot", "public.auctions", "public.auctions=", "public.a.b()=x", "public.a=__x", "p.a=1x"]
    {
        let line = only(with_env(&[("WALCAST__GRAPHQL__NAMES", wrong)]), "WALCAST__GRAPHQL__NAMES");
        assert!(line.contains(wrong) && line.contains("public.auctions=Lot"), "{line}");
    }
    for wrong in ["secrets", "public.", "a.b.c.d", "a.b.c()"] {
        only(with_env(&[("WALCAST__GRAPHQL__OMIT", wrong)]), "WALCAST__GRAPHQL__OMIT");
    }
    let long = "x".repeat(64);
    only(with_env(&[("WALCAST__GRAPHQL__SCHEMAS", &long)]), "WALCAST__GRAPHQL__SCHEMAS");
    only(with_env(&[("WALCAST__GRAPHQL__ROLE", &long)]), "WALCAST__GRAPHQL__ROLE");
    let line =
        only(with_env(&[("WALCAST__GRAPHQL__DOCUMENTS_ONLY", "true")]), "WALCAST__GRAPHQL__DOCUMENTS_ONLY");
    assert!(line.contains("graphql.documents"), "{line}");
}

#[test]
fn names_of_slot_and_publication_follow_postgres() {
    let long = "x".repeat(64);
    for slot in ["Slot", "a-b", "a b", &long] {
        only(with_env(&[("WALCAST__REPLICATION__SLOT", slot)]), "WALCAST__REPLICATION__SLOT");
    }
    only(with_env(&[("WALCAST__REPLICATION__PUBLICATION", &long)]), "WALCAST__REPLICATION__PUBLICATION");
    let env =
        [("WALCAST__REPLICATION__PUBLICATION", "Mine, \"quoted\" ö"), ("WALCAST__REPLICATION__SLOT", "a_1")];
    let replication = with_env(&env).unwrap().replication;
    assert_eq!((&*replication.publication, &*replication.slot), ("Mine, \"quoted\" ö", "a_1"));
}

/// The cells of the documentation's rows that begin with a key.
fn rows() -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    DOCS.lines().filter(|line| line.starts_with("| `") && line.contains("WALCAST__")).map(cells).collect()
}

#[test]
fn every_name_is_documented_and_every_documented_name_is_known() {
    let written: BTreeSet<&str> = DOCS.split('`').skip(1).step_by(2).collect();
    let names = Settings::names();
    assert!(names.len() > 50);
    for name in &names {
        assert!(written.contains(&**name), "docs/configuration.md does not show `{name}`");
    }
    for word in DOCS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let ours = word.starts_with("WALCAST__") && word != "WALCAST__";
        assert!(!ours || names.iter().any(|name| name == word), "{word} is documented but not known");
    }
}

#[test]
fn the_documentation_shows_the_tables_defaults_and_ranges() {
    for setting in &TABLE {
        let key = format!("`{}`", setting.key);
        let row =
            rows().into_iter().find(|cells| cells[0] == key).unwrap_or_else(|| panic!("no row for {key}"));
        assert_eq!(row[1], format!("`{}`", setting.variable()));
        let default = match setting.fallback {
            Fallback::Text(text) => format!("`{text}`"),
            Fallback::PerMode { serve, demo } => format!("`{serve}`; in `demo` `{demo}`"),
            Fallback::Nothing if setting.key == "database.url" => "required".to_owned(),
            Fallback::Nothing => match setting.rule {
                Rule::DatabaseUrl
                | Rule::Secret { .. }
                | Rule::Name
                | Rule::File
                | Rule::Collector
                | Rule::OneOf(_) => "not set".to_owned(),
                _ => "empty".to_owned(),
            },
        };
        assert_eq!(row[2], default, "default of {key}");
        match setting.rule {
            Rule::Number { min, max, .. } => {
                assert!(row[3].starts_with(&format!("{min} to {max}")), "range of {key}: {}", row[3]);
            }
            Rule::OneOf(words) => {
                assert_eq!(row[3], words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "));
            }
            _ => {}
        }
    }
}

#[test]
fn the_documentations_files_load() {
    let examples: Vec<&str> =
        DOCS.split("```toml\n").skip(1).filter_map(|text| text.split("```").next()).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        let toml = example.replace("/run/secrets/database_url", "/run/url");
        let env: &[_] = if toml.contains("url_file") { &[] } else { &[("DATABASE_URL", URL)] };
        serve(&toml, env).unwrap_or_else(|error| panic!("{example}\n{error}"));
    }
}

#[test]
fn the_documentations_database_addresses_parse() {
    let blocks = DOCS.split("```text\n").skip(1).filter_map(|text| text.split("```").next());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        line.parse::<Database>().unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}
