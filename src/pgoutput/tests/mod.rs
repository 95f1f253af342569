//! The decoder against a real server's messages, and against an encoder that lives only here.

mod capture;
mod encoder;
mod errors;
mod golden;
mod properties;
mod render;
