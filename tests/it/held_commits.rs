//! Commits that are in the log, and so are decoded, while no snapshot sees them yet: they wait for a synchronous
//! standby that is not there.

use tokio_postgres::Client;

use crate::walcast::until;

/// From now on, the commits of `client`'s server wait. Superusers only, on a server of the test's own.
pub async fn hold(client: &Client) {
    client.batch_execute("alter system set synchronous_standby_names = 'nobody'").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    until("commits wait", async || {
        client.query_one("show synchronous_standby_names", &[]).await.unwrap().get::<_, String>(0) == "nobody"
    })
    .await;
}

/// Waits until `count` commits wait.
pub async fn waiting(client: &Client, count: i64) {
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    until("the commits wait", async || {
        client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == count
    })
    .await;
}

/// Lets them go.
pub async fn release(client: &Client) {
    client.batch_execute("alter system reset synchronous_standby_names").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
}
