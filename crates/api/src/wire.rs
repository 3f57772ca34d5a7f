//! How the parts' data looks on the wire, for the OpenAPI document. The parts'
//! own types are what is sent; a test compares their fields with these.

#![expect(dead_code, reason = "these types describe; nothing is stored in them")]

use utoipa::ToSchema;
use uuid::Uuid;

/// A decimal with at most six places.
pub(crate) type Amount = f64;

/// Where a page stands in its list.
#[derive(ToSchema)]
pub(crate) struct PageMeta {
    /// This page, from 1.
    page: u32,
    /// Rows a page.
    per_page: u32,
    /// Rows in the whole list.
    total: i64,
    /// Pages in the whole list.
    pages: i64,
}

macro_rules! page_of {
    ($($(#[$doc:meta])* $name:ident = $row:ty;)*) => {
        $($(#[$doc])* #[derive(ToSchema)]
        pub(crate) struct $name {
            data: Vec<$row>,
            meta: PageMeta,
        })*
    };
}
page_of! {
    /// A page of conversations.
    ConversationPage = Conversation;
    /// A page of messages, oldest first within the page.
    MessagePage = MessageView;
    /// A page of what was found.
    SearchPage = SearchHit;
    /// A page of a ledger, newest entry first.
    EntryPage = Entry;
}

/// A thread of messages.
#[derive(ToSchema)]
pub(crate) struct Conversation {
    id: Uuid,
    /// Whose it is.
    account_id: Uuid,
    /// Empty before the first prompt.
    title: String,
    /// none, heuristic, model, person
    title_source: String,
    /// The model that answers.
    model_id: String,
    /// What the model is told first.
    system_prompt: Option<String>,
    /// active or closed
    #[schema(example = "active")]
    status: String,
    /// Shown before all others.
    pinned: bool,
    /// Out of the usual list.
    archived: bool,
    /// The last message of the current branch.
    head: Option<Uuid>,
    /// Counts the changes.
    version: i64,
    /// The run that is writing an answer.
    active_run: Option<Uuid>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The assistant it began with, which may be gone.
    assistant_id: Option<Uuid>,
}

/// A message; never changed once it is there.
#[derive(ToSchema)]
pub(crate) struct Message {
    id: Uuid,
    conversation_id: Uuid,
    /// What it answers or follows.
    parent_id: Option<Uuid>,
    /// How many messages stand above it on its branch.
    depth: i64,
    /// user, assistant, system
    role: String,
    content: String,
    /// complete, stopped, interrupted, error
    status: String,
    /// Why its run ended.
    end_reason: Option<String>,
    run_id: Option<Uuid>,
    model_id: Option<String>,
    usage: Option<Usage>,
    /// What it cost.
    credits: Option<Amount>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A message and its place among the versions of the same turn.
#[derive(ToSchema)]
pub(crate) struct MessageView {
    #[schema(inline)]
    #[serde(flatten)]
    message: Message,
    /// Every message with the same parent, oldest first.
    sibling_ids: Vec<Uuid>,
    /// Where this one stands among them, from 0.
    sibling_index: u32,
}

/// The tokens a call took.
#[derive(ToSchema)]
pub(crate) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// What an answer cost.
#[derive(ToSchema)]
pub(crate) struct Charge {
    charged: Amount,
    balance: Amount,
}

/// A whole answer.
#[derive(ToSchema)]
pub(crate) struct WholeAnswer {
    /// The stored answer; null when it was stopped before its first word.
    message: Option<Message>,
    conversation: Conversation,
    usage: Option<Usage>,
    credits: Charge,
    end_reason: String,
    run_id: Uuid,
}

/// A conversation in which something was found; it is told without its system prompt.
#[derive(ToSchema)]
pub(crate) struct SearchHit {
    conversation: Conversation,
    /// Its newest message with the words; null when they are in its title only.
    message_id: Option<Uuid>,
    /// A piece of that message, or the title.
    snippet: String,
}

/// What an account has.
#[derive(ToSchema)]
pub(crate) struct Balance {
    /// Available.
    balance: Amount,
    /// Reserved by answers that are being written.
    held: Amount,
}

/// One entry of a ledger.
#[derive(ToSchema)]
pub(crate) struct Entry {
    id: Uuid,
    #[schema(format = DateTime)]
    created_at: String,
    /// allocate, hold, extend, settle, release, expire, record
    kind: String,
    /// What it did to the balance; negative when credits went.
    amount: Amount,
    /// The balance right after it.
    balance_after: Amount,
    #[schema(required = false)]
    run_id: Option<Uuid>,
    #[schema(required = false)]
    note: Option<String>,
}

/// Whether something could be paid.
#[derive(ToSchema)]
pub(crate) struct Checked {
    allowed: bool,
    /// What the request would hold first.
    required: Amount,
    balance: Amount,
}

/// A cost and how it comes about.
#[derive(ToSchema)]
pub(crate) struct Calculated {
    credits: Amount,
    breakdown: Breakdown,
}

/// The parts of a cost.
#[derive(ToSchema)]
pub(crate) struct Breakdown {
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Credits for 1,000 tokens of the prompt.
    input_price: Amount,
    /// Credits for 1,000 tokens of the answer.
    output_price: Amount,
    prompt_credits: Amount,
    completion_credits: Amount,
}

/// Credits were given.
#[derive(ToSchema)]
pub(crate) struct Allocated {
    message: String,
    balance: Amount,
}

/// Usage was recorded and paid.
#[derive(ToSchema)]
pub(crate) struct Recorded {
    id: Uuid,
    credits: Amount,
    /// What it cost beyond that and could not be paid.
    shortfall: Amount,
    balance: Amount,
}

/// Sums over usage.
#[derive(ToSchema)]
pub(crate) struct Totals {
    requests: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    credits: Amount,
}

/// One group of a series.
#[derive(ToSchema)]
pub(crate) struct Series {
    /// When grouped by day.
    #[schema(required = false)]
    day: Option<String>,
    /// When grouped by model.
    #[schema(required = false)]
    model_id: Option<String>,
    /// When grouped by conversation.
    #[schema(required = false)]
    conversation_id: Option<Uuid>,
    #[schema(inline)]
    #[serde(flatten)]
    totals: Totals,
}

/// Usage, summed.
#[derive(ToSchema)]
pub(crate) struct Stats {
    totals: Totals,
    series: Vec<Series>,
}

/// A sentence.
#[derive(ToSchema)]
pub(crate) struct Said {
    message: String,
}

page_of! {
    /// A page of accounts.
    UserPage = User;
}

/// An organisation.
#[derive(ToSchema)]
pub(crate) struct Tenant {
    id: Uuid,
    slug: String,
    name: String,
}

/// An account's place in a tenant.
#[derive(ToSchema)]
pub(crate) struct Membership {
    tenant: Tenant,
    roles: Vec<String>,
}

/// An account.
#[derive(ToSchema)]
pub(crate) struct User {
    id: Uuid,
    email: String,
    username: Option<String>,
    display_name: String,
    /// guest, user, supervisor, admin, operator
    roles: Vec<String>,
    tenant: Tenant,
    memberships: Vec<Membership>,
    #[schema(format = DateTime)]
    created_at: String,
    /// active or suspended
    #[schema(example = "active")]
    status: String,
    /// When it last signed in to the tenant or renewed its tokens.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
}

/// A device that is signed in.
#[derive(ToSchema)]
pub(crate) struct Device {
    id: Uuid,
    /// What it calls itself.
    user_agent: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    /// Whether it is the one that asks.
    current: bool,
}

page_of! {
    /// A page of one's devices, the last used first.
    DevicePage = Device;
    /// A page of what the models cost.
    PricePage = ModelPrice;
}

/// What a model costs.
#[derive(ToSchema)]
pub(crate) struct ModelPrice {
    model_id: String,
    /// Credits for 1,000 tokens of the prompt.
    input_price: Amount,
    /// Credits for 1,000 tokens of the answer.
    output_price: Amount,
    /// file: the configuration says so; table: the table that is shipped.
    #[schema(example = "file")]
    source: String,
    /// Since when.
    #[schema(format = DateTime)]
    valid_from: String,
}

/// What a device or the page gets when it has signed in or refreshed.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum SignedIn {
    Tokens(Tokens),
    CookieSession(CookieSession),
}

/// What the page gets: its tokens are in cookies.
#[derive(ToSchema)]
pub(crate) struct CookieSession {
    #[schema(example = "cookie")]
    token_type: String,
    /// Seconds until the access token expires; `POST /auth/refresh` renews it.
    expires_in: u64,
    user: User,
}

/// What a device gets when it has signed in or refreshed.
#[derive(ToSchema)]
pub(crate) struct Tokens {
    /// For the header `Authorization: Bearer`.
    access_token: String,
    /// For the next pair; good for one use.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: String,
    /// Seconds until the access token expires.
    expires_in: u64,
    user: User,
}
