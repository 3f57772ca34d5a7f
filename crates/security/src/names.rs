//! What names and passwords may look like, and their one normal form. Pure.

use kernel::{Error, Result, codes, text};

use crate::Secret;

/// Characters of a password, at least and at most (NIST SP 800-63B asks for 8 and for 64 or more).
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;
const DISPLAY_NAME: usize = 100;
const USER_AGENT: usize = 200;
/// RFC 5321: 64 octets before the @, 254 in all.
const EMAIL: usize = 254;
const LOCAL_PART: usize = 64;

/// Collects what is wrong with each field, to tell it all at once.
#[derive(Default)]
pub(crate) struct Problems(Option<Error>);

impl Problems {
    pub(crate) fn add(&mut self, field: &str, message: &str) {
        self.0 = Some(match self.0.take() {
            None => Error::invalid(field, message),
            Some(error) => error.with_field(field, message),
        });
    }

    /// The value, or a note of what is wrong with it.
    pub(crate) fn check<T>(&mut self, field: &str, value: Result<T, &'static str>) -> Option<T> {
        value.map_err(|message| self.add(field, message)).ok()
    }

    pub(crate) fn error(self) -> Error {
        self.0
            .unwrap_or_else(|| Error::new(codes::VALIDATION_FAILED, "A value is not acceptable."))
    }
}

/// The normal form of an email address: trimmed, lower case. Accepts the usual addresses (RFC 5321's
/// dot-atoms, international letters included), also on hosts without a dot; no quoted ones.
pub(crate) fn email(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "must be an email address like name@example.org";
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
    let in_atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let local_fits = local.len() <= LOCAL_PART
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(in_atom));
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    // Some letters are blank.
    let fits = text.len() <= EMAIL
        && local_fits
        && domain.split('.').all(label_fits)
        && !text::has_unseen(&text);
    if fits { Ok(text) } else { Err(WRONG) }
}

/// The normal form of a user name: lower case. Never an email address.
pub(crate) fn username(text: &str) -> Result<String, &'static str> {
    let text = text.trim().to_lowercase();
    let fits = (2..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(text)
    } else {
        Err("must be 2 to 64 of the characters a-z, 0-9, `.`, `_` and `-`")
    }
}

/// The display name, or the email's local part where none is given.
pub(crate) fn display_name(text: Option<&str>, email: &str) -> Result<String, &'static str> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| email.rsplit_once('@').map_or(email, |(local, _)| local));
    if text.chars().count() > DISPLAY_NAME {
        return Err("must be at most 100 characters");
    }
    if text::has_unseen(text) {
        return Err(text::UNSEEN);
    }
    Ok(text.to_owned())
}

/// What an account is looked for by.
pub(crate) fn sought(email: &str, username: Option<&str>, display_name: &str) -> String {
    let text = [email, username.unwrap_or_default(), display_name].join("\n");
    text.to_lowercase()
}

/// Whether the text may become a password.
pub(crate) fn password(secret: &Secret) -> Result<(), &'static str> {
    if PASSWORD.contains(&secret.expose().chars().count()) {
        Ok(())
    } else {
        Err("must be 8 to 256 characters")
    }
}

/// What somebody signs in with, as emails and user names are stored. `None` for what cannot be a name.
pub(crate) fn sign_in(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let fits = !text.is_empty() && text.len() <= EMAIL && !text.chars().any(char::is_control);
    fits.then_some(text)
}

/// What a device calls itself, made fit for a list.
pub(crate) fn user_agent(text: &str) -> Option<String> {
    let text: String = text::without_unseen(text)
        .chars()
        .take(USER_AGENT)
        .collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for (text, normal) in [
            (" Ann.Lee+x@Example.ORG ", "ann.lee+x@example.org"),
            ("admin@localhost", "admin@localhost"),
            ("jörg@müller.example", "jörg@müller.example"),
            ("o'neil@a-b.example", "o'neil@a-b.example"),
        ] {
            assert_eq!(email(text).as_deref(), Ok(normal));
        }
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}", ["b".repeat(60).as_str(); 5].join("."));
        for text in [
            "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c", "a..b@c", ".a@b", "a@.b", "a@b.",
            "a@-b", "a@b\0", "a\n@b", "<a@b>", "a@b,c@d", "\"a\"@b", &long, &longer,
        ] {
            assert!(email(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn other_names() {
        assert_eq!(username("Ann_Lee").as_deref(), Ok("ann_lee"));
        for text in ["a", "a@b", "a b", "ä-ö", ""] {
            assert!(username(text).is_err(), "{text:?}");
        }
        assert_eq!(display_name(None, "ann@x").as_deref(), Ok("ann"));
        assert_eq!(display_name(Some("  "), "ann@x").as_deref(), Ok("ann"));
        assert_eq!(
            display_name(Some(&"ü".repeat(100)), "a@x")
                .unwrap()
                .chars()
                .count(),
            100
        );
        assert!(display_name(Some(&"x".repeat(101)), "a@x").is_err());
        for text in [
            "a\0b",
            "ad\u{200b}min",
            "\u{202e}nimda",
            "\u{2066}a\u{2069}",
            "\u{feff}a",
        ] {
            assert_eq!(
                display_name(Some(text), "a@x"),
                Err(text::UNSEEN),
                "{text:?}"
            );
        }
        for text in ["می\u{200c}خواهم", "Ana 👩\u{200d}🚀", "שרה"] {
            assert_eq!(display_name(Some(text), "a@x").as_deref(), Ok(text));
        }
        assert!(email("\u{3164}@example.org").is_err());
        assert!(password(&Secret::new("1234567")).is_err());
        assert!(password(&Secret::new("päßwörte")).is_ok());
        assert!(password(&Secret::new("x".repeat(257))).is_err());
        assert_eq!(sign_in("a\0"), None);
        assert_eq!(user_agent("a\u{7}\u{202e}b\n").as_deref(), Some("ab "));
    }

    #[test]
    fn every_problem_is_told() {
        let mut problems = Problems::default();
        problems.check("email", email("x"));
        problems.check("password", password(&Secret::new("x")));
        let fields: Vec<_> = problems
            .error()
            .fields()
            .iter()
            .map(|f| f.field.clone())
            .collect();
        assert_eq!(fields, ["email", "password"]);
    }
}
