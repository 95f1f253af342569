//! A load generator that costs about as much as pgbench: as many threads, each waiting for its share of the
//! connections, one request under way on each; of a response it reads the status and the length.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What happened in a time.
pub struct Load {
    pub requests: u64,
    pub seconds: f64,
}

/// Asks for random ones of these requests, on so many connections in so many threads, for so long.
pub fn run(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    threads: usize,
    time: Duration,
) -> Load {
    let start = Instant::now();
    let counts = std::thread::scope(|scope| {
        let share = |thread| connections / threads + usize::from(thread < connections % threads);
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || one_thread(address, requests, share(thread), start + time)))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    Load { requests: counts, seconds: start.elapsed().as_secs_f64() }
}

fn one_thread(address: SocketAddr, requests: &[Vec<u8>], connections: usize, end: Instant) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let requests: std::sync::Arc<[Vec<u8>]> = requests.into();
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..connections {
            let requests = std::sync::Arc::clone(&requests);
            running.spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut count = 0;
                while Instant::now() < end {
                    let body = connection.ask(&requests[fastrand::usize(..requests.len())]).await;
                    assert!(body.len() > 1000, "{}", String::from_utf8_lossy(body));
                    count += 1;
                }
                count
            });
        }
        running.join_all().await.into_iter().sum()
    })
}

/// One connection of HTTP/1.1, kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 64 * 1024] }
    }

    /// The body of the response, which has to be a 200 that tells its length.
    pub async fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        let (mut filled, mut whole) = (0, None);
        loop {
            let count = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(count > 0, "closed: {}", String::from_utf8_lossy(&self.buffer[..filled]));
            filled += count;
            if whole.is_none() {
                whole = whole_of(&self.buffer[..filled]);
            }
            if let Some((head, length)) = whole
                && filled >= head + length
            {
                assert_eq!(filled, head + length, "more than was asked for");
                return &self.buffer[head..filled];
            }
        }
    }
}

/// Bytes of head and body, once the head is whole.
fn whole_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next().and_then(|line| line.split(' ').nth(1)), Some("200"), "{text}");
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    Some((head, length.unwrap_or_else(|| panic!("no Content-Length: {text}"))))
}
