//! Hold and settle, through the real store and the real accounting, next to the
//! figures of design.md. Each client has a wallet of its own.

use std::time::{Duration, Instant};

use accounting::{Accounting, HoldRequest, ModelPrice, Options, Price, Used};
use hdrhistogram::Histogram;
use kernel::{AccountId, Clock, Context, Credits, Ids, Random, TenantId};
use state::State;
use store::{Durability, Env, Options as At, Store};

/// What one measurement is compared with: clients, pairs a second, p50 in milliseconds.
type Expected = &'static [(usize, &'static str, &'static str)];

const SQLITE: Expected = &[
    (1, "2,000", "0.47"),
    (8, "9,700", "0.76"),
    (64, "29,000", "-"),
];
const POSTGRES: Expected = &[(1, "1,150", "0.84"), (8, "3,200", "2.3"), (64, "-", "-")];

pub(crate) type Failed<T> = Result<T, String>;

/// Prints a table for each database that is there.
///
/// # Errors
/// A sentence, when a database cannot be used.
pub async fn run() -> Failed<()> {
    let seconds = std::env::var("BENCH_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(5);
    let each = Duration::from_secs(seconds);
    let home = tempfile::tempdir_in(".").map_err(text)?;
    let at = At::Sqlite {
        directory: home.path().to_owned(),
        readers: 2,
    };
    measure("SQLite, fsync", &at, SQLITE, each).await?;
    match std::env::var("TERTULIA_TEST_POSTGRES_URL") {
        Ok(server) => {
            let url = database(&server, "store").await?;
            let at = At::Postgres {
                url,
                connections: 66,
            };
            measure("PostgreSQL", &at, POSTGRES, each).await
        }
        Err(_) => {
            println!("PostgreSQL: not measured, TERTULIA_TEST_POSTGRES_URL is not set");
            Ok(())
        }
    }
}

pub(crate) fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// A database of its own on the server.
pub(crate) async fn database(server: &str, what: &str) -> Failed<String> {
    let name = format!("bench_{what}_{}", std::process::id());
    let connected = tokio_postgres::connect(server, tokio_postgres::NoTls).await;
    let (client, connection) = connected.map_err(text)?;
    let create = async {
        let created = client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await;
        drop(client);
        created.map_err(text)
    };
    let (created, _) = tokio::join!(create, connection);
    created?;
    let (before, _) = server.rsplit_once('/').ok_or("the URL names no database")?;
    Ok(format!("{before}/{name}"))
}

#[derive(Clone)]
struct Client {
    store: Store,
    money: Accounting,
    ctx: Context,
    account: AccountId,
    price: Price,
}

impl Client {
    async fn pair(&self) -> kernel::Result<()> {
        let run = self.store.env().ids.next();
        let request = HoldRequest {
            run,
            account: self.account,
            conversation: None,
            model: "bench".to_owned(),
            price: self.price.clone(),
            prompt_tokens: 100,
            max_tokens: None,
            extendable: true,
        };
        self.money.hold(&self.ctx, request).await?;
        self.store
            .write(
                &self.ctx,
                Durability::Durable,
                self.money.clone(),
                move |uow, money| {
                    let used = Used {
                        prompt_tokens: 100,
                        completion_tokens: 200,
                        ..Used::default()
                    };
                    Box::pin(async move { money.settle_in(uow, run, Some(used)).await })
                },
            )
            .await
            .map(drop)
    }

    /// How long each pair took, in microseconds.
    async fn work(self, until: Instant) -> kernel::Result<Vec<u64>> {
        let mut times = Vec::new();
        loop {
            let start = Instant::now();
            if start >= until {
                return Ok(times);
            }
            self.pair().await?;
            times.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }
}

async fn measure(name: &str, at: &At, expected: Expected, each: Duration) -> Failed<()> {
    let clock = Clock::system();
    let env = Env {
        clock: clock.clone(),
        ids: Ids::new(clock.clone(), Random::system()),
    };
    let store = Store::open(at, env, &[accounting::MIGRATIONS])
        .await
        .map_err(text)?;
    let options = Options {
        signup_grant: Credits::whole(900_000_000),
        ..Options::default()
    };
    let money = Accounting::new(store.clone(), State::memory(clock), options);
    let ids = store.env().ids.clone();
    let tenant: TenantId = ids.next();
    let ctx = Context::system("bench", tenant, ids.next());
    let (input, output) = (Credits::from_micros(30_000), Credits::from_micros(60_000));
    let price = ModelPrice {
        model: "bench".to_owned(),
        input,
        output,
    };
    money.sync_prices(&ctx, &[price]).await.map_err(text)?;
    let price = store
        .read(&ctx, money.clone(), |reads, money| {
            Box::pin(async move { money.price_in(reads, "bench").await })
        })
        .await
        .map_err(text)?
        .ok_or("no price")?;
    println!("{name}: hold and settle");
    println!("  clients   pairs/s  p50 ms  p99 ms   design.md: pairs/s  p50 ms");
    for (clients, rate, p50) in expected {
        let client = Client {
            store: store.clone(),
            money: money.clone(),
            ctx: ctx.clone(),
            account: ids.next(),
            price: price.clone(),
        };
        let (times, took) = at_once(&client, *clients, each).await.map_err(text)?;
        let milliseconds = |quantile| {
            // A measurement, not money.
            Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
        };
        let pairs = u128::from(times.len()) * 1_000 / took.as_millis().max(1);
        let (median, worst) = (milliseconds(0.5), milliseconds(0.99));
        println!("  {clients:>7} {pairs:>9}  {median:>6.2}  {worst:>6.2}  {rate:>18}  {p50:>6}");
    }
    let report = money.verify(&ctx).await.map_err(text)?;
    if !report.is_sound() || report.open_holds > 0 {
        return Err(format!("the books do not add up: {report:#?}"));
    }
    println!("  {} transfers, the books add up", report.transfers);
    Ok(())
}

async fn at_once(
    client: &Client,
    clients: usize,
    each: Duration,
) -> kernel::Result<(Histogram<u64>, Duration)> {
    let each_own = |_| Client {
        account: client.store.env().ids.next(),
        ..client.clone()
    };
    let all: Vec<Client> = (0..clients).map(each_own).collect();
    for one in &all {
        one.pair().await?;
    }
    let start = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for one in all {
        working.spawn(one.work(start + each));
    }
    let mut times = Histogram::new(3).map_err(kernel::Error::internal)?;
    while let Some(done) = working.join_next().await {
        for time in done.map_err(kernel::Error::internal)?? {
            times.record(time).map_err(kernel::Error::internal)?;
        }
    }
    Ok((times, start.elapsed()))
}
