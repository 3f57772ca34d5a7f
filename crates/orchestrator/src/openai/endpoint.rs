//! Where and with which key a provider is called, from its options.

use std::time::Duration;

use reqwest::{Url, header::HeaderValue};

use crate::{catalogue::ConfigError, options::ProviderOptions};

/// Where and how a provider is reached.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The whole URL of chat completions.
    pub(crate) url: String,
    /// The `Authorization` header, marked as a secret.
    pub(crate) authorization: Option<HeaderValue>,
    /// Until the answer begins.
    pub(crate) first_byte: Duration,
    /// Between two pieces of it.
    pub(crate) idle: Duration,
}

/// Where and with which key a provider is called.
pub(crate) fn endpoint(
    options: &ProviderOptions,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Endpoint, ConfigError> {
    let wrong = |what: String| ConfigError(format!("[[providers]] `{}`: {what}.", options.name));
    let key = match (&options.api_key, &options.api_key_env) {
        (Some(key), _) => Some(key.reveal().to_owned()),
        (None, Some(variable)) => Some(
            env(variable)
                .filter(|key| !key.trim().is_empty())
                .ok_or_else(|| {
                    wrong(format!(
                        "api_key_env names the variable {variable}, which is not set"
                    ))
                })?,
        ),
        (None, None) => None,
    };
    let authorization = key
        .map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
                .map_err(|_| wrong("the key has characters that no key can have".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        })
        .transpose()?;
    let url = chat_url(
        options
            .base_url
            .as_deref()
            .unwrap_or("https://api.openai.com/v1"),
    )
    .map_err(|what| wrong(format!("base_url {what}")))?;
    Ok(Endpoint {
        url,
        authorization,
        first_byte: options.first_byte_timeout,
        idle: options.idle_timeout,
    })
}

/// The URL of chat completions below a base URL; `/v1` is added where there is no path at all.
fn chat_url(base: &str) -> Result<String, &'static str> {
    let mut url =
        Url::parse(base.trim()).map_err(|_| "is not a URL such as http://127.0.0.1:8000/v1")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or password; use api_key");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#)");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.is_empty() { "/v1" } else { &path };
    url.set_path(&format!("{path}/chat/completions"));
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn base_urls_are_joined_whatever_their_end() {
        for (base, url) in [
            ("http://a:1", "http://a:1/v1/chat/completions"),
            ("http://a:1/", "http://a:1/v1/chat/completions"),
            (" https://a/v1 ", "https://a/v1/chat/completions"),
            ("https://a/v1/", "https://a/v1/chat/completions"),
            (
                "https://a/api/openai/v3//",
                "https://a/api/openai/v3/chat/completions",
            ),
            (
                "https://a/openai/deployments/x?api-version=1",
                "https://a/openai/deployments/x/chat/completions?api-version=1",
            ),
        ] {
            assert_eq!(chat_url(base).unwrap(), url, "{base}");
        }
        for base in [
            "",
            "a",
            "ftp://a/v1",
            "http://",
            "http://user:pw@a/v1",
            "http://a/v1#x",
            "file:///etc",
        ] {
            assert!(chat_url(base).is_err(), "{base}");
        }
    }

    #[test]
    fn keys_are_found_and_never_shown() {
        let provider = |text: &str| {
            toml::from_str::<Options>(&format!("[[providers]]\nname = 'a'\n{text}"))
                .unwrap()
                .providers
                .remove(0)
        };
        let env = |name: &str| (name == "KEY").then(|| "sk-secret\n".to_owned());
        for text in ["api_key = 'sk-secret'", "api_key_env = 'KEY'"] {
            let endpoint = endpoint(&provider(text), &env).unwrap();
            let authorization = endpoint.authorization.clone().unwrap();
            assert_eq!(authorization.to_str().unwrap(), "Bearer sk-secret");
            assert!(!format!("{authorization:?}").contains("secret"));
        }
        for (text, sentence) in [
            (
                "api_key_env = 'NONE'",
                "[[providers]] `a`: api_key_env names the variable NONE, which is not set.",
            ),
            (
                "api_key = \"sk\\nsecret\"",
                "[[providers]] `a`: the key has characters that no key can have.",
            ),
            (
                "base_url = 'x'",
                "[[providers]] `a`: base_url is not a URL such as http://127.0.0.1:8000/v1.",
            ),
        ] {
            let error = endpoint(&provider(text), &env).err().unwrap().to_string();
            assert_eq!(error, sentence);
        }
    }
}
