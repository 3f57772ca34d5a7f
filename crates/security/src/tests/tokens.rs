//! Access tokens: forged, expired, revoked, remembered.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::token;

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The true claims, one of them changed, signed with the true key.
fn changed(bench: &Bench, token: &str, name: &str, value: Value) -> String {
    let mut claims = claims(token);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    token::sign_anything(&bench.security.0.keys, &claims)
}

async fn refused(bench: &Bench, token: &str) -> &'static str {
    code(
        bench
            .security
            .authenticate(token, bench.store.env().ids.next())
            .await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_what_other_services_need() {
    for bench in benches().await {
        let (tokens, ctx) = bench.signed_in("ann@example.org").await;
        let header = header(&tokens.access_token);
        let jwk = &bench.security.jwks()["keys"][0];
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!(header["typ"], "at+jwt");
        assert_eq!(header["kid"], jwk["kid"]);
        assert_eq!(
            (jwk["kty"].as_str(), jwk["crv"].as_str()),
            (Some("OKP"), Some("Ed25519"))
        );
        assert!(jwk.get("d").is_none());
        let claims = claims(&tokens.access_token);
        assert_eq!(claims["iss"], "tertulia");
        assert_eq!(claims["aud"], "tertulia");
        assert_eq!(claims["sub"], json!(ctx.account().unwrap()));
        assert_eq!(claims["tid"], json!(ctx.tenant()));
        assert_eq!(claims["roles"], json!(["user"]));
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            900
        );
        // Verifies with the published key alone.
        let key =
            jsonwebtoken::DecodingKey::from_ed_components(jwk["x"].as_str().unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&["tertulia"]);
        jsonwebtoken::decode::<Value>(&tokens.access_token, &key, &validation).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused() {
    for bench in benches().await {
        let (tokens, ctx) = bench.signed_in("ann@example.org").await;
        let good = tokens.access_token.as_str();
        let mut forged: Vec<String> = Vec::new();

        let keys = &bench.security.0.keys;
        assert!(
            bench
                .security
                .authenticate(&token::sign_anything(keys, &claims(good)), ctx.request())
                .await
                .is_ok()
        );

        // No signature at all.
        for alg in ["none", "None", "NONE", ""] {
            let head = json!({ "alg": alg, "typ": "at+jwt", "kid": keys.kid });
            forged.push(format!("{}.{}.", part(&head), part(&claims(good))));
        }
        // The public key as the secret of an HMAC, raw and as published.
        let x = bench.security.jwks()["keys"][0]["x"]
            .as_str()
            .unwrap()
            .to_owned();
        for secret in [URL_SAFE_NO_PAD.decode(&x).unwrap(), x.into_bytes()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let mut header = Header::new(algorithm);
                header.typ = Some("at+jwt".to_owned());
                header.kid = Some(keys.kid.clone());
                forged.push(
                    encode(&header, &claims(good), &EncodingKey::from_secret(&secret)).unwrap(),
                );
            }
        }
        // Another key under the same and under another name, and one that the token brings along.
        for kid in [Some(keys.kid.as_str()), Some("other"), None] {
            use ed25519_dalek::pkcs8::EncodePrivateKey;
            let other = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
            let der = other.to_pkcs8_der().unwrap();
            let mut header = Header::new(Algorithm::EdDSA);
            header.typ = Some("at+jwt".to_owned());
            header.kid = kid.map(str::to_owned);
            header.jku = Some("https://evil.example/jwks.json".to_owned());
            forged.push(
                encode(
                    &header,
                    &claims(good),
                    &EncodingKey::from_ed_der(der.as_bytes()),
                )
                .unwrap(),
            );
        }
        // The true key, but not an access token.
        for typ in [None, Some("JWT"), Some("rt+jwt")] {
            let mut header = Header::new(Algorithm::EdDSA);
            header.typ = typ.map(str::to_owned);
            header.kid = Some(keys.kid.clone());
            forged.push(encode(&header, &claims(good), &keys.signing).unwrap());
        }
        // The true key, but claims that are wrong, missing or of another type.
        let later = bench.clock.now().as_second() + 3_600;
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", Value::Null),
            ("exp", json!(later.to_string())),
            ("exp", json!(-1.5)),
            ("exp", json!(1e300)),
            ("exp", Value::Null),
            ("nbf", json!(later)),
            ("nbf", json!("now")),
            ("nbf", Value::Null),
            ("sub", json!("me")),
            ("sub", Value::Null),
            ("tid", json!(7)),
            ("sid", json!("")),
            ("roles", json!("admin")),
            ("roles", json!(["root"])),
        ] {
            forged.push(changed(&bench, good, name, value));
        }
        // Garbage.
        let (head, rest) = good.split_once('.').unwrap();
        let (body, signature) = rest.split_once('.').unwrap();
        let mut admin = claims(good);
        admin["roles"] = json!(["admin", "operator"]);
        forged.push(format!("{head}.{}.{signature}", part(&admin)));
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        forged.push(format!("{head}.{body}.{other}{}", &signature[1..]));
        forged.extend([
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            "a.b.c".into(),
            "\0".into(),
            "ü.ü.ü".into(),
            format!("{head}.{body}"),
            format!("{head}.{body}."),
            format!("{good}.x"),
            format!(" {good}"),
            "x".repeat(10_000),
            format!("{head}.{}.{signature}", "A".repeat(10_000)),
            tokens.refresh_token.clone(),
        ]);
        for token in &forged {
            assert_eq!(refused(&bench, token).await, "invalid_token", "{token}");
        }
        assert!(bench.caller(&tokens).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_of_no_session_or_another_tenant_opens_nothing() {
    for bench in benches().await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        let (elsewhere, _) = bench.elsewhere("bob@example.org").await;
        let other = bench.register("carl@example.org").await;
        for (name, value) in [
            ("tid", json!(elsewhere)),
            ("sub", json!(other.id)),
            (
                "sid",
                json!(bench.store.env().ids.next::<kernel::kinds::AuthSession>()),
            ),
        ] {
            // On a node that has not seen the session yet.
            let node = bench.another().await;
            let token = changed(&bench, &tokens.access_token, name, value);
            let result = node
                .authenticate(&token, bench.store.env().ids.next())
                .await;
            assert_eq!(code(result), "token_revoked", "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire_to_the_second_also_when_remembered() {
    for bench in benches().await {
        let (tokens, _) = bench.signed_in("ann@example.org").await;
        bench.clock.advance(Duration::from_secs(899));
        assert!(bench.caller(&tokens).await.is_ok());
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(code(bench.caller(&tokens).await), "token_expired");
        let node = bench.another().await;
        let result = node
            .authenticate(&tokens.access_token, bench.store.env().ids.next())
            .await;
        assert_eq!(code(result), "token_expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_are_kept_from_the_application_role() {
    for bench in benches().await {
        if bench.store.dialect() == store::Dialect::Sqlite {
            continue;
        }
        let count = |ctx: Context, sql: &'static str| {
            let store = bench.store.clone();
            async move {
                let row = store.read(&ctx, (), move |reads, ()| {
                    Box::pin(async move { reads.query_one(sql, params![]).await })
                });
                row.await.unwrap().get::<i64>(0).unwrap()
            }
        };
        bench.register("ann@example.org").await;
        bench.elsewhere("bob@example.org").await;
        let keys = "SELECT CAST(COUNT(*) AS bigint) FROM signing_keys";
        assert_eq!(count(bench.system(), keys).await, 1);
        assert_eq!(count(bench.anonymous(), keys).await, 0);
        for table in [
            "SELECT CAST(COUNT(*) AS bigint) FROM accounts",
            "SELECT CAST(COUNT(*) AS bigint) FROM tenants",
            "SELECT CAST(COUNT(*) AS bigint) FROM memberships",
        ] {
            assert_eq!(count(bench.system(), table).await, 2, "{table}");
            assert_eq!(count(bench.anonymous(), table).await, 1, "{table}");
        }
    }
}
