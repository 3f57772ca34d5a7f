//! A run as it is stored: its states, how it ended, and its row.

use kernel::{AccountId, Context, Error, NodeId, RequestId, Result, RunId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{Reads, Row, params};
use uuid::Uuid;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Stored, its owner has not begun.
    Pending,
    /// Waits for a worker.
    Queued,
    /// Its owner works on it.
    Running,
    /// Waits for a person.
    Paused,
    /// Ended with a result.
    Succeeded,
    /// Ended by a fault.
    Failed,
    /// Ended because somebody wanted it.
    Cancelled,
}

impl RunState {
    /// Whether it has ended; nothing leaves such a state.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a run ended; decides its terminal state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The work was done.
    Stop,
    /// The answer reached its greatest length.
    Length,
    /// The credits ran out on the way; what was produced is kept and paid.
    InsufficientCredits,
    /// The process died or stopped.
    Interrupted,
    /// Something failed.
    Error,
    /// The owner stopped it.
    Stopped,
    /// A supervisor took the conversation over.
    TakenOver,
}

impl EndReason {
    /// The state a run with this reason ends in.
    #[must_use]
    pub const fn state(self) -> RunState {
        match self {
            Self::Stop | Self::Length | Self::InsufficientCredits => RunState::Succeeded,
            Self::Interrupted | Self::Error => RunState::Failed,
            Self::Stopped | Self::TakenOver => RunState::Cancelled,
        }
    }

    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::InsufficientCredits => "insufficient_credits",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
            Self::Stopped => "stopped",
            Self::TakenOver => "taken_over",
        }
    }
}

/// Reads a stored name back into its enum.
fn named<T: for<'de> Deserialize<'de>>(name: String) -> Result<T> {
    serde_json::from_value(Json::String(name)).map_err(Error::internal)
}

/// A run as it is stored.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Whose data it works on.
    pub tenant: TenantId,
    /// Which handler does it.
    pub kind: String,
    /// Who asked for it and may see it.
    pub owner: AccountId,
    /// What it works on: the conversation of an answer.
    pub subject: Option<Uuid>,
    /// Where it stands.
    pub state: RunState,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// Raised by each take-over; fences every append.
    pub epoch: i64,
    /// The node that works on it.
    pub node: NodeId,
    /// Somebody wants it to end for this reason.
    pub cancel: Option<EndReason>,
    /// What the handler was given.
    pub input: Json,
    /// What was used, once it ended.
    pub usage: Option<Json>,
    /// What was tried, as far as is stored.
    pub attempts: Option<Json>,
    /// Which way was chosen and why, as far as is stored.
    pub routing: Option<Json>,
    /// The request that asked for it.
    pub request: RequestId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

pub(crate) const COLUMNS: &str =
    "id, tenant_id, kind, owner_id, subject_id, state, end_reason, epoch,
    lease_owner, cancel_reason, input, usage, attempts, routing, request_id, created_at, ended_at";

/// The states that are not terminal, for statements.
pub(crate) const ALIVE: &str = "('pending', 'queued', 'running', 'paused')";

impl RunRecord {
    pub(crate) fn from_row(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            tenant: row.get(1)?,
            kind: row.get(2)?,
            owner: row.get(3)?,
            subject: row.get(4)?,
            state: named(row.get(5)?)?,
            end_reason: row.get::<Option<String>>(6)?.map(named).transpose()?,
            epoch: row.get(7)?,
            node: row.get(8)?,
            cancel: row.get::<Option<String>>(9)?.map(named).transpose()?,
            input: row.get(10)?,
            usage: row.get(11)?,
            attempts: row.get(12)?,
            routing: row.get(13)?,
            request: row.get(14)?,
            created_at: row.get(15)?,
            ended_at: row.get(16)?,
        })
    }

    /// The platform itself, bound to the run's tenant and request.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::system("run", self.tenant, self.request)
    }

    /// Whether the caller may see this run: its owner, or the platform itself.
    #[must_use]
    pub fn is_visible_to(&self, ctx: &Context) -> bool {
        ctx.tenant() == self.tenant
            && (ctx.is_system() || ctx.account().is_ok_and(|account| account == self.owner))
    }

    /// The handler's input, typed.
    ///
    /// # Errors
    /// When it is not of that type: a fault of the part that made the run.
    pub fn input<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        T::deserialize(&self.input).map_err(Error::internal)
    }
}

pub(crate) async fn find(reads: &mut Reads, tenant: TenantId, id: RunId) -> Result<RunRecord> {
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE tenant_id = $1 AND id = $2");
    reads
        .query_opt(&sql, params![tenant, id])
        .await?
        .map(RunRecord::from_row)
        .transpose()?
        .ok_or_else(|| Error::not_found("Run"))
}
