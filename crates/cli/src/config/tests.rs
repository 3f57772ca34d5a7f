//! Mistakes, defaults, secrets, and the example file.

use std::path::Path;

use super::*;

/// Loads a file of this text; no variable of the tests' surroundings begins like ours.
fn load(text: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tertulia.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&Settings {
        config: Some(file),
        data_dir: Some(directory.path().to_owned()),
    })
}

#[test]
fn a_mistake_is_one_sentence_that_names_the_key() {
    for (text, key) in [
        ("[server]\nlistn = \"x\"", "`server.listn`"),
        ("[sever]\nlisten = \"x\"", "`sever`"),
        ("[server]\nlisten = 5", "`server.listen`"),
        ("[server]\ndrain = \"soon\"", "`server.drain`"),
        ("[server]\nmax_body = -1", "`server.max_body`"),
        ("[server]\nmax_body = 0", "`server.max_body`"),
        ("[server]\nwrite_timeout = \"0s\"", "`server.write_timeout`"),
        (
            "[server]\ntrusted_proxies = [\"x\"]",
            "server.trusted_proxies",
        ),
        (
            "[server]\ncors_origins = [\"page\"]",
            "`server.cors_origins`",
        ),
        (
            "[security.lockout]\nattemps = 1",
            "`security.lockout.attemps`",
        ),
        (
            "[security.rate_limit.chat]\nrequests = \"many\"\nwindow = \"60s\"",
            "`security.rate_limit.chat.requests`",
        ),
        (
            "[accounting]\nsignup_grant = -1",
            "`accounting.signup_grant`",
        ),
        (
            "[accounting]\nsignup_grant = 0.0000001",
            "`accounting.signup_grant`",
        ),
        ("[database]\nurl = \"mysql://x\"", "`database.url`"),
        ("[state]\nurl = \"redis://x\"", "`state.url`"),
        ("[bus]\nurl = \"kafka://x\"", "`bus.url`"),
        ("[bus]\npol = \"1s\"", "`bus.pol`"),
        ("[bus]\npoll = 1", "`bus.poll`"),
        ("[bus]\nbatch = \"x\"", "`bus.batch`"),
        ("[log]\nformat = \"xml\"", "`log.format`"),
        ("[[providers]]\nnam = \"x\"", "nam"),
        ("[[models]]\nid = 5", "id"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(key), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(
        load("no toml [")
            .unwrap_err()
            .to_string()
            .contains("tertulia.toml")
    );
}

/// Each would be taken without a word, and then nobody could sign in, ask, or be kept from trying.
#[test]
fn a_number_that_serves_nobody_is_refused() {
    for (section, key, zero) in [
        ("server", "max_body", "0"),
        ("server", "max_connections", "0"),
        ("server", "max_streams_per_account", "0"),
        ("database", "connections", "0"),
        ("database", "connections", "1025"),
        ("database", "readers", "0"),
        ("database", "readers", "1025"),
        ("database", "readers", "4294967296"),
        ("security", "access_ttl", "\"0s\""),
        ("security", "refresh_ttl", "\"0s\""),
        ("security.lockout", "attempts", "0"),
        ("security.lockout", "window", "\"0s\""),
        ("security.rate_limit.chat", "requests", "0"),
        ("security.rate_limit.chat", "window", "\"0s\""),
        ("security.rate_limit.reads", "requests", "0"),
        ("security.rate_limit.reads", "window", "\"0s\""),
        ("security.rate_limit.sign_in", "requests", "0"),
        ("security.rate_limit.sign_in", "window", "\"0s\""),
        ("runs", "max_active", "0"),
        ("runs", "lease", "\"0s\""),
        ("conversations", "title_chars", "0"),
        ("conversations", "prompt_bytes", "0"),
        ("bus", "poll", "\"0s\""),
        ("bus", "lease", "\"0s\""),
    ] {
        let text = format!("[{section}]\n{key} = {zero}");
        let error = load(&text).map(drop).expect_err(&text).to_string();
        assert!(
            error.contains(&format!("`{section}.{key}`")),
            "{text}: {error}"
        );
    }
    // What may be nothing, and the most there may be.
    for text in [
        "[database]\nreaders = 1024\nconnections = 1024",
        "[security]\nrefresh_grace = \"0s\"",
        "[server]\ndrain = \"0s\"",
        "[conversations]\npurge_after = \"0s\"",
        "[accounting]\nsignup_grant = 0\nhold_wait = \"0s\"",
    ] {
        load(text).unwrap();
    }
}

#[test]
fn a_public_url_is_an_address_that_links_can_be_made_of() {
    let of = |url: &str| load(&format!("[server]\npublic_url = '{url}'"));
    for right in [
        "",
        "https://chat.example.org",
        "https://chat.example.org/",
        "http://localhost:8080",
        "https://example.org:8443/chat",
        "http://[::1]:8080",
        "http://10.0.0.7",
    ] {
        of(right).unwrap();
    }
    for wrong in [
        "chat.example.org",
        "chat.example.org:8080",
        "//chat.example.org",
        "ftp://chat.example.org",
        "https:chat.example.org",
        "https://",
        "https:///chat",
        "https://ch at",
        " https://chat.example.org",
        "https://chat.example.org/?q",
        "https://chat.example.org/#top",
        "https://me:secret@chat.example.org",
        "https://chat.example.org:",
        "https://chat.example.org:99999",
        "https://chat.example.org:x",
        "https://caf\u{e9}.example",
        r"https://chat\x",
    ] {
        let error = of(wrong).map(drop).expect_err(wrong).to_string();
        assert!(error.contains("`server.public_url`"), "{wrong}: {error}");
    }
}

#[test]
fn the_provider_that_the_environment_adds_is_shown_without_its_key() {
    let variable = |key: &'static str| {
        move |name: &str| match name {
            "OPENAI_API_KEY" => Some(key.to_owned()),
            "OPENAI_BASE_URL" => Some("http://127.0.0.1:9/v1".to_owned()),
            _ => None,
        }
    };
    let added = orchestrator::openai_from_environment(&[], &variable("sk-secret")).unwrap();
    assert_eq!(added.name, orchestrator::OPENAI);
    assert_eq!(added.base_url.as_deref(), Some("http://127.0.0.1:9/v1"));
    assert_eq!(added.api_key_env.as_deref(), Some("OPENAI_API_KEY"));
    assert_eq!(added.api_key, None);
    assert_eq!(
        orchestrator::openai_from_environment(&[], &variable(" ")),
        None
    );
    // An entry of the file goes before it.
    assert_eq!(
        orchestrator::openai_from_environment(&[added], &variable("sk-secret")),
        None
    );
}

#[test]
fn the_file_sets_what_it_names() {
    let config =
        load("[runs]\nlease = \"7s\"\n[bus]\npoll = \"2s\"\n[local]\ncontext_window = 4096")
            .unwrap();
    assert_eq!(config.runs.lease, std::time::Duration::from_secs(7));
    assert_eq!(config.bus.poll, std::time::Duration::from_secs(2));
    assert_eq!(config.local.context_window, 4096);
    assert_eq!(config.server.listen, "127.0.0.1:8080");
}

#[test]
fn databases_are_told_apart() {
    let of = |url: &str| {
        load(&format!("[database]\nurl = \"{url}\""))
            .unwrap()
            .store_options()
            .unwrap()
    };
    let data = |options| match options {
        store::Options::Sqlite { directory, .. } => directory,
        store::Options::Postgres { .. } => panic!("postgres"),
    };
    assert_eq!(data(of("sqlite:///srv/data")), Path::new("/srv/data"));
    assert!(data(of("sqlite:")).is_absolute());
    assert!(matches!(
        of("postgres://u:p@h/d"),
        store::Options::Postgres { .. }
    ));
}

#[test]
fn what_is_shown_hides_secrets_and_reads_back() {
    let text = "[database]\nurl = \"postgres://me:hunter2@db/x?password=hunter3&a=b\"\n\
                [[providers]]\nname = \"mine\"\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key = \"sk-secret\"";
    let shown = load(text).unwrap().masked().unwrap();
    for secret in ["hunter2", "hunter3", "sk-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("@db/x") && shown.contains("&a=b"), "{shown}");
    load(&shown).unwrap();
}

/// `config/tertulia.toml` has every key, commented out, with its default.
#[test]
fn the_example_file_has_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tertulia.toml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        load(&text).is_ok(),
        "as it is, it changes nothing and loads"
    );
    // `#key = value` is a key; `# text` is prose.
    let uncommented: String = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
                .unwrap_or(line)
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let shown: toml::Table = uncommented.parse().unwrap();
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    for (section, keys) in &defaults {
        let Some(keys) = keys.as_table() else {
            continue;
        };
        let shown = shown
            .get(section)
            .unwrap_or_else(|| panic!("[{section}] is missing"));
        for (key, value) in keys {
            assert_eq!(shown.get(key), Some(value), "{section}.{key}");
        }
    }
    let config = load(&uncommented).unwrap();
    let mut read_back = toml::Table::try_from(&config).unwrap();
    read_back["server"]
        .as_table_mut()
        .unwrap()
        .insert("data_dir".into(), "".into());
    assert_eq!(
        read_back, defaults,
        "a key of the file is not at its default"
    );
}

fn keys(value: &toml::Value) -> Vec<&str> {
    let table = value.as_table().unwrap();
    let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The entries of `[[providers]]` and `[[models]]` are examples, with every key that there is.
#[test]
fn the_example_file_has_every_key_of_providers_and_models() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tertulia.toml");
    let text = std::fs::read_to_string(path).unwrap();
    // `# key = value` below `# [[list]]`, up to the end of the paragraph.
    let entries = text.split("\n\n").filter_map(|paragraph| {
        let (_, entry) = paragraph.split_once("\n# [[")?;
        Some(format!("[[{}\n", entry.replace("\n# ", "\n")))
    });
    let entries: String = entries.collect();
    load(&entries).unwrap();
    let shown: toml::Table = entries.parse().unwrap();

    // Every field by its name: a new one is missed here first.
    let orchestrator::ProviderOptions {
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
        ..
    } = orchestrator::ProviderOptions::default();
    let provider = orchestrator::ProviderOptions {
        name: "mine".into(),
        kind: orchestrator::ProviderKind::Openai,
        base_url: Some(String::new()),
        api_key: Some(orchestrator::Secret::new("")),
        api_key_env: Some(String::new()),
        connect_timeout,
        first_byte_timeout,
        idle_timeout,
    };
    let deployment = orchestrator::DeploymentOptions {
        provider: "mine".into(),
        model: Some(String::new()),
        stream: true,
    };
    let model = orchestrator::ModelOptions {
        id: "fast".into(),
        kind: orchestrator::ModelKind::Chat,
        context_window: 1,
        max_output_tokens: Some(1),
        hidden_reasoning: Some(false),
        input_price: Some(Default::default()),
        output_price: Some(Default::default()),
        deployments: vec![deployment],
    };
    let provider = toml::Value::try_from(provider).unwrap();
    let model = toml::Value::try_from(model).unwrap();
    let (shown_provider, shown_model) = (&shown["providers"][0], &shown["models"][0]);
    assert_eq!(keys(shown_provider), keys(&provider));
    assert_eq!(keys(shown_model), keys(&model));
    let deployments = |model: &toml::Value| keys(&model["deployments"][0]).join(" ");
    assert_eq!(deployments(shown_model), deployments(&model));
    for key in [
        "kind",
        "connect_timeout",
        "first_byte_timeout",
        "idle_timeout",
    ] {
        assert_eq!(shown_provider[key], provider[key], "{key}");
    }
    for key in ["kind", "hidden_reasoning"] {
        assert_eq!(shown_model[key], model[key], "{key}");
    }
}

#[test]
fn one_key_of_a_rate_limit_leaves_the_other_at_its_default() {
    let defaults = Config::default().security.rate_limit;
    let limits = |text: &str| load(text).unwrap().security.rate_limit;
    let chat = limits("[security.rate_limit.chat]\nrequests = 7").chat;
    assert_eq!((chat.requests, chat.window), (7, defaults.chat.window));
    let set = limits("[security.rate_limit]\nsign_in = { window = \"5m\" }");
    assert_eq!(set.sign_in.window, std::time::Duration::from_secs(300));
    assert_eq!(set.sign_in.requests, defaults.sign_in.requests);
    assert_eq!((set.chat, set.reads), (defaults.chat, defaults.reads));
}
