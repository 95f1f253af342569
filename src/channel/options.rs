//! The options of a join.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Refusal;
use crate::change::value::Profile;
use crate::lsn::Since;

/// What a join asked for beside its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinOptions {
    /// How values become JSON.
    pub profile: Profile,
    /// Whether each change is also sent as the event `*`, which clients of the first generation listen to.
    pub star: bool,
    /// From where the client wants to go on.
    pub since: Option<Since>,
    /// Whether the table's rows are to come first, unless the client can go on from where it was.
    pub snapshot: Option<SnapshotOptions>,
}

/// What is wanted of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The most rows.
    pub limit: Option<u64>,
}

/// The keys that mean something; tokens are taken and ignored while every channel is open to all.
#[derive(Deserialize)]
struct Payload {
    config: Option<IgnoredAny>,
    since: Option<Value>,
    epoch: Option<Value>,
    snapshot: Option<Value>,
    profile: Option<Value>,
    frames: Option<Value>,
}

impl JoinOptions {
    /// Reads the payload of a join; without a word on it, values have the `standard` profile.
    ///
    /// # Errors
    /// Names the option that is wrong, or whose capability is not there: silence would promise it.
    pub fn parse(payload: &str, standard: Profile) -> Result<Self, Refusal> {
        let payload = if payload == "null" { "{}" } else { payload };
        let payload: Payload = serde_json::from_str(payload)
            .map_err(|_| Refusal::Option("the payload of phx_join is an object"))?;
        if payload.config.is_some() {
            return Err(Refusal::OptionUnsupported("config"));
        }
        let profile = payload.profile.as_ref().map(|value| value.as_str().and_then(Profile::parse));
        let profile = profile
            .unwrap_or(Some(standard))
            .ok_or(Refusal::Option("profile is \"default\", \"exact\" or \"text\""))?;
        let star = match payload.frames.as_ref().map(|value| value.as_str()) {
            None | Some(Some("both")) => true,
            Some(Some("type")) => false,
            Some(_) => return Err(Refusal::Option("frames is \"both\" or \"type\"")),
        };
        let since = since(payload.since.as_ref(), payload.epoch.as_ref())?;
        let snapshot = snapshot(payload.snapshot.as_ref())?;
        Ok(Self { profile, star, since, snapshot })
    }
}

/// A cursor with its epoch: in one token, or beside each other. An epoch that cannot be read is another one.
fn since(since: Option<&Value>, epoch: Option<&Value>) -> Result<Option<Since>, Refusal> {
    let Some(since) = since else { return Ok(None) };
    let since = since.as_str().and_then(|token| token.parse::<Since>().ok());
    let mut since = since
        .ok_or(Refusal::Option("since is a cursor, as changes and join replies carry it, or EPOCH.CURSOR"))?;
    if let Some(epoch) = epoch {
        since.epoch = epoch.as_str().and_then(|token| token.parse().ok());
    }
    Ok(Some(since))
}

fn snapshot(snapshot: Option<&Value>) -> Result<Option<SnapshotOptions>, Refusal> {
    match snapshot {
        None | Some(Value::Bool(false)) => Ok(None),
        Some(Value::Bool(true)) => Ok(Some(SnapshotOptions::default())),
        Some(Value::Object(wanted)) if wanted.keys().all(|key| key == "limit") => match wanted.get("limit") {
            None => Ok(Some(SnapshotOptions::default())),
            Some(limit) if limit.is_u64() => Ok(Some(SnapshotOptions { limit: limit.as_u64() })),
            Some(_) => Err(Refusal::Option("the limit of a snapshot is a whole number of rows")),
        },
        Some(_) => Err(Refusal::Option("snapshot is true or {\"limit\": ROWS}")),
    }
}
