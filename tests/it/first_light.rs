//! The thin line through the whole house: a committed change reaches a joined channel.

use serde_json::json;

use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

#[tokio::test]
async fn a_committed_change_reaches_every_joined_channel_exactly_once() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create table users (id int8 primary key, name text)").await.unwrap();
        let walcast = Walcast::serve(&database, &[]).await;

        let mut sockets = Vec::new();
        for topic in
            ["realtime:*", "realtime:public", "realtime:public:users", "realtime:public:users:id=eq.1"]
        {
            let mut socket = Socket::connect(&walcast).await;
            let response = socket.joined(topic, json!({})).await;
            assert_eq!(response["epoch"], walcast.ready().await["epoch"]);
            sockets.push((topic, socket));
        }
        client
            .batch_execute(
                "insert into users values (1, 'one'); insert into users values (2, 'two'); \
                 update users set name = 'uno' where id = 1; delete from users where id = 1; truncate users",
            )
            .await
            .unwrap();
        for (topic, socket) in &mut sockets {
            let filtered = topic.ends_with("eq.1");
            let mut told = Vec::new();
            let mut last = String::new();
            for _ in 0..if filtered { 4 } else { 5 } {
                let (on, change) = socket.change_on().await;
                assert_eq!(&on, topic);
                assert_ne!(change["cursor"].as_str().unwrap(), last, "each change has its own cursor");
                change["cursor"].as_str().unwrap().clone_into(&mut last);
                told.push(json!([change["type"], change["record"], change["old_record"]]));
            }
            let mut expected = vec![
                json!(["INSERT", {"id": 1, "name": "one"}, null]),
                json!(["INSERT", {"id": 2, "name": "two"}, null]),
                json!(["UPDATE", {"id": 1, "name": "uno"}, null]),
                json!(["DELETE", null, {"id": 1}]),
                json!(["TRUNCATE", null, null]),
            ];
            if filtered {
                expected.remove(1);
            }
            assert_eq!(told, expected, "{topic} on {major}");
        }
        assert!(walcast.stop().success());
    }
}
