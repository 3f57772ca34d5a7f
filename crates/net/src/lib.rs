//! The one outbound HTTP client, for URLs the operator has configured (model
//! providers): they go where the configuration says, and nowhere else. Not for
//! URLs that users or tenants give; those need a client of their own.

use std::{sync::Once, time::Duration};

use reqwest::{IntoUrl, RequestBuilder, redirect};

/// How long an unused connection is kept. Shorter than servers commonly keep
/// theirs, so that a request seldom meets one that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(30);

static TLS: Once = Once::new();

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct SetupError(#[source] reqwest::Error);

/// An HTTP client with its own connection pool. Cheap to clone; clones share the pool.
///
/// It follows no redirect (credentials must not travel to where the operator did not send them), takes no
/// proxy from the environment, sends without delay (`TCP_NODELAY`) and sets no limit on a whole
/// request: callers bound each step themselves. TLS trusts what the machine trusts.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client whose connections must stand within `connect_timeout` (name look-up and TLS included).
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(connect_timeout: Duration) -> Result<Self, SetupError> {
        install_tls();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("tertulia/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(connect_timeout)
                .pool_idle_timeout(POOL_IDLE)
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(15))
                .redirect(redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .no_proxy()
        };
        // A machine without any certificate authority can still reach plain http endpoints: trust
        // nobody then, so that https fails when it is used and says why.
        let http = builder().build().or_else(|error| {
            tracing::warn!(%error, "no certificate authorities were found: https will not work");
            builder().tls_certs_only([]).build().map_err(SetupError)
        })?;
        Ok(Self { http })
    }

    /// A GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.http.get(url)
    }

    /// A POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.http.post(url)
    }
}

/// Makes ring the process's cryptography for TLS, once; one installed before stays.
fn install_tls() {
    TLS.call_once(|| {
        if rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
        {
            tracing::debug!("TLS cryptography was installed already");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(String::from_utf8_lossy(&buffer[..read]).contains("authorization: Bearer k"));
            let answer = format!(
                "HTTP/1.1 302 Found\r\nlocation: http://{address}/elsewhere\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let client = Client::new(Duration::from_secs(5)).unwrap();
        let request = client
            .get(format!("http://{address}/"))
            .bearer_auth("k")
            .send();
        let (answer, _stream) = tokio::join!(request, server);
        assert_eq!(answer.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn a_connection_that_does_not_stand_in_time_is_given_up() {
        let port = testkit::FullPort::open().await;
        let patience = Duration::from_millis(300);
        let client = Client::new(patience).unwrap();
        let begun = std::time::Instant::now();
        let call = client.get(format!("http://{}/", port.address())).send();
        // The system itself would try for minutes.
        let call = tokio::time::timeout(Duration::from_secs(30), call);
        let error = call.await.expect("it is given up").unwrap_err();
        assert!(error.is_connect() && error.is_timeout(), "{error:?}");
        assert!(begun.elapsed() >= patience);
    }
}
