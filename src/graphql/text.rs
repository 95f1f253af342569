//! Writing to the end of a text.

/// `format!` at the end of a text.
macro_rules! text {
    ($text:expr, $($arguments:tt)*) => {{
        use std::fmt::Write;
        // Writing to a `String` cannot fail.
        let _ = write!($text, $($arguments)*);
    }};
}
pub(super) use text;
