//! The chat-completions format: what is sent, and of what comes back only what
//! is needed. Hidden reasoning, log probabilities and the like are skipped unparsed.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::provider::{ChatMessage, ChatRequest, FinishReason, TokenUsage};

/// The body of a call.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a str, request: &'a ChatRequest, stream: bool) -> Self {
        let reasoning = is_reasoning(model);
        Self {
            model,
            messages: &request.messages,
            stream,
            stream_options: stream.then_some(StreamOptions {
                include_usage: true,
            }),
            max_tokens: request.max_tokens.filter(|_| !reasoning),
            max_completion_tokens: request.max_tokens.filter(|_| reasoning),
            temperature: request.temperature.filter(|_| !reasoning),
            top_p: request.top_p.filter(|_| !reasoning),
            seed: request.seed,
            stop: &request.stop,
        }
    }
}

/// Whether the model is one of OpenAI's that reason: they refuse `max_tokens`, `temperature` and
/// `top_p`, which every other server understands.
pub(crate) fn is_reasoning(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|prefix| {
        model.strip_prefix(prefix).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['-', '.']) && !rest.contains("chat")
        })
    })
}

/// One event of a stream.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(default)]
    pub(super) choices: Option<Vec<Choice>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: u32,
    #[serde(default)]
    pub(super) delta: Option<Content>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

/// The text, in a delta of a stream or in a whole message.
#[derive(Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    pub(super) content: Option<String>,
}

/// A whole answer.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(default)]
    pub(super) choices: Option<Vec<WholeChoice>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct WholeChoice {
    #[serde(default)]
    pub(super) index: u32,
    pub(super) message: Content,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

/// The tokens a provider says it took. What is no count is none: the answer beside it is as good.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let report = Box::<RawValue>::deserialize(deserializer)?;
        // Also a number that is too large to be read.
        let report: Value = serde_json::from_str(report.get()).unwrap_or_default();
        let count = |name: &str| report.get(name).and_then(Value::as_u64);
        Ok(Self {
            prompt_tokens: count("prompt_tokens"),
            completion_tokens: count("completion_tokens"),
        })
    }
}

impl Usage {
    /// The usage, unless it cannot be true: every prompt has tokens, and so has every text.
    pub(super) fn credible(self, has_text: bool) -> Option<TokenUsage> {
        let prompt_tokens = self.prompt_tokens.filter(|tokens| *tokens > 0)?;
        let completion_tokens = self
            .completion_tokens
            .filter(|tokens| *tokens > 0 || !has_text)?;
        Some(TokenUsage {
            prompt_tokens,
            completion_tokens,
        })
    }
}

/// Why the answer ended, or `None` when the reason says that it is none (some servers report
/// their failures like this).
pub(super) fn finish_reason(reason: &str) -> Option<FinishReason> {
    match reason {
        "error" | "abort" | "cancelled" | "insufficient_system_resource" => None,
        "length" | "max_tokens" | "model_length" => Some(FinishReason::Length),
        "content_filter" => Some(FinishReason::ContentFilter),
        _ => Some(FinishReason::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Role;

    #[test]
    fn sends_only_what_was_asked_for() {
        let request = ChatRequest {
            messages: vec![ChatMessage::new(Role::User, "hi \"you\"")],
            repeat_penalty: Some(1.1),
            owner: "somebody".into(),
            affinity: Some("conversation".into()),
            ..ChatRequest::default()
        };
        let json = serde_json::to_string(&Body::new("m", &request, true)).unwrap();
        assert_eq!(
            json,
            r#"{"model":"m","messages":[{"role":"user","content":"hi \"you\""}],"stream":true,"stream_options":{"include_usage":true}}"#
        );
    }

    #[test]
    fn models_that_reason_get_the_parameters_they_accept() {
        let request = ChatRequest {
            max_tokens: Some(9),
            temperature: Some(0.7),
            top_p: Some(0.9),
            seed: Some(u64::MAX),
            stop: vec!["\n".into()],
            ..ChatRequest::default()
        };
        let json = |model| serde_json::to_string(&Body::new(model, &request, false)).unwrap();
        for model in ["o1", "o3-mini", "gpt-5", "gpt-5-mini", "gpt-5.1"] {
            assert_eq!(
                json(model),
                format!(
                    r#"{{"model":"{model}","messages":[],"stream":false,"max_completion_tokens":9,"seed":18446744073709551615,"stop":["\n"]}}"#
                )
            );
        }
        for model in ["gpt-4o", "gpt-5-chat-latest", "o1000", "llama"] {
            assert!(
                json(model).contains(r#""max_tokens":9,"temperature":0.7,"top_p":0.9"#),
                "{model}"
            );
        }
    }

    #[test]
    fn a_report_that_cannot_be_read_leaves_the_answer_as_it_is() {
        for usage in [
            r#"{"prompt_tokens":-5,"completion_tokens":-7}"#,
            r#"{"prompt_tokens":18446744073709551616,"completion_tokens":3}"#,
            r#"{"prompt_tokens":1e400,"completion_tokens":1e400}"#,
            r#"{"prompt_tokens":"many","completion_tokens":1.5}"#,
            r#"{"prompt_tokens":[5],"completion_tokens":{}}"#,
            r#""none""#,
            "[]",
            "7",
            "null",
            "{}",
        ] {
            let event = format!(
                r#"{{"choices":[{{"index":0,"delta":{{"content":"Hi"}}}}],"usage":{usage}}}"#
            );
            let event: Event<'_> = serde_json::from_str(&event).unwrap();
            let report = event.usage.and_then(|usage| usage.credible(true));
            assert_eq!(report, None, "{usage}");
            assert!(event.choices.is_some());
            let answer = format!(
                r#"{{"choices":[{{"index":0,"message":{{"content":"Hi"}}}}],"usage":{usage}}}"#
            );
            let answer: Answer<'_> = serde_json::from_str(&answer).unwrap();
            let report = answer.usage.and_then(|usage| usage.credible(true));
            assert_eq!(report, None, "{usage}, whole");
        }
        let most = r#"{"prompt_tokens":18446744073709551615,"completion_tokens":2,"more":{}}"#;
        let usage: Usage = serde_json::from_str(most).unwrap();
        assert_eq!(usage.credible(true).unwrap().prompt_tokens, u64::MAX);
    }

    #[test]
    fn a_reported_zero_is_no_report() {
        let usage = |prompt, completion| Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
        };
        assert_eq!(usage(Some(0), Some(0)).credible(true), None);
        assert_eq!(usage(Some(5), Some(0)).credible(true), None);
        assert_eq!(usage(Some(0), Some(5)).credible(true), None);
        assert_eq!(usage(None, Some(5)).credible(true), None);
        assert!(usage(Some(5), Some(0)).credible(false).is_some());
        assert!(usage(Some(5), Some(1)).credible(true).is_some());
    }
}
