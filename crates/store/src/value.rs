//! Values on their way into and out of the database. Both databases keep their
//! native types: PostgreSQL uuid, timestamptz, jsonb and bytea; SQLite 16-byte
//! blobs, microseconds since the epoch, JSON text and blobs.

use std::borrow::Cow;

use jiff::Timestamp;
use kernel::{Credits, Error, Id, Result};
use serde_json::Value as Json;
use uuid::Uuid;

/// One parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param<'a> {
    /// SQL NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A measurement; never money.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// An id.
    Uuid(Uuid),
    /// A moment, in microseconds.
    Time(Timestamp),
    /// A JSON document.
    Json(Cow<'a, Json>),
}

impl Param<'_> {
    /// The same, borrowing nothing.
    pub(crate) fn owned(&self) -> Param<'static> {
        match self {
            Param::Null => Param::Null,
            Param::Bool(value) => Param::Bool(*value),
            Param::Int(value) => Param::Int(*value),
            Param::Float(value) => Param::Float(*value),
            Param::Text(text) => Param::Text(Cow::Owned(text.clone().into_owned())),
            Param::Bytes(bytes) => Param::Bytes(Cow::Owned(bytes.clone().into_owned())),
            Param::Uuid(uuid) => Param::Uuid(*uuid),
            Param::Time(time) => Param::Time(*time),
            Param::Json(json) => Param::Json(Cow::Owned(json.clone().into_owned())),
        }
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $param:expr;)*) => {
        $(impl<'a> From<$type> for Param<'a> {
            fn from($value: $type) -> Self {
                $param
            }
        })*
    };
}
from! {
    bool => |value| Param::Bool(value);
    i64 => |value| Param::Int(value);
    i32 => |value| Param::Int(value.into());
    u32 => |value| Param::Int(value.into());
    u16 => |value| Param::Int(value.into());
    f64 => |value| Param::Float(value);
    &'a str => |value| Param::Text(Cow::Borrowed(value));
    &'a String => |value| Param::Text(Cow::Borrowed(value));
    String => |value| Param::Text(Cow::Owned(value));
    &'a [u8] => |value| Param::Bytes(Cow::Borrowed(value));
    &'a Vec<u8> => |value| Param::Bytes(Cow::Borrowed(value));
    Vec<u8> => |value| Param::Bytes(Cow::Owned(value));
    Uuid => |value| Param::Uuid(value);
    Timestamp => |value| Param::Time(value);
    Credits => |value| Param::Int(value.micros());
    &'a Json => |value| Param::Json(Cow::Borrowed(value));
    Json => |value| Param::Json(Cow::Owned(value));
}

impl<K> From<Id<K>> for Param<'_> {
    fn from(id: Id<K>) -> Self {
        Param::Uuid(id.uuid())
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Param::Null, Into::into)
    }
}

/// The parameters of a statement: `params![id, name]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::Param::from($value)),*] };
}

/// One value of a result.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// SQL NULL; also what stays behind when a value has been taken.
    #[default]
    Null,
    /// A truth value (PostgreSQL; SQLite answers 0 and 1).
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A measurement.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An id (PostgreSQL; SQLite answers bytes).
    Uuid(Uuid),
    /// A moment (PostgreSQL; SQLite answers microseconds).
    Time(Timestamp),
    /// A document (PostgreSQL; SQLite answers text).
    Json(Json),
}

/// One row of a result. Values are taken out of it by position, each once.
#[derive(Debug, Clone)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// Takes the value of a column, from 0.
    ///
    /// # Errors
    /// When there is no such column or it holds another type: a fault of the query.
    pub fn get<T: FromValue>(&mut self, column: usize) -> Result<T> {
        let value = self
            .0
            .get_mut(column)
            .map(std::mem::take)
            .ok_or_else(|| Error::internal(format!("the result has no column {column}")))?;
        T::from_value(value)
            .map_err(|value| Error::internal(format!("column {column} is unexpected: {value:?}")))
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// Converts, or gives back what it cannot convert.
    ///
    /// # Errors
    /// The value, when it is of another type.
    fn from_value(value: Value) -> Result<Self, Value>;
}

macro_rules! from_value {
    ($($type:ty { $($pattern:pat $(if $guard:expr)? => $result:expr),* $(,)? })*) => {
        $(impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self, Value> {
                match value {
                    $($pattern $(if $guard)? => Ok($result),)*
                    other => Err(other),
                }
            }
        })*
    };
}
from_value! {
    i64 { Value::Int(n) => n }
    bool { Value::Bool(b) => b, Value::Int(n) => n != 0 }
    f64 { Value::Float(f) => f, Value::Int(n) => n as f64 }
    String { Value::Text(text) => text }
    Vec<u8> { Value::Bytes(bytes) => bytes }
    Credits { Value::Int(n) => Credits::from_micros(n) }
}

impl FromValue for Uuid {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Uuid(uuid) => Ok(uuid),
            Value::Bytes(bytes) => Self::from_slice(&bytes).map_err(|_| Value::Bytes(bytes)),
            other => Err(other),
        }
    }
}

impl<K> FromValue for Id<K> {
    fn from_value(value: Value) -> Result<Self, Value> {
        Uuid::from_value(value).map(Self::from_uuid)
    }
}

impl FromValue for Timestamp {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Time(time) => Ok(time),
            Value::Int(micros) => Self::from_microsecond(micros).map_err(|_| Value::Int(micros)),
            other => Err(other),
        }
    }
}

impl FromValue for Json {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Json(json) => Ok(json),
            Value::Text(text) => serde_json::from_str(&text).map_err(|_| Value::Text(text)),
            other => Err(other),
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Int(n) => Self::try_from(n).map_err(|_| Value::Int(n)),
            other => Err(other),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}
