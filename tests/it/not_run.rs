//! A test that this user may not run says so, past the harness, which shows nothing of a test that passes.

use std::io::Write;

/// Says why.
pub fn say(why: &str) {
    let _ = writeln!(std::io::stderr(), "not run: {why}");
}
