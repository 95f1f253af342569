//! Bytes of the `pgoutput` plugin to messages.
