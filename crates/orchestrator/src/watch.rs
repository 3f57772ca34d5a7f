//! What every answer passes through: metrics of the calls (how many ended how, how soon they
//! began), what that says of the model's state, and the removal of what no text may have.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::{Stream, StreamExt};

use crate::{
    catalogue::Deployment,
    provider::{ChatStream, Chunk, ProviderError},
    state::Troubles,
};

/// Tells the exporter what the figures mean.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        "provider_requests_total",
        "Calls to model providers by how they ended: ok, the kind of failure, or dropped by us"
    );
    metrics::describe_histogram!(
        "provider_first_token_seconds",
        metrics::Unit::Seconds,
        "From a call to the first text of its answer"
    );
}

/// Measures one call; whatever ends it, it counts once.
pub(crate) struct Watch {
    deployment: Deployment,
    troubles: Arc<Troubles>,
    begun: Instant,
    first_token: bool,
    outcome: &'static str,
}

impl Watch {
    pub(crate) fn new(deployment: &Deployment, troubles: Arc<Troubles>) -> Self {
        Self {
            deployment: deployment.clone(),
            troubles,
            begun: Instant::now(),
            first_token: false,
            outcome: "dropped",
        }
    }

    fn saw(&mut self, item: &Result<Chunk, ProviderError>) {
        match item {
            Ok(Chunk::Text(_)) if !self.first_token => {
                self.first_token = true;
                metrics::histogram!(
                    "provider_first_token_seconds",
                    "provider" => self.deployment.provider.clone(),
                    "model" => self.deployment.model.clone()
                )
                .record(self.begun.elapsed());
            }
            Ok(Chunk::Text(_) | Chunk::Usage(_)) => {}
            Ok(Chunk::Finish(_)) => {
                self.outcome = "ok";
                self.troubles.answered(&self.deployment);
            }
            Err(error) => self.failed(error),
        }
    }

    pub(crate) fn failed(&mut self, error: &ProviderError) {
        self.outcome = error.kind.as_str();
        self.troubles.failed(&self.deployment, error.kind);
        let Deployment {
            provider, model, ..
        } = &self.deployment;
        tracing::warn!(provider, model, %error, "a model provider failed");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        metrics::counter!(
            "provider_requests_total",
            "provider" => std::mem::take(&mut self.deployment.provider),
            "model" => std::mem::take(&mut self.deployment.model),
            "outcome" => self.outcome
        )
        .increment(1);
    }
}

/// An answer that is measured while it passes.
pub(crate) struct Watched {
    pub(crate) inner: ChatStream,
    pub(crate) watch: Watch,
}

impl Stream for Watched {
    type Item = Result<Chunk, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut item = self.inner.poll_next_unpin(task);
        if let Poll::Ready(Some(item)) = &mut item {
            if let Ok(Chunk::Text(text)) = item {
                // A message with the character NUL cannot be stored, so its run could never end.
                text.retain(|c| c != '\0');
            }
            self.watch.saw(item);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::FinishReason;

    #[tokio::test]
    async fn no_nul_comes_out_of_any_provider() {
        let deployment = Deployment {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            stream: true,
        };
        let watch = Watch::new(&deployment, Arc::default());
        let chunks = ["\0", "a\0b", "c"].map(|text| Ok(Chunk::Text(text.to_owned())));
        let end = Ok(Chunk::Finish(FinishReason::Stop));
        let inner = futures_util::stream::iter(chunks.into_iter().chain([end])).boxed();
        let mut text = String::new();
        let mut watched = Watched { inner, watch };
        while let Some(chunk) = watched.next().await {
            if let Chunk::Text(more) = chunk.unwrap() {
                text += &more;
            }
        }
        assert_eq!(text, "abc");
    }
}
