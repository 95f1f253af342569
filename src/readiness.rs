//! Whether changes are flowing, and if not, why.

use std::borrow::Cow;

/// The states of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connecting for the first time, or preparing publication and slot.
    Starting,
    /// Another process reads the slot; we take over when it stops.
    Standby,
    /// Reading what was written while nobody listened.
    CatchingUp,
    /// Changes arrive as they are committed.
    Live,
    /// The connection was lost; trying again.
    Reconnecting,
}

impl Phase {
    /// As `/ready` shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// The state of the stream with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The state.
    pub phase: Phase,
    /// Why it is not live; empty when it is.
    pub reason: Cow<'static, str>,
}

impl Readiness {
    /// The state before anything happened.
    #[must_use]
    pub const fn starting() -> Self {
        Self { phase: Phase::Starting, reason: Cow::Borrowed("connecting to the database") }
    }

    /// Changes flow.
    #[must_use]
    pub const fn live() -> Self {
        Self { phase: Phase::Live, reason: Cow::Borrowed("") }
    }

    /// As a log tells it.
    #[must_use]
    pub fn describe(&self) -> &str {
        if self.is_live() { "live" } else { &self.reason }
    }

    /// Whether changes flow.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }
}
