//! Credits: integer micro-credits with checked arithmetic. No floating point
//! number ever takes part in a calculation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of credits, in millionths of a credit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Credits(i64);

/// Why a text or a calculation is not an amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreditsError {
    /// Not a decimal number.
    #[error("an amount of credits is a decimal number")]
    NotANumber,
    /// Finer than a millionth.
    #[error("an amount of credits has at most six decimal places")]
    TooFine,
    /// Beyond what one operation may move.
    #[error("an amount of credits is below 1,000,000,000")]
    TooLarge,
}

const MICROS: i64 = 1_000_000;
/// Amounts that clients send stay below this many credits, so that the JSON
/// decimal (15 significant digits) is exact.
const LIMIT: i64 = 1_000_000_000;

impl Credits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From millionths of a credit.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole credits, saturating.
    #[must_use]
    pub const fn whole(credits: i64) -> Self {
        Self(credits.saturating_mul(MICROS))
    }

    /// In millionths of a credit.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, or `None` on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` on overflow.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The amount with the other sign, or `None` on overflow.
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(negated) => Some(Self(negated)),
            None => None,
        }
    }

    /// More than nothing.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Exactly nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Credits {
    /// The shortest decimal: `12`, `0.5`, `-3.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (whole, part) = (
            micros / MICROS.unsigned_abs(),
            micros % MICROS.unsigned_abs(),
        );
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} credits")
    }
}

impl FromStr for Credits {
    type Err = CreditsError;

    /// A plain decimal (`12`, `-0.5`), or one with an exponent as JSON allows (`1e-3`).
    fn from_str(text: &str) -> Result<Self, CreditsError> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, text)) => (mantissa, exponent(text)?),
            None => (rest, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(part) {
            return Err(CreditsError::NotANumber);
        }
        if mantissa.ends_with('.') {
            return Err(CreditsError::NotANumber);
        }
        let digits = format!("{whole}{part}");
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Self::ZERO);
        }
        // value = digits * 10^(exponent - part.len()); in micros: + 6.
        let places = i32::try_from(part.len()).map_err(|_| CreditsError::NotANumber)?;
        let shift = exponent.saturating_sub(places).saturating_add(6);
        let significant = digits.trim_end_matches('0');
        let zeros = i32::try_from(digits.len() - significant.len()).unwrap_or(0);
        let shift = shift.saturating_add(zeros);
        if shift < 0 {
            return Err(CreditsError::TooFine);
        }
        if significant.len() > 18 || shift > 18 {
            return Err(CreditsError::TooLarge);
        }
        let micros = significant
            .parse::<i64>()
            .ok()
            .and_then(|n| {
                10_i64
                    .checked_pow(shift.unsigned_abs())
                    .and_then(|p| n.checked_mul(p))
            })
            .filter(|micros| *micros < LIMIT * MICROS)
            .ok_or(CreditsError::TooLarge)?;
        Ok(Self(if negative { -micros } else { micros }))
    }
}

/// The exponent of a JSON number. One beyond any sense stays beyond any sense: it is only compared, so
/// that its size costs no time.
fn exponent(text: &str) -> Result<i32, CreditsError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CreditsError::NotANumber);
    }
    let size = digits.parse().unwrap_or(i32::MAX);
    Ok(if text.starts_with('-') { -size } else { size })
}

impl Serialize for Credits {
    /// A JSON number with at most six places (`1e-6` for the smallest).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % MICROS == 0 {
            return serializer.serialize_i64(self.0 / MICROS);
        }
        // Only written, never calculated with: the shortest decimal of this
        // quotient is the exact amount up to 15 significant digits.
        #[expect(clippy::cast_precision_loss, reason = "for output only")]
        serializer.serialize_f64(self.0 as f64 / MICROS as f64)
    }
}

impl<'de> Deserialize<'de> for Credits {
    /// For the configuration and for what the platform itself has written: a number that is read as a
    /// float first loses what is finer than its 15 digits. What clients send is read from its own text
    /// ([`FromStr`]).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn read<E: de::Error>(text: &str) -> Result<Credits, E> {
            text.parse().map_err(E::custom)
        }
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Credits;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of credits with at most six decimal places")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Credits, E> {
                read(&value.to_string())
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Credits, E> {
                read(&value.to_string())
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Credits, E> {
                // The shortest decimal that reads back as this number is what
                // was written, up to 15 digits.
                read(&value.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_exact_decimals() {
        for (text, micros) in [
            ("0", 0),
            ("1", 1_000_000),
            ("0.000001", 1),
            ("12.5", 12_500_000),
            ("-3.000001", -3_000_001),
            ("999999999.999999", 999_999_999_999_999),
        ] {
            assert_eq!(text.parse::<Credits>().unwrap().micros(), micros);
            assert_eq!(Credits::from_micros(micros).to_string(), text);
            let json = serde_json::to_string(&Credits::from_micros(micros)).unwrap();
            // JSON writes what is below 0.00001 with an exponent: the same number.
            let written = if micros == 1 { "1e-6" } else { text };
            assert_eq!(json, written);
            assert_eq!(
                serde_json::from_str::<Credits>(&json).unwrap().micros(),
                micros
            );
        }
        assert_eq!("1.50".parse::<Credits>().unwrap().micros(), 1_500_000);
        assert_eq!("1.0000000".parse::<Credits>().unwrap().micros(), 1_000_000);
        assert_eq!(
            serde_json::from_str::<Credits>("1e-3").unwrap().micros(),
            1_000
        );
    }

    /// `1e2` is a JSON number like `100`.
    #[test]
    fn exponents_are_exact_and_their_size_costs_nothing() {
        for (text, micros) in [
            ("1e2", 100_000_000),
            ("1E+2", 100_000_000),
            ("1.5e-5", 15),
            ("100e-8", 1),
            ("0.0000000001e9", 100_000),
            ("-2.5e1", -25_000_000),
            ("0e999999999999999999999", 0),
            ("0.000e-999999999999999999999", 0),
        ] {
            assert_eq!(
                text.parse::<Credits>().map(Credits::micros),
                Ok(micros),
                "{text}"
            );
        }
        let nines = "9".repeat(100_000);
        let zeros = "0".repeat(100_000);
        for (text, result) in [
            (format!("1e{nines}"), Err(CreditsError::TooLarge)),
            (format!("-1e{nines}"), Err(CreditsError::TooLarge)),
            (format!("1e-{nines}"), Err(CreditsError::TooFine)),
            ("1e2147483647".to_owned(), Err(CreditsError::TooLarge)),
            ("1e-2147483648".to_owned(), Err(CreditsError::TooFine)),
            (format!("1.{zeros}1"), Err(CreditsError::TooFine)),
            (format!("{nines}.5"), Err(CreditsError::TooLarge)),
            (format!("1.{zeros}"), Ok(Credits::whole(1))),
            (format!("0.{zeros}1e100001"), Ok(Credits::whole(1))),
        ] {
            assert_eq!(text.parse::<Credits>(), result, "{} bytes", text.len());
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for (text, error) in [
            ("", CreditsError::NotANumber),
            ("abc", CreditsError::NotANumber),
            ("1.", CreditsError::NotANumber),
            (".5", CreditsError::NotANumber),
            ("+1", CreditsError::NotANumber),
            ("--1", CreditsError::NotANumber),
            ("NaN", CreditsError::NotANumber),
            ("0.0000001", CreditsError::TooFine),
            ("1e-7", CreditsError::TooFine),
            ("1000000000", CreditsError::TooLarge),
            ("1e300", CreditsError::TooLarge),
            ("99999999999999999999999", CreditsError::TooLarge),
            // More places than a float has.
            ("1.00000000000000001", CreditsError::TooFine),
            ("0.10000000000000000555", CreditsError::TooFine),
            ("1e", CreditsError::NotANumber),
            ("1e+", CreditsError::NotANumber),
            ("1e+-5", CreditsError::NotANumber),
            ("1e1.5", CreditsError::NotANumber),
            ("1e5e5", CreditsError::NotANumber),
        ] {
            assert_eq!(text.parse::<Credits>(), Err(error), "{text}");
        }
        for json in [
            "1e400",
            "18446744073709551616",
            "\"x\"",
            "\"10\"",
            "true",
            "null",
            "[]",
            "1.0000001",
        ] {
            assert!(serde_json::from_str::<Credits>(json).is_err(), "{json}");
        }
    }
}
