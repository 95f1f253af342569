//! TLS to Postgres: who is accepted, who is refused and in which words, on every kind of connection.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio_postgres::Client;
use walcast::demo::cluster::Cluster;

use crate::socket::Socket;
use crate::walcast::{PATIENCE, Walcast, until};
use crate::{cluster, postgres_binaries};

/// The name in the server's certificate.
const NAME: &str = "db.walcast.test";

/// A directory of files in PEM, removed at the end.
struct Files(PathBuf);

impl Files {
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority that issues certificates.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A certificate and its key.
    fn issue(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A server that speaks TLS alone, and the files for its clients: `ca.pem`, `other.pem` of an authority that it does
/// not know, `client.pem` and `client.key` of the role `walcast`.
struct Guarded {
    cluster: Cluster,
    /// A superuser's session from before.
    client: Client,
    files: Files,
}

impl Guarded {
    /// `major` of Postgres; `hba` are the lines of `pg_hba.conf`.
    async fn start(major: u16, hba: &str) -> Self {
        let cluster = cluster::own(&postgres_binaries::of_major(major), &[]);
        let directory =
            std::env::temp_dir().join(format!("walcast-tls-{}-{}", std::process::id(), cluster.port()));
        std::fs::create_dir(&directory).unwrap();
        let files = Files(directory);
        let (authority, other) = (Authority::new("ours"), Authority::new("theirs"));
        files.write("ca.pem", &authority.1);
        files.write("other.pem", &other.1);
        let (certificate, key) = authority.issue("walcast", &[]);
        files.write("client.pem", &certificate);
        files.write("client.key", &key);

        let client = cluster::connect(&cluster.url("postgres")).await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let (certificate, key) = authority.issue("server", &[NAME, "127.0.0.1"]);
        // Written by the server, whose files must be its own and nobody else's.
        for (name, text) in [
            ("server.crt", certificate.as_str()),
            ("server.key", &key),
            ("root.crt", &authority.1),
            ("pg_hba.conf", hba),
        ] {
            let lines = format!(
                "copy (select unnest(string_to_array($text${}$text$, E'\\n'))) to program 'umask 077; cat > {name}'",
                text.trim_end()
            );
            client.batch_execute(&lines).await.unwrap();
        }
        for sql in [
            "alter system set ssl_ca_file = 'root.crt'",
            "alter system set ssl = on",
            "select pg_reload_conf()",
        ] {
            client.batch_execute(sql).await.unwrap();
        }
        let guarded = Self { cluster, client, files };
        let url = guarded.cluster.url("postgres");
        until("plain connections are refused", async || {
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err()
        })
        .await;
        guarded
    }

    /// The superuser's URL with these parameters.
    fn url(&self, parameters: &str) -> String {
        format!("{}?{parameters}", self.cluster.url("postgres"))
    }

    /// The same as pairs, under a name.
    fn pairs(&self, host: &str, rest: &str) -> String {
        let url = url::Url::parse(&self.cluster.url("postgres")).unwrap();
        let password = url.password().unwrap();
        let port = self.cluster.port();
        format!(
            "host={host} hostaddr=127.0.0.1 port={port} user=postgres password={password} dbname=postgres {rest}"
        )
    }

    /// Which of our sessions are encrypted, by name.
    async fn encrypted(&self) -> Vec<(String, bool)> {
        let sql = "select a.application_name, s.ssl from pg_stat_activity a join pg_stat_ssl s using (pid) \
                   where a.application_name like 'walcast%' order by 1";
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

const TLS_ONLY: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject";

/// Changes arrive and GraphQL answers: all three kinds of connections stand.
async fn serves(guarded: &Guarded, url: &str, environment: &[(&str, &str)], id: i32) {
    let walcast = Walcast::spawn(url, environment);
    walcast.wait_for_status("live").await;
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;
    guarded.client.execute("insert into t values ($1)", &[&id]).await.unwrap();
    assert_eq!(socket.change().await["record"]["id"], id);
    until("there is a schema", async || walcast.get("/graphql?query=%7B__typename%7D").await.0 == 200).await;
    let (_, body) = walcast.get("/graphql?query=%7Bts%7Bid%7D%7D").await;
    assert!(body.contains(&format!("\"{id}\"")), "{id} is not in {body}");
    let sessions = guarded.encrypted().await;
    assert!(sessions.iter().all(|(_, ssl)| *ssl), "not encrypted: {sessions:?}");
    for name in ["walcast", "walcast-graphql", "walcast-sql"] {
        assert!(sessions.iter().any(|(session, _)| session == name), "{name} is not among {sessions:?}");
    }
    assert!(walcast.stop().success());
}

/// It ends at the start, with these words.
fn refused(url: &str, environment: &[(&str, &str)], words: &[&str]) {
    let printed = Walcast::spawn(url, environment).gives_up();
    for word in words {
        assert!(printed.contains(word), "{word:?} in {printed}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_tls_alone_is_served_by_every_mode_that_uses_it() {
    for &major in postgres_binaries::majors() {
        let guarded = Guarded::start(major, TLS_ONLY).await;
        let ca = guarded.files.path("ca.pem");
        let slot = [("WALCAST__REPLICATION__SLOT", "tls")];
        serves(&guarded, &guarded.url("sslmode=prefer"), &slot, 1).await;
        serves(&guarded, &guarded.url("sslmode=require"), &slot, 2).await;
        // The address is in the certificate, too.
        serves(&guarded, &guarded.url(&format!("sslmode=verify-full&sslrootcert={ca}")), &slot, 3).await;
        let named = guarded.pairs(NAME, &format!("sslmode=verify-full sslrootcert='{ca}'"));
        serves(&guarded, &named, &slot, 4).await;
        // Settings win over the address.
        let settings =
            [slot[0], ("WALCAST__DATABASE__SSLMODE", "verify-full"), ("WALCAST__DATABASE__SSLROOTCERT", &ca)];
        serves(&guarded, &guarded.url("sslmode=disable"), &settings, 5).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_asked_for_is_refused_in_words() {
    let guarded = Guarded::start(18, TLS_ONLY).await;
    let (ca, other) = (guarded.files.path("ca.pem"), guarded.files.path("other.pem"));
    let verify = |root: &str| format!("sslmode=verify-full&sslrootcert={root}");
    refused(&guarded.url("sslmode=disable"), &[], &["pg_hba.conf", "no encryption"]);
    refused(
        &guarded.url(&verify(&other)),
        &[],
        &["the server's certificate is not trusted: its issuer is unknown", &other, "sslrootcert"],
    );
    // Without a root certificate it has to be one that browsers trust.
    refused(&guarded.url("sslmode=verify-full"), &[], &["an authority that browsers trust"]);
    let elsewhere = guarded.pairs("elsewhere.test", &format!("sslmode=verify-full sslrootcert={ca}"));
    refused(
        &elsewhere,
        &[],
        &["the server's certificate is for", NAME, "not for", "elsewhere.test", "hostaddr"],
    );
    let missing = guarded.files.path("missing.pem");
    refused(&guarded.url(&verify(&missing)), &[], &["sslrootcert", "missing.pem", "cannot be read"]);
    let empty = guarded.files.write("empty.pem", "nothing\n");
    refused(&guarded.url(&verify(&empty)), &[], &["empty.pem: holds no certificate in PEM"]);
}

#[tokio::test]
async fn a_server_without_tls_is_refused_by_the_modes_that_demand_it() {
    let cluster = cluster::own(&postgres_binaries::of_major(18), &[]);
    let url = cluster.url("postgres");
    for mode in ["require", "verify-full"] {
        let words = ["the server does not offer TLS", &format!("sslmode={mode}")];
        refused(&format!("{url}?sslmode={mode}"), &[], &words);
    }
    for mode in ["disable", "prefer"] {
        Walcast::spawn(&format!("{url}?sslmode={mode}"), &[]).wait_for_status("live").await;
    }
}

#[tokio::test]
async fn a_certificate_of_ones_own_serves_instead_of_a_password() {
    let guarded = Guarded::start(18, "hostssl all all 127.0.0.1/32 cert").await;
    let role = "create role walcast login superuser";
    guarded.client.batch_execute(role).await.unwrap();
    let (ca, certificate, key) =
        (guarded.files.path("ca.pem"), guarded.files.path("client.pem"), guarded.files.path("client.key"));
    let url = format!(
        "postgres://walcast@127.0.0.1:{}/postgres?sslmode=verify-full&sslrootcert={ca}",
        guarded.cluster.port()
    );
    refused(&url, &[], &["connection requires a valid client certificate"]);
    serves(&guarded, &format!("{url}&sslcert={certificate}&sslkey={key}"), &[], 1).await;
}

/// The connection that cancels goes the same way; in plain text the server would not hear it.
#[tokio::test]
async fn a_statement_is_cancelled_over_tls() {
    let guarded = Guarded::start(18, TLS_ONLY).await;
    let nap = "create function nap() returns int language sql stable as $$ select 1 from (select pg_sleep(600)) s $$";
    guarded.client.batch_execute(nap).await.unwrap();
    let walcast =
        Walcast::spawn(&guarded.url("sslmode=require"), &[("WALCAST__GRAPHQL__STATEMENT_MS", "600000")]);
    walcast.wait_for_status("live").await;
    until("GraphQL is there", async || walcast.get("/graphql?query=%7B__typename%7D").await.0 == 200).await;
    let sleeping = async || {
        let sql = "select count(*) from pg_stat_activity where application_name = 'walcast-graphql' and state = 'active'";
        guarded.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    };
    let asking = walcast.get("/graphql?query=%7Bnap%7D");
    tokio::select! {
        answer = asking => panic!("it did not sleep: {answer:?}"),
        () = until("it sleeps", sleeping) => {}
    }
    until("the server has cancelled it", async || !sleeping().await).await;
    assert!(Path::new(&guarded.files.0).exists() && PATIENCE.as_secs() < 600);
    walcast.signal(Signal::SIGKILL);
}
