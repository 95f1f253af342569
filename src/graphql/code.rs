//! The codes that errors of operations carry in `extensions.code`, beside SQLSTATEs. docs/errors.md explains each, and a
//! test compares.

/// See [`super::plan::PlanError::Depth`].
pub const TOO_DEEP: &str = "TooDeep";
/// See [`super::plan::PlanError::Cost`].
pub const TOO_COSTLY: &str = "TooCostly";
/// A list that is too long, whether asked for or found.
pub const TOO_MANY_ROWS: &str = "TooManyRows";
/// `__schema` and `__type` are not answered.
pub const INTROSPECTION_OFF: &str = "IntrospectionOff";
/// An argument that is valid GraphQL and has no meaning.
pub const ARGUMENT_INVALID: &str = "ArgumentInvalid";
/// A fault of ours.
pub const INTERNAL_ERROR: &str = "InternalError";
/// A row that the schema says is there cannot be seen.
pub const ROW_MISSING: &str = "RowMissing";
/// A float is NaN or infinite.
pub const NOT_FINITE: &str = "NotFinite";
/// An array has more dimensions than its type tells of.
pub const ARRAY_NESTED: &str = "ArrayNested";
/// The database cannot be had at present, or no schema was read from it yet.
pub const UNAVAILABLE: &str = "Unavailable";
/// A statement took longer than it may.
pub const TIMEOUT: &str = "Timeout";
/// GraphQL is not served here.
pub const GRAPHQL_OFF: &str = "GraphqlOff";
/// A live query depends on what changes do not tell.
pub const LIVE_UNSEEN: &str = "LiveUnseen";
/// Live queries cannot be followed here.
pub const LIVE_OFF: &str = "LiveOff";
/// A function returned null where its row type has none.
pub const NULL_UNEXPECTED: &str = "NullUnexpected";
/// As many live queries run as may.
pub const TOO_MANY_LIVE: &str = "TooManyLive";
/// A row was gone before all that was asked of it could be read.
pub const ROW_GONE: &str = "RowGone";
/// As many subscriptions run as may.
pub const TOO_MANY_SUBSCRIPTIONS: &str = "TooManySubscriptions";
/// A subscriber reads too slowly.
pub const SUBSCRIPTION_OVERFLOW: &str = "SubscriptionOverflow";
/// Changes may have been missed.
pub const CHANGES_MISSED: &str = "ChangesMissed";
