//! Requests that wait for the stream to be live. They are kept whole meanwhile, so there is room for some only.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::operations::Request;

/// Bytes of requests that may wait at a time.
const ROOM: usize = 64 * 1024 * 1024;

/// What a request takes besides its texts, in bytes: a connection and a task.
const BESIDES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Waiting(Semaphore);

impl Default for Waiting {
    fn default() -> Self {
        Self(Semaphore::new(ROOM))
    }
}

impl Waiting {
    /// A place for this request until it is dropped, or `None` when there is no room.
    pub(super) fn enter(&self, request: &Request) -> Option<SemaphorePermit<'_>> {
        let variables = serde_json::to_vec(&request.variables).map_or(0, |text| text.len());
        let bytes = BESIDES + request.document.len() + variables;
        self.0.try_acquire_many(u32::try_from(bytes).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(document_bytes: usize) -> Request {
        let (operation_name, variables) = (None, apollo_compiler::response::JsonMap::default());
        let identity = crate::operations::Identity::default();
        Request { document: "x".repeat(document_bytes), operation_name, variables, identity }
    }

    #[test]
    fn requests_wait_as_long_as_there_is_room_for_their_texts() {
        let (waiting, large) = (Waiting::default(), request(1024 * 1024));
        let mut inside: Vec<_> = std::iter::from_fn(|| waiting.enter(&large)).collect();
        assert_eq!(inside.len(), 63);
        inside.pop();
        assert!(waiting.enter(&large).is_some());
        drop(inside);
        let small = request(0);
        let inside: Vec<_> = std::iter::from_fn(|| waiting.enter(&small)).collect();
        assert!((4000..=4096).contains(&inside.len()), "{}", inside.len());
    }
}
