//! What tungstenite sees of a socket for the time of one call: the bytes just read, and a place to put
//! its control frames.

use std::io::{Read, Result, Write};

/// Reads from bytes that are already here; writes whole control frames to a buffer.
pub(super) struct Port<'a> {
    /// Bytes not yet read.
    pub(super) input: &'a [u8],
    /// Whole control frames, for the outbox.
    pub(super) output: &'a mut Vec<u8>,
}

impl Read for Port<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.input.is_empty() {
            // Not the end of the socket: more may come with the next call.
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for Port<'_> {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        self.output.extend_from_slice(from);
        Ok(from.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
