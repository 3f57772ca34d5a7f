//! Lists, searches and long threads: 50,000 conversations of one account, and
//! one of 10,000 messages, through the real part on each database.

use std::time::Instant;

use conversations::{
    Conversations, Create, Filter, MessageRole, MessagesQuery, NewMessage, Options, Reading,
};
use kernel::{Actor, Clock, Context, Ids, Page, Random, Result, Role, Roles};
use store::{Durability, Env, Options as At, Store};

use crate::store::{Failed, database, text};

const COUNT: usize = 50_000;
const LONG: usize = 10_000;

/// Prints a table for each database that is there.
///
/// # Errors
/// A sentence, when a database cannot be used.
pub async fn run() -> Failed<()> {
    println!(
        "\n50,000 conversations (goals, p95: list 5 ms, search 50 ms, newest page of 10,000 messages 20 ms)"
    );
    let home = tempfile::tempdir_in(".").map_err(text)?;
    measure(
        "SQLite",
        &At::Sqlite {
            directory: home.path().to_owned(),
            readers: 2,
        },
    )
    .await?;
    if let Ok(server) = std::env::var("TERTULIA_TEST_POSTGRES_URL") {
        let url = database(&server, "threads").await?;
        measure(
            "PostgreSQL",
            &At::Postgres {
                url,
                connections: 8,
            },
        )
        .await?;
    }
    Ok(())
}

async fn measure(name: &str, at: &At) -> Failed<()> {
    let clock = Clock::system();
    let ids = Ids::new(clock.clone(), Random::system());
    let store = Store::open(
        at,
        Env {
            clock,
            ids: ids.clone(),
        },
        &[conversations::MIGRATIONS],
    )
    .await
    .map_err(text)?;
    let state = state::State::memory(store.env().clock.clone());
    let part = Conversations::new(store.clone(), state, Random::system(), Options::default());
    let actor = Actor::Account {
        id: ids.next(),
        session: ids.next(),
        roles: Roles::of(&[Role::User]),
    };
    let me = Context::new(ids.next(), actor, ids.next());
    fill(&store, &part, &me).await.map_err(text)?;
    if let At::Postgres { url, .. } = at {
        analyze(url).await?;
    }
    for page in [1, 2_500] {
        time(name, &format!("list, page {page}"), || async {
            whole(
                part.list(&me, Page::new(Some(page), None), Filter::default())
                    .await?,
            )
            .await
        })
        .await?;
    }
    for query in ["rare4711", "number usual 99", "the", "absent"] {
        time(name, &format!("search {query:?}"), || async {
            Ok(part.search(&me, query, Page::default()).await?.meta.total)
        })
        .await?;
    }
    let long = part.create(&me, conversation(0)).await.map_err(text)?.id;
    for _ in 0..LONG / 500 {
        store
            .write(&me, Durability::Fast, part.clone(), move |uow, part| {
                Box::pin(async move {
                    for n in 0..500 {
                        let message =
                            NewMessage::new(long, MessageRole::User, format!("message {n}"));
                        part.append_in(uow, message).await?;
                    }
                    Ok(())
                })
            })
            .await
            .map_err(text)?;
    }
    time(name, "newest page of 10,000 messages", || async {
        let query = MessagesQuery {
            page: Page::new(None, Some(50)),
            before: None,
        };
        whole(part.messages(&me, long, query).await?).await
    })
    .await
}

/// Reads every row of a page, as the server does for an answer.
async fn whole<T>(mut page: Reading<T>) -> kernel::Result<i64> {
    let total = page.meta().total;
    while !page.is_over() {
        page.next().await?;
    }
    Ok(total)
}

fn conversation(n: usize) -> Create {
    Create {
        model_id: "m".to_owned(),
        title: Some(format!("Common title {n}")),
        ..Create::default()
    }
}

async fn fill(store: &Store, part: &Conversations, me: &Context) -> Result<()> {
    for from in (0..COUNT).step_by(500) {
        store
            .write(
                me,
                Durability::Fast,
                (part.clone(), from),
                |uow, (part, from)| {
                    Box::pin(async move {
                        for n in *from..*from + 500 {
                            let id = part.create_in(uow, &conversation(n)).await?.id;
                            let asked = format!("what is the number {n} in the usual words?");
                            part.append_in(uow, NewMessage::new(id, MessageRole::User, asked))
                                .await?;
                            let said = format!("the number is {} and rare{n}", n * 7);
                            part.append_in(uow, NewMessage::new(id, MessageRole::Assistant, said))
                                .await?;
                        }
                        Ok(())
                    })
                },
            )
            .await?;
    }
    Ok(())
}

/// As autovacuum does within a minute.
async fn analyze(url: &str) -> Failed<()> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .map_err(text)?;
    let work = async {
        let done = client.batch_execute("ANALYZE").await;
        drop(client);
        done.map_err(text)
    };
    tokio::join!(work, connection).0
}

async fn time<F: Future<Output = Result<i64>>>(
    database: &str,
    what: &str,
    run: impl Fn() -> F,
) -> Failed<()> {
    let mut times = Vec::with_capacity(40);
    let mut found = 0;
    for _ in 0..40 {
        let begun = Instant::now();
        found = run().await.map_err(text)?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{database:11} {what:32} ({found:>6} in all)  p50 {:7.2} ms  p95 {:7.2} ms",
        times[times.len() / 2],
        times[times.len() * 95 / 100]
    );
    Ok(())
}
