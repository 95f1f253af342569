//! Single-connection mode of the GraphQL-over-SSE protocol: a client reserves a stream, connects to it once, and posts
//! operations whose results come on it. For browsers, which open six HTTP/1.1 connections to a host and no more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::problem::Problem;
use super::request::{Parameters, query_parameter};
use super::{Answers, Fault, GraphQl, Json, Refusal, plain, sse, stopped, unavailable};

/// Streams at a time, reserved ones and connected ones.
const STREAMS: usize = 16_384;

/// How long a reserved stream waits for its client to connect.
const RESERVED: Duration = Duration::from_secs(60);

/// Operations of one stream at a time.
const OPERATIONS: usize = 100;

/// Bytes of results that wait for one stream. When they are used up, its operations wait, each with the result that
/// it has in hand.
const QUEUE_BYTES: u32 = 4 * 1024 * 1024;

const TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");

/// All streams, by their tokens.
#[derive(Default)]
pub(super) struct Streams {
    by_token: Mutex<HashMap<String, Stream>>,
}

/// One stream; dropping it ends its operations.
struct Stream {
    tasks: JoinSet<()>,
    operations: HashMap<String, AbortHandle>,
    /// `None` once the server stops; the stream ends when the last operation has let go of its own.
    queue: Option<Queue>,
    /// Until it is connected: its outlet, and the task that lets the reservation lapse.
    reserved: Option<(mpsc::UnboundedReceiver<Queued>, AbortHandle)>,
}

type Queued = (Bytes, OwnedSemaphorePermit);

/// The inlet of a stream.
#[derive(Clone)]
struct Queue {
    events: mpsc::UnboundedSender<Queued>,
    budget: Arc<Semaphore>,
}

impl Queue {
    async fn put(&self, event: Bytes) {
        let size = u32::try_from(event.len()).unwrap_or(u32::MAX).min(QUEUE_BYTES);
        // Neither can fail while the stream is there, and without it nobody is left to tell.
        if let Ok(permit) = Arc::clone(&self.budget).acquire_many_owned(size).await {
            let _ = self.events.send((event, permit));
        }
    }
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, token: &str) {
        let removed = self.lock().remove(token);
        // Its tasks are dropped outside of the lock.
        drop(removed);
    }

    /// Removes a stream to which nobody has connected.
    fn lapse(&self, token: &str) {
        let mut streams = self.lock();
        let removed = match streams.entry(token.to_owned()) {
            Entry::Occupied(stream) if stream.get().reserved.is_some() => Some(stream.remove()),
            _ => None,
        };
        drop(streams);
        drop(removed);
    }

    /// Takes no more operations for a stream.
    fn close(&self, token: &str) {
        if let Some(stream) = self.lock().get_mut(token) {
            stream.queue = None;
        }
    }

    /// Takes note of the end of an operation; `task` tells it from a later one of the same name.
    fn finish(&self, token: &str, id: &str, task: tokio::task::Id) {
        if let Some(stream) = self.lock().get_mut(token)
            && stream.operations.get(id).is_some_and(|running| running.id() == task)
        {
            stream.operations.remove(id);
        }
    }
}

/// `PUT`: a new stream, whose token is the body of the answer.
pub(super) async fn reserve(State(graphql): State<Arc<GraphQl>>, headers: HeaderMap, uri: Uri) -> Response {
    let streams = &graphql.streams;
    if token(&headers, &uri).is_some_and(|token| streams.lock().contains_key(&token)) {
        return conflict("StreamExists", "Stream already registered").response(Json::Legacy);
    }
    let mut random = [0; 16];
    if streams.lock().len() >= STREAMS || getrandom::fill(&mut random).is_err() {
        let message = "the server has as many streams as it may";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TooManyStreams", message);
        return problem.response(Json::Legacy);
    }
    let token = format!("{:032x}", u128::from_ne_bytes(random));
    let mut tasks = JoinSet::new();
    let (lapsing, lapsed) = (Arc::clone(&graphql), token.clone());
    let deadline = tasks.spawn(async move {
        tokio::time::sleep(RESERVED).await;
        lapsing.streams.lapse(&lapsed);
    });
    let (events, outlet) = mpsc::unbounded_channel();
    let queue = Some(Queue { events, budget: Arc::new(Semaphore::new(QUEUE_BYTES as usize)) });
    let reserved = Some((outlet, deadline));
    streams.lock().insert(token.clone(), Stream { tasks, operations: HashMap::new(), queue, reserved });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::CREATED, headers, token).into_response()
}

/// `GET`: the stream, with what has come for it already.
pub(super) async fn connect(State(graphql): State<Arc<GraphQl>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(token) = token(&headers, &uri) else { return no_stream() };
    let outlet = match graphql.streams.lock().get_mut(&token) {
        None => return no_stream(),
        Some(stream) => match stream.reserved.take() {
            None => return conflict("StreamExists", "Stream already open").response(Json::Legacy),
            Some((outlet, deadline)) => {
                deadline.abort();
                outlet
            }
        },
    };
    let stop = graphql.stop.clone();
    let connected = Connected { graphql, token };
    let events = stream::unfold((connected, outlet, stop), |(connected, mut outlet, mut stop)| async move {
        let event = connected.next(&mut outlet, &mut stop).await?;
        Some((Ok(event), (connected, outlet, stop)))
    });
    sse::body(events)
}

/// A stream whose client is there; dropping it ends the stream.
struct Connected {
    graphql: Arc<GraphQl>,
    token: String,
}

impl Connected {
    /// The next event. When the server stops, the stream ends once its operations have.
    async fn next(
        &self,
        outlet: &mut mpsc::UnboundedReceiver<Queued>,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Bytes> {
        let queued = tokio::select! {
            queued = outlet.recv() => queued,
            () = stopped(stop) => {
                self.graphql.streams.close(&self.token);
                outlet.recv().await
            }
        };
        queued.map(|(event, _)| event)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.graphql.streams.remove(&self.token);
    }
}

/// `POST`: an operation, whose results come on the stream.
pub(super) async fn operate(
    State(graphql): State<Arc<GraphQl>>,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Response {
    let Some(token) = token(&headers, &uri).filter(|token| graphql.streams.lock().contains_key(token)) else {
        return no_stream();
    };
    match start(&graphql, &token, Parameters::from_body(&headers, body).await).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(Refusal::Request(problem)) => problem.response(Json::Legacy),
        Err(Refusal::Operation(refused)) => match refused.fault {
            Fault::Unavailable | Fault::Unfollowed => unavailable(Json::Legacy, refused.body),
            Fault::Off => plain(StatusCode::SERVICE_UNAVAILABLE, Json::Legacy, refused.body),
            _ => plain(StatusCode::BAD_REQUEST, Json::Legacy, refused.body),
        },
    }
}

async fn start(
    graphql: &Arc<GraphQl>,
    token: &str,
    parameters: Result<Parameters, Problem>,
) -> Result<(), Refusal> {
    let parameters = parameters?;
    let id =
        parameters.extensions.get("operationId").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    if id.is_empty() {
        let message = "Operation ID is missing";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "OperationIdMissing", message).into());
    }
    let prepared = graphql.prepare(parameters).await?;
    let mut streams = graphql.streams.lock();
    let Some(Stream { tasks, operations, queue: Some(queue), .. }) = streams.get_mut(token) else {
        return Err(stream_not_found().into());
    };
    // What has ended is still to be taken out.
    while tasks.try_join_next().is_some() {}
    let count = operations.len();
    match operations.entry(id) {
        Entry::Occupied(_) => Err(conflict("OperationIdTaken", "Operation with ID already exists").into()),
        Entry::Vacant(_) if count >= OPERATIONS => {
            let message = format!("a stream carries {OPERATIONS} operations at a time");
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "TooManyOperations", message).into())
        }
        Entry::Vacant(free) => {
            let running = Running {
                graphql: Arc::clone(graphql),
                token: token.to_owned(),
                id: free.key().clone(),
                queue: queue.clone(),
            };
            free.insert(tasks.spawn(running.run(graphql.answers(prepared, None))));
            Ok(())
        }
    }
}

/// An operation of a stream.
struct Running {
    graphql: Arc<GraphQl>,
    token: String,
    id: String,
    queue: Queue,
}

impl Running {
    async fn run(self, mut answers: Answers) {
        let id = serde_json::Value::from(self.id.as_str()).to_string();
        let ended = loop {
            match answers.next().await {
                Some(Ok(answer)) => self.queue.put(sse::next_of(&id, &answer.body)).await,
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        if ended {
            self.queue.put(sse::complete_of(&id)).await;
        }
        self.graphql.streams.finish(&self.token, &self.id, tokio::task::id());
    }
}

/// `DELETE`: an operation whose results nobody wants any more.
pub(super) async fn cancel(State(graphql): State<Arc<GraphQl>>, headers: HeaderMap, uri: Uri) -> Response {
    let Some(id) = query_parameter(&uri, "operationId") else {
        let message = "Operation ID is missing";
        return Problem::new(StatusCode::BAD_REQUEST, "OperationIdMissing", message).response(Json::Legacy);
    };
    let token = token(&headers, &uri).unwrap_or_default();
    let mut streams = graphql.streams.lock();
    let Some(stream) = streams.get_mut(&token) else { return no_stream() };
    // One that has ended by itself meanwhile is as good.
    if let Some(task) = stream.operations.remove(&id) {
        task.abort();
    }
    StatusCode::OK.into_response()
}

fn token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(&TOKEN).and_then(|token| token.to_str().ok()).filter(|token| !token.is_empty());
    header.map(str::to_owned).or_else(|| query_parameter(uri, "token"))
}

fn conflict(code: &'static str, message: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, message)
}

fn stream_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "StreamNotFound", "Stream not found")
}

fn no_stream() -> Response {
    stream_not_found().response(Json::Legacy)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn results_wait_when_a_stream_is_not_read() {
        let (events, mut outlet) = mpsc::unbounded_channel();
        let queue = Queue { events, budget: Arc::new(Semaphore::new(QUEUE_BYTES as usize)) };
        let half = Bytes::from(vec![b' '; QUEUE_BYTES as usize / 2]);
        let put = |event: &Bytes| queue.put(event.clone()).now_or_never();
        assert_eq!([put(&half), put(&half), put(&half)], [Some(()), Some(()), None]);
        drop(outlet.recv().await);
        assert_eq!([put(&half), put(&half)], [Some(()), None]);
        // One that is larger than all of it passes once nothing waits.
        let large = Bytes::from(vec![b' '; QUEUE_BYTES as usize + 1]);
        assert_eq!(put(&large), None);
        drop([outlet.recv().await, outlet.recv().await]);
        assert_eq!(put(&large), Some(()));
    }
}
