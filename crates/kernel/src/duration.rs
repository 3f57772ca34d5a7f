//! Durations of options as text, days (of 24 hours) included: `"30d"`, `"1h 30m"`.
//! For `#[serde(with = "kernel::duration")]`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serializer, de};

const DAY: u64 = 24 * 3600;

/// Writes the text; whole days as days.
///
/// # Errors
/// When the serializer fails.
pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    if value.subsec_nanos() == 0 && value.as_secs() >= DAY && value.as_secs().is_multiple_of(DAY) {
        return to.collect_str(&format_args!("{}d", value.as_secs() / DAY));
    }
    jiff::fmt::serde::unsigned_duration::friendly::compact::required::serialize(value, to)
}

/// Reads the text.
///
/// # Errors
/// When it is no duration, or a negative one.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let wrong = || {
        de::Error::custom(format!(
            "`{text}` is not a duration like \"15m\" or \"30d\""
        ))
    };
    let span: Span = text.parse().map_err(|_| wrong())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| wrong())
}
