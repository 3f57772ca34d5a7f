//! The money on both databases: against a model, under races, by its operations.

mod at_once;
mod members;
mod model;
mod operations;
mod races;

use std::time::Duration;

use kernel::{
    AccountId, Actor, Clock, Context, Credits, Ids, Random, Role, Roles, RunId, TenantId, Timestamp,
};
use state::State;
use store::{Durability, Env, Options as StoreOptions, Store, params};
use testkit::PostgresDatabase;

use crate::{
    Accounting, Hold, HoldRequest, LedgerReport, ModelPrice, Options, Price, Settled, Used,
};

/// Makes two tests of each body, `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($bank:ident: $options:expr) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;
            async fn body($bank: $crate::tests::Bank) $body

            #[test]
            fn sqlite() {
                $crate::tests::run(async { body($crate::tests::Bank::sqlite($options).await).await });
            }

            #[test]
            fn postgres() {
                $crate::tests::run(async {
                    if let Some(bank) = $crate::tests::Bank::postgres($options).await {
                        body(bank).await;
                    }
                });
            }
        }
    )*};
}
pub(crate) use on_both;

pub(crate) const MODEL: &str = "test-model";
/// Micro-credits for 1,000 tokens: a token of the answer costs 3 micro-credits.
pub(crate) const INPUT: i64 = 1_000;
pub(crate) const OUTPUT: i64 = 3_000;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

pub(crate) fn micros(micros: i64) -> Credits {
    Credits::from_micros(micros)
}

/// Without a grant, and with short waits.
pub(crate) fn bare() -> Options {
    Options {
        signup_grant: Credits::ZERO,
        hold_wait: Duration::from_millis(50),
        ..Options::default()
    }
}

/// The part over a database of its own, with one model and a clock that stands still.
pub(crate) struct Bank {
    pub store: Store,
    pub money: Accounting,
    pub clock: Clock,
    pub tenant: TenantId,
    pub price: Price,
    _home: Option<tempfile::TempDir>,
    _database: Option<PostgresDatabase>,
}

impl Bank {
    pub(crate) async fn sqlite(options: Options) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = StoreOptions::Sqlite {
            directory: home.path().to_owned(),
            readers: 2,
        };
        Self::open(&at, options, Some(home)).await
    }

    pub(crate) async fn postgres(options: Options) -> Option<Self> {
        let database = PostgresDatabase::if_here().await?;
        let at = StoreOptions::Postgres {
            url: database.url(),
            connections: 20,
        };
        let mut bank = Self::open(&at, options, None).await;
        bank._database = Some(database);
        Some(bank)
    }

    async fn open(at: &StoreOptions, options: Options, home: Option<tempfile::TempDir>) -> Self {
        let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
        let ids = Ids::new(clock.clone(), Random::seeded(7));
        let env = Env {
            clock: clock.clone(),
            ids,
        };
        let store = Store::open(at, env, &[security::MIGRATIONS, crate::MIGRATIONS])
            .await
            .unwrap();
        let state = State::memory(clock.clone());
        let money = Accounting::new(store.clone(), state, options);
        let tenant = store.env().ids.next();
        let mut bank = Self {
            price: Price {
                id: store.env().ids.next(),
                input: micros(INPUT),
                output: micros(OUTPUT),
                effective_from: clock.now(),
            },
            store,
            money,
            clock,
            tenant,
            _home: home,
            _database: None,
        };
        bank.set_price(INPUT, OUTPUT).await;
        bank.price = bank.newest_price().await;
        bank
    }

    pub(crate) fn system(&self) -> Context {
        let tenant = "00000000-0000-0000-0000-000000000000".parse().unwrap();
        Context::system("test", tenant, self.store.env().ids.next())
    }

    pub(crate) async fn set_price(&self, input: i64, output: i64) {
        let (input, output) = (micros(input), micros(output));
        let price = ModelPrice {
            model: MODEL.to_owned(),
            input,
            output,
        };
        self.money
            .sync_prices(&self.system(), &[price])
            .await
            .unwrap();
    }

    pub(crate) async fn reprice(&mut self, input: i64, output: i64) {
        self.clock.advance(Duration::from_secs(1));
        self.set_price(input, output).await;
        self.price = self.newest_price().await;
    }

    pub(crate) async fn newest_price(&self) -> Price {
        self.store
            .read(&self.ctx(), self.money.clone(), |reads, money| {
                Box::pin(async move { money.price_in(reads, MODEL).await })
            })
            .await
            .unwrap()
            .unwrap()
    }

    /// Every row about the model's price, oldest first: both prices, and whether they ended.
    pub(crate) async fn price_history(&self) -> Vec<(i64, i64, bool)> {
        let sql = "SELECT input, output, ended FROM prices WHERE model_id = $1
            ORDER BY effective_from, id";
        self.store
            .read(&self.ctx(), sql, |reads, sql| {
                Box::pin(async move {
                    let rows = reads.query(sql, params![MODEL]).await?.into_iter();
                    rows.map(|mut row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                        .collect()
                })
            })
            .await
            .unwrap()
    }

    /// The platform itself within the tenant.
    pub(crate) fn ctx(&self) -> Context {
        self.system_in(self.tenant)
    }

    pub(crate) fn system_in(&self, tenant: TenantId) -> Context {
        Context::system("test", tenant, self.store.env().ids.next())
    }

    /// A new member of the tenant, with these roles.
    pub(crate) async fn member(&self, roles: &[Role]) -> (AccountId, Context) {
        self.member_of(self.tenant, roles).await
    }

    pub(crate) async fn member_of(&self, tenant: TenantId, roles: &[Role]) -> (AccountId, Context) {
        let id: AccountId = self.store.env().ids.next();
        members::add(&self.store, &self.system_in(tenant), id).await;
        let session = self.store.env().ids.next();
        let actor = Actor::Account {
            id,
            session,
            roles: Roles::of(roles),
        };
        (id, Context::new(tenant, actor, self.store.env().ids.next()))
    }

    pub(crate) async fn user(&self, credits: i64) -> AccountId {
        let (id, _) = self.member(&[Role::User]).await;
        if credits > 0 {
            self.give(id, credits, None).await;
        }
        id
    }

    /// Puts micro-credits into a wallet.
    pub(crate) async fn give(
        &self,
        target: AccountId,
        credits: i64,
        expires_at: Option<Timestamp>,
    ) {
        let allocate = crate::Allocate {
            target,
            amount: micros(credits),
            expires_at,
            note: None,
        };
        self.money.allocate(&self.ctx(), allocate).await.unwrap();
    }

    pub(crate) fn request(&self, account: AccountId, prompt: u64, max: Option<u64>) -> HoldRequest {
        HoldRequest {
            run: self.store.env().ids.next(),
            account,
            conversation: None,
            model: MODEL.to_owned(),
            price: self.price.clone(),
            prompt_tokens: prompt,
            max_tokens: max,
            extendable: true,
        }
    }

    pub(crate) async fn hold(&self, request: HoldRequest) -> kernel::Result<Hold> {
        self.money.hold(&self.ctx(), request).await
    }

    pub(crate) async fn settle(&self, run: RunId, used: Option<(u64, u64)>) -> Settled {
        let args = (self.money.clone(), run, used);
        self.store
            .write(
                &self.ctx(),
                Durability::Durable,
                args,
                |uow, (money, run, used)| {
                    let used = used.map(|(prompt_tokens, completion_tokens)| Used {
                        prompt_tokens,
                        completion_tokens,
                        ..Used::default()
                    });
                    Box::pin(money.settle_in(uow, *run, used))
                },
            )
            .await
            .unwrap()
    }

    /// Available and held, in micro-credits.
    pub(crate) async fn has(&self, account: AccountId) -> (i64, i64) {
        let balance = self
            .money
            .balance(&self.ctx(), Some(account))
            .await
            .unwrap();
        (balance.balance.micros(), balance.held.micros())
    }

    /// The books, which must add up.
    pub(crate) async fn verified(&self) -> LedgerReport {
        let report = self.money.verify(&self.system()).await.unwrap();
        assert!(report.is_sound(), "{:#?}", report.faults);
        report
    }

    /// The number that a query over the tenant (`$1`) answers.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        self.store
            .read(&self.ctx(), sql, |reads, sql| {
                Box::pin(async move {
                    let tenant = reads.tenant()?;
                    reads.query_one(sql, params![tenant]).await?.get(0)
                })
            })
            .await
            .unwrap()
    }
}
