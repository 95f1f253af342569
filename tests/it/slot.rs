//! What the server knows of a slot, and what can be done to it.

use serde_json::Value;
use tokio_postgres::Client;
use walcast::change::Transaction;
use walcast::change::assembler::{Assembler, Passed};
use walcast::change::value::Profile;
use walcast::change::wire::Telling;
use walcast::lsn::{Cursor, Lsn};
use walcast::pgoutput;

use crate::walcast::{slot_name, until};

/// A slot of one test, looked at through a session of its own.
pub struct Slot {
    /// Its name, which no other test uses.
    pub name: String,
    client: Client,
}

impl Slot {
    /// A name for a slot, which whoever gets it may create; `client` is a superuser's session.
    pub fn new(client: Client) -> Self {
        Self { name: slot_name(), client }
    }

    /// A slot that has a name already.
    pub fn named(name: &str, client: Client) -> Self {
        Self { name: name.to_owned(), client }
    }

    /// As [`Slot::new`], and creates it.
    pub async fn created(client: Client) -> Self {
        let slot = Self::new(client);
        let sql = "select pg_create_logical_replication_slot($1, 'pgoutput')";
        slot.client.execute(sql, &[&slot.name]).await.unwrap();
        slot
    }

    /// Up to where everything was acknowledged; 0/0 when there is no such slot.
    pub async fn confirmed(&self) -> Lsn {
        let sql = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1";
        let row = self.client.query_opt(sql, &[&self.name]).await.unwrap();
        row.and_then(|row| row.get::<_, Option<String>>(0)).map_or(Lsn(0), |text| text.parse().unwrap())
    }

    /// Waits until everything before `lsn` is acknowledged.
    pub async fn wait_for_confirmed(&self, lsn: Lsn) {
        until(&format!("{lsn} is acknowledged"), async || self.confirmed().await >= lsn).await;
    }

    /// The process that reads it.
    pub async fn walsender(&self) -> Option<i32> {
        let sql = "select active_pid from pg_replication_slots where slot_name = $1";
        self.client.query_opt(sql, &[&self.name]).await.unwrap()?.get(0)
    }

    /// Waits until nobody reads it: a walsender ends a moment later than the process that it served.
    pub async fn left(&self) {
        until("nobody reads the slot", async || self.walsender().await.is_none()).await;
    }

    /// Terminates the process that reads it, as an operator would, and waits until it is gone.
    pub async fn terminate(&self) {
        let mut reader = None;
        until("somebody reads the slot", async || {
            reader = self.walsender().await;
            reader.is_some()
        })
        .await;
        let pid = reader.unwrap();
        self.client.execute("select pg_terminate_backend($1)", &[&pid]).await.unwrap();
        until("the walsender is gone", async || self.walsender().await != Some(pid)).await;
    }

    /// Drops it; whoever reads it is terminated. Retries while a reader comes back in between.
    pub async fn drop_under_its_reader(&self) {
        until("the slot is dropped", async || {
            let terminate = "select pg_terminate_backend(active_pid) from pg_replication_slots \
                             where slot_name = $1 and active_pid is not null";
            self.client.execute(terminate, &[&self.name]).await.unwrap();
            let drop =
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
            matches!(self.client.execute(drop, &[&self.name]).await, Ok(1))
        })
        .await;
    }

    /// How many inserted rows nobody has acknowledged yet.
    pub async fn peek_inserts(&self, publication: &str) -> i64 {
        let sql = "select count(*) filter (where get_byte(data, 0) = ascii('I')) \
                   from pg_logical_slot_peek_binary_changes($1, null, null, \
                   'proto_version', '1', 'publication_names', $2)";
        let quoted = postgres_protocol::escape::escape_identifier(publication);
        self.left().await;
        self.client.query_one(sql, &[&self.name, &quoted]).await.unwrap().get(0)
    }

    /// The payloads of the changes that nobody has acknowledged yet, made by our own decoder from a look into
    /// the slot that takes nothing out of it. Nobody may read it meanwhile.
    pub async fn peek(&self, publication: &str) -> Vec<Value> {
        let mut payloads = Vec::new();
        for piece in self.pieces(publication, true, Passed::default()).await {
            for change in &piece.changes {
                let mut json = Vec::new();
                change.write_payload(&mut json, &piece.commit_timestamp, Telling::Plain, Profile::Default);
                payloads.push(serde_json::from_slice(&json).unwrap());
            }
        }
        payloads
    }

    /// As [`Slot::peek`], the pieces behind `passed`, with or without `messages`.
    pub async fn pieces(&self, publication: &str, messages: bool, passed: Passed) -> Vec<Transaction> {
        let sql = "select lsn::text, data from pg_logical_slot_peek_binary_changes($1, null, null, \
                   'proto_version', '1', 'publication_names', $2, 'messages', $3)";
        let quoted = postgres_protocol::escape::escape_identifier(publication);
        self.left().await;
        let rows = self.client.query(sql, &[&self.name, &quoted, &messages.to_string()]).await.unwrap();
        let mut assembler = Assembler::after(passed);
        let pieces = rows.into_iter().filter_map(|row| {
            let lsn: Lsn = row.get::<_, String>(0).parse().unwrap();
            let data = bytes::Bytes::from(row.get::<_, Vec<u8>>(1));
            let message = pgoutput::decode(&data).unwrap();
            assembler.apply(lsn, &data, &message).unwrap()
        });
        pieces.collect()
    }
}

/// Where the server writes now: everything committed before lies before it.
pub async fn written(client: &Client) -> Lsn {
    let row = client.query_one("select pg_current_wal_insert_lsn()::text", &[]).await.unwrap();
    row.get::<_, String>(0).parse().unwrap()
}

/// The cursor of a change's payload.
pub fn cursor(payload: &Value) -> Cursor {
    payload["cursor"].as_str().unwrap().parse().unwrap()
}

/// The cursor that a join's response or `/ready` calls its position.
pub fn position(response: &Value) -> Cursor {
    response["position"].as_str().unwrap().parse().unwrap()
}

/// The `id` of a change's new row.
pub fn id(payload: &Value) -> i64 {
    payload["record"]["id"].as_i64().unwrap_or_else(|| panic!("a row with an id: {payload}"))
}

/// Demands that each cursor is greater than the one before.
pub fn assert_cursors_grow<'a>(payloads: impl IntoIterator<Item = &'a Value>) {
    let mut last = Cursor::default();
    for payload in payloads {
        let next = cursor(payload);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

/// `url` with another user and password.
pub fn as_role(url: &str, role: &str, password: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}
