//! A fresh store on each database, and callers.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs
)]

use conversations::{
    Conversation, Conversations, Create, Export, ExportFormat, Filter, MIGRATIONS, Message,
    MessageRole, MessageView, MessagesQuery, NewMessage, Parent, Reading,
};
use kernel::{
    AccountId, Actor, Clock, Context, ConversationId, Ids, MessageId, Page, Paged, Random, Result,
    Role, Roles, TenantId,
};
use store::{Durability, Env, Options, Store};
use testkit::PostgresDatabase;

pub struct Place {
    pub name: &'static str,
    pub store: Store,
    pub part: Conversations,
    pub ids: Ids,
    pub clock: Clock,
    /// PostgreSQL's, for the owner.
    pub url: Option<String>,
    _directory: tempfile::TempDir,
    _database: Option<PostgresDatabase>,
}

pub async fn places() -> Vec<Place> {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Options::Sqlite {
        directory: directory.path().to_owned(),
        readers: 2,
    };
    let mut places = vec![open("sqlite", &sqlite, directory, None).await];
    if let Some(database) = PostgresDatabase::if_here().await {
        let url = database.url();
        let postgres = Options::Postgres {
            url: url.clone(),
            connections: 8,
        };
        let home = tempfile::tempdir().unwrap();
        let mut place = open("postgres", &postgres, home, Some(url)).await;
        place._database = Some(database);
        places.push(place);
    }
    places
}

async fn open(
    name: &'static str,
    options: &Options,
    directory: tempfile::TempDir,
    url: Option<String>,
) -> Place {
    let clock = Clock::manual("2026-11-21T08:00:00Z".parse().unwrap());
    let ids = Ids::new(clock.clone(), Random::system());
    let env = Env {
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let store = Store::open(options, env, &[MIGRATIONS]).await.unwrap();
    let part = Conversations::new(
        store.clone(),
        state::State::memory(clock.clone()),
        Random::system(),
        conversations::Options::default(),
    );
    Place {
        name,
        store,
        part,
        ids,
        clock,
        url,
        _directory: directory,
        _database: None,
    }
}

impl Place {
    pub fn caller(&self) -> Context {
        self.caller_in(self.ids.next())
    }

    pub fn caller_in(&self, tenant: TenantId) -> Context {
        let id: AccountId = self.ids.next();
        let actor = Actor::Account {
            id,
            session: self.ids.next(),
            roles: Roles::of(&[Role::User]),
        };
        Context::new(tenant, actor, self.ids.next())
    }

    pub async fn create(&self, ctx: &Context, title: Option<&str>) -> Conversation {
        let input = Create {
            model_id: "m".into(),
            title: title.map(Into::into),
            ..Create::default()
        };
        self.part.create(ctx, input).await.unwrap()
    }

    pub async fn append(&self, ctx: &Context, new: NewMessage) -> Result<Message> {
        self.store
            .write(
                ctx,
                Durability::Fast,
                (self.part.clone(), new),
                |uow, (part, new)| Box::pin(async move { part.append_in(uow, new.clone()).await }),
            )
            .await
    }

    pub async fn say(&self, ctx: &Context, id: ConversationId, text: &str) -> Message {
        self.append(ctx, NewMessage::new(id, MessageRole::User, text))
            .await
            .unwrap()
    }

    pub async fn say_under(
        &self,
        ctx: &Context,
        id: ConversationId,
        parent: Parent,
        text: &str,
    ) -> Message {
        let new = NewMessage {
            parent,
            ..NewMessage::new(id, MessageRole::Assistant, text)
        };
        self.append(ctx, new).await.unwrap()
    }

    pub async fn messages(
        &self,
        ctx: &Context,
        id: ConversationId,
        query: MessagesQuery,
    ) -> Result<Paged<MessageView>> {
        whole(self.part.messages(ctx, id, query).await?).await
    }

    pub async fn list(
        &self,
        ctx: &Context,
        page: Page,
        filter: Filter,
    ) -> Result<Paged<Conversation>> {
        whole(self.part.list(ctx, page, filter).await?).await
    }

    pub async fn export(
        &self,
        ctx: &Context,
        id: ConversationId,
        format: ExportFormat,
    ) -> Result<String> {
        Ok(pieces(self.part.export(ctx, id, format).await?)
            .await?
            .concat())
    }

    pub async fn shown(&self, ctx: &Context, id: ConversationId) -> Vec<String> {
        let page = self.messages(ctx, id, Default::default()).await.unwrap();
        page.data
            .into_iter()
            .map(|view| view.message.content)
            .collect()
    }

    /// A conversation of `count` messages, made in a few units of work.
    pub async fn long(&self, ctx: &Context, count: usize) -> (ConversationId, Vec<MessageId>) {
        let id = self.create(ctx, Some("long")).await.id;
        let mut all = Vec::new();
        for from in (0..count).step_by(500) {
            let upto = (from + 500).min(count);
            let args = (self.part.clone(), id, from, upto);
            let made = self.store.write(
                ctx,
                Durability::Fast,
                args,
                |uow, (part, id, from, upto)| {
                    Box::pin(async move {
                        let mut made = Vec::new();
                        for n in *from..*upto {
                            let new =
                                NewMessage::new(*id, MessageRole::User, format!("message {n}"));
                            made.push(part.append_in(uow, new).await?.id);
                        }
                        Ok(made)
                    })
                },
            );
            all.extend(made.await.unwrap());
        }
        (id, all)
    }
}

/// All rows of a page.
pub async fn whole<T>(mut reading: Reading<T>) -> Result<Paged<T>> {
    let (meta, mut data) = (reading.meta(), Vec::new());
    while !reading.is_over() {
        data.extend(reading.next().await?);
    }
    Ok(Paged { data, meta })
}

/// All pieces of a file.
pub async fn pieces(mut export: Export) -> Result<Vec<String>> {
    let mut all = Vec::new();
    while let Some(piece) = export.piece().await? {
        all.push(piece);
    }
    Ok(all)
}
