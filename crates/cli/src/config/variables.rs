//! The environment's names: which one set a key, and which look like a key and are none.

use super::Config;

/// Names of keys begin so.
pub(super) const PREFIX: &str = "TERTULIA__";

/// Names with one underscore that are read without being keys.
const OTHERS: [&str; 8] = [
    "TERTULIA_ADMIN_EMAIL",
    "TERTULIA_ADMIN_PASSWORD",
    "TERTULIA_CONFIG",
    "TERTULIA_EMAIL",
    "TERTULIA_FAULT",
    "TERTULIA_LOG",
    "TERTULIA_PASSWORD",
    "TERTULIA_URL",
];

/// Letters in which two names may differ for one to be meant by the other.
const ALIKE: usize = 2;

/// The variable that sets this key (`runs.lease`) or the table around it, as the environment has it.
pub(super) fn variable_of(key: &str) -> Option<String> {
    let key = key.to_lowercase();
    let sets = |name: &String| {
        key_of(name).is_some_and(|path| key == path || key.starts_with(&format!("{path}.")))
    };
    names().filter(sets).max_by_key(String::len)
}

/// The variable that sets a key below this table, which is none of the configuration's.
pub(super) fn variable_below(table: &str) -> Option<String> {
    let table = format!("{}.", table.to_lowercase());
    let sets = |name: &String| key_of(name).is_some_and(|path| path.starts_with(&table));
    names().find(sets)
}

/// The key that a variable sets, as the file has it; `None` when it is not meant for the configuration.
fn key_of(variable: &str) -> Option<String> {
    let upper = variable.to_uppercase();
    let path = upper.strip_prefix(PREFIX)?;
    Some(match path {
        "MODELS__DIR" => "local.models_dir".to_owned(),
        path => path.to_lowercase().replace("__", "."),
    })
}

/// A sentence for each variable of the environment that looks like a key and is read by nobody.
#[must_use]
pub fn unread_variables() -> Vec<String> {
    warnings(names())
}

fn names() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

fn warnings(names: impl Iterator<Item = String>) -> Vec<String> {
    let keys = keys();
    let unread = names.filter(|name| {
        let upper = name.to_uppercase();
        // One underscore; and those of the tests are the tests'.
        upper.starts_with("TERTULIA_")
            && !upper.starts_with(PREFIX)
            && !upper.starts_with("TERTULIA_TEST_")
            && !OTHERS.contains(&name.as_str())
    });
    unread.filter_map(|name| warning(&name, &keys)).collect()
}

fn warning(name: &str, keys: &[String]) -> Option<String> {
    let words = flat(name);
    let known = keys.iter().map(String::as_str).chain(OTHERS);
    let nearest = known
        .map(|known| (strsim::levenshtein(&words, &flat(known)), known))
        .min();
    if let Some((distance, known)) = nearest
        && distance <= ALIKE
    {
        return Some(format!(
            "The variable {name} is read by nobody; perhaps {known} is meant."
        ));
    }
    let section = keys.iter().find_map(|key| {
        let (section, _) = key.strip_prefix(PREFIX)?.split_once("__")?;
        let within = format!("TERTULIA_{section}_");
        words.starts_with(&within).then_some(section)
    })?;
    Some(format!(
        "The variable {name} is read by nobody; the keys of [{}] are {PREFIX}{section}__KEY.",
        section.to_lowercase()
    ))
}

/// A name in which each run of underscores is one.
fn flat(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_uppercase()
}

/// The variable of every key.
fn keys() -> Vec<String> {
    fn collect(table: &toml::Table, above: &str, keys: &mut Vec<String>) {
        for (name, value) in table {
            let key = format!("{above}{}", name.to_uppercase());
            match value {
                toml::Value::Table(table) => collect(table, &format!("{key}__"), keys),
                _ => keys.push(key),
            }
        }
    }
    // What has no default is not written with the others.
    let mut keys = vec![format!("{PREFIX}MODELS__DIR")];
    if let Ok(table) = toml::Table::try_from(Config::default()) {
        collect(&table, PREFIX, &mut keys);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<String> {
        warnings([name.to_owned()].into_iter()).pop()
    }

    #[test]
    fn what_looks_like_a_key_is_told_with_the_key_that_is_meant() {
        for (name, meant) in [
            ("TERTULIA_SERVER__LISTEN", "TERTULIA__SERVER__LISTEN"),
            ("TERTULIA_SERVER_LISTEN", "TERTULIA__SERVER__LISTEN"),
            ("TERTULIA_SERVER_LISTN", "TERTULIA__SERVER__LISTEN"),
            ("TERTULIA_MODELS_DIR", "TERTULIA__MODELS__DIR"),
            ("TERTULIA_ADMIN_PASWORD", "TERTULIA_ADMIN_PASSWORD"),
            ("Tertulia_Runs_Lease", "TERTULIA__RUNS__LEASE"),
            (
                "TERTULIA_SECURITY_RATE_LIMIT_CHAT_REQUESTS",
                "TERTULIA__SECURITY__RATE_LIMIT__CHAT__REQUESTS",
            ),
            ("TERTULIA_DATABASE_PASSWORD", "TERTULIA__DATABASE__KEY"),
        ] {
            let said = of(name).unwrap_or_default();
            assert!(
                said.contains(name) && said.contains(meant),
                "{name}: {said}"
            );
        }
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        // Some platforms name variables after the service.
        let foreign = [
            "TERTULIA_PORT_8080_TCP_ADDR",
            "TERTULIA_SERVICE_HOST",
            "TERTULIA_TEST_MODELS_DIR",
            "TERTULIA__SERVER__LISTEN",
            "PATH",
        ];
        for name in OTHERS.into_iter().chain(foreign) {
            assert_eq!(of(name), None);
        }
    }
}
