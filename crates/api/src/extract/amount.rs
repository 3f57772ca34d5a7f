//! Amounts of credits that clients send: read from the number's own text, because a float loses places
//! without a word.

use kernel::Credits;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// An amount of credits in a body. Every input that has one has it by this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) Credits);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(de::Error::custom(
                "must be a number: an amount of credits with at most six decimal places",
            ));
        }
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_what_was_written_to_the_last_place() {
        let read =
            |text: &str| serde_json::from_str::<Amount>(text).map(|amount| amount.0.micros());
        for (text, micros) in [
            ("1", 1_000_000),
            ("1.000001", 1_000_001),
            ("1.00000000000000000000", 1_000_000),
            ("999999999.999999", 999_999_999_999_999),
            ("-0.5", -500_000),
            ("1e2", 100_000_000),
            ("1.5E-5", 15),
        ] {
            assert_eq!(read(text).unwrap(), micros, "{text}");
        }
        for text in [
            "1.00000000000000001",
            "0.10000000000000000555",
            "999999999.9999999999999999",
            "1e-7",
            "1e400",
            "1e99999999999999999999",
            "1000000000",
            "\"10\"",
            "null",
            "true",
            "[1]",
            "{\"amount\": 1}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
    /// A body that takes `Credits` itself takes what a float has made of them.
    #[test]
    fn every_body_takes_its_amounts_so() {
        let routes = concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes");
        let mut bodies = 0;
        for file in std::fs::read_dir(routes).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("#[derive(").skip(1) {
                let (derives, rest) = part.split_once(")]").unwrap();
                let fields = rest.split("\n}").next().unwrap();
                if derives.contains("Deserialize") {
                    bodies += 1;
                    assert!(!fields.contains("Credits"), "{}: {fields}", path.display());
                }
            }
        }
        assert!(bodies > 10, "{bodies}");
    }
}
