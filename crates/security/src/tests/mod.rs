//! The part as a whole, on SQLite and (where a server is given) PostgreSQL.

mod account;
mod accounts;
mod members;
mod refresh;
mod sessions;
mod tokens;

use std::{net::IpAddr, str::FromStr};

use kernel::{Actor, Clock, Context, Ids, Role, Roles, TenantId, Timestamp};
use store::params;
use testkit::PostgresDatabase;

use super::*;

const PASSWORD: &str = "correct horse battery";

/// One installation on one database; every test gets fresh ones.
struct Bench {
    security: Security,
    store: Store,
    clock: Clock,
    _guard: Guard,
}

/// What matters of a domain event.
struct Published {
    kind: String,
    key: String,
    payload: serde_json::Value,
}

enum Guard {
    Directory { _directory: tempfile::TempDir },
    Database { _database: PostgresDatabase },
}

/// SQLite, and PostgreSQL where there is a server for tests.
async fn benches() -> Vec<Bench> {
    benches_with(Options::default()).await
}

async fn benches_with(options: Options) -> Vec<Bench> {
    let directory = tempfile::tempdir().unwrap();
    let place = store::Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 2,
    };
    let mut all = vec![
        bench(
            place,
            Guard::Directory {
                _directory: directory,
            },
            &options,
        )
        .await,
    ];
    if let Some(database) = PostgresDatabase::if_here().await {
        let place = store::Options::Postgres {
            url: database.url(),
            connections: 12,
        };
        let guard = Guard::Database {
            _database: database,
        };
        all.push(bench(place, guard, &options).await);
    }
    all
}

async fn bench(place: store::Options, guard: Guard, options: &Options) -> Bench {
    let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
    let ids = Ids::new(clock.clone(), Random::system());
    let env = store::Env {
        clock: clock.clone(),
        ids,
    };
    let store = Store::open(&place, env, &[MIGRATIONS]).await.unwrap();
    let security = node(&store, &clock, options).await;
    Bench {
        security,
        store,
        clock,
        _guard: guard,
    }
}

async fn node(store: &Store, clock: &Clock, options: &Options) -> Security {
    let state = State::memory(clock.clone());
    Security::open(store.clone(), state, Random::system(), options.clone())
        .await
        .unwrap()
}

impl Bench {
    /// Another process on the same database, with caches and limits of its own.
    async fn another(&self) -> Security {
        node(&self.store, &self.clock, self.security.options()).await
    }

    fn anonymous(&self) -> Context {
        let tenant = self.security.default_tenant().id;
        Context::new(tenant, Actor::Anonymous, self.store.env().ids.next())
            .with_address(Some(IpAddr::from_str("192.0.2.7").unwrap()))
    }

    fn system(&self) -> Context {
        Context::system(
            "test",
            self.security.default_tenant().id,
            self.store.env().ids.next(),
        )
    }

    async fn register(&self, email: &str) -> User {
        let input = Register {
            email: email.to_owned(),
            password: Secret::new(PASSWORD),
            display_name: None,
        };
        self.security
            .register(&self.anonymous(), input)
            .await
            .unwrap()
    }

    fn login_as(&self, name: &str, password: &str) -> Login {
        let (name, password) = (name.to_owned(), Secret::new(password));
        Login {
            name,
            password,
            tenant: None,
            user_agent: None,
        }
    }

    async fn login(&self, name: &str, password: &str) -> Result<Tokens> {
        self.security
            .login(&self.anonymous(), self.login_as(name, password))
            .await
    }

    /// A registered account, signed in.
    async fn signed_in(&self, email: &str) -> (Tokens, Context) {
        self.register(email).await;
        let tokens = self.login(email, PASSWORD).await.unwrap();
        let ctx = self.caller(&tokens).await.unwrap();
        (tokens, ctx)
    }

    async fn caller(&self, tokens: &Tokens) -> Result<Context> {
        self.security
            .authenticate(&tokens.access_token, self.store.env().ids.next())
            .await
    }

    /// The first administrator, signed in.
    async fn admin(&self) -> Context {
        let password = Some(Secret::new(PASSWORD));
        self.security
            .bootstrap(&self.system(), None, password)
            .await
            .unwrap();
        let tokens = self.login("admin@localhost", PASSWORD).await.unwrap();
        self.caller(&tokens).await.unwrap()
    }

    /// Another tenant, with an admin who is nothing else.
    async fn elsewhere(&self, email: &str) -> (TenantId, Context) {
        let tenant: TenantId = self.store.env().ids.next();
        self.execute(move |uow| {
            Box::pin(async move {
                uow.execute(
                    "INSERT INTO tenants (id, slug, name, status, created_at)
                     VALUES ($1, 'elsewhere', 'Elsewhere', 'active', $2)",
                    params![tenant, uow.now()],
                )
                .await
            })
        })
        .await;
        let there = Context::system("test", tenant, self.store.env().ids.next());
        let input = CreateUser {
            email: email.to_owned(),
            username: None,
            password: Secret::new(PASSWORD),
            display_name: None,
            roles: Roles::of(&[Role::User, Role::Admin]),
        };
        self.security.create_user(&there, input).await.unwrap();
        let tokens = self.login(email, PASSWORD).await.unwrap();
        (tenant, self.caller(&tokens).await.unwrap())
    }

    async fn execute<F>(&self, f: F) -> u64
    where
        F: for<'a> Fn(&'a mut store::Uow) -> kernel::BoxFuture<'a, Result<u64>>
            + Send
            + Sync
            + 'static,
    {
        let system = self.system();
        self.store
            .write(&system, store::Durability::Fast, f, |uow, f| {
                Box::pin(async move { f(uow).await })
            })
            .await
            .unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let system = self.system();
        let row = self.store.read(&system, (), move |reads, ()| {
            Box::pin(async move { reads.query_one(sql, params![]).await })
        });
        row.await.unwrap().get(0).unwrap()
    }

    /// What was published; read from the table itself, because on PostgreSQL the outbox's readers
    /// wait for whatever transaction runs anywhere on the server.
    async fn events(&self) -> Vec<Published> {
        let system = self.system();
        let rows = self.store.read(&system, (), |reads, ()| {
            Box::pin(async move {
                reads
                    .query(
                        "SELECT kind, event_key, payload FROM outbox ORDER BY position",
                        params![],
                    )
                    .await
            })
        });
        let published = |mut row: store::Row| Published {
            kind: row.get(0).unwrap(),
            key: row.get(1).unwrap(),
            payload: row.get(2).unwrap(),
        };
        rows.await.unwrap().into_iter().map(published).collect()
    }

    async fn event_kinds(&self) -> Vec<String> {
        self.events()
            .await
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.unwrap_err().code().name
}
