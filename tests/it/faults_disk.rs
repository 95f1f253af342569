//! A database without room on its disk, under load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use walcast::demo::cluster::{Cluster, Options, Shutdown};

use crate::cluster;
use crate::faults::{Load, patiently};
use crate::postgres_binaries;
use crate::service::Service;

/// A small file system in memory; dropping it unmounts it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(megabytes: u32) -> Option<Self> {
        let place = std::env::temp_dir().join(format!("walcast-disk-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let size = format!("size={megabytes}m,mode=0755");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "walcast-test"]).arg(&place).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(place)),
            _ => {
                std::fs::remove_dir(&place).unwrap();
                None
            }
        }
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let file = std::fs::File::create(self.filler()).unwrap();
        let zeros = vec![0; 1 << 16];
        while std::io::Write::write_all(&mut &file, &zeros).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_postgres_costs_nothing_once_there_is_room_again() {
    let Some(disk) = SmallDisk::mount(300) else {
        crate::not_run::say("a small disk takes the right to mount one, which this user has not");
        return;
    };
    let settings = [("max_wal_size", "48MB"), ("min_wal_size", "32MB"), ("checkpoint_timeout", "30s")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options { root: Some(disk.path().join("root")), settings, ..Options::default() };
    let mut cluster = Cluster::start(&postgres_binaries::of_major(15), &options, &mut |_| ()).unwrap();
    let url = cluster.url("postgres");
    let client = cluster::connect(&url).await;
    client
        .batch_execute(
            "create table t (id int primary key, body text); create unlogged table ballast (body text)",
        )
        .await
        .unwrap();
    let service = Service::start(&url, &[]).await;
    let mut load = Load::begin(&service, &url, 20, Duration::from_millis(5)).await;
    load.rows(30).await;
    disk.fill();
    // Large writes are refused, or bring the server down, which cannot come up without room for its log.
    patiently("Postgres notices", &mut async || {
        let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await else {
            return true;
        };
        tokio::spawn(connection);
        let sql = "insert into ballast select repeat(md5(i::text), 100) from generate_series(1, 20000) i; \
                   select pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) from generate_series(1, 20)";
        client.batch_execute(sql).await.is_err()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    disk.empty();
    // Whether it went down or only refused, somebody starts it again.
    tokio::task::block_in_place(|| cluster.stop_server(Shutdown::Immediate)).unwrap();
    tokio::task::block_in_place(|| cluster.start_server()).unwrap();
    load.rows(30).await;
    load.all_is_told().await;
}
