//! As much HTTP/1.1 as a test upstream needs, by hand: so that an answer can
//! break off at any byte, and a client that has gone is noticed at once.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

const LIMIT: usize = 16 << 20;

pub(super) struct Connection {
    stream: TcpStream,
    /// Received and not yet used.
    input: Vec<u8>,
    /// Bytes go out in pieces of this size.
    pub(super) split: Option<usize>,
}

/// A request in full.
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Vec::with_capacity(8 << 10),
            split: None,
        }
    }

    /// The next request; none when the client has closed the connection.
    pub(super) async fn request(&mut self) -> io::Result<Option<Incoming>> {
        let end = loop {
            if let Some(at) = self
                .input
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at;
            }
            if self.input.len() > LIMIT || self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (
            first.next().unwrap_or_default(),
            first.next().unwrap_or_default(),
        );
        let (mut length, mut authorization) = (0, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case("authorization") {
                authorization = Some(value.trim().to_owned());
            }
        }
        let total = end + 4 + length;
        while self.input.len() < total {
            if total > LIMIT || self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
        let body = self.input[end + 4..total].to_vec();
        self.input.drain(..total);
        Ok(Some(Incoming {
            method: method.to_owned(),
            path: path.to_owned(),
            authorization,
            body,
        }))
    }

    /// Sends bytes as they are.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.split {
            None => self.stream.write_all(bytes).await,
            Some(size) => {
                for piece in bytes.chunks(size) {
                    self.stream.write_all(piece).await?;
                    // The reader shall meet the pieces one by one.
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                Ok(())
            }
        }
    }

    /// Sends a whole answer with a JSON body.
    pub(super) async fn send_json(
        &mut self,
        status: u16,
        headers: &str,
        json: &str,
    ) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            json.len()
        );
        self.send(&[head.as_bytes(), json.as_bytes()].concat())
            .await
    }

    /// Waits, unless the client goes away first: false then.
    pub(super) async fn stays_until(&mut self, when: Instant) -> bool {
        if when <= Instant::now() {
            return true;
        }
        tokio::time::timeout_at(when, self.gone()).await.is_err()
    }

    /// Ends when the client has gone.
    pub(super) async fn gone(&mut self) {
        while self
            .stream
            .read_buf(&mut self.input)
            .await
            .is_ok_and(|read| read > 0)
        {}
    }
}
