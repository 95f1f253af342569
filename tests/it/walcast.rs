//! The program under test, as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::Database;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `walcast`; dropping it kills it.
pub struct Walcast {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends when the program has closed its log.
    reading: Option<std::thread::JoinHandle<()>>,
}

/// A command with nothing of the caller's environment that could be a setting.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walcast"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A name that no other test uses for its slot: slots belong to the whole cluster.
pub fn slot_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("slot_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Walcast {
    /// `walcast serve` on a database of one test, with a slot of its own, a publication that it creates,
    /// and the settings of `environment`; returns when it is live.
    pub async fn serve(database: &Database, environment: &[(&str, &str)]) -> Self {
        let walcast = Self::spawn(&database.url(), environment);
        walcast.wait_for_status("live").await;
        walcast
    }

    /// As [`Walcast::serve`], but returns when the port is open.
    pub fn spawn(url: &str, environment: &[(&str, &str)]) -> Self {
        Self::spawn_by(command(), url, environment)
    }

    /// As [`Walcast::spawn`], by a command that runs the program in another way.
    pub fn spawn_by(mut command: Command, url: &str, environment: &[(&str, &str)]) -> Self {
        command
            .arg("serve")
            .env("DATABASE_URL", url)
            .env("WALCAST__LISTEN", "127.0.0.1:0")
            .env("WALCAST__REPLICATION__SLOT", slot_name())
            .env("WALCAST__REPLICATION__CREATE_PUBLICATION", "true")
            .env("WALCAST__LOG__FORMAT", "json")
            .env("WALCAST__LOG__FILTER", "info")
            // More than one on every machine: what shards share is part of what is tested.
            .env("WALCAST__CHANNELS__SHARDS", "2")
            .envs(environment.iter().copied());
        Self::start(command)
    }

    /// Runs a command that logs as JSON and listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("walcast starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                if entry["message"] == "listening" {
                    let _ = found.send(entry["address"].as_str().unwrap().parse().unwrap());
                }
                kept.lock().unwrap().push(line);
            }
        });
        let address = address.recv_timeout(PATIENCE);
        let mut walcast = Self { child, address: ([127, 0, 0, 1], 0).into(), log, reading: Some(reading) };
        let Ok(address) = address else { panic!("walcast does not listen:\n{}", walcast.log()) };
        walcast.address = address;
        walcast
    }

    /// As [`Walcast::start`], with what the program prints.
    pub fn start_with_output(command: Command) -> (Self, BufReader<ChildStdout>) {
        let mut walcast = Self::start(command);
        let output = BufReader::new(walcast.child.stdout.take().expect("stdout is piped"));
        (walcast, output)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// One that listens everywhere is asked at this address from now on.
    pub const fn reach_by(&mut self, address: IpAddr) {
        self.address.set_ip(address);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes (`VmRSS`, proc(5)).
    pub fn memory(&self) -> usize {
        self.status("VmRSS:").expect("it runs")
    }

    /// The most that its resident memory ever was, in bytes (`VmHWM`, proc(5)); 0 when it has ended.
    pub fn peak_memory(&self) -> usize {
        self.status("VmHWM:").unwrap_or_default()
    }

    /// A size in its status; a process that has ended has none.
    fn status(&self, name: &str) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024)
    }

    /// Everything it has logged, one JSON object a line.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for a log line that contains `text`.
    pub async fn wait_for_log(&self, text: &str) {
        until(&format!("the log says {text:?}"), async || self.log().contains(text)).await;
    }

    /// `GET path`: the status and the body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.request(&request).await
    }

    /// Sends the bytes of one HTTP request, and reads the status and the body of its answer.
    pub async fn request(&self, request: &str) -> (u16, String) {
        let (head, body) = self.exchange(request).await;
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    /// Sends the bytes of one HTTP request, and reads the head and the body of its answer.
    pub async fn exchange(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.to_owned(), body.to_owned())
    }

    /// The body of `/ready`, with its HTTP status as `http`.
    pub async fn ready(&self) -> Value {
        let (status, body) = self.get("/ready").await;
        let mut ready: Value = serde_json::from_str(&body).unwrap();
        ready["http"] = status.into();
        ready
    }

    /// Waits until `/ready` has this status.
    pub async fn wait_for_status(&self, status: &str) {
        let start = Instant::now();
        loop {
            let ready = self.ready().await;
            if ready["status"] == status {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not {status} but {ready}; the log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Stops it with SIGTERM and waits for its end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Waits until it has given up by itself, and returns everything it printed.
    pub fn gives_up(mut self) -> String {
        let status = self.wait();
        self.reading.take().unwrap().join().unwrap();
        assert_eq!(status.code(), Some(1), "it should have failed; the log:\n{}", self.log());
        self.log()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "walcast does not end; the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Walcast {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of walcast:\n{}", self.log());
        }
    }
}

/// Waits until a condition holds; fails with its words when it does not in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "this never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
