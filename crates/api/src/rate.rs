//! Which limit a request counts against: by method and canonical route.

use http::Method;

/// A class of requests with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Sends a prompt to a model, or makes as much work.
    Chat,
    /// Proves who somebody is; counted by address.
    SignIn,
    /// Everything else.
    Reads,
}

/// The routes that send prompts.
pub(crate) const CHAT: &[&str] = &[
    "/sessions/{id}/messages",
    "/sessions/{id}/messages/stream",
    "/sessions/{id}/messages/{mid}/regenerate",
    "/conversations/{id}/chat",
];

/// The routes that take a secret.
pub(crate) const SIGN_IN: &[&str] = &[
    "/auth/login",
    "/auth/register",
    "/auth/refresh",
    "/auth/password",
];

impl Class {
    pub(crate) fn of(method: &Method, route: &str) -> Self {
        match *method {
            Method::POST if CHAT.contains(&route) => Self::Chat,
            // An edit sends the changed prompt.
            Method::PATCH if route == "/sessions/{id}/messages/{mid}" => Self::Chat,
            // All of its words are indexed again.
            Method::POST if route == "/sessions/{id}/restore" => Self::Chat,
            Method::POST if SIGN_IN.contains(&route) => Self::SignIn,
            // It takes the password, too.
            Method::DELETE if route == "/auth/me" => Self::SignIn,
            _ => Self::Reads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_secrets_have_their_own_limits() {
        for (method, route, class) in [
            (Method::POST, "/sessions/{id}/messages", Class::Chat),
            (Method::GET, "/sessions/{id}/messages", Class::Reads),
            (Method::PATCH, "/sessions/{id}/messages/{mid}", Class::Chat),
            (Method::PATCH, "/sessions/{id}", Class::Reads),
            (Method::POST, "/sessions/{id}/restore", Class::Chat),
            (Method::POST, "/auth/login", Class::SignIn),
            (Method::POST, "/auth/logout", Class::Reads),
            (Method::DELETE, "/auth/me", Class::SignIn),
            (Method::PATCH, "/auth/me", Class::Reads),
            (Method::POST, "/sessions/{id}/stop", Class::Reads),
        ] {
            assert_eq!(Class::of(&method, route), class, "{method} {route}");
        }
    }
}
