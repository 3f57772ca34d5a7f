//! Members of tenants, made without asking for passwords.

use kernel::{AccountId, Context};
use store::{Durability, Store, params};

pub(crate) async fn add(store: &Store, system: &Context, account: AccountId) {
    store
        .write(system, Durability::Fast, account, |uow, account| {
            Box::pin(async move {
                let (tenant, now) = (uow.tenant()?, uow.now());
                let name = account.to_string();
                uow.execute_all(&[
                    (
                        "INSERT INTO tenants (id, slug, name, status, created_at)
                         VALUES ($1, $2, $2, 'active', $3) ON CONFLICT DO NOTHING",
                        params![tenant, tenant.to_string(), now],
                    ),
                    (
                        "INSERT INTO accounts (id, email, display_name, password_hash,
                           password_changed_at, created_at) VALUES ($1, $2, $2, '', $3, $3)",
                        params![*account, &name, now],
                    ),
                    (
                        "INSERT INTO memberships (tenant_id, account_id, roles, created_at)
                         VALUES ($1, $2, 'user', $3)",
                        params![tenant, *account, now],
                    ),
                ])
                .await
            })
        })
        .await
        .unwrap();
}
