//! PostgreSQL stands behind the tenant of every statement: row-level security on
//! each table that has tenants, as the migrations leave it.

use serde_json::Value as Json;
use testkit::{Backend, Database, PostgresDatabase, run_on};

/// Not forced, so that its owner sees all of it: no index of words can be used behind row-level
/// security, so the search is a function of the owner's, which takes the tenant from the session
/// as the policy does.
const UNFORCED: &[&str] = &["conversation_texts"];

const TABLES: &str =
    "SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
      pg_get_userbyid(c.relowner) AS owner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
      AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                  AND NOT a.attisdropped)";
const POLICIES: &str =
    "SELECT tablename AS name, permissive, array_to_string(roles, ',') AS roles, cmd, qual,
      with_check FROM pg_policies WHERE schemaname = 'public'";
const ROLES: &str = "SELECT rolname AS name, rolsuper OR rolbypassrls AS above FROM pg_roles
    WHERE rolname IN ('tertulia_app', 'tertulia_system')";

fn text<'a>(row: &'a Json, name: &str) -> &'a str {
    row[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {row}"))
}

#[test]
fn every_table_with_tenants_has_row_level_security() {
    run_on(Backend::Postgres, |_| async {
        let made = PostgresDatabase::migrated().await;
        let database = Database::Postgres(made.url());
        let (tables, policies) = (database.rows(TABLES).await, database.rows(POLICIES).await);
        assert!(tables.len() >= 20, "{tables:?}");
        for table in &tables {
            let name = text(table, "name");
            assert_eq!(
                table["enabled"], true,
                "{name}: row-level security is off; `-- tenant: {name}`"
            );
            assert_eq!(table["forced"], !UNFORCED.contains(&name), "{name}: forced");
            assert_ne!(text(table, "owner"), "tertulia_app");
            let mut own = false;
            for policy in policies
                .iter()
                .filter(|policy| text(policy, "name") == name)
            {
                assert_eq!(
                    (text(policy, "permissive"), text(policy, "cmd")),
                    ("PERMISSIVE", "ALL"),
                    "{policy}"
                );
                // What is written is bound as what is read.
                assert_eq!(policy["with_check"], Json::Null, "{policy}");
                match text(policy, "roles") {
                    "tertulia_app" => {
                        let qual = text(policy, "qual");
                        assert!(
                            qual.starts_with("(tenant_id = ") && qual.contains("'tertulia.tenant'"),
                            "{policy}"
                        );
                        assert!(!qual.contains(" OR "), "{policy}");
                        assert!(
                            !std::mem::replace(&mut own, true),
                            "{name}: policies of one role add up"
                        );
                    }
                    "tertulia_system" => {}
                    other => panic!("{name}: a policy for {other}"),
                }
            }
            assert!(
                own,
                "{name}: no policy binds the application's role to a tenant"
            );
        }
        for role in database.rows(ROLES).await {
            assert_eq!(role["above"], false, "{role}");
        }
        for name in UNFORCED {
            assert!(
                tables.iter().any(|table| text(table, "name") == *name),
                "{name} is gone"
            );
        }
    });
}
