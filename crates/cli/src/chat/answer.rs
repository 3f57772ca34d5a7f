//! One answer in the terminal: text as it comes, resumed after a lost
//! connection, stopped on Ctrl-C, with what it cost.

use std::{
    io::{IsTerminal, Write},
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
/// The wait before the second try; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// The exit status of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: i32 = 130;

/// What was asked, and what is known of the answer so far.
#[derive(Debug, Default)]
struct Answer {
    path: String,
    prompt: Value,
    key: String,
    run: Option<String>,
    last_id: Option<String>,
    /// The text is shown as it comes: on a terminal. A program that reads it gets what counts in the
    /// end, because nothing can be taken back.
    live: bool,
    text: String,
    end: Option<Value>,
}

/// How reading an answer ended.
enum Read {
    End,
    Lost,
    Interrupted,
}

/// Asks and shows the answer; answers its `end` event. The first Ctrl-C stops the answer, a second
/// one leaves without waiting for its end.
pub(crate) async fn ask(
    server: &mut Server,
    session: &str,
    prompt: &str,
    key: &str,
    interrupts: &mut mpsc::Receiver<()>,
) -> Result<Value> {
    let mut answer = Answer {
        path: format!("/sessions/{session}/messages/stream"),
        prompt: json!({"prompt": prompt}),
        key: key.to_owned(),
        live: std::io::stdout().is_terminal(),
        ..Answer::default()
    };
    if let Read::Interrupted = answer.follow(server, interrupts).await? {
        tokio::select! {
            stopped = answer.stop(server) => stopped?,
            Some(()) = interrupts.recv() => std::process::exit(INTERRUPTED),
        }
    }
    // One that came too late for this answer is not meant for what follows.
    while interrupts.try_recv().is_ok() {}
    Ok(answer.end.unwrap_or_default())
}

/// The server is away or on its way back.
fn is_passing(error: &anyhow::Error) -> bool {
    error.is::<Lost>()
        || error
            .downcast_ref::<Refusal>()
            .is_some_and(|refusal| (502..=504).contains(&refusal.status))
}

/// Bounded waiting for a server that is away.
#[derive(Debug, Default)]
struct Away(Option<(Instant, Duration)>);

impl Away {
    /// How long to wait before the next try.
    fn pause(&mut self) -> Result<Duration> {
        let (since, pause) = self.0.get_or_insert_with(|| {
            crate::tell("\n[connection lost, reconnecting]");
            (Instant::now(), FIRST_PAUSE)
        });
        if since.elapsed() > PATIENCE {
            bail!(
                "the server did not come back within {} seconds",
                PATIENCE.as_secs()
            );
        }
        let now = *pause;
        *pause = LONGEST_PAUSE.min(now * 2);
        Ok(now)
    }
}

impl Answer {
    /// Shows the answer to its end, however often the connection is lost: before the run is known by
    /// asking again with the same key, which begins nothing twice, and then by resuming its log.
    async fn follow(
        &mut self,
        server: &mut Server,
        interrupts: &mut mpsc::Receiver<()>,
    ) -> Result<Read> {
        let mut away = Away::default();
        loop {
            let response = match &self.run {
                None => {
                    let begun = server.post_stream(&self.path, &self.prompt, &self.key);
                    begun.await
                }
                Some(run) => server.resume(run, self.last_id.as_deref()).await,
            };
            let read = match response {
                Ok(response) => {
                    let before = self.last_id.clone();
                    let read = self.read(response, interrupts).await?;
                    if self.last_id != before {
                        away = Away::default();
                    }
                    read
                }
                Err(error) if is_passing(&error) => Read::Lost,
                Err(error) => return Err(error),
            };
            let Read::Lost = read else { return Ok(read) };
            tokio::select! {
                () = tokio::time::sleep(away.pause()?) => {}
                Some(()) = interrupts.recv() => return Ok(Read::Interrupted),
            }
        }
    }

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
                // Until then there is nothing that could be stopped.
                Some(()) = interrupts.recv(), if self.run.is_some() => return Ok(Read::Interrupted),
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
                if self.live {
                    write!(out, "{text}")?;
                }
                self.text.push_str(text);
            }
            "start" => self.run = data["run_id"].as_str().map(str::to_owned),
            "reset" => {
                if self.live {
                    write!(out, "{}", after_reset(&self.text, text))?;
                }
                text.clone_into(&mut self.text);
            }
            "end" => {
                if !self.live && !data["message"].is_null() {
                    write!(out, "{}", self.text)?;
                }
                self.end = Some(data);
            }
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
    async fn stop(&mut self, server: &mut Server) -> Result<()> {
        let Some(run) = &self.run else {
            bail!("stopped before the answer began")
        };
        crate::tell("\n[stopping]");
        let path = format!("/runs/{run}/cancel");
        let mut away = Away::default();
        loop {
            match server.post(&path, &json!({})).await {
                Ok(_) => break,
                Err(error) if is_passing(&error) => tokio::time::sleep(away.pause()?).await,
                Err(error) => return Err(error),
            }
        }
        let (_held, mut nobody) = mpsc::channel(1);
        self.follow(server, &mut nobody).await.map(drop)
    }
}

/// What to show where another text was shown than the answer has now: what is on the screen stays there.
fn after_reset(shown: &str, text: &str) -> String {
    /// Characters by which a place in the text is found again.
    const PLACE: usize = 40;
    if let Some(rest) = text.strip_prefix(shown) {
        return rest.to_owned();
    }
    if text.is_empty() || !shown.starts_with(text) {
        return format!("\n\n[the text above does not count: the answer starts again]\n\n{text}");
    }
    let skipped = text.chars().count().saturating_sub(PLACE);
    let place: String = text.chars().skip(skipped).collect();
    let place = place.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("\n\n[the end of the text above was lost: the answer goes on after \"{place}\"]\n\n")
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
    fn what_a_reset_changes_is_said_and_nothing_is_shown_twice() {
        assert_eq!(after_reset("", "Hello"), "Hello");
        assert_eq!(after_reset("Hello", "Hello"), "");
        assert_eq!(after_reset("Hel", "Hello"), "lo");
        let long = format!(
            "{}and Greenland\nsharks ünder the ice",
            "whales, ".repeat(100)
        );
        let said = after_reset(&format!("{long} sleep"), &long);
        assert!(
            said.ends_with("Greenland sharks ünder the ice\"]\n\n"),
            "{said}"
        );
        assert!(said.len() < 140, "{said}");
        for text in ["", "Good evening"] {
            let said = after_reset("Hello", text);
            assert!(
                said.contains("starts again]") && said.ends_with(text),
                "{said}"
            );
        }
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
