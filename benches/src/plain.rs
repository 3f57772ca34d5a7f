//! A plain pass-through: no authentication, no limits, no ledger. It exists
//! only to compare with.

use axum::{Router, body::Body, extract::State, http::Request, response::Response};

#[derive(Clone)]
struct Upstream {
    client: reqwest::Client,
    address: String,
}

async fn forward(State(upstream): State<Upstream>, request: Request<Body>) -> Response {
    let failed = |error: String| {
        Response::builder()
            .status(502)
            .body(Body::from(error))
            .unwrap_or_default()
    };
    let body = match axum::body::to_bytes(request.into_body(), 1 << 20).await {
        Ok(body) => body,
        Err(error) => return failed(error.to_string()),
    };
    let url = format!("http://{}/v1/chat/completions", upstream.address);
    let sent = upstream
        .client
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    match sent.send().await {
        Err(error) => failed(error.to_string()),
        Ok(answer) => {
            let mut response = Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                if name == "content-type" || name == "content-length" {
                    response = response.header(name, value);
                }
            }
            response
                .body(Body::from_stream(answer.bytes_stream()))
                .unwrap_or_default()
        }
    }
}

/// Serves until it is killed.
pub async fn serve(address: &str) -> Result<(), String> {
    let client = reqwest::Client::builder().tcp_nodelay(true).build();
    let client = client.map_err(|error| error.to_string())?;
    let state = Upstream {
        client,
        address: address.to_owned(),
    };
    let app = Router::new().fallback(forward).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| error.to_string())?;
    println!(
        "http://{}",
        listener.local_addr().map_err(|error| error.to_string())?
    );
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app)
        .await
        .map_err(|error| error.to_string())
}
