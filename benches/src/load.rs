//! A load generator that costs next to nothing itself: prepared requests over
//! kept connections, answers read just far enough to know where they end.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// One HTTP/1.1 request, ready to be sent again and again.
#[derive(Clone)]
pub struct Request {
    pub address: String,
    pub bytes: Vec<u8>,
}

impl Request {
    pub fn post(address: &str, path: &str, token: Option<&str>, stream: bool, body: &str) -> Self {
        let authorization = token
            .map(|token| format!("authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        let bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             accept: {}\r\n{authorization}content-length: {}\r\n\r\n{body}",
            if stream {
                "text/event-stream"
            } else {
                "application/json"
            },
            body.len()
        );
        Self {
            address: address.to_owned(),
            bytes: bytes.into_bytes(),
        }
    }
}

/// What a load amounted to.
pub struct Measured {
    pub rate: f64,
    pub latency: Histogram<u64>,
    pub first: Histogram<u64>,
    pub failed: u64,
}

impl Measured {
    pub fn quantile(histogram: &Histogram<u64>, q: f64) -> f64 {
        let micros = u32::try_from(histogram.value_at_quantile(q)).unwrap_or(u32::MAX);
        f64::from(micros) / 1_000.0
    }

    pub fn p50(&self) -> f64 {
        Self::quantile(&self.latency, 0.5)
    }

    pub fn p99(&self) -> f64 {
        Self::quantile(&self.latency, 0.99)
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).unwrap_or_else(|_| unreachable!())
}

/// Each request on a connection of its own, again and again for so long.
pub async fn run(requests: Vec<Request>, length: Duration) -> Result<Measured, String> {
    let mut tasks = JoinSet::new();
    let end = Instant::now() + length;
    for request in requests {
        tasks.spawn(async move { one(request, end).await });
    }
    let begun = Instant::now();
    let mut all = Measured {
        rate: 0.0,
        latency: histogram(),
        first: histogram(),
        failed: 0,
    };
    while let Some(done) = tasks.join_next().await {
        let part = done.map_err(|error| error.to_string())??;
        let _ = all.latency.add(&part.latency);
        let _ = all.first.add(&part.first);
        all.failed += part.failed;
    }
    let count = u32::try_from(all.latency.len()).unwrap_or(u32::MAX);
    all.rate = f64::from(count) / begun.elapsed().as_secs_f64();
    Ok(all)
}

async fn one(request: Request, end: Instant) -> Result<Measured, String> {
    let mut measured = Measured {
        rate: 0.0,
        latency: histogram(),
        first: histogram(),
        failed: 0,
    };
    let mut connection = Connection::open(&request.address).await?;
    while Instant::now() < end {
        let begun = Instant::now();
        let answer = connection.call(&request.bytes).await?;
        let micros = |at: Instant| u64::try_from((at - begun).as_micros()).unwrap_or(u64::MAX);
        let _ = measured.latency.record(micros(Instant::now()));
        if let Some(first) = answer.first_text {
            let _ = measured.first.record(micros(first));
        }
        if answer.status != 200 || !answer.complete {
            measured.failed += 1;
        }
    }
    Ok(measured)
}

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What of an answer is looked at.
pub struct Answer {
    pub status: u16,
    /// When the first text of a stream was there.
    pub first_text: Option<Instant>,
    /// How many texts a stream had.
    pub texts: u64,
    /// Whether a stream said its last word; always so for whole answers.
    pub complete: bool,
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn count(haystack: &[u8], needle: &[u8]) -> u64 {
    haystack
        .windows(needle.len())
        .filter(|window| *window == needle)
        .count() as u64
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends the request and reads its answer to the end.
    pub async fn call(&mut self, request: &[u8]) -> Result<Answer, String> {
        self.buffer.clear();
        self.stream
            .write_all(request)
            .await
            .map_err(|error| error.to_string())?;
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse::<usize>().ok());
        self.buffer.drain(..head);
        match length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
                Ok(Answer {
                    status,
                    first_text: None,
                    texts: 0,
                    complete: true,
                })
            }
            None => self.stream_to_end(status).await,
        }
    }

    async fn stream_to_end(&mut self, status: u16) -> Result<Answer, String> {
        let mut answer = Answer {
            status,
            first_text: None,
            texts: 0,
            complete: false,
        };
        loop {
            // Only whole events are looked at; what is cut stays for the next look.
            let whole = self
                .buffer
                .windows(2)
                .rposition(|w| w == b"\n\n")
                .map_or(0, |at| at + 2);
            let seen = &self.buffer[..whole];
            let texts = count(seen, b"\"text\":") + count(seen, b"\"content\":");
            if texts > 0 && answer.first_text.is_none() {
                answer.first_text = Some(Instant::now());
            }
            answer.texts += texts;
            answer.complete |=
                find(seen, b"[DONE]").is_some() || find(seen, b"event: end").is_some();
            let ended = self.buffer.ends_with(b"0\r\n\r\n");
            if ended {
                return Ok(answer);
            }
            self.buffer.drain(..whole);
            self.more().await?;
        }
    }
}
