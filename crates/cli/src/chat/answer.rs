//! One answer in the terminal: text as it comes, resumed after a lost
//! connection, stopped on Ctrl-C, with what it cost.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures_util::StreamExt;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    server::{Lost, Refusal, Server},
    sse::{Event, Parser},
};

/// How long a lost connection is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is known of the answer so far.
#[derive(Debug, Default)]
struct Answer {
    run: Option<String>,
    last_id: Option<String>,
    text: String,
    end: Option<Value>,
}

/// How reading a stream ended.
enum Read {
    End,
    Lost,
    Interrupted,
}

/// Asks and shows the answer; answers its `end` event.
pub(crate) async fn ask(
    server: &mut Server,
    session: &str,
    prompt: &str,
    key: &str,
    interrupts: &mut mpsc::Receiver<()>,
) -> Result<Value> {
    let path = format!("/sessions/{session}/messages/stream");
    let body = json!({"prompt": prompt});
    let mut answer = Answer::default();
    let mut lost_at = None;
    let mut pause = Duration::from_millis(200);
    loop {
        let response = match &answer.run {
            None => server.post_stream(&path, &body, key).await,
            Some(run) => server.resume(run, answer.last_id.as_deref()).await,
        };
        let read = match response {
            Ok(response) => {
                let before = answer.last_id.clone();
                let read = answer.read(response, interrupts).await?;
                if answer.last_id != before {
                    (lost_at, pause) = (None, Duration::from_millis(200));
                }
                read
            }
            Err(error) if answer.run.is_some() && is_passing(&error) => Read::Lost,
            Err(error) => return Err(error),
        };
        match read {
            Read::End => return Ok(answer.end.unwrap_or_default()),
            Read::Interrupted => answer.stop(server).await?,
            Read::Lost => {
                let since = *lost_at.get_or_insert_with(|| {
                    eprint!("\n[connection lost, reconnecting]\n");
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    bail!(
                        "the server did not come back within {} seconds",
                        PATIENCE.as_secs()
                    );
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(3));
            }
        }
    }
}

/// The server is away or on its way back.
fn is_passing(error: &anyhow::Error) -> bool {
    error.is::<Lost>()
        || error
            .downcast_ref::<Refusal>()
            .is_some_and(|r| r.status >= 500)
}

impl Answer {
    async fn read(
        &mut self,
        response: Response,
        interrupts: &mut mpsc::Receiver<()>,
    ) -> Result<Read> {
        let mut parser = Parser::default();
        let mut bytes = response.bytes_stream();
        loop {
            let chunk = tokio::select! {
                chunk = bytes.next() => chunk,
                Some(()) = interrupts.recv() => return Ok(Read::Interrupted),
            };
            let Some(Ok(chunk)) = chunk else {
                return Ok(Read::Lost);
            };
            for event in parser.feed(&chunk) {
                self.show(&event)?;
                if self.end.is_some() {
                    return Ok(Read::End);
                }
            }
            std::io::stdout().flush()?;
        }
    }

    fn show(&mut self, event: &Event) -> Result<()> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let text = data["text"].as_str().unwrap_or_default();
        let mut out = std::io::stdout().lock();
        match event.name.as_str() {
            "" => {
                write!(out, "{text}")?;
                self.text.push_str(text);
            }
            "start" => self.run = data["run_id"].as_str().map(str::to_owned),
            "reset" => {
                // What was printed stays on the screen; say so when it differs.
                match text.strip_prefix(self.text.as_str()) {
                    Some(rest) => write!(out, "{rest}")?,
                    None => write!(out, "\n[the answer begins again]\n{text}")?,
                }
                text.clone_into(&mut self.text);
            }
            "end" => self.end = Some(data),
            // `usage` is in `end`, and so is an error.
            _ => {}
        }
        out.flush()?;
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        Ok(())
    }

    /// Stops the run; its `end` still comes, over the same log.
    async fn stop(&self, server: &mut Server) -> Result<()> {
        let Some(run) = &self.run else {
            bail!("stopped before the answer began")
        };
        eprint!("\n[stopping]\n");
        server
            .post(&format!("/runs/{run}/cancel"), &json!({}))
            .await?;
        Ok(())
    }
}

/// One line: how it ended and what it cost.
pub(crate) fn summary(end: &Value) -> String {
    let mut parts = Vec::new();
    match end["end_reason"].as_str().unwrap_or("?") {
        "stop" => {}
        "length" => parts.push("cut at the greatest length".to_owned()),
        "insufficient_credits" => parts.push("cut: the credits are spent".to_owned()),
        "error" => {
            let why = end["error"]["detail"]
                .as_str()
                .unwrap_or("the model failed");
            parts.push(format!("failed: {why}"));
        }
        other => parts.push(other.to_owned()),
    }
    if let (Some(prompt), Some(completion)) = (
        end["usage"]["prompt_tokens"].as_u64(),
        end["usage"]["completion_tokens"].as_u64(),
    ) {
        parts.push(format!("{prompt} + {completion} tokens"));
    }
    if !end["credits"]["charged"].is_null() {
        let (charged, balance) = (&end["credits"]["charged"], &end["credits"]["balance"]);
        parts.push(format!("{charged} credits, {balance} left"));
    }
    format!("[{}]", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, id: &str, data: &Value) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_string(),
            id: Some(id.to_owned()),
        }
    }

    #[test]
    fn the_text_is_the_deltas_and_resets() {
        let mut answer = Answer::default();
        answer
            .show(&event("start", "1-1", &json!({"run_id": "r"})))
            .unwrap();
        answer
            .show(&event("", "1-2", &json!({"text": "Hel"})))
            .unwrap();
        answer
            .show(&event(
                "reset",
                "2-0",
                &json!({"text": "He", "reason": "recovered"}),
            ))
            .unwrap();
        answer
            .show(&event("", "2-1", &json!({"text": "y"})))
            .unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.run.as_deref()),
            ("Hey", Some("r"))
        );
        assert_eq!(answer.last_id.as_deref(), Some("2-1"));
        assert!(answer.end.is_none());
    }

    #[test]
    fn the_summary_tells_cost_and_odd_ends() {
        let end = json!({"end_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 5},
            "credits": {"charged": 0.25, "balance": 999.75}});
        assert_eq!(summary(&end), "[3 + 5 tokens; 0.25 credits, 999.75 left]");
        let end = json!({"end_reason": "error", "error": {"detail": "No."}});
        assert_eq!(summary(&end), "[failed: No.]");
    }
}
