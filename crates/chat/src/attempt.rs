//! What is known of the calls that an answer takes, told to its run while they go on: however the run
//! ends, it tells which way was chosen and what was tried.

use kernel::Timestamp;
use orchestrator::{Model, Route};
use runs::{ActiveRun, EndReason};
use serde_json::{Value as Json, json};

/// One call to a provider.
pub(crate) struct Attempt<'a> {
    run: &'a ActiveRun,
    begun: Timestamp,
    data: Json,
}

impl<'a> Attempt<'a> {
    pub(crate) fn begins(
        run: &'a ActiveRun,
        model: &Model,
        route: Option<Route>,
        begun: Timestamp,
    ) -> Self {
        let mut data = json!({"model": model.id});
        if let Some(Route {
            provider,
            deployment,
        }) = route
        {
            data["provider"] = json!(provider);
            data["deployment"] = json!(deployment);
        }
        let attempt = Self { run, begun, data };
        attempt.tell();
        attempt
    }

    /// Text has come; the first time counts.
    pub(crate) fn speaks(&mut self, now: Timestamp) {
        if self.data.get("first_token_ms").is_none() {
            let waited = now.duration_since(self.begun).as_millis();
            self.data["first_token_ms"] = json!(i64::try_from(waited).unwrap_or(i64::MAX));
            self.tell();
        }
    }

    /// All attempts, this one at its end.
    pub(crate) fn ends(mut self, outcome: &str) -> Json {
        self.data["outcome"] = json!(outcome);
        json!([self.data])
    }

    fn tell(&self) {
        let model = self.data["model"].as_str().unwrap_or_default();
        self.run.goes(routing(model), json!([self.data]));
    }
}

/// Which way was chosen.
pub(crate) fn routing(model: &str) -> Json {
    json!({"model": model})
}

/// The attempts of a run that did not end by itself: the one that was going on ended as the run did.
pub(crate) fn cut_short(attempts: Option<Json>, reason: EndReason) -> Json {
    let mut attempts = attempts.unwrap_or_else(|| json!([]));
    for attempt in attempts.as_array_mut().into_iter().flatten() {
        if attempt.get("outcome").is_none() {
            attempt["outcome"] = json!(reason.as_str());
        }
    }
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_attempt_that_went_on_is_cut_short() {
        let attempts = json!([{"provider": "a", "outcome": "connect"}, {"provider": "b"}]);
        assert_eq!(
            cut_short(Some(attempts), EndReason::Stopped),
            json!([{"provider": "a", "outcome": "connect"}, {"provider": "b", "outcome": "stopped"}])
        );
        assert_eq!(cut_short(None, EndReason::Interrupted), json!([]));
    }
}
