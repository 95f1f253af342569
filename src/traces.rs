//! Spans of what the process does, for whoever collects them. One process has one tracer, or none: then a span costs one look
//! whether there is.
//!
//! What is told of a span are names, counts and positions; never values of rows, variables, claims or what a client sent
//! otherwise. The one text that a client chooses is an operation's name, of which 64 bytes are told.

use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Span, SpanBuilder, Tracer};

pub use opentelemetry::KeyValue;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// From now on spans go to this tracer. The first one stays.
pub fn trace(tracer: BoxedTracer) {
    let _ = TRACER.set(tracer);
}

/// The beginning of something that is told of when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Begun(Option<SystemTime>);

/// Something begins.
#[must_use]
pub fn begin() -> Begun {
    Begun(TRACER.get().map(|_| SystemTime::now()))
}

impl Begun {
    /// Whether anybody listens.
    #[must_use]
    pub const fn is_traced(self) -> bool {
        self.0.is_some()
    }

    /// It has ended, and is told of under this name if anybody listens and it is one of those that are taken.
    pub fn end<const N: usize>(self, name: &'static str, attributes: impl FnOnce() -> [KeyValue; N]) {
        let (Some(begun), Some(tracer)) = (self.0, TRACER.get()) else { return };
        let builder = SpanBuilder::from_name(name).with_start_time(begun);
        let mut span = tracer.build_with_context(builder, &Context::new());
        if span.is_recording() {
            span.set_attributes(attributes());
        }
        span.end();
    }
}

/// A count as the value of an attribute.
#[must_use]
pub fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
