//! Registering, signing in and out (S0.1, S4.1, S4.2).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use kernel::{Error, ErrorKind, Roles, codes};
use security::{Login, Register, Secret, User};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{Anyone, caller::bearer},
    problem::{Answer, Problem, ProblemBody},
    seen::Seen,
    wire,
};

/// This part's routes.
pub(crate) fn table() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(jwks))
}

#[derive(Deserialize, ToSchema)]
struct RegisterInput {
    email: String,
    /// 8 to 256 characters.
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// The part of the email before the @ without it.
    #[serde(alias = "displayName", alias = "name")]
    display_name: Option<String>,
}

/// Makes an account
#[utoipa::path(post, path = "/auth/register", tag = "auth", operation_id = "register", security(()),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = RegisterInput,
    responses(
        (status = 201, body = wire::User),
        (status = 409, body = ProblemBody, description = "The email is taken"),
        (status = 422, body = ProblemBody), (status = 429, body = ProblemBody),
    ),
)]
async fn register(
    State(app): State<App>,
    posted: Anyone<RegisterInput>,
) -> Answer<(StatusCode, Json<User>)> {
    let Anyone { ctx, input } = posted;
    let RegisterInput {
        email,
        password,
        display_name,
    } = input;
    let register = Register {
        email,
        password,
        display_name,
    };
    Ok((
        StatusCode::CREATED,
        Json(app.parts().security.register(&ctx, register).await?),
    ))
}

#[derive(Deserialize, ToSchema)]
struct LoginInput {
    /// The email address or the user name.
    username: Option<String>,
    /// The same; one of the two is enough.
    email: Option<String>,
    #[schema(ignore)]
    name: Option<String>,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// The tenant's slug; the one used last without it.
    tenant: Option<String>,
    /// For the page: the tokens are set as cookies that scripts cannot read, and are not in the body.
    #[serde(default)]
    cookie: bool,
}

impl LoginInput {
    /// Who signs in. Forms send both fields, one of them empty or both the same.
    fn who(&mut self) -> kernel::Result<String> {
        let given = [&mut self.username, &mut self.email, &mut self.name];
        let mut given: Vec<String> = given.into_iter().filter_map(Option::take).collect();
        let any = given.first().cloned();
        given.retain(|name| !name.trim().is_empty());
        let same = |a: &String, b: &String| a.trim().to_lowercase() == b.trim().to_lowercase();
        if given.windows(2).any(|two| !same(&two[0], &two[1])) {
            let sentence = "and `email` are two different names; send only one of them";
            return Err(Error::invalid("username", sentence));
        }
        given
            .pop()
            .or(any)
            .ok_or_else(|| Error::invalid("username", "is missing"))
    }
}

/// Signs in; `/login` is the same
#[utoipa::path(post, path = "/auth/login", tag = "auth", operation_id = "login", security(()),
    request_body = LoginInput,
    responses(
        (status = 200, body = wire::SignedIn),
        (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
        (status = 429, body = ProblemBody),
    ),
)]
async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    posted: Anyone<LoginInput>,
) -> Answer<Response> {
    let Anyone { ctx, mut input } = posted;
    if input.cookie {
        app.cookies().require_own_page(&Method::POST, &headers)?;
    }
    let name = input.who()?;
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let login = Login {
        name,
        password: input.password,
        tenant: input.tenant,
        user_agent: agent.map(str::to_owned),
    };
    let tokens = app.parts().security.login(&ctx, login).await?;
    Ok(match input.cookie {
        true => app.cookies().session(tokens),
        false => Json(tokens).into_response(),
    })
}

#[derive(Deserialize, ToSchema)]
struct RefreshInput {
    /// Not needed by the page, whose browser sends its cookie.
    #[serde(alias = "refreshToken")]
    refresh_token: Option<String>,
}

/// A new pair of tokens; the refresh token is used up
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", operation_id = "refresh", security(()),
    request_body = RefreshInput,
    responses(
        (status = 200, body = wire::SignedIn),
        (status = 401, body = ProblemBody), (status = 403, body = ProblemBody),
    ),
)]
async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    posted: Anyone<RefreshInput>,
) -> Answer<Response> {
    let Anyone { ctx, input } = posted;
    let security = &app.parts().security;
    if let Some(token) = input.refresh_token {
        return Ok(Json(security.refresh(&ctx, &token).await?).into_response());
    }
    let cookies = app.cookies();
    let Some(token) = cookies.refresh(&headers) else {
        let sentence = "No session can be renewed: sign in first, or send `refresh_token`.";
        return Err(Error::new(codes::NOT_AUTHENTICATED, sentence).into());
    };
    cookies.require_own_page(&Method::POST, &headers)?;
    match security.refresh(&ctx, token).await {
        Ok(tokens) => Ok(cookies.session(tokens)),
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {
            let mut response = Problem(error).into_response();
            cookies.clear(&mut response);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// Signs this device out
///
/// The page's cookies are taken away, also when its session is over already.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", operation_id = "logout",
    responses((status = 200, body = wire::Said), (status = 401, body = ProblemBody)),
)]
async fn logout(
    State(app): State<App>,
    Extension(seen): Extension<Arc<Seen>>,
    headers: HeaderMap,
    posted: Anyone<serde::de::IgnoredAny>,
) -> Answer<Response> {
    let (security, cookies) = (&app.parts().security, app.cookies());
    let mut response = Json(json!({"message": "Signed out."})).into_response();
    let (access, refresh) = match bearer(&headers) {
        // A token ends its own session; whose the cookies are is another matter.
        Ok(token) => {
            let ctx = app.authenticate(token, &seen).await?;
            security.logout(&ctx).await?;
            return Ok(response);
        }
        Err(error) => match (cookies.access(&headers), cookies.refresh(&headers)) {
            (None, None) => return Err(error.into()),
            either => either,
        },
    };
    cookies.require_own_page(&Method::POST, &headers)?;
    if let Some(token) = access {
        match app.authenticate(token, &seen).await {
            Ok(ctx) => security.logout(&ctx).await?,
            // Its time is over, while that of the other one mostly is not.
            Err(error) if error.kind() == ErrorKind::Unauthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(token) = refresh {
        security.logout_by_refresh(&posted.ctx, token).await?;
    }
    cookies.clear(&mut response);
    Ok(response)
}

/// A set of roles by their names.
pub(super) fn roles(names: &[String]) -> kernel::Result<Roles> {
    let role = |name: &String| name.parse::<kernel::Role>();
    let roles = names.iter().map(role).collect::<Result<Roles, _>>();
    roles.map_err(|error| Error::invalid("roles", error.to_string()))
}

/// The public keys that verify access tokens (RFC 7517)
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth", operation_id = "jwks", security(()),
    responses((status = 200, body = Object)),
)]
async fn jwks(State(app): State<App>) -> Response {
    let cache = (
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    ([cache], Json(app.parts().security.jwks().clone())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_enough_to_sign_in_and_two_must_be_the_same() {
        let who = |names: &str| {
            let text = format!(r#"{{{names}, "password": "secret"}}"#);
            serde_json::from_str::<LoginInput>(&text).unwrap().who()
        };
        for names in [
            r#""username": "ann@x.org""#,
            r#""email": "ann@x.org""#,
            r#""name": "ann@x.org", "username": null"#,
            r#""username": "ann@x.org", "email": " ANN@x.org""#,
            r#""username": "", "email": "ann@x.org""#,
            r#""username": "ann@x.org", "email": " ""#,
        ] {
            let name = who(names).unwrap();
            assert_eq!(name.trim().to_lowercase(), "ann@x.org", "{names}");
        }
        for (names, said) in [
            (
                r#""username": "ann", "email": "ann@x.org""#,
                "two different",
            ),
            (r#""tenant": "default""#, "is missing"),
        ] {
            let error = who(names).unwrap_err();
            assert!(error.is(kernel::codes::VALIDATION_FAILED));
            assert!(error.detail().contains(said), "{error}");
        }
        // A name that is empty is a wrong one, not a missing one.
        assert_eq!(who(r#""username": "", "email": """#).unwrap(), "");
    }
}
