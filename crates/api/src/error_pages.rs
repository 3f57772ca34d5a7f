//! The pages about error codes, as `docs/errors` has them, built into the
//! binary: the `type` of every problem leads to one of them.

macro_rules! pages {
    ($($name:literal)*) => {
        /// Every page: the code's name and its text (Markdown).
        pub(crate) const PAGES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../docs/errors/", $name, ".md")))),*
        ];
    };
}

pages! {
    "account_suspended"
    "command_exists"
    "conflict"
    "context_too_long"
    "conversation_busy"
    "csrf_failed"
    "database_unavailable"
    "email_already_exists"
    "forbidden"
    "idempotency_key_reused"
    "insufficient_credits"
    "internal_error"
    "interrupted"
    "invalid_credentials"
    "invalid_model"
    "invalid_token"
    "last_admin"
    "malformed_request"
    "method_not_allowed"
    "model_without_price"
    "no_model"
    "not_authenticated"
    "not_found"
    "payload_too_large"
    "provider_failed"
    "provider_timeout"
    "rate_limited"
    "request_timeout"
    "server_busy"
    "shutting_down"
    "token_expired"
    "token_revoked"
    "too_many"
    "too_many_attempts"
    "unsupported_media_type"
    "validation_failed"
    "wrong_password"
}

/// The text of a code's page.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    PAGES
        .iter()
        .find(|(name, _)| *name == code)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kernel::codes;

    use super::*;

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let codes: BTreeSet<&str> = codes::ALL.iter().map(|code| code.name).collect();
        let pages: BTreeSet<&str> = PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            codes, pages,
            "kernel::codes and the pages of error_pages.rs differ"
        );
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .replace(".md", "")
            })
            .collect();
        assert_eq!(
            files,
            codes.iter().map(ToString::to_string).collect(),
            "docs/errors differs"
        );
    }

    #[test]
    fn a_page_says_what_why_and_what_to_do() {
        for code in codes::ALL {
            let text = page(code.name).unwrap();
            let status = format!("`{}`, HTTP {}", code.name, code.kind.http_status());
            assert!(
                text.starts_with(&format!("# {}\n", code.title)),
                "{}: its title",
                code.name
            );
            for part in [&status, "## What happened", "## Why", "## What to do"] {
                assert!(text.contains(part), "{}: {part}", code.name);
            }
        }
    }
}
