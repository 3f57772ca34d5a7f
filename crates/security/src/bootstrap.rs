//! The first start: the tenant `default` and its first administrator.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Context, Error, Result, Role, Roles, codes};
use store::{Durability, Store, params};

use crate::{
    Secret, Security, Tenant,
    accounts::{self, NewAccount},
    names,
};

const DEFAULT_TENANT: &str = "default";
const DEFAULT_EMAIL: &str = "admin@localhost";

/// What the first start made.
#[derive(Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// Whether the administrator was made now.
    pub created: bool,
    /// The administrator's email address.
    pub email: String,
    /// The password, if it was made up: to be shown once and kept in the data directory.
    pub generated_password: Option<String>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bootstrap({}, created: {})", self.email, self.created)
    }
}

impl Security {
    /// Makes the first administrator (user, admin and operator) of the tenant `default`, unless there
    /// is an operator already. Without an email it is `admin@localhost`, without a password one is made.
    ///
    /// # Errors
    /// `validation_failed` for an unacceptable email or password; `forbidden` for anybody but the
    /// platform itself; `database_unavailable`.
    pub async fn bootstrap(
        &self,
        system: &Context,
        email: Option<String>,
        password: Option<Secret>,
    ) -> Result<Bootstrap> {
        crate::only_system(system)?;
        let system = Context::system("bootstrap", self.0.default_tenant.id, system.request());
        if let Some(email) = self.first_operator(&system).await? {
            return Ok(Bootstrap {
                created: false,
                email,
                generated_password: None,
            });
        }
        let email = email.unwrap_or_else(|| DEFAULT_EMAIL.to_owned());
        let email = names::email(&email).map_err(|message| Error::invalid("email", message))?;
        let generated = password.is_none().then(|| self.generated_password());
        let password = password.or_else(|| generated.clone().map(Secret::new));
        let password = password.ok_or_else(|| store::broken("there is a password"))?;
        names::password(&password).map_err(|message| Error::invalid("password", message))?;
        let display_name = names::display_name(None, &email)
            .map_err(|message| Error::invalid("email", message))?;
        let new = NewAccount {
            display_name,
            email: email.clone(),
            username: None,
            password_hash: self.0.passwords.hash(&password).await?,
            roles: Roles::of(&[Role::User, Role::Admin, Role::Operator]),
        };
        let first = self
            .0
            .store
            .write(&system, Durability::Durable, new, |uow, new| {
                Box::pin(async move {
                    let tenant = uow.tenant()?;
                    // Nodes that start together wait here for each other.
                    uow.query(
                        "SELECT id FROM tenants WHERE id = $1 FOR UPDATE",
                        params![tenant],
                    )
                    .await?;
                    let operators = "SELECT account_id FROM memberships
                     WHERE tenant_id = $1 AND roles LIKE '%operator%' LIMIT 1";
                    if uow.query_opt(operators, params![tenant]).await?.is_some() {
                        return Ok(false);
                    }
                    accounts::insert(uow, new).await.map(|_| true)
                })
            });
        match first.await {
            Ok(true) => Ok(Bootstrap {
                created: true,
                email,
                generated_password: generated,
            }),
            Ok(false) => {
                let email = self.first_operator(&system).await?.unwrap_or(email);
                Ok(Bootstrap {
                    created: false,
                    email,
                    generated_password: None,
                })
            }
            Err(error) if error.is(codes::EMAIL_ALREADY_EXISTS) => Err(Error::new(
                codes::CONFLICT,
                "There is no operator, and the administrator's email address belongs to an ordinary \
                 account; name another address for the administrator.",
            )),
            Err(error) => Err(error),
        }
    }

    /// 24 characters with 144 bits of randomness.
    pub(crate) fn generated_password(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.random.bytes::<18>())
    }

    async fn first_operator(&self, system: &Context) -> Result<Option<String>> {
        let tenant = self.0.default_tenant.id;
        let row = self.0.store.read(system, tenant, |reads, tenant| {
            Box::pin(async move {
                reads
                    .query_opt(
                        "SELECT a.email FROM memberships m JOIN accounts a ON a.id = m.account_id
                         WHERE m.tenant_id = $1 AND m.roles LIKE '%operator%'
                         ORDER BY m.created_at LIMIT 1",
                        params![*tenant],
                    )
                    .await
            })
        });
        row.await?.map(|mut row| row.get(0)).transpose()
    }
}

/// The tenant `default`, made if it is not there.
pub(crate) async fn default_tenant(store: &Store, system: &Context) -> Result<Tenant> {
    store
        .write(system, Durability::Durable, (), |uow, ()| {
            Box::pin(async move {
                uow.execute(
                    "INSERT INTO tenants (id, slug, name, status, created_at)
                     VALUES ($1, $2, $3, 'active', $4) ON CONFLICT DO NOTHING",
                    params![
                        uow.id::<kernel::kinds::Tenant>(),
                        DEFAULT_TENANT,
                        "Default",
                        uow.now()
                    ],
                )
                .await?;
                let mut row = uow
                    .query_one(
                        "SELECT id, slug, name FROM tenants WHERE slug = $1",
                        params![DEFAULT_TENANT],
                    )
                    .await?;
                Ok(Tenant {
                    id: row.get(0)?,
                    slug: row.get(1)?,
                    name: row.get(2)?,
                })
            })
        })
        .await
}
