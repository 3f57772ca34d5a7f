use super::*;

fn none(_: &str) -> Option<String> {
    None
}

fn build(text: &str) -> Result<Catalogue, ConfigError> {
    Catalogue::build(
        &toml::from_str(text).unwrap(),
        PathBuf::from("/nowhere"),
        &none,
    )
}

fn ids(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.models.keys().map(String::as_str).collect()
}

const MINE: &str =
    "[[providers]]\nname = 'mine'\n[[models]]\nid = 'a'\ndeployments = [{ provider = 'mine' }]\n";

#[test]
fn a_mistake_is_one_sentence_that_names_the_key() {
    for (text, sentence) in [
        (
            "[[providers]]\nbase_url = 'x'",
            "[[providers]]: every provider needs a `name`.",
        ),
        (
            "[[providers]]\nname = 'a'\n[[providers]]\nname = 'a'",
            "[[providers]] `a`: name is there twice.",
        ),
        (
            "[[providers]]\nname = 'a'\nidle_timeout = '0s'",
            "[[providers]] `a`: idle_timeout must be more than nothing, such as \"20s\".",
        ),
        (
            "[[providers]]\nname = 'a'\napi_key = 'x'\napi_key_env = 'X'",
            "[[providers]] `a`: api_key and api_key_env exclude each other; leave one out.",
        ),
        (
            "[[providers]]\nname = 'local'",
            "[[providers]] `local`: name is kept for the provider of kind \"local\".",
        ),
        (
            "[local]\ncontext_window = 0",
            "[local] context_window must be above 0 (tokens).",
        ),
        (
            MINE,
            "[[models]] `a`: context_window is missing or 0; give the model's size in tokens.",
        ),
        (
            &format!("{MINE}context_window = 10\nmax_output_tokens = 11"),
            "[[models]] `a`: max_output_tokens must be above 0 and within context_window.",
        ),
        (
            &format!("{MINE}context_window = 10\ninput_price = 1"),
            "[[models]] `a`: input_price and output_price come together; give both or neither.",
        ),
        (
            &format!("{MINE}context_window = 10\ninput_price = -1\noutput_price = 1"),
            "[[models]] `a`: input_price and output_price must not be negative.",
        ),
        (
            "[[models]]\nid = 'a'\ncontext_window = 1",
            "[[models]] `a`: deployments is empty; name a provider that serves it.",
        ),
        (
            "[[models]]\nid = 'a'\ncontext_window = 1\ndeployments = [{ provider = 'x' }]",
            "[[models]] `a`: deployments.provider `x` is not one of the providers (local).",
        ),
        (
            &format!(
                "{MINE}context_window = 1\n[[models]]\nid = 'a'\ncontext_window = 1\ndeployments = [{{ provider = 'mine' }}]"
            ),
            "[[models]]: the id `a` is there twice.",
        ),
    ] {
        assert_eq!(build(text).unwrap_err().to_string(), sentence, "{text}");
    }
}

#[test]
fn the_environment_alone_adds_openai() {
    let env = |name: &str| match name {
        "OPENAI_API_KEY" => Some("sk-1".to_owned()),
        "OPENAI_BASE_URL" => Some("http://127.0.0.1:9/v1".to_owned()),
        _ => None,
    };
    let catalogue = Catalogue::build(&Options::default(), PathBuf::new(), &env).unwrap();
    assert_eq!(ids(&catalogue)[0], "gpt-4.1-mini");
    assert!(
        catalogue
            .models
            .values()
            .all(|model| model.prices.is_some() && model.kind == ModelKind::Chat)
    );
    let openai = &catalogue.providers[0];
    assert_eq!(openai.base_url.as_deref(), Some("http://127.0.0.1:9/v1"));
    assert!(!format!("{catalogue:?}").contains("sk-1"));
    // 0.40 US dollars for a million prompt tokens are 0.4 credits of 0.001 US dollars for a thousand.
    assert_eq!(
        catalogue.models[0].prices.unwrap().input,
        "0.4".parse().unwrap()
    );
    assert!(catalogue.models["gpt-4o"].grows() && !catalogue.models["gpt-5"].grows());

    let own = "[[providers]]\nname = 'openai'\napi_key = 'sk-2'";
    let catalogue = Catalogue::build(&toml::from_str(own).unwrap(), PathBuf::new(), &env).unwrap();
    assert!(
        catalogue.models.is_empty(),
        "the configuration's own provider is left alone"
    );

    let empty = |name: &str| (name == "OPENAI_API_KEY").then(|| " ".to_owned());
    let catalogue = Catalogue::build(&Options::default(), PathBuf::new(), &empty).unwrap();
    assert!(catalogue.models.is_empty());
}

#[test]
fn configuration_comes_before_openai_and_that_before_local_files() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "zeta.gguf",
        "Alpha-1B.gguf",
        "SmolLM2-135M-Instruct.gguf",
        "used.gguf",
        ".part.gguf",
        "notes.txt",
    ] {
        std::fs::write(directory.path().join(name), b"GGUF").unwrap();
    }
    let text = "[[models]]\nid = 'mine'\ncontext_window = 9\ndeployments = [{ provider = 'local', model = 'used' }]";
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk".to_owned());
    let catalogue = Catalogue::build(
        &toml::from_str(text).unwrap(),
        directory.path().to_owned(),
        &env,
    )
    .unwrap();
    let ids = ids(&catalogue);
    assert_eq!(ids[..2], ["mine", "gpt-4.1-mini"]);
    assert_eq!(
        ids[ids.len() - 3..],
        ["smollm2-135m-instruct", "alpha-1b", "zeta"]
    );
    let shipped = &catalogue.models["smollm2-135m-instruct"];
    assert_eq!(shipped.deployments[0].model, "SmolLM2-135M-Instruct");
    assert_eq!(shipped.context_window, 2048);
    assert!(catalogue.models["mine"].prices.is_none());
}
