//! The list of a tenant's accounts, for its administrators.

use kernel::{Context, Page, Paged, Result, Role};
use store::{Reads, params};

use crate::{
    Security, User,
    accounts::{self, COLUMNS},
};

/// Which accounts are listed.
#[derive(Debug, Clone, Default)]
pub struct UsersQuery {
    /// Those with this text in their email address, user name or display name, in any case.
    pub text: Option<String>,
    /// Which page of them.
    pub page: Page,
}

impl Security {
    /// The accounts of the caller's tenant (admins), in the order in which they joined.
    ///
    /// # Errors
    /// `forbidden`; `database_unavailable`.
    pub async fn users(&self, ctx: &Context, query: UsersQuery) -> Result<Paged<User>> {
        ctx.require(&[Role::Admin, Role::Operator])?;
        self.0
            .store
            .read(ctx, query, |reads, query| Box::pin(users_in(reads, query)))
            .await
    }
}

async fn users_in(reads: &mut Reads, query: &UsersQuery) -> Result<Paged<User>> {
    let (tenant, page) = (reads.tenant()?, query.page);
    let text = query.text.as_deref().map(str::trim).unwrap_or_default();
    let wanted = format!("%{}%", literally(&text.to_lowercase()));
    let (which, params) = match text {
        "" => ("", params![tenant].to_vec()),
        _ => (
            " AND a.sought LIKE $2 ESCAPE '\\'",
            params![tenant, &wanted].to_vec(),
        ),
    };
    let from = format!(
        "FROM memberships m JOIN accounts a ON a.id = m.account_id WHERE m.tenant_id = $1{which}"
    );
    let count = format!("SELECT CAST(COUNT(*) AS bigint) {from}");
    let total = reads.query_one(&count, &params).await?.get(0)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM memberships m
         JOIN accounts a ON a.id = m.account_id JOIN tenants t ON t.id = m.tenant_id
         WHERE m.tenant_id = $1{which}
         ORDER BY m.created_at, m.account_id LIMIT {} OFFSET {}",
        page.limit(),
        page.offset()
    );
    let rows = reads.query(&sql, &params).await?;
    let users = rows.into_iter().map(|mut row| accounts::listed(&mut row));
    Ok(Paged::new(users.collect::<Result<_>>()?, page, total))
}

/// The text as a pattern that stands for itself.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
