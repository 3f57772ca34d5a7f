//! One SQL text for both databases. Statements are written for PostgreSQL;
//! for SQLite the few words it does not know are exchanged, once a statement.
//!
//! - `$1` becomes `?1`.
//! - `NOW_DB` is the database's own clock (leases are measured by it).
//! - `NOW_DB_PLUS($3)` is that clock and so many microseconds more.
//! - `FOR UPDATE`, `FOR SHARE`, `SKIP LOCKED` disappear: SQLite has one writer.
//! - In migrations, the types `uuid`, `timestamptz`, `jsonb`, `bytea`, `bigint`,
//!   `boolean` and `double precision` become SQLite's storage classes.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Which database is behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded SQLite.
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

const SQLITE_WORDS: &[(&str, &str)] = &[
    (" FOR UPDATE", ""),
    (" FOR SHARE", ""),
    (" SKIP LOCKED", ""),
    ("NOW_DB", "(CAST(unixepoch('subsec') * 1000000 AS INTEGER))"),
];

/// The statement as the database understands it.
pub(crate) fn translate(dialect: Dialect, sql: &str) -> Cow<'_, str> {
    match dialect {
        Dialect::Postgres if sql.contains("NOW_DB") => {
            let text = plus(
                sql,
                "(clock_timestamp() + CAST(",
                " AS bigint) * interval '1 microsecond')",
            );
            Cow::Owned(text.replace("NOW_DB", "clock_timestamp()"))
        }
        Dialect::Postgres => Cow::Borrowed(sql),
        Dialect::Sqlite => {
            let mut text = plus(&numbered(sql), "(NOW_DB + ", ")");
            for (word, other) in SQLITE_WORDS {
                if text.contains(word) {
                    text = text.replace(word, other);
                }
            }
            Cow::Owned(text)
        }
    }
}

/// Exchanges `NOW_DB_PLUS(x)` for `before x after`.
fn plus(sql: &str, before: &str, after: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some((head, tail)) = rest.split_once("NOW_DB_PLUS(") {
        let (inner, tail) = tail.split_once(')').unwrap_or((tail, ""));
        out.extend([head, before, inner, after]);
        rest = tail;
    }
    out + rest
}

/// `$1` to `?1`, outside of string literals.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut quoted = false;
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        quoted ^= c == '\'';
        let placeholder = !quoted && c == '$' && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if placeholder { '?' } else { c });
    }
    out
}

/// Translations already made, shared by the connections of a store.
#[derive(Default)]
pub(crate) struct Translations(RwLock<HashMap<Box<str>, Arc<str>>>);

impl Translations {
    pub(crate) fn get(&self, dialect: Dialect, sql: &str) -> Arc<str> {
        if let Some(text) = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sql)
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = translate(dialect, sql).into();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Statements are constants but for a few filters; the bound is for those.
        if known.len() >= 2_000 {
            known.clear();
        }
        known.insert(sql.into(), Arc::clone(&text));
        text
    }
}

/// A migration's text for one database: sections `-- only: sqlite|postgres`
/// up to `-- both`, `-- tenant: table` for row-level security, types exchanged.
pub(crate) fn migration(dialect: Dialect, sql: &str) -> String {
    let mut out = String::new();
    let mut active = true;
    for line in sql.lines() {
        let directive = line.trim();
        if let Some(only) = directive.strip_prefix("-- only: ") {
            active = (only == "sqlite") == (dialect == Dialect::Sqlite);
        } else if directive == "-- both" {
            active = true;
        } else if let Some(table) = directive.strip_prefix("-- tenant: ") {
            if dialect == Dialect::Postgres {
                out.push_str(&row_security(table));
            }
        } else if active {
            match dialect {
                Dialect::Sqlite => out.push_str(&sqlite_types(line)),
                Dialect::Postgres => out.push_str(line),
            }
            out.push('\n');
        }
    }
    out
}

/// Rows of the table belong to tenants: the application role sees those of
/// its tenant, the system role all, the owner none.
fn row_security(table: &str) -> String {
    format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
         CREATE POLICY own_tenant ON {table} TO tertulia_app
           USING (tenant_id = (SELECT NULLIF(current_setting('tertulia.tenant', true), '')::uuid));
         CREATE POLICY every_tenant ON {table} TO tertulia_system USING (true);\n"
    )
}

fn sqlite_types(line: &str) -> String {
    if line.trim_start().starts_with("--") {
        return String::new();
    }
    let mut line = line.replace("double precision", "REAL");
    for (postgres, sqlite) in [
        ("uuid", "BLOB"),
        ("timestamptz", "INTEGER"),
        ("jsonb", "TEXT"),
        ("bytea", "BLOB"),
        ("bigint", "INTEGER"),
        ("boolean", "INTEGER"),
    ] {
        line = replace_word(&line, postgres, sqlite);
    }
    line
}

fn replace_word(line: &str, word: &str, other: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(word) {
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
        let inside = rest[..at].chars().next_back().is_some_and(part_of_name)
            || rest[at + word.len()..]
                .chars()
                .next()
                .is_some_and(part_of_name);
        out.push_str(&rest[..at]);
        out.push_str(if inside { word } else { other });
        rest = &rest[at + word.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_translated_for_sqlite() {
        let sql = "SELECT '$1', a FROM t WHERE b = $1 AND c > NOW_DB FOR UPDATE SKIP LOCKED";
        assert_eq!(
            translate(Dialect::Sqlite, sql),
            "SELECT '$1', a FROM t WHERE b = ?1 AND c > (CAST(unixepoch('subsec') * 1000000 AS INTEGER))"
        );
        assert!(translate(Dialect::Postgres, sql).contains("clock_timestamp() FOR UPDATE SKIP"));
    }

    #[test]
    fn migrations_keep_names_that_contain_types() {
        let sql = "CREATE TABLE t (\n  id uuid PRIMARY KEY,\n  my_uuid bigint\n);\n-- tenant: t\n-- only: postgres\nX;\n-- both\nY;";
        let sqlite = migration(Dialect::Sqlite, sql);
        assert!(sqlite.contains("id BLOB PRIMARY KEY") && sqlite.contains("my_uuid INTEGER"));
        assert!(!sqlite.contains('X') && sqlite.contains('Y') && !sqlite.contains("POLICY"));
        let postgres = migration(Dialect::Postgres, sql);
        assert!(postgres.contains("X;") && postgres.contains("FORCE ROW LEVEL SECURITY"));
    }
}
