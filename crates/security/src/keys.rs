//! The keys access tokens are signed with: Ed25519, made on the first start,
//! kept in a table that only the platform itself can read, shared by all nodes.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use kernel::{Context, Error, Random, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Durability, Store, params};

const ACCESS: &str = "access";

/// Every key, the current one first.
pub(crate) struct Keys {
    pub(crate) kid: String,
    pub(crate) signing: EncodingKey,
    pub(crate) verifying: HashMap<String, DecodingKey>,
    jwks: Value,
}

impl Keys {
    /// The stored keys; makes the first one when there is none.
    pub(crate) async fn load(store: &Store, system: &Context, random: &Random) -> Result<Self> {
        let fresh = random.bytes::<32>();
        let rows = store
            .write(system, Durability::Durable, fresh, |uow, fresh| {
                Box::pin(async move {
                    // Of nodes that start together one wins, and all read its key.
                    uow.execute(
                        "INSERT INTO signing_keys (kid, purpose, seed, created_at)
                         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                        params![kid(fresh), ACCESS, &fresh[..], uow.now()],
                    )
                    .await?;
                    uow.query(
                        "SELECT kid, seed FROM signing_keys WHERE purpose = $1
                         ORDER BY retired_at IS NULL DESC, created_at DESC",
                        params![ACCESS],
                    )
                    .await
                })
            })
            .await?;
        let mut keys = Vec::with_capacity(rows.len());
        for mut row in rows {
            let seed: [u8; 32] = row
                .get::<Vec<u8>>(1)?
                .try_into()
                .map_err(|_| store::broken("a signing key has 32 bytes"))?;
            keys.push((row.get::<String>(0)?, SigningKey::from_bytes(&seed)));
        }
        Self::of(&keys)
    }

    fn of(keys: &[(String, SigningKey)]) -> Result<Self> {
        let (kid, current) = keys
            .first()
            .ok_or_else(|| store::broken("there is a signing key"))?;
        let pkcs8 = current
            .to_pkcs8_der()
            .map_err(|e| Error::internal(e.to_string()))?;
        let mut verifying = HashMap::new();
        let mut published = Vec::new();
        for (kid, key) in keys {
            let x = x_of(key);
            let decoding = DecodingKey::from_ed_components(&x).map_err(Error::internal)?;
            verifying.insert(kid.clone(), decoding);
            published.push(json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x,
            }));
        }
        Ok(Self {
            kid: kid.clone(),
            signing: EncodingKey::from_ed_der(pkcs8.as_bytes()),
            verifying,
            jwks: json!({ "keys": published }),
        })
    }

    /// The public keys (RFC 7517, RFC 8037).
    pub(crate) fn jwks(&self) -> &Value {
        &self.jwks
    }
}

fn x_of(key: &SigningKey) -> String {
    URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes())
}

/// The thumbprint of the public key (RFC 7638): the same key has the same name everywhere.
fn kid(seed: &[u8; 32]) -> String {
    let x = x_of(&SigningKey::from_bytes(seed));
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(members.as_bytes()))
}
