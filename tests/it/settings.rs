//! The command line and its settings, as a user meets them.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use crate::socket::Socket;
use crate::walcast::{Walcast, command, slot_name};
use crate::{cluster, postgres_binaries};

/// A file of this test process; removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("walcast-test-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn all_mistakes_are_told_at_once_and_nothing_is_started() {
    let file = File::new(
        "mistakes.toml",
        "listen = \"nowhere\"\n[limits]\nframe_bytes = \"many\"\nchanels_per_socket = 3\n[replication]\nslot = \"My-Slot\"\n",
    );
    let (status, out, error) = run(command()
        .args(["serve", "--config"])
        .arg(&file.0)
        .env("DATABASE_URL", "postgres://u:hunter2hunter2@localhost/app?sslmode=allow")
        .env("WALCAST__LOG__FORMAT", "xml")
        .env("WALCAST__OUTBOX__BYTES", "-1")
        .env("WALCAST__ADMIN__SECRET", "short-secret")
        .env("WALCAST__AUTH__ORIGINS", "app.example.com")
        .env("WALCAST__LIMITS__SOKETS", "5"));
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(error.starts_with("walcast: 10 settings are wrong\n"), "{error}");
    for (name, right) in [
        ("WALCAST__LIMITS__SOKETS: is not a setting", "WALCAST__LIMITS__SOCKETS"),
        ("limits.chanels_per_socket in ", "limits.channels_per_socket"),
        ("DATABASE_URL: ", "sslmode=allow, which is not supported"),
        ("listen in ", "127.0.0.1:4000"),
        ("replication.slot in ", "a-z, 0-9 and _"),
        ("WALCAST__AUTH__ORIGINS: ", "scheme://host[:port]"),
        ("WALCAST__ADMIN__SECRET: ", "at least 16 characters"),
        ("WALCAST__LOG__FORMAT: ", "text or json"),
        ("WALCAST__OUTBOX__BYTES: ", "bytes from 1024 to 1073741824"),
        ("limits.frame_bytes in ", "bytes from 1024 to 67108864"),
    ] {
        let told = error.lines().any(|line| line.trim_start().starts_with(name) && line.contains(right));
        assert!(told, "{name} .. {right} is not in:\n{error}");
    }
    assert!(!error.contains("hunter2") && !error.contains("short-secret"), "a secret is told:\n{error}");
}

#[test]
fn a_database_is_needed_to_serve() {
    let (status, out, error) = run(command().arg("serve"));
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(error.starts_with("walcast: 1 setting is wrong\n  DATABASE_URL: is not set; "), "{error}");
}

#[test]
fn the_command_line_explains_itself() {
    let (status, out, error) = run(command().arg("--help"));
    assert_eq!((status, error.as_str()), (Some(0), ""));
    for word in ["Turns any Postgres database into a realtime backend", "serve", "demo", "DATABASE_URL="] {
        assert!(out.contains(word), "{word} is not in:\n{out}");
    }
    let (status, out, _) = run(command().args(["serve", "--help"]));
    assert_eq!(status, Some(0));
    assert!(out.contains("--config <FILE>"), "{out}");
    let (status, out, _) = run(command().arg("--version"));
    assert_eq!((status, out), (Some(0), format!("walcast {}\n", env!("CARGO_PKG_VERSION"))));

    for (arguments, word) in [
        (&["serve", "--confg", "x"][..], "--confg"),
        (&["surf"], "surf"),
        (&[], "Usage"),
        (&["serve", "--config"], "--config"),
    ] {
        let (status, out, error) = run(command().args(arguments));
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    let (status, _, error) = run(command()
        .args(["serve", "--config", "/nowhere/walcast.toml"])
        .env("DATABASE_URL", "postgres://u@localhost/app"));
    assert_eq!(status, Some(1));
    assert!(error.contains("/nowhere/walcast.toml: cannot be read: "), "{error}");
}

#[tokio::test]
async fn a_file_sets_and_the_environment_wins() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    database.connect().await.batch_execute("create table users (id int8 primary key)").await.unwrap();
    let file = File::new(
        "settings.toml",
        &format!(
            "listen = \"127.0.0.1:0\"\n[database]\nurl = \"postgres://nobody@localhost:1/nothing\"\n\
             [replication]\nslot = \"{}\"\ncreate_publication = true\n\
             [limits]\nchannels_per_socket = 1\nmembers_per_topic = 7\n[log]\nformat = \"json\"\n",
            slot_name()
        ),
    );
    let secret = File::new("url", &format!("{}\n", database.url()));
    let mut command = command();
    command
        .args(["serve", "--config"])
        .arg(&file.0)
        .env("DATABASE_URL_FILE", &secret.0)
        .env("PORT", "1")
        .env("WALCAST__LIMITS__CHANNELS_PER_SOCKET", "2");
    let walcast = Walcast::start(command);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:users", json!({})).await;
    socket.joined("realtime:public", json!({})).await;
    let reason = socket.refused("realtime:*", json!({})).await;
    assert_eq!(reason, "TooManyChannels: a socket may join 2 channels (limits.channels_per_socket)");
    assert!(walcast.stop().success());
}

#[tokio::test]
async fn other_machines_are_let_in_only_on_purpose() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    database.connect().await.batch_execute("create table users (id int8 primary key)").await.unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:4000"] {
        let (status, _, error) =
            run(command().arg("serve").env("DATABASE_URL", database.url()).env("WALCAST__LISTEN", address));
        assert_eq!(status, Some(1), "{address}");
        assert!(
            error.contains(&format!("WALCAST__LISTEN: {address} can be reached from other machines")),
            "{error}"
        );
        assert!(error.contains("WALCAST__AUTH__MODE=none"), "{error}");
    }
    let meant = [("WALCAST__LISTEN", "0.0.0.0:0"), ("WALCAST__AUTH__MODE", "none")];
    let walcast = Walcast::spawn(&database.url(), &meant);
    assert!(walcast.address().ip().is_unspecified());
    // Its names are still those of this machine, as long as no others are listed.
    let loopback = format!("127.0.0.1:{}", walcast.address().port());
    for (host, right) in [(loopback.as_str(), 200), ("192.0.2.1:4000", 403)] {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(walcast.request(&request).await.0, right, "{host}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, error) = run(command()
        .arg("serve")
        .env("DATABASE_URL", "postgres://u@localhost:1/app")
        .env("WALCAST__LISTEN", &address));
    assert_eq!(status, Some(1));
    assert!(error.starts_with(&format!("walcast: cannot listen on {address}: ")), "{error}");
}
