//! `/health`: the process lives. `/ready`: changes flow.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::App;

pub(super) async fn health() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "status": "ok" }))).into_response()
}

/// 200 when live, else 503; `position` and `epoch` are null before the first session.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let readiness = app.readiness.borrow().clone();
    let (position, epoch) = app.hub.interest().table().position();
    let body = json!({
        "status": readiness.phase.name(),
        "epoch": epoch.map(|epoch| epoch.to_string()),
        "position": epoch.map(|_| position.to_string()),
        "reason": readiness.reason,
    });
    let status = if readiness.is_live() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
