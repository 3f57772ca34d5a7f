//! The server as the terminal client sees it: requests with a token that is
//! refreshed when it has expired, and problems as sentences.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, bail};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};

use super::credentials::{Credentials, Tokens, same};

/// A server and the tokens for it.
#[derive(Debug)]
pub(crate) struct Server {
    http: reqwest::Client,
    url: String,
    credentials: Credentials,
    /// Those in use. Another terminal may have newer ones in the file.
    tokens: Option<Tokens>,
}

/// A refusal of the server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The stable code.
    pub(crate) code: String,
    /// The sentence.
    pub(crate) detail: String,
}

/// The connection was lost, or never stood.
#[derive(Debug, thiserror::Error)]
#[error("the server at {url} cannot be reached: {cause}")]
pub(crate) struct Lost {
    url: String,
    cause: String,
}

/// Where the server is. Without a scheme it is taken to be `http` on this machine and `https` elsewhere.
fn address(given: &str) -> Result<String> {
    let has_scheme = given.contains("://");
    let given = given.trim().trim_end_matches('/');
    // `unix:/run/x` would be a host of that name, with no port after its colon.
    let is_whole = has_scheme || !given.contains(":/");
    let wanted = if has_scheme {
        given.to_owned()
    } else {
        format!("http://{given}")
    };
    let url = Url::parse(&wanted).ok().filter(|url| {
        is_whole
            && matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let Some(url) = url else {
        bail!(
            "--url (or TERTULIA_URL) is \"{given}\", but must be an address like http://127.0.0.1:8080 or \
             https://chat.example.org"
        );
    };
    if has_scheme || is_here(url.host_str().unwrap_or_default()) {
        return Ok(wanted);
    }
    Ok(format!("https://{given}"))
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

impl Server {
    pub(crate) fn new(url: &str, credentials: Credentials) -> Result<Self> {
        let url = address(url)?;
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A stream has a comment every 15 seconds.
            .read_timeout(Duration::from_secs(60))
            .user_agent(concat!("tertulia-chat/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            http,
            url,
            credentials,
            tokens: None,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Whether there are tokens of this email, or of anybody, and they are still good.
    pub(crate) async fn is_signed_in(&mut self, email: Option<&str>) -> Result<bool> {
        self.tokens = self.credentials.get(&self.url, email);
        if self.tokens.is_none() {
            return Ok(false);
        }
        match self.get("/auth/me").await {
            Ok(_) => Ok(true),
            Err(error) if is_unauthorised(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn login(&mut self, email: &str, password: &str) -> Result<()> {
        let body = json!({"email": email, "password": password});
        let answer = self
            .open(self.request(Method::POST, "/auth/login").json(&body))
            .await?;
        let answer: Value = answer.json().await?;
        if answer["mfa_required"] == json!(true) {
            bail!(
                "this account needs a second factor, which the terminal client does not know yet"
            );
        }
        let tokens = tokens(same(email), &answer)?;
        let file = self.credentials.lock().await?;
        file.sign_in(&self.url, tokens.clone())?;
        self.tokens = Some(tokens);
        Ok(())
    }

    pub(crate) async fn register(&mut self, email: &str, password: &str) -> Result<()> {
        let body = json!({"email": email, "password": password});
        self.open(self.request(Method::POST, "/auth/register").json(&body))
            .await?;
        self.login(email, password).await
    }

    /// Answers a response of success, or what went wrong.
    async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await.into())
    }

    /// Sends a request with the access token; with another one when it is refused, the last one fresh
    /// from the server.
    pub(crate) async fn send(
        &mut self,
        make: impl Fn(&Self) -> RequestBuilder + Send,
    ) -> Result<Response> {
        let mut is_fresh = false;
        loop {
            match self.open(self.authorised(make(self))).await {
                Err(error) if is_unauthorised(&error) && !is_fresh => {
                    is_fresh = self.renew().await?;
                }
                other => return other,
            }
        }
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.tokens {
            Some(tokens) => request.bearer_auth(&tokens.access_token),
            None => request,
        }
    }

    /// Takes other tokens than those that were refused: the ones that another terminal has fetched
    /// meanwhile, or new ones, kept at once. Answers whether they are fresh from the server.
    async fn renew(&mut self) -> Result<bool> {
        let refused = self.tokens.clone().context("you are not signed in")?;
        let file = self.credentials.lock().await?;
        let kept = file.get(&self.url, &refused.email);
        if let Some(kept) = kept
            && kept.access_token != refused.access_token
        {
            self.tokens = Some(kept);
            return Ok(false);
        }
        let body = json!({"refresh_token": refused.refresh_token});
        let answer = self
            .open(self.request(Method::POST, "/auth/refresh").json(&body))
            .await?;
        let fresh = tokens(refused.email, &answer.json().await?)?;
        file.renew(&self.url, fresh.clone())?;
        self.tokens = Some(fresh);
        Ok(true)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        let response = self
            .send(|server| server.request(Method::GET, path))
            .await?;
        Ok(response.json().await?)
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .send(|server| server.request(Method::POST, path).json(body))
            .await?;
        Ok(response.json().await?)
    }

    /// A stream that a POST begins; the key makes it safe to send again.
    pub(crate) async fn post_stream(
        &mut self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<Response> {
        self.send(|server| {
            server
                .request(Method::POST, path)
                .header("Idempotency-Key", key)
                .json(body)
        })
        .await
    }

    /// The rest of a run's events.
    pub(crate) async fn resume(&mut self, run: &str, last: Option<&str>) -> Result<Response> {
        let path = format!("/runs/{run}/events");
        self.send(|server| {
            let request = server.request(Method::GET, &path);
            match last {
                Some(id) => request.header("Last-Event-ID", id),
                None => request,
            }
        })
        .await
    }

    pub(crate) fn lost(&self, error: &reqwest::Error) -> Lost {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Lost {
            url: self.url.clone(),
            cause: cause.to_string(),
        }
    }
}

fn is_unauthorised(error: &anyhow::Error) -> bool {
    let refusal = error.downcast_ref::<Refusal>();
    refusal.is_some_and(|refusal| refusal.status == 401)
}

fn tokens(email: String, answer: &Value) -> Result<Tokens> {
    let text = |name: &str| {
        let text = answer[name].as_str().map(str::to_owned);
        text.context("no token in the answer")
    };
    Ok(Tokens {
        email,
        access_token: text("access_token")?,
        refresh_token: text("refresh_token")?,
    })
}

async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let detail = match (text("detail"), status) {
        (detail, _) if !detail.is_empty() => detail,
        (_, StatusCode::BAD_GATEWAY) => {
            "a proxy in between answers instead of the server".to_owned()
        }
        _ => format!("the server answered {status}"),
    };
    Refusal {
        status: status.as_u16(),
        code: text("code"),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_completed() {
        for (given, meant) in [
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            (
                "https://chat.example.org/api/",
                "https://chat.example.org/api",
            ),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            (" [::1]:8080 ", "http://[::1]:8080"),
            ("chat.example.org", "https://chat.example.org"),
            ("chat.example.org:8443/t", "https://chat.example.org:8443/t"),
            ("10.0.0.7:8080", "https://10.0.0.7:8080"),
        ] {
            assert_eq!(address(given).unwrap(), meant);
        }
        for wrong in [
            "",
            "ftp://a",
            "http://",
            "a b",
            "http://a?b=c",
            ":8080",
            "unix:/run/x",
        ] {
            let said = address(wrong).unwrap_err().to_string();
            assert!(
                said.contains("--url") && said.contains("http://127.0.0.1:8080"),
                "{said}"
            );
        }
    }
}
