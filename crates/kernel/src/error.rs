//! Errors: one type, one table of codes. A code names its kind, the kind maps
//! to HTTP; the sentence says what happened and what to do. The cause is for
//! the log and never for the client.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use serde::Serialize;

/// The result of every operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; decides the HTTP status and the log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be read, or names a model that does not exist.
    Malformed,
    /// Nobody known is asking.
    Unauthenticated,
    /// There are not enough credits.
    PaymentRequired,
    /// Known, but not allowed.
    Forbidden,
    /// Absent, or not the caller's.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client took too long to send its request.
    RequestTimeout,
    /// It contradicts what is there.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// The body's media type is not understood.
    UnsupportedMedia,
    /// Readable, but a value is not acceptable.
    Invalid,
    /// Too often.
    RateLimited,
    /// A fault of the platform.
    Internal,
    /// The model provider failed.
    ProviderFailed,
    /// Something the platform needs is down.
    Unavailable,
    /// The model provider took too long.
    ProviderTimeout,
}

impl ErrorKind {
    /// The HTTP status (RFC 9110).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::PaymentRequired => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMedia => 415,
            Self::Invalid => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::ProviderFailed => 502,
            Self::Unavailable => 503,
            Self::ProviderTimeout => 504,
        }
    }

    /// Whether the platform, not the client, is at fault.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        self.http_status() >= 500
    }
}

/// A stable name for one thing that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// snake_case; its page is `docs/errors/<name>.md`.
    pub name: &'static str,
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// A short title, the same for every occurrence.
    pub title: &'static str,
}

impl Code {
    /// The code of this name, for answers that were stored.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        codes::ALL.iter().copied().find(|code| code.name == name)
    }
}

/// Every code the platform answers with.
pub mod codes {
    use super::{Code, ErrorKind};

    macro_rules! codes {
        ($($const:ident = $name:literal, $kind:ident, $title:literal;)*) => {
            $(
                #[doc = concat!("`", $name, "`: ", $title, ".")]
                pub const $const: Code =
                    Code { name: $name, kind: ErrorKind::$kind, title: $title };
            )*
            /// All of them, for documentation and tests.
            pub const ALL: &[Code] = &[$($const),*];
        };
    }

    codes! {
        MALFORMED_REQUEST = "malformed_request", Malformed, "The request cannot be read";
        INVALID_MODEL = "invalid_model", Malformed, "Invalid or unsupported model ID";
        NOT_AUTHENTICATED = "not_authenticated", Unauthenticated, "Not signed in";
        INVALID_CREDENTIALS = "invalid_credentials", Unauthenticated, "Wrong name or password";
        INVALID_TOKEN = "invalid_token", Unauthenticated, "The token is not valid";
        TOKEN_EXPIRED = "token_expired", Unauthenticated, "The token has expired";
        TOKEN_REVOKED = "token_revoked", Unauthenticated, "The token has been revoked";
        INSUFFICIENT_CREDITS = "insufficient_credits", PaymentRequired, "Insufficient credits";
        FORBIDDEN = "forbidden", Forbidden, "Not allowed";
        CSRF_FAILED = "csrf_failed", Forbidden, "The request came from another site";
        WRONG_PASSWORD = "wrong_password", Forbidden, "The current password is wrong";
        ACCOUNT_SUSPENDED = "account_suspended", Forbidden, "The account is suspended";
        NOT_FOUND = "not_found", NotFound, "Not found";
        METHOD_NOT_ALLOWED = "method_not_allowed", MethodNotAllowed, "Method not allowed";
        REQUEST_TIMEOUT = "request_timeout", RequestTimeout, "The request took too long to arrive";
        EMAIL_ALREADY_EXISTS = "email_already_exists", Conflict, "The email is taken";
        CONVERSATION_BUSY = "conversation_busy", Conflict, "An answer is still being written";
        COMMAND_EXISTS = "command_exists", Conflict, "Another prompt has this command";
        TOO_MANY = "too_many", Conflict, "There are as many as there may be";
        LAST_ADMIN = "last_admin", Conflict, "Nobody else administers the tenant";
        CONFLICT = "conflict", Conflict, "It has changed meanwhile";
        PAYLOAD_TOO_LARGE = "payload_too_large", TooLarge, "The request is too large";
        UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UnsupportedMedia, "Unsupported media type";
        VALIDATION_FAILED = "validation_failed", Invalid, "A value is not acceptable";
        MODEL_WITHOUT_PRICE = "model_without_price", Invalid, "The model has no price";
        CONTEXT_TOO_LONG = "context_too_long", Invalid, "The prompt does not fit the model";
        IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", Invalid, "The idempotency key was used for another request";
        RATE_LIMITED = "rate_limited", RateLimited, "Too many requests";
        TOO_MANY_ATTEMPTS = "too_many_attempts", RateLimited, "Too many failed attempts";
        INTERNAL = "internal_error", Internal, "Something went wrong here";
        PROVIDER_FAILED = "provider_failed", ProviderFailed, "The model provider failed";
        PROVIDER_TIMEOUT = "provider_timeout", ProviderTimeout, "The model provider took too long";
        DATABASE_UNAVAILABLE = "database_unavailable", Unavailable, "The database is not available";
        NO_MODEL = "no_model", Unavailable, "No model is configured";
        BUSY = "server_busy", Unavailable, "The server is at its limit";
        SHUTTING_DOWN = "shutting_down", Unavailable, "The server is stopping";
        INTERRUPTED = "interrupted", Unavailable, "The answer was interrupted";
    }
}

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name, dotted for nested ones.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A failure, with everything an answer needs.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure with a sentence for the person who reads it.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// A fault of the platform; the cause goes to the log only.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            codes::INTERNAL,
            "Something went wrong on our side; please try again, and report the request id if it stays.",
        )
        .caused_by(cause)
    }

    /// Absent, or not the caller's: the two are not told apart.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(codes::NOT_FOUND, format!("{what} not found."))
    }

    /// One field is not acceptable.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::new(codes::VALIDATION_FAILED, format!("{field}: {message}"))
            .with_field(field, message)
    }

    /// Adds what is wrong with one field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.fields.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind
    }

    /// Whether it is this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code
    }

    /// The sentence for the person who reads it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong with which field.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When to try again, if that is known.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The cause, if it is of this type.
    #[must_use]
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        self.0
            .cause
            .as_deref()
            .and_then(|cause| cause.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name, self.0.detail)
    }
}

impl fmt::Debug for Error {
    /// With the whole chain of causes, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::HashSet::new();
        for code in codes::ALL {
            assert!(seen.insert(code.name), "{} twice", code.name);
            assert!(
                code.name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_')
            );
        }
    }

    #[test]
    fn the_cause_is_for_the_log_only() {
        let error = Error::internal("secret path");
        assert!(!error.to_string().contains("secret"));
        assert!(!error.detail().contains("secret"));
        assert!(format!("{error:?}").contains("secret path"));
    }
}
