//! Access tokens: EdDSA JWTs of RFC 9068's type `at+jwt`. Makes and verifies
//! them; whether the session still lives is not known here.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode, errors};
use kernel::{AccountId, AuthSessionId, Error, Result, Roles, TenantId, Timestamp, codes};
use serde::{Deserialize, Serialize};

use crate::{Options, keys::Keys};

const TYPE: &str = "at+jwt";
/// Longer ones are none of ours; nothing is spent on them.
const LONGEST: usize = 4096;
/// How far the clocks of nodes may be apart.
const SKEW: i64 = 30;

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The account.
    pub(crate) sub: AccountId,
    /// The tenant.
    pub(crate) tid: TenantId,
    /// The session.
    pub(crate) sid: AuthSessionId,
    /// For other services; here the membership itself is asked.
    pub(crate) roles: Roles,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
}

/// Whose token it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) account: AccountId,
    pub(crate) tenant: TenantId,
    pub(crate) session: AuthSessionId,
}

pub(crate) fn issue(
    keys: &Keys,
    options: &Options,
    subject: Subject,
    roles: Roles,
    now: Timestamp,
    jti: [u8; 16],
) -> Result<String> {
    let now = now.as_second();
    let claims = Claims {
        iss: options.issuer.clone(),
        aud: options.audience.clone(),
        sub: subject.account,
        tid: subject.tenant,
        sid: subject.session,
        roles,
        iat: now,
        nbf: now,
        exp: now.saturating_add(seconds(options.access_ttl)),
        jti: hex::encode(jti),
    };
    sign(keys, &claims)
}

fn sign(keys: &Keys, claims: &impl Serialize) -> Result<String> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(keys.kid.clone());
    encode(&header, claims, &keys.signing).map_err(Error::internal)
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Verifies signature and claims (RFC 8725: one algorithm, the key by its id, every claim demanded).
pub(crate) fn verify(
    keys: &Keys,
    options: &Options,
    token: &str,
    now: Timestamp,
) -> Result<Claims> {
    if token.len() > LONGEST {
        return Err(invalid());
    }
    let wrong = |error: errors::Error| invalid().caused_by(error);
    let header = decode_header(token).map_err(wrong)?;
    if header.alg != Algorithm::EdDSA
        || header.typ.as_deref() != Some(TYPE)
        || header.crit.is_some()
    {
        return Err(invalid());
    }
    let key = header
        .kid
        .and_then(|kid| keys.verifying.get(&kid))
        .ok_or_else(invalid)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[&options.issuer]);
    validation.set_audience(&[&options.audience]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    // The time is checked below, by the platform's clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims = decode::<Claims>(token, key, &validation)
        .map_err(wrong)?
        .claims;
    check_time(&claims, now)?;
    Ok(claims)
}

fn check_time(claims: &Claims, now: Timestamp) -> Result<()> {
    let now = now.as_second();
    if claims.nbf > now.saturating_add(SKEW) {
        return Err(invalid());
    }
    if claims.exp <= now {
        Err(expired())
    } else {
        Ok(())
    }
}

pub(crate) fn invalid() -> Error {
    Error::new(
        codes::INVALID_TOKEN,
        "The token is not valid; sign in again.",
    )
}

pub(crate) fn expired() -> Error {
    Error::new(
        codes::TOKEN_EXPIRED,
        "The token has expired; get a new one with your refresh token, or sign in again.",
    )
}

pub(crate) fn revoked() -> Error {
    Error::new(
        codes::TOKEN_REVOKED,
        "The token has been revoked; sign in again.",
    )
}

#[cfg(test)]
pub(crate) fn sign_anything(keys: &Keys, claims: &serde_json::Value) -> String {
    sign(keys, claims).unwrap()
}
