//! Sends spans to a collector, by OTLP over plain HTTP with protobuf (the OpenTelemetry Protocol's specification, "OTLP/HTTP").

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::settings::Traces;

/// How long a collector may take for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// Spans cannot be sent to this collector.
#[derive(Debug, Error)]
#[error("spans cannot be sent to traces.otlp_endpoint")]
pub struct TracesError(#[source] Box<ExporterBuildError>);

/// The sending of spans, until it is finished.
pub struct Exporting(SdkTracerProvider);

/// Begins to send spans; needs the runtime that it is called in.
///
/// # Errors
/// When the collector's address is none.
pub fn start(traces: &Traces) -> Result<Exporting, TracesError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector { runtime: Handle::current(), fails: AtomicBool::new(false) })
        .with_endpoint(format!("{}/v1/traces", traces.endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| TracesError(Box::new(error)))?;
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("walcast").with_attribute(version).build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::TraceIdRatioBased(1.0 / f64::from(traces.one_in)))
        .with_resource(resource)
        .build();
    crate::traces::trace(BoxedTracer::new(Box::new(provider.tracer("walcast"))));
    Ok(Exporting(provider))
}

impl Exporting {
    /// Sends what is left.
    pub async fn finish(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if let Ok(Err(error)) = sent {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// The connection to a collector, made anew for each batch: they are seconds apart.
#[derive(Debug)]
struct Collector {
    /// The exporter has a thread of its own, which has none.
    runtime: Handle,
    fails: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = async move { tokio::time::timeout(PATIENCE, send(request)).await };
        let answer = match self.runtime.spawn(sending).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(late)) => Err(late.into()),
            Err(ended) => Err(ended.into()),
        };
        let problem = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        // Once for each time that it begins to fail.
        if let Some(problem) = &problem
            && !self.fails.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(problem, "spans cannot be sent to the collector; they are dropped");
        }
        if problem.is_none() {
            self.fails.store(false, Ordering::Relaxed);
        }
        answer
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or("the collector's address has no host")?.clone();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    head.headers.insert(hyper::header::HOST, authority.as_str().parse()?);
    // The form of a request to an origin server (RFC 9112, section 3.2.1).
    head.uri = head.uri.path().parse()?;
    let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(head, body))
}
