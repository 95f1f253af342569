//! The options of a join.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Refusal;
use crate::change::value::Profile;

/// What a join asked for beside its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinOptions {
    /// How values become JSON.
    pub profile: Profile,
    /// Whether each change is also sent as the event `*`, which clients of the first generation listen to.
    pub star: bool,
}

/// The keys that mean something; tokens are taken and ignored while every channel is open to all.
#[derive(Deserialize)]
struct Payload {
    config: Option<IgnoredAny>,
    since: Option<IgnoredAny>,
    snapshot: Option<IgnoredAny>,
    profile: Option<serde_json::Value>,
    frames: Option<serde_json::Value>,
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
        for (present, name) in [
            (payload.config.is_some(), "config"),
            (payload.since.is_some(), "since"),
            (payload.snapshot.is_some(), "snapshot"),
        ] {
            if present {
                return Err(Refusal::OptionUnsupported(name));
            }
        }
        let profile = match payload.profile.as_ref().map(|value| value.as_str()) {
            None => standard,
            Some(Some("default")) => Profile::Default,
            Some(Some("exact")) => Profile::Exact,
            Some(Some("text")) => Profile::Text,
            Some(_) => return Err(Refusal::Option("profile is \"default\", \"exact\" or \"text\"")),
        };
        let star = match payload.frames.as_ref().map(|value| value.as_str()) {
            None | Some(Some("both")) => true,
            Some(Some("type")) => false,
            Some(_) => return Err(Refusal::Option("frames is \"both\" or \"type\"")),
        };
        Ok(Self { profile, star })
    }
}
