//! Durations of options as text, days (of 24 hours) included: `"30d"`, `"1h 30m"`.
//! For `#[serde(with = "kernel::duration")]`.

use std::{fmt, time::Duration};

use jiff::{Span, SpanRelativeTo};
use serde::{Deserializer, Serializer, de};

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
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Duration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration like \"15m\" or \"30d\"")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    from.deserialize_str(Visitor)
}

fn read(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}
