//! Descriptions as block strings (specification, section 2.9.4).

use crate::graphql::text::text;

/// Writes a description, if there is one, in lines of its own.
pub(super) fn described(text: &mut String, description: Option<&str>, indent: &str) {
    let Some(description) = description else { return };
    // A document has no control characters but tabs and line feeds.
    let clean: String = description
        .replace("\r\n", "\n")
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let clean = clean.replace("\"\"\"", "\\\"\"\"");
    if clean.contains('\n') || clean.ends_with(['"', '\\']) {
        text!(text, "{indent}\"\"\"\n");
        for line in clean.lines() {
            text!(text, "{indent}{line}\n");
        }
        text!(text, "{indent}\"\"\"\n");
    } else {
        text!(text, "{indent}\"\"\"{clean}\"\"\"\n");
    }
}
