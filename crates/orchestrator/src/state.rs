//! Whether a model can answer, as far as is known without asking it: what the local provider knows of its
//! own models, and the failures that calls met lately. Nobody is called to find out.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    catalogue::Deployment,
    provider::{ProviderErrorKind as Kind, TimeoutKind},
};

/// How long a failure is thought to last, unless a call succeeds before or the provider said when to come back.
const LASTS: Duration = Duration::from_secs(120);
/// The same for a provider that has too much to do.
const BUSY: Duration = Duration::from_secs(30);

/// Whether a model can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// It is in memory and answers at once.
    Ready,
    /// It is being loaded.
    Loading,
    /// It is loaded when it is first asked, which takes a moment.
    Cold,
    /// Its provider was not heard to fail.
    Available,
    /// It will probably not answer.
    Unavailable(Trouble),
}

impl ModelState {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Loading => "loading",
            Self::Cold => "cold",
            Self::Available => "available",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// Why a model will probably not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A local model without its file.
    FileMissing,
    /// A local model that was asked and could not be loaded or run.
    NotLoadable,
    /// The provider refuses our key.
    KeyRefused,
    /// The provider has too much to do, or our quota is used up.
    Overloaded,
    /// No connection to the provider.
    Unreachable,
    /// The provider did not answer in time.
    TooSlow,
    /// The provider does not have the model.
    UnknownModel,
    /// The provider fails.
    Failing,
}

impl Trouble {
    /// The sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::FileMissing => "Its file is missing.",
            Self::NotLoadable => "It could not be loaded.",
            Self::KeyRefused => "Its provider refused the key.",
            Self::Overloaded => "Its provider has too much to do.",
            Self::Unreachable => "Its provider cannot be reached.",
            Self::TooSlow => "Its provider did not answer in time.",
            Self::UnknownModel => "Its provider does not know it.",
            Self::Failing => "Its provider failed.",
        }
    }

    /// What a failed call says of calls to come; nothing where the request itself was at fault.
    const fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Auth => Self::KeyRefused,
            Kind::RateLimited { .. } | Kind::Overloaded { .. } => Self::Overloaded,
            Kind::Connect | Kind::Timeout(TimeoutKind::Connect) => Self::Unreachable,
            Kind::Timeout(_) => Self::TooSlow,
            Kind::UnknownModel => Self::UnknownModel,
            Kind::Malformed | Kind::Cut | Kind::Upstream(_) => Self::Failing,
            Kind::Engine => Self::NotLoadable,
            Kind::ContextTooLong | Kind::BadRequest | Kind::Cancelled => return None,
        })
    }

    /// Whether it concerns everything that the provider serves.
    const fn is_the_providers(self) -> bool {
        matches!(self, Self::KeyRefused | Self::Unreachable)
    }
}

/// The failures that calls met lately, by provider and, where only that is concerned, model.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<HashMap<Place, (Trouble, Instant)>>);

type Place = (String, Option<String>);

fn places(deployment: &Deployment) -> [Place; 2] {
    let provider = &deployment.provider;
    let model = Some(deployment.model.clone());
    [(provider.clone(), None), (provider.clone(), model)]
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, (Trouble, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call failed.
    pub(crate) fn failed(&self, deployment: &Deployment, kind: Kind) {
        let Some(trouble) = Trouble::of(kind) else {
            return;
        };
        let lasts = match kind {
            Kind::RateLimited { retry_after } | Kind::Overloaded { retry_after } => {
                retry_after.unwrap_or(BUSY).min(LASTS)
            }
            _ => LASTS,
        };
        let [provider, model] = places(deployment);
        let place = if trouble.is_the_providers() {
            provider
        } else {
            model
        };
        self.lock().insert(place, (trouble, Instant::now() + lasts));
    }

    /// A call was answered: what was in the way before is over.
    pub(crate) fn answered(&self, deployment: &Deployment) {
        let mut troubles = self.lock();
        if !troubles.is_empty() {
            for place in places(deployment) {
                troubles.remove(&place);
            }
        }
    }

    /// What is in the way of a call, as far as is known.
    pub(crate) fn of(&self, deployment: &Deployment) -> Option<Trouble> {
        let mut troubles = self.lock();
        let now = Instant::now();
        troubles.retain(|_, (_, until)| *until > now);
        places(deployment)
            .iter()
            .find_map(|place| troubles.get(place))
            .map(|(trouble, _)| *trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(provider: &str, model: &str) -> Deployment {
        Deployment {
            provider: provider.to_owned(),
            model: model.to_owned(),
            stream: true,
        }
    }

    #[test]
    fn a_refused_key_concerns_the_provider_and_a_failure_the_model() {
        let troubles = Troubles::default();
        let (a, b, other) = (
            deployment("p", "a"),
            deployment("p", "b"),
            deployment("q", "a"),
        );
        troubles.failed(&a, Kind::Auth);
        assert_eq!(troubles.of(&b), Some(Trouble::KeyRefused));
        assert_eq!(troubles.of(&other), None);
        troubles.failed(&b, Kind::Upstream(500));
        troubles.answered(&a);
        assert_eq!(troubles.of(&a), None, "the key is taken again");
        assert_eq!(troubles.of(&b), Some(Trouble::Failing));
        troubles.answered(&b);
        assert_eq!(troubles.of(&b), None);
        // The request itself was at fault.
        for kind in [Kind::ContextTooLong, Kind::BadRequest, Kind::Cancelled] {
            troubles.failed(&a, kind);
            assert_eq!(troubles.of(&a), None);
        }
    }

    #[test]
    fn a_failure_is_forgotten_when_the_provider_said_it_would_pass() {
        let troubles = Troubles::default();
        let a = deployment("p", "a");
        let retry_after = Some(Duration::ZERO);
        troubles.failed(&a, Kind::RateLimited { retry_after });
        assert_eq!(troubles.of(&a), None);
        let retry_after = Some(Duration::from_secs(3600));
        troubles.failed(&a, Kind::Overloaded { retry_after });
        assert_eq!(troubles.of(&a), Some(Trouble::Overloaded));
    }
}
