//! Persisted documents: texts that are known by an identifier before anybody asks for them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use thiserror::Error;

use super::problem::Problem;

/// The documents of one file, and whether others are served besides.
#[derive(Debug, Default)]
pub struct Documents {
    texts: HashMap<String, String>,
    only: bool,
}

/// A file of documents cannot be used.
#[derive(Debug, Error)]
pub enum DocumentsError {
    /// The file cannot be read.
    #[error("cannot read the persisted documents in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path} must be a JSON object of identifiers and documents, both strings")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        #[source]
        source: serde_json::Error,
    },
}

impl Documents {
    /// Reads a file: a JSON object whose keys are identifiers and whose values are documents. With `only`, no other
    /// document is served.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of that shape.
    pub fn load(path: &Path, only: bool) -> Result<Self, DocumentsError> {
        let content = std::fs::read_to_string(path)
            .map_err(|source| DocumentsError::Read { path: path.to_owned(), source })?;
        let texts = serde_json::from_str(&content)
            .map_err(|source| DocumentsError::Shape { path: path.to_owned(), source })?;
        Ok(Self { texts, only })
    }

    /// The document that is meant by `query` or by `documentId`.
    pub(super) fn resolve(&self, query: Option<String>, id: Option<&str>) -> Result<String, Problem> {
        match (query, id) {
            (Some(_), Some(_)) => Err(Problem::parameter("give `query` or `documentId`, not both")),
            (None, None) => Err(Problem::parameter("`query` is missing, and so is `documentId`")),
            (Some(_), None) if self.only => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "DocumentsOnly",
                "only persisted documents are served: send `documentId`",
            )),
            (Some(query), None) => Ok(query),
            (None, Some(id)) => self.find(id).map(str::to_owned).ok_or_else(|| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "DocumentNotFound",
                    "there is no persisted document of this `documentId`",
                )
            }),
        }
    }

    /// Tools write files of bare hashes, while the draft's appendix has clients say which hash it is.
    fn find(&self, id: &str) -> Option<&str> {
        let bare = || self.texts.get(id.strip_prefix("sha256:")?);
        self.texts.get(id).or_else(bare).map(String::as_str)
    }
}
