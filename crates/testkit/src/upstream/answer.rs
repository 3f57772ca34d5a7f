//! One request, answered as its script says.

use std::{fmt::Write as _, io};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Request, Script, Shared, Usage,
    http::{Connection, Incoming},
};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    /// The text, whether it is one string or a list of parts.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect(),
            _ => String::new(),
        }
    }
}

/// How one answer goes on.
struct Play<'a> {
    connection: &'a mut Connection,
    shared: &'a Shared,
    number: u64,
    model: String,
    script: Script,
    /// Tokens to send, after the request's limit.
    tokens: u64,
    limited: bool,
    usage: bool,
    prompt_tokens: u64,
    sent: u64,
}

/// Answers; false when the connection is of no more use.
pub(super) async fn answer(
    connection: &mut Connection,
    shared: &Shared,
    incoming: Incoming,
) -> bool {
    if (incoming.method.as_str(), incoming.path.as_str()) != ("POST", "/v1/chat/completions") {
        let error =
            json!({ "error": { "message": "no such path", "type": "invalid_request_error" } });
        return connection
            .send_json(404, "", &error.to_string())
            .await
            .is_ok();
    }
    let body: Body = match serde_json::from_slice(&incoming.body) {
        Ok(body) => body,
        Err(error) => return refuse(connection, &error.to_string()).await,
    };
    let prompt = body
        .messages
        .iter()
        .rev()
        .find(|message| message.role == "user")
        .map(Message::text)
        .unwrap_or_default();
    let script = match shared.script(&body.model, &prompt) {
        Ok(script) => script,
        Err(error) => return refuse(connection, &error).await,
    };
    let words = |message: &Message| message.text().split_whitespace().count() as u64 + 4;
    let prompt_tokens = body.messages.iter().map(words).sum();
    let number = shared.remember(Request {
        model: body.model.clone(),
        prompt,
        body: String::from_utf8_lossy(&incoming.body).into_owned(),
        authorization: incoming.authorization,
        streamed: body.stream,
        prompt_tokens,
        ..Request::default()
    });
    connection.split = script.split;
    let length = script.length();
    let tokens = body.max_tokens.map_or(length, |most| most.min(length));
    let mut play = Play {
        connection,
        shared,
        number,
        model: body.model,
        tokens,
        limited: tokens < length,
        usage: !body.stream
            || body
                .stream_options
                .is_some_and(|options| options.include_usage),
        prompt_tokens,
        sent: 0,
        script,
    };
    let ended = if body.stream {
        play.stream().await
    } else {
        play.whole().await
    };
    let (reusable, aborted) = match ended {
        Ok(End::Complete) => (true, false),
        Ok(End::Broken) => (false, false),
        Ok(End::ClientGone) | Err(_) => (false, true),
    };
    let sent = play.sent;
    shared.update(number, |request| {
        request.tokens = sent;
        request.aborted = aborted;
        request.done = !aborted;
    });
    connection.split = None;
    reusable
}

/// How an answer ended.
enum End {
    Complete,
    /// Broken off on our side, as the script wanted.
    Broken,
    ClientGone,
}

async fn refuse(connection: &mut Connection, why: &str) -> bool {
    let error = json!({ "error": { "message": why, "type": "invalid_request_error", "code": "bad_script" } });
    connection
        .send_json(400, "", &error.to_string())
        .await
        .is_ok()
}

impl Play<'_> {
    /// What comes before an answer; the end if there is to be none.
    async fn begin(&mut self) -> io::Result<Option<End>> {
        if !self
            .connection
            .stays_until(Instant::now() + self.script.head)
            .await
        {
            return Ok(Some(End::ClientGone));
        }
        if self.script.refuse {
            return Ok(Some(End::Broken));
        }
        if self.script.hang {
            self.connection.gone().await;
            return Ok(Some(End::ClientGone));
        }
        if let Some(status) = self.script.status {
            let wait = self
                .script
                .retry_after
                .map_or_else(String::new, |wait| format!("retry-after: {wait}\r\n"));
            let error = self.error();
            self.connection.send_json(status, &wait, &error).await?;
            return Ok(Some(End::Complete));
        }
        Ok(None)
    }

    async fn stream(&mut self) -> io::Result<End> {
        if let Some(end) = self.begin().await? {
            return Ok(end);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut out = head.as_bytes().to_vec();
        out.extend(self.delta(&json!({ "role": "assistant", "content": "" }), None));
        for _ in 0..self.script.reasoning {
            out.extend(self.delta(&json!({ "reasoning_content": "hm " }), None));
        }
        let begun = Instant::now() + self.script.first;
        let paced = !self.script.delay.is_zero() || !self.script.first.is_zero();
        for at in 0..=self.tokens {
            if paced {
                self.connection.send(&out).await?;
                out.clear();
                self.note();
                let due = begun + self.script.delay * u32::try_from(at).unwrap_or(u32::MAX);
                if at < self.tokens && !self.connection.stays_until(due).await {
                    return Ok(End::ClientGone);
                }
            }
            if let Some(end) = self.fail(at, &mut out).await? {
                return Ok(end);
            }
            if at < self.tokens {
                let text = self.script.token(at);
                out.extend(self.delta(&json!({ "content": text }), None));
                self.sent = at + 1;
            }
        }
        out.extend(self.end());
        self.connection.send(&out).await?;
        Ok(End::Complete)
    }

    /// Tells a watching test how far it is; not for each token of an answer that goes out at once.
    fn note(&self) {
        let sent = self.sent;
        self.shared
            .update(self.number, |request| request.tokens = sent);
    }

    /// Fails here, before the token at this place, if the script says so.
    async fn fail(&mut self, at: u64, out: &mut Vec<u8>) -> io::Result<Option<End>> {
        let here = |place: Option<u64>| place == Some(at);
        if here(self.script.stall) {
            self.connection.send(out).await?;
            self.note();
            self.connection.gone().await;
            return Ok(Some(End::ClientGone));
        }
        if here(self.script.cut) {
            let event = self.delta(&json!({ "content": "never seen" }), None);
            out.extend(&event[..event.len() / 2]);
            self.connection.send(out).await?;
            return Ok(Some(End::Broken));
        }
        if here(self.script.garbage) {
            out.extend(chunk(
                &self.lines("{\"choices\":[{\"delta\":{\"content\":\"never se"),
            ));
        }
        if here(self.script.error) {
            out.extend(chunk(&self.lines(&self.error())));
            out.extend(b"0\r\n\r\n");
            self.connection.send(out).await?;
            return Ok(Some(End::Complete));
        }
        Ok(None)
    }

    /// What ends a stream.
    fn end(&self) -> Vec<u8> {
        let mut out = self.delta(&json!({}), Some(self.finish()));
        if let Some(usage) = self.usage_report().filter(|_| self.usage) {
            let event = json!({
                "id": self.id(), "object": "chat.completion.chunk", "created": 1_763_700_000,
                "model": self.model, "choices": [], "usage": usage,
            });
            out.extend(chunk(&self.lines(&event.to_string())));
        }
        if !self.script.no_done {
            out.extend(chunk(&self.lines("[DONE]")));
        }
        out.extend(b"0\r\n\r\n");
        out
    }

    async fn whole(&mut self) -> io::Result<End> {
        if let Some(end) = self.begin().await? {
            return Ok(end);
        }
        let tokens = u32::try_from(self.tokens).unwrap_or(u32::MAX);
        let due = Instant::now() + self.script.first + self.script.delay * tokens;
        if !self.connection.stays_until(due).await {
            return Ok(End::ClientGone);
        }
        let script = &self.script;
        if script.stall.is_some() {
            self.connection.gone().await;
            return Ok(End::ClientGone);
        }
        if script.error.is_some() {
            let error = self.error();
            self.connection.send_json(200, "", &error).await?;
            return Ok(End::Complete);
        }
        self.sent = self.tokens;
        let mut answer = json!({
            "id": self.id(), "object": "chat.completion", "created": 1_763_700_000, "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": script.answer(self.tokens) },
                "finish_reason": self.finish(),
            }],
        });
        if let Some(usage) = self.usage_report() {
            answer["usage"] = usage;
        }
        let mut text = answer.to_string();
        if script.garbage.is_some() {
            text.truncate(text.len() / 2);
        }
        if script.cut.is_some() {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                text.len()
            );
            let half = [head.as_bytes(), &text.as_bytes()[..text.len() / 2]].concat();
            self.connection.send(&half).await?;
            return Ok(End::Broken);
        }
        self.connection.send_json(200, "", &text).await?;
        Ok(End::Complete)
    }

    fn id(&self) -> String {
        format!("chatcmpl-{}", self.number)
    }

    fn finish(&self) -> &str {
        match &self.script.finish {
            Some(reason) => reason,
            None if self.limited => "length",
            None => "stop",
        }
    }

    fn error(&self) -> String {
        json!({ "error": { "message": "scripted", "type": "scripted_error", "code": self.script.code } }).to_string()
    }

    fn usage_report(&self) -> Option<Value> {
        let completion = self.tokens + self.script.reasoning;
        let (prompt, completion) = match self.script.usage {
            Usage::Real => (self.prompt_tokens.into(), completion.into()),
            Usage::Zero => (0, 0),
            Usage::Claimed(prompt, completion) => (prompt, completion),
            Usage::None => return None,
        };
        let [prompt, completion, total] = [prompt, completion, prompt + completion].map(number);
        Some(
            json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}),
        )
    }

    /// One event with a delta, as a chunk of the body.
    fn delta(&self, delta: &Value, finish: Option<&str>) -> Vec<u8> {
        let event = json!({
            "id": self.id(), "object": "chat.completion.chunk", "created": 1_763_700_000, "model": self.model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        chunk(&self.lines(&event.to_string()))
    }

    fn lines(&self, data: &str) -> String {
        let end = if self.script.crlf { "\r\n" } else { "\n" };
        let comment = if self.script.comments {
            ": scripted\n"
        } else {
            ""
        };
        format!("{comment}data: {data}{end}{end}")
    }
}

/// A number of any size, as it may stand in a text.
fn number(number: i128) -> Value {
    serde_json::from_str(&number.to_string()).unwrap_or_default()
}

/// A chunk of a body in transfer encoding `chunked`.
fn chunk(data: &str) -> Vec<u8> {
    let mut out = String::with_capacity(data.len() + 16);
    write!(out, "{:x}\r\n{data}\r\n", data.len()).ok();
    out.into_bytes()
}
