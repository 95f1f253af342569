//! Rights: what a role may not see, GraphQL does not show.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::graphql::{Graph, data};
use crate::postgres_binaries;
use crate::socket::Socket;
use crate::walcast::{Walcast, until};

/// Owner 3, documents 2 and 4 and note 4 are hidden from the role WEB.
const POLICIES: &str = "
    create table owners (id int primary key, name text not null unique);
    create table documents (
        id int primary key,
        owner_id int not null references owners,
        reviewer_id int references owners,
        title text not null unique,
        secret boolean not null
    );
    create table notes (id int primary key, document_id int not null references documents, body text not null);
    create table journal (entry text primary key);
    insert into owners values (1, 'ann'), (2, 'bob'), (3, 'eve');
    insert into documents values
        (1, 1, 2, 'open one', false), (2, 1, 3, 'secret two', true), (3, 2, 3, 'open three', false),
        (4, 2, null, 'secret four', true), (5, 3, 1, 'open five', false);
    insert into notes values (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 3, 'hidden');
    alter table owners enable row level security;
    alter table documents enable row level security;
    alter table notes enable row level security;
    create policy visible on owners using (id <> 3);
    create policy visible on documents using (not secret);
    create policy visible on notes using (body <> 'hidden') with check (length(body) < 5);
    create function titles() returns setof text language sql stable as 'select title from documents order by id';
    create function all_titles() returns setof text language sql stable security definer
        as 'select title from documents order by id';
    create function secrets() returns setof documents language sql stable security definer
        as 'select * from documents where secret order by id';
    create function backwards() returns setof documents language sql stable
        as 'select * from documents order by id desc';
    create function first_note(documents) returns notes language sql stable
        as 'select n from notes n where document_id = $1.id order by id limit 1';
    create function who() returns text language sql stable as 'select current_user::text';
    create function note(id int, document_id int, body text) returns notes language sql volatile
        as 'insert into notes values (note.id, note.document_id, note.body) returning *';
    create function note_anyhow(id int, document_id int, body text) returns notes language sql volatile security definer
        as 'insert into notes values (note_anyhow.id, note_anyhow.document_id, note_anyhow.body) returning *';
    create function reveal(id int) returns int language plpgsql volatile as $$
    declare n int; begin
        update documents d set secret = false where d.id = reveal.id;
        get diagnostics n = row_count;
        return n;
    end $$;
    create role WEB;
    grant usage on schema public to WEB;
    grant select on owners, documents, notes to WEB;
    grant insert on notes to WEB;
    grant update (secret) on documents to WEB;";

/// The role of a test: roles belong to the whole cluster.
fn role(database: &Database) -> String {
    format!("web_{}", database.name())
}

async fn prepared(major: u16, sql: &str) -> (Database, Client, String) {
    let database = cluster::shared(major).database().await;
    let role = role(&database);
    let client = database.connect().await;
    client.batch_execute(&sql.replace("WEB", &role)).await.unwrap();
    (database, client, role)
}

async fn served(major: u16, sql: &str) -> (Graph, String) {
    let (database, client, role) = prepared(major, sql).await;
    let graph = Graph::of(database, client, &[("WALCAST__GRAPHQL__ROLE", &role)]).await;
    (graph, role)
}

/// What one statement with one JSON value returns.
async fn select(client: &Client, sql: &str) -> Value {
    let row = client.query_one(&format!("select coalesce(({sql})::text, 'null')"), &[]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

async fn fields(graph: &Graph, of: &str) -> Vec<String> {
    let answer = graph.data(&format!("{{ __type(name: \"{of}\") {{ fields {{ name }} }} }}")).await;
    let fields = answer["__type"]["fields"].as_array().cloned().unwrap_or_default();
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_query_as_a_role_sees_what_select_as_that_role_sees() {
    for &major in postgres_binaries::majors() {
        let (graph, role) = served(major, POLICIES).await;
        let all = select(&graph.client, "select json_agg(id order by id) from documents").await;
        let as_role = graph.database.connect().await;
        as_role.batch_execute(&format!("set role {role}")).await.unwrap();
        for (query, sql) in [
            (
                "{ documents { id: title } }",
                "select json_agg(json_build_object('id', title) order by id) from documents",
            ),
            (
                "{ documents { id: title r: reviewer { name } } }",
                "select json_agg(json_build_object('id', d.title, 'r', (
                    select json_build_object('name', name) from owners where id = d.reviewer_id)) order by d.id) from documents d",
            ),
            (
                "{ owners { name documentsByOwner { title } documentsByReviewer { title }
                            documentsByOwnerAggregate { count max { title } } } }",
                "select json_agg(json_build_object('name', o.name,
                    'documentsByOwner', (select coalesce(json_agg(json_build_object('title', title) order by id), '[]')
                        from documents where owner_id = o.id),
                    'documentsByReviewer', (select coalesce(json_agg(json_build_object('title', title) order by id), '[]')
                        from documents where reviewer_id = o.id),
                    'documentsByOwnerAggregate', (select json_build_object('count', count(*),
                        'max', json_build_object('title', max(title))) from documents where owner_id = o.id)
                 ) order by o.id) from owners o",
            ),
            (
                "{ owners(filter: { documentsByOwner: { title: { startsWith: \"secret\" } } }) { name } }",
                "select coalesce(json_agg(json_build_object('name', name) order by id), '[]') from owners o
                 where exists (select from documents where owner_id = o.id and starts_with(title, 'secret'))",
            ),
            (
                "{ owners(filter: { not: { documentsByOwner: { title: { like: \"%two\" } } } }) { name } }",
                "select json_agg(json_build_object('name', name) order by id) from owners",
            ),
            (
                "{ documents(filter: { reviewer: { name: { eq: \"eve\" } } }) { title } }",
                "select coalesce(json_agg(json_build_object('title', d.title)), '[]')
                 from documents d join owners o on o.id = d.reviewer_id where o.name = 'eve'",
            ),
            (
                "{ documents(filter: { notes: { body: { eq: \"hidden\" } } }) { title } }",
                "select coalesce(json_agg(json_build_object('title', title)), '[]')
                 from documents d where exists (select from notes where document_id = d.id and body = 'hidden')",
            ),
            ("{ titles }", "select json_agg(title order by id) from documents"),
            (
                "{ backwards(filter: { notes: {} }) { title firstNote { body } } }",
                "select json_agg(json_build_object('title', title, 'firstNote', (
                    select json_build_object('body', body) from notes where document_id = d.id order by id limit 1))
                    order by id desc)
                 from documents d where exists (select from notes where document_id = d.id)",
            ),
        ] {
            let root = query.trim_start_matches("{ ").split([' ', '(']).next().unwrap();
            let answer = graph.data(query).await;
            assert_eq!(answer[root], select(&as_role, sql).await, "{query}");
            assert_ne!(answer[root], json!(null), "{query}");
        }
        let answer = graph
            .data(
                "{ document(id: 2) { id } documentByTitle(title: \"secret two\") { id } who
                   documentsAggregate { count max { title } } notesAggregate(filter: { body: { eq: \"hidden\" } }) { count }
                   allTitles secrets { title notes { body } owner { name } } }",
            )
            .await;
        assert_eq!(
            answer,
            json!({
                "document": null, "documentByTitle": null, "who": role,
                "documentsAggregate": { "count": 3, "max": { "title": "open three" } },
                "notesAggregate": { "count": 0 },
                "allTitles": ["open one", "secret two", "open three", "secret four", "open five"],
                "secrets": [
                    { "title": "secret two", "notes": [{ "body": "b" }], "owner": { "name": "ann" } },
                    { "title": "secret four", "notes": [], "owner": { "name": "bob" } },
                ],
            }),
            "a function of its owner's rights shows what it likes, and nothing around it"
        );
        assert_eq!(all, json!([1, 2, 3, 4, 5]), "there was something to hide");
    }
}

#[tokio::test]
async fn mutations_write_what_policies_let_in_and_nothing_else() {
    let (graph, _) = served(postgres_binaries::majors()[0], POLICIES).await;
    let written = graph
        .data("mutation { note(input: { id: 9, documentId: 1, body: \"x\" }) { body document { title notes { body } } } }")
        .await;
    assert_eq!(
        written["note"],
        json!({ "body": "x", "document": { "title": "open one", "notes": [{ "body": "a" }, { "body": "x" }] } })
    );
    let refused = "mutation { a: note(input: { id: 10, documentId: 1, body: \"y\" }) { id }
                              b: note(input: { id: 11, documentId: 1, body: \"too long\" }) { id } }";
    let answer = graph.ask(refused).await;
    assert_eq!(answer["data"], json!(null));
    assert_eq!(answer["errors"][0]["path"], json!(["b"]));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "42501", "{answer}");
    let updated =
        graph.data("mutation { secret: reveal(input: { id: 2 }) open: reveal(input: { id: 1 }) }").await;
    assert_eq!(updated, json!({ "secret": 0, "open": 1 }));
    let count = select(&graph.client, "select json_agg(id order by id) from notes").await;
    assert_eq!(count, json!([1, 2, 3, 4, 9]), "the first note went with the second");
}

#[tokio::test]
async fn a_hidden_row_that_must_be_there_is_an_error_at_its_place() {
    let (graph, _) = served(postgres_binaries::majors()[0], POLICIES).await;
    let hidden = |answer: &Value, path: Value| {
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!(answer["errors"][0]["path"], path, "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "RowMissing", "{answer}");
    };
    let answer = graph.ask("{ documents { id o: owner { name } } }").await;
    hidden(&answer, json!(["documents", 2, "o"]));
    assert_eq!(answer["data"], json!(null), "nothing on the way up may be null");
    let answer = graph.ask("{ a: document(id: 5) { owner { name } reviewer { name } } b: document(id: 1) { owner { name } } }").await;
    hidden(&answer, json!(["a", "owner"]));
    assert_eq!(answer["data"], json!({ "a": null, "b": { "owner": { "name": "ann" } } }));
    let answer = graph.ask("{ owner(id: 1) { name documentsByReviewer { owner { name } } } }").await;
    hidden(&answer, json!(["owner", "documentsByReviewer", 0, "owner"]));
    assert_eq!(answer["data"], json!({ "owner": null }));
    let answer = graph
        .ask("mutation { noteAnyhow(input: { id: 12, documentId: 4, body: \"long enough\" }) { id document { title } } }")
        .await;
    hidden(&answer, json!(["noteAnyhow", "document"]));
    assert_eq!(answer["data"], json!({ "noteAnyhow": null }));
    let kept = select(&graph.client, "select to_json(count(*)) from notes where id = 12").await;
    assert_eq!(kept, 1, "what is hidden in the answer was done");
    let two = graph.ask("{ documents(filter: { title: { like: \"open%\" } }, orderBy: { title: ASC }) { owner { name } } }").await;
    hidden(&two, json!(["documents", 0, "owner"]));
}

#[tokio::test]
async fn columns_that_may_not_be_read_are_not_there_and_the_rest_works() {
    const PEOPLE: &str = "
        create table people (id int primary key, name text not null, email text unique, boss_id int references people);
        create table letters (email text references people (email), code text primary key);
        insert into people values (1, 'ann', 'a@example.com', null), (2, 'bob', 'b@example.com', 1);
        create function shout(people) returns text language sql stable as 'select upper($1.name)';
        create function known() returns setof people language sql stable security definer as 'select * from people order by id';
        create function rename_to(id int, name text) returns people language sql volatile security definer
            as 'update people set name = rename_to.name where id = rename_to.id returning *';
        create function length_of(text) returns int language sql stable as 'select length($1)';
        create role WEB;
        grant usage on schema public to WEB;
        grant select (id, name, boss_id) on people to WEB;
        grant select (email) on letters to WEB;";
    let (graph, role) = served(postgres_binaries::majors()[0], PEOPLE).await;
    let mut names = fields(&graph, "Person").await;
    names.sort();
    assert_eq!(
        names,
        ["boss", "bossId", "id", "name", "peopleByBoss", "peopleByBossAggregate"],
        "no email, nor what needs the row"
    );
    assert!(!fields(&graph, "Query").await.iter().any(|name| name == "personByEmail"));
    assert_eq!(fields(&graph, "Letter").await, ["email"]);
    let answer = graph
        .data(
            "{ people(orderBy: { name: DESC }, filter: { peopleByBoss: {} }) { name people: peopleByBoss { name boss { name } } }
               person(id: 2) { boss { name } } peopleAggregate(filter: { name: { neq: \"x\" } }) { count max { name } }
               known(filter: { id: { gt: 1 } }) { name boss { name } } letters { email } }",
        )
        .await;
    assert_eq!(
        answer,
        json!({
            "people": [{ "name": "ann", "people": [{ "name": "bob", "boss": { "name": "ann" } }] }],
            "person": { "boss": { "name": "ann" } },
            "peopleAggregate": { "count": 2, "max": { "name": "bob" } },
            "known": [{ "name": "bob", "boss": { "name": "ann" } }],
            "letters": [],
        })
    );
    let renamed =
        graph.data("mutation { renameTo(input: { id: 2, name: \"bert\" }) { name boss { id } } }").await;
    assert_eq!(renamed["renameTo"], json!({ "name": "bert", "boss": { "id": "1" } }));

    // With the last column comes what takes the whole row; without it, it goes again.
    graph.client.batch_execute(&format!("grant select (email) on people to {role}")).await.unwrap();
    until("the column is there", async || fields(&graph, "Person").await.contains(&"email".to_owned())).await;
    assert_eq!(
        graph.data("{ personByEmail(email: \"a@example.com\") { shout } }").await["personByEmail"]["shout"],
        "ANN"
    );
    graph
        .client
        .batch_execute(&format!(
            "revoke select on people from {role}; grant select (name) on people to {role}"
        ))
        .await
        .unwrap();
    until("only the name is there", async || fields(&graph, "Person").await == ["name"]).await;
    let answer = graph.data("{ people(orderBy: { name: ASC }) { name } peopleAggregate { count } }").await;
    assert_eq!(
        answer,
        json!({ "people": [{ "name": "ann" }, { "name": "bert" }], "peopleAggregate": { "count": 2 } })
    );
}

#[tokio::test]
async fn what_is_revoked_vanishes_and_what_is_granted_appears() {
    for &major in postgres_binaries::majors() {
        let (graph, role) = served(major, POLICIES).await;
        let client = &graph.client;
        let queries = async || fields(&graph, "Query").await;
        let has = |names: &[String], name: &str| names.iter().any(|other| other == name);
        assert!(has(&queries().await, "notes") && has(&queries().await, "titles"));
        assert!(!has(&queries().await, "journals"));
        client.batch_execute(&format!("revoke select on notes from {role}")).await.unwrap();
        until("the table is gone", async || !has(&queries().await, "notes")).await;
        assert!(!has(&fields(&graph, "Document").await, "notes"), "relations to it went with it");
        client.batch_execute("revoke execute on function titles() from public").await.unwrap();
        until("the function is gone", async || !has(&queries().await, "titles")).await;
        client
            .batch_execute(&format!(
                "grant select on notes, journal to {role}; grant execute on function titles() to {role}"
            ))
            .await
            .unwrap();
        until("all are there", async || {
            let names = queries().await;
            ["notes", "journals", "titles"].into_iter().all(|name| has(&names, name))
        })
        .await;
        data(graph.ask("{ notes { body } journals { entry } titles }").await);
    }
}

#[tokio::test]
async fn a_role_above_row_security_is_refused_where_others_listen_and_realtime_goes_on() {
    const OPEN: [(&str, &str); 2] = [("WALCAST__LISTEN", "0.0.0.0:0"), ("WALCAST__AUTH__MODE", "none")];
    let sql = "create table t (id int primary key, v text); create role WEB bypassrls; create role WEB_below;
               grant select on t to WEB, WEB_below;";
    let (database, client, role) = prepared(postgres_binaries::majors()[0], sql).await;
    let below = format!("{role}_below");
    for (asked, reason) in
        [(None, "is a superuser"), (Some(role.as_str()), "has BYPASSRLS"), (Some(&below), "")]
    {
        let mut settings = OPEN.to_vec();
        settings.extend(asked.map(|role| ("WALCAST__GRAPHQL__ROLE", role)));
        let walcast = Walcast::serve(&database, &settings).await;
        let body = json!({ "query": "{ ts { id } }" }).to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let expected = if reason.is_empty() { 200 } else { 503 };
        until("GraphQL has made up its mind", async || {
            let (status, text) = walcast.request(&request).await;
            status == expected && (status == 200 || text.contains("GraphqlOff"))
        })
        .await;
        if !reason.is_empty() {
            let log = walcast.log();
            assert!(log.contains(reason) && log.contains("WALCAST__GRAPHQL__ROLE=web"), "it says what to do");
        }
        let mut socket = Socket::connect(&walcast).await;
        socket.joined("realtime:public:t", json!({})).await;
        client.batch_execute("insert into t select coalesce(max(id), 0) + 1, 'x' from t").await.unwrap();
        assert_eq!(socket.change().await["type"], "INSERT");
    }
}

#[tokio::test]
async fn a_role_that_is_not_there_or_has_nothing_is_told_in_words() {
    const QUERY: &str = "/graphql?query=%7Bts%7Bid%7D%7D";
    let sql =
        "create table t (id int primary key); create role WEB; revoke all on schema public from public;";
    let (database, client, role) = prepared(postgres_binaries::majors()[1], sql).await;
    let walcast = Walcast::serve(&database, &[("WALCAST__GRAPHQL__ROLE", "no such role")]).await;
    walcast.wait_for_log("role \\\"no such role\\\" does not exist").await;
    let (status, text) = walcast.get(QUERY).await;
    assert!(status == 503 && text.contains("Unavailable"), "{status}: {text}");
    walcast.wait_for_status("live").await;
    drop(walcast);

    let walcast = Walcast::serve(&database, &[("WALCAST__GRAPHQL__ROLE", &role)]).await;
    walcast.wait_for_log("GRANT SELECT ON").await;
    let (status, text) = walcast.get(QUERY).await;
    assert!(status == 503 && text.contains("GraphqlOff"), "{status}: {text}");
    client
        .batch_execute(&format!("grant usage on schema public to {role}; grant select on t to {role}"))
        .await
        .unwrap();
    until("with grants there is a schema", async || {
        walcast.get(QUERY).await == (200, json!({ "data": { "ts": [] } }).to_string())
    })
    .await;
}
