//! Accounts: how they come to be and what they show of themselves.

use kernel::{AccountId, Context, Error, Result, Role, Roles, TenantId, Timestamp, codes, topics};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Durability, Reads, Row, Uow, params};

use crate::{
    Secret, Security, Tenant,
    names::{self, Problems},
};

/// Somebody who wants an account.
#[derive(Debug, Clone)]
pub struct Register {
    /// The email address, in any case.
    pub email: String,
    /// 8 to 256 characters.
    pub password: Secret,
    /// At most 100 characters; the part before the @ where there is none.
    pub display_name: Option<String>,
}

/// An account that an admin makes for somebody.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// The email address, in any case.
    pub email: String,
    /// A second name to sign in with; unique, not an email address.
    pub username: Option<String>,
    /// 8 to 256 characters.
    pub password: Secret,
    /// At most 100 characters; the part before the @ where there is none.
    pub display_name: Option<String>,
    /// What the account may do in the admin's tenant.
    pub roles: Roles,
}

/// An account as its owner (every membership) or an admin (only that of their tenant) sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The account.
    pub id: AccountId,
    /// In lower case.
    pub email: String,
    /// The second name to sign in with, if there is one.
    pub username: Option<String>,
    /// The name for people.
    pub display_name: String,
    /// The roles in `tenant`.
    pub roles: Roles,
    /// The tenant this is about.
    pub tenant: Tenant,
    /// Every membership the caller may see.
    pub memberships: Vec<MembershipView>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether it may come in to `tenant`.
    #[serde(default)]
    pub status: MemberStatus,
    /// When it last signed in to `tenant` or renewed its tokens.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// Whether a member may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Yes.
    #[default]
    Active,
    /// Not before an administrator says so.
    Suspended,
}

/// An account's place in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipView {
    /// Where.
    pub tenant: Tenant,
    /// What is allowed there.
    pub roles: Roles,
}

/// An account that has been checked and can be stored.
pub(crate) struct NewAccount {
    pub(crate) email: String,
    pub(crate) username: Option<String>,
    pub(crate) display_name: String,
    pub(crate) password_hash: String,
    pub(crate) roles: Roles,
}

impl Security {
    /// Makes an account with the role `user` in the tenant `default` (S0.1, S4.1). Whoever asks.
    ///
    /// # Errors
    /// `validation_failed` with every field that is wrong; `email_already_exists`; `server_busy`;
    /// `idempotency_key_reused`, also for another password.
    pub async fn register(&self, ctx: &Context, input: Register) -> Result<User> {
        let Register {
            email,
            password,
            display_name,
        } = input;
        let roles = Roles::of(&[Role::User]);
        let new = CreateUser {
            email,
            username: None,
            password,
            display_name,
            roles,
        };
        let password = new.password.clone();
        let new = self.checked(new).await?;
        let home = Context::new(self.0.default_tenant.id, ctx.actor().clone(), ctx.request())
            .with_address(ctx.address())
            .with_idempotency(ctx.idempotency().cloned());
        let system = self.elevated(&home, "register");
        self.store_account(&system, new, &password).await
    }

    /// Makes an account in the caller's tenant (admins).
    ///
    /// # Errors
    /// `forbidden`; `validation_failed`; `email_already_exists`; `conflict` when the user name is taken.
    pub async fn create_user(&self, ctx: &Context, input: CreateUser) -> Result<User> {
        ctx.require(&[Role::Admin, Role::Operator])?;
        crate::members::may_grant(ctx, Roles::NONE, input.roles)?;
        let password = input.password.clone();
        let new = self.checked(input).await?;
        self.store_account(&self.elevated(ctx, "create_user"), new, &password)
            .await
    }

    /// The caller (GET /auth/me).
    ///
    /// # Errors
    /// `not_authenticated`; `forbidden` for services.
    pub async fn me(&self, ctx: &Context) -> Result<User> {
        let account = ctx.account()?;
        // As the system, because the memberships in other tenants are the caller's own, too.
        let system = self.elevated(ctx, "me");
        let user = self.0.store.read(&system, account, |reads, account| {
            Box::pin(async move { load(reads, *account).await })
        });
        user.await?.ok_or_else(crate::token::revoked)
    }

    async fn checked(&self, input: CreateUser) -> Result<NewAccount> {
        let mut problems = Problems::default();
        let email = problems.check("email", names::email(&input.email));
        let username = input.username.as_deref().map(names::username).transpose();
        let username = problems.check("username", username);
        let fallback = email.as_deref().unwrap_or_default();
        let name = names::display_name(input.display_name.as_deref(), fallback);
        let name = problems.check("display_name", name);
        let password = problems.check("password", names::password(&input.password));
        let roles = problems.check("roles", crate::members::for_people(input.roles));
        let (Some(email), Some(username), Some(display_name), Some(()), Some(())) =
            (email, username, name, password, roles)
        else {
            return Err(problems.error());
        };
        let password_hash = self.0.passwords.hash(&input.password).await?;
        Ok(NewAccount {
            email,
            username,
            display_name,
            password_hash,
            roles: input.roles,
        })
    }

    async fn store_account(
        &self,
        system: &Context,
        new: NewAccount,
        password: &Secret,
    ) -> Result<User> {
        let hash = new.password_hash.clone();
        let stored = self
            .0
            .store
            .write_once(system, Durability::Durable, new, |uow, new| {
                Box::pin(async move {
                    let account = insert(uow, new).await?;
                    store::answer_is_about(uow, &account.to_string()).await?;
                    load(uow, account)
                        .await?
                        .ok_or_else(|| store::broken("an account was stored"))
                })
            });
        let user = stored.await?;
        if system.idempotency().is_some() {
            self.same_request(system, user.id, &hash, password).await?;
        }
        Ok(user)
    }

    /// A password is in no fingerprint of an idempotency key, where it could be guessed from: a request
    /// that is answered with what an earlier one stored must know that one's password.
    async fn same_request(
        &self,
        system: &Context,
        account: AccountId,
        hash: &str,
        password: &Secret,
    ) -> Result<()> {
        let known = self.password_hash(system, account).await?;
        if known.as_deref() == Some(hash) || self.0.passwords.verify(password, known).await? {
            return Ok(());
        }
        Err(store::key_reused())
    }
}

/// Stores an account and its membership in the tenant of the unit of work.
pub(crate) async fn insert(uow: &mut Uow, new: &NewAccount) -> Result<AccountId> {
    let (account, now, tenant) = (uow.id(), uow.now(), uow.tenant()?);
    let sought = names::sought(&new.email, new.username.as_deref(), &new.display_name);
    let inserted = uow
        .execute(
            "INSERT INTO accounts
               (id, email, username, display_name, password_hash, password_changed_at, created_at,
                sought)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT DO NOTHING",
            params![
                account,
                &new.email,
                new.username.as_ref(),
                &new.display_name,
                &new.password_hash,
                now,
                &sought
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(taken(uow, new).await?);
    }
    uow.execute(
        "INSERT INTO memberships (tenant_id, account_id, roles, created_at) VALUES ($1, $2, $3, $4)",
        params![tenant, account, new.roles.to_string(), now],
    )
    .await?;
    uow.emit(
        topics::SECURITY,
        "account.registered",
        &account.to_string(),
        json!({ "account_id": account, "roles": new.roles }),
    )
    .await?;
    Ok(account)
}

/// Which name was taken.
async fn taken(reads: &mut Reads, new: &NewAccount) -> Result<Error> {
    let email = "SELECT 1 FROM accounts WHERE email = $1";
    let by_email = reads.query_opt(email, params![&new.email]).await?;
    Ok(if by_email.is_some() {
        let sentence =
            "An account with this email address exists already; sign in, or use another address.";
        Error::new(codes::EMAIL_ALREADY_EXISTS, sentence).with_field("email", "is taken")
    } else {
        Error::new(
            codes::CONFLICT,
            "This user name is taken; choose another one.",
        )
        .with_field("username", "is taken")
    })
}

/// The columns of [`Listed`], from `accounts a`, `memberships m` and `tenants t`.
pub(crate) const COLUMNS: &str = "a.id, a.email, a.username, a.display_name, a.created_at, m.roles,
    t.id, t.slug, t.name, m.suspended_at, m.last_used_at";

/// An account with one of its memberships.
pub(crate) fn listed(row: &mut Row) -> Result<User> {
    let tenant = Tenant {
        id: row.get(6)?,
        slug: row.get(7)?,
        name: row.get(8)?,
    };
    let roles = roles(row, 5)?;
    Ok(User {
        id: row.get(0)?,
        email: row.get(1)?,
        username: row.get(2)?,
        display_name: row.get(3)?,
        created_at: row.get(4)?,
        status: match row.get::<Option<Timestamp>>(9)? {
            None => MemberStatus::Active,
            Some(_) => MemberStatus::Suspended,
        },
        last_used_at: row.get(10)?,
        roles,
        memberships: vec![MembershipView {
            tenant: tenant.clone(),
            roles,
        }],
        tenant,
    })
}

pub(crate) fn roles(row: &mut Row, column: usize) -> Result<Roles> {
    row.get::<String>(column)?.parse().map_err(Error::internal)
}

/// An account as a member of the reads' tenant, with every membership the reads may see.
pub(crate) async fn load(reads: &mut Reads, account: AccountId) -> Result<Option<User>> {
    let tenant: TenantId = reads.tenant()?;
    // The memberships of all tenants are asked for: they are the account's own. Row-level security
    // leaves only those of one tenant to whoever is bound to it.
    let sql = format!(
        "SELECT {COLUMNS} FROM memberships m
         JOIN accounts a ON a.id = m.account_id JOIN tenants t ON t.id = m.tenant_id
         WHERE m.account_id = $1 ORDER BY m.created_at, t.id"
    );
    let rows = reads.query(&sql, params![account]).await?;
    let users = rows
        .into_iter()
        .map(|mut row| listed(&mut row))
        .collect::<Result<Vec<_>>>()?;
    let Some(mut user) = users.iter().find(|user| user.tenant.id == tenant).cloned() else {
        return Ok(None);
    };
    user.memberships = users
        .into_iter()
        .flat_map(|user| user.memberships)
        .collect();
    Ok(Some(user))
}
