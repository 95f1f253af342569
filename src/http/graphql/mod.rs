//! GraphQL over HTTP: `/graphql` for one operation a request, `/graphql/stream` for many on one response.
//!
//! Every operation is a stream of results, a query's ends after one. The response pulls it: a client that goes
//! away drops it, and with it the statement that runs.

mod documents;
mod multipart;
mod problem;
mod request;
mod single;
mod sse;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use thiserror::Error;
use tokio::sync::watch;

use crate::feeds::Feeds;
use crate::graphql::negotiation::{Accept, Form, Json, OFFERED, Results};
use crate::operations::{Answer, Fault, Identity, Kind, Operations, Prepared, Refused, Request};
pub use documents::{Documents, DocumentsError};
use problem::{Problem, plain};
use request::Parameters;
use single::Streams;
use waiting::Waiting;

/// When a client may try again what the database could not answer, in seconds. Connections to it are tried again in
/// pauses of up to 10 s.
const RETRY_AFTER: &str = "5";

/// For how long an operation that has to follow changes waits for the stream to be live. It is that of joins.
const FOLLOWED: Duration = Duration::from_secs(8);

/// The GraphQL endpoint.
pub struct GraphQl {
    operations: Operations,
    feeds: Feeds,
    identity: Identity,
    documents: Documents,
    stop: watch::Receiver<bool>,
    streams: Streams,
    waiting: Waiting,
}

/// The server ends, and with it a stream whose operation did not; its client is to ask again.
#[derive(Debug, Error)]
#[error("the server stops")]
struct Stopped;

/// The results of one operation, in order.
type Answers = BoxStream<'static, Result<Answer, Stopped>>;

impl GraphQl {
    /// An endpoint that runs all operations as `identity`; streams end once `stop` is true.
    #[must_use]
    pub fn new(
        operations: Operations,
        feeds: Feeds,
        identity: Identity,
        documents: Documents,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (streams, waiting) = (Streams::default(), Waiting::default());
        Self { operations, feeds, identity, documents, stop, streams, waiting }
    }

    /// Parses and checks an operation. One that has to follow changes waits for them to be read, as a join does,
    /// as long as there is room to wait.
    async fn prepare(&self, parameters: Parameters) -> Result<Prepared, Refusal> {
        let Parameters { query, document_id, operation_name, variables, .. } = parameters;
        let document = self.documents.resolve(query, document_id.as_deref())?;
        let request = Request { document, operation_name, variables, identity: self.identity.clone() };
        if self.operations.is_followed() {
            return Ok(self.operations.prepare(request)?);
        }
        match self.operations.prepare(request.clone()) {
            Err(refused @ Refused { fault: Fault::Unfollowed, .. }) => {
                let Some(_place) = self.waiting.enter(&request) else { return Err(refused.into()) };
                let mut stop = self.stop.clone();
                tokio::select! {
                    _ = tokio::time::timeout(FOLLOWED, self.operations.until_followed()) => {}
                    () = stopped(&mut stop) => {}
                }
                Ok(self.operations.prepare(request)?)
            }
            prepared => Ok(prepared?),
        }
    }

    /// Carries an operation out, as far as its results are asked for. `last` is the id of the result that the client of a
    /// live query has already.
    fn answers(&self, prepared: Prepared, last: Option<&str>) -> Answers {
        match prepared.kind() {
            // What a mutation has done must be told, so one result is waited for.
            Kind::Query | Kind::Mutation => {
                let operations = self.operations.clone();
                stream::once(async move { Ok(operations.run(&prepared).await) }).boxed()
            }
            Kind::Live => match self.feeds.live(prepared, last) {
                Ok(answers) => until(self.stop.clone(), answers.map(Ok).boxed()),
                Err(refused) => told(refused.body),
            },
            Kind::Subscription => match self.feeds.subscribe(prepared) {
                Ok(answers) => until(self.stop.clone(), answers.map(Ok).boxed()),
                Err(refused) => told(refused.body),
            },
        }
    }
}

/// One result, and the end.
fn told(body: Bytes) -> Answers {
    stream::iter([Ok(Answer::of(body))]).boxed()
}

/// These results, until the server stops.
fn until(stop: watch::Receiver<bool>, answers: Answers) -> Answers {
    let step = |(mut answers, mut stop): (Answers, watch::Receiver<bool>)| async move {
        let item = tokio::select! {
            biased;
            answer = answers.next() => answer?,
            () = stopped(&mut stop) => Err(Stopped),
        };
        Some((item, (answers, stop)))
    };
    stream::unfold((answers, stop), step).boxed()
}

/// Resolves when the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender there is no server left.
    let _ = stop.wait_for(|stop| *stop).await;
}

const fn results(kind: Kind) -> Results {
    match kind {
        Kind::Query | Kind::Mutation => Results::One,
        Kind::Live | Kind::Subscription => Results::Many,
    }
}

/// Why there is no operation.
enum Refusal {
    /// The request is at fault.
    Request(Problem),
    /// The operation is, or the database.
    Operation(Refused),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Request(problem)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Operation(refused)
    }
}

/// Where operations are sent to.
pub(super) const PATH: &str = "/graphql";

/// The paths of the endpoint, for a router of any state.
pub(super) fn routes<S>(graphql: Arc<GraphQl>) -> Router<S> {
    let stream = get(single::connect).put(single::reserve).post(single::operate).delete(single::cancel);
    Router::new().route(PATH, get(by_get).post(by_post)).route("/graphql/stream", stream).with_state(graphql)
}

async fn by_get(State(graphql): State<Arc<GraphQl>>, headers: HeaderMap, uri: Uri) -> Response {
    answer(&graphql, &Method::GET, &headers, Parameters::from_query(uri.query())).await
}

async fn by_post(State(graphql): State<Arc<GraphQl>>, request: HttpRequest) -> Response {
    post(&graphql, request).await
}

/// Answers a POST to [`PATH`].
pub(super) async fn post(graphql: &GraphQl, request: HttpRequest) -> Response {
    let (head, body) = request.into_parts();
    let parameters = Parameters::from_body(&head.headers, body).await;
    answer(graphql, &Method::POST, &head.headers, parameters).await
}

async fn answer(
    graphql: &GraphQl,
    method: &Method,
    headers: &HeaderMap,
    parameters: Result<Parameters, Problem>,
) -> Response {
    let accept = Accept::parse(request::joined(headers, &header::ACCEPT).as_deref());
    let prepared = match parameters {
        Ok(parameters) => graphql.prepare(parameters).await,
        Err(problem) => Err(problem.into()),
    };
    let mut response = match prepared {
        Ok(prepared) => {
            let last = headers.get("last-event-id").and_then(|last| last.to_str().ok());
            carry_out(graphql, method, &accept, last, prepared).await
        }
        Err(refusal) => refuse(&accept, refusal),
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

async fn carry_out(
    graphql: &GraphQl,
    method: &Method,
    accept: &Accept,
    last: Option<&str>,
    prepared: Prepared,
) -> Response {
    // Links and images make GETs without being asked (GraphQL-over-HTTP draft, "GET").
    if prepared.kind() == Kind::Mutation && method == Method::GET {
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "a mutation must be sent by POST",
        );
        return problem.with(header::ALLOW, "POST").response(json(accept));
    }
    match accept.form(results(prepared.kind())) {
        Some(Form::Json(kind)) => {
            let answer = graphql.operations.run(&prepared).await;
            if answer.unavailable {
                unavailable(kind, answer.body)
            } else {
                plain(StatusCode::OK, kind, answer.body)
            }
        }
        Some(Form::EventStream) => sse::response(graphql.answers(prepared, last)),
        Some(Form::Multipart) => multipart::response(graphql.answers(prepared, None)),
        None => not_acceptable(),
    }
}

/// Clients of streams take any status but 200 for a broken connection and try again, so what will not mend by itself
/// is told as a result.
fn refuse(accept: &Accept, refusal: Refusal) -> Response {
    let (status, body) = match refusal {
        Refusal::Operation(Refused { fault: Fault::Unavailable | Fault::Unfollowed, body }) => {
            return unavailable(json(accept), body);
        }
        Refusal::Operation(Refused { fault: Fault::Off, body }) => {
            return plain(StatusCode::SERVICE_UNAVAILABLE, json(accept), body);
        }
        Refusal::Operation(Refused { body, .. }) => {
            // `application/json`: "the server SHOULD use the 200 status code", for any GraphQL response.
            let strict = json(accept) == Json::Response;
            (if strict { StatusCode::BAD_REQUEST } else { StatusCode::OK }, body)
        }
        Refusal::Request(problem) if problem.status != StatusCode::BAD_REQUEST => {
            return problem.response(json(accept));
        }
        Refusal::Request(problem) => (problem.status, problem.body()),
    };
    match accept.form(Results::One) {
        Some(Form::Json(kind)) => plain(status, kind, body),
        Some(Form::EventStream) => sse::response(told(body)),
        Some(Form::Multipart) => multipart::response(told(body)),
        None => not_acceptable(),
    }
}

fn unavailable(kind: Json, body: Bytes) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, kind, body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    response
}

fn not_acceptable() -> Response {
    let problem = Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        "the response has none of the media types in Accept; live queries and subscriptions are streams",
    );
    problem.with(header::ACCEPT, OFFERED).response(Json::Legacy)
}

/// The type of a plain answer, also to who would rather have had a stream.
fn json(accept: &Accept) -> Json {
    match accept.form(Results::One) {
        Some(Form::Json(kind)) => kind,
        _ => Json::Legacy,
    }
}

#[cfg(test)]
mod tests;
