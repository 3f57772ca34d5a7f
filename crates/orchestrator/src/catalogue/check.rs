//! What the options of models must fulfil; each mistake is a sentence that names the key.

use std::collections::HashSet;

use super::{ConfigError, Deployment, LOCAL, Model, Prices};
use crate::{
    openai,
    options::{DeploymentOptions, LocalOptions, ModelOptions, ProviderKind, ProviderOptions},
};

pub(super) fn check_providers(providers: &[ProviderOptions]) -> Result<(), ConfigError> {
    let mut names = HashSet::new();
    let mut local = None;
    for provider in providers {
        let name = &provider.name;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(ConfigError(
                "[[providers]]: every provider needs a `name`.".to_owned(),
            ));
        }
        let wrong = |key: &str, what: &str| {
            Err(ConfigError(format!(
                "[[providers]] `{name}`: {key} {what}."
            )))
        };
        if !names.insert(name) {
            return wrong("name", "is there twice");
        }
        for (key, value) in [
            ("connect_timeout", provider.connect_timeout),
            ("first_byte_timeout", provider.first_byte_timeout),
            ("idle_timeout", provider.idle_timeout),
        ] {
            if value.is_zero() {
                return wrong(key, "must be more than nothing, such as \"20s\"");
            }
        }
        match provider.kind {
            ProviderKind::Openai if name == LOCAL => {
                return wrong("name", "is kept for the provider of kind \"local\"");
            }
            ProviderKind::Openai => {
                if provider.api_key.is_some() && provider.api_key_env.is_some() {
                    return wrong(
                        "api_key",
                        "and api_key_env exclude each other; leave one out",
                    );
                }
            }
            ProviderKind::Local => {
                if provider.base_url.is_some()
                    || provider.api_key.is_some()
                    || provider.api_key_env.is_some()
                {
                    return wrong(
                        "kind",
                        "is \"local\", which has neither base_url nor api_key; see [local]",
                    );
                }
                if local.replace(name).is_some() {
                    return wrong(
                        "kind",
                        "is \"local\" a second time; there is one such provider",
                    );
                }
            }
        }
    }
    Ok(())
}

pub(super) fn check_local(local: &LocalOptions) -> Result<(), ConfigError> {
    let wrong = |key: &str, what: &str| Err(ConfigError(format!("[local] {key} {what}.")));
    if local.context_window == 0 {
        return wrong("context_window", "must be above 0 (tokens)");
    }
    if local.input_price.is_negative() || local.output_price.is_negative() {
        return wrong("input_price and output_price", "must not be negative");
    }
    if local.threads > 512 || local.prompt_threads > 512 {
        return wrong("threads and prompt_threads", "must be at most 512");
    }
    Ok(())
}

pub(super) fn check_model(
    options: &ModelOptions,
    providers: &[ProviderOptions],
) -> Result<Model, ConfigError> {
    let id = &options.id;
    if id.is_empty() || id.len() > 200 || id.chars().any(char::is_control) {
        return Err(ConfigError(
            "[[models]]: every model needs an `id` of at most 200 characters.".to_owned(),
        ));
    }
    let wrong = |what: String| ConfigError(format!("[[models]] `{id}`: {what}."));
    if options.context_window == 0 {
        return Err(wrong(
            "context_window is missing or 0; give the model's size in tokens".to_owned(),
        ));
    }
    if options
        .max_output_tokens
        .is_some_and(|max| max == 0 || max > options.context_window)
    {
        return Err(wrong(
            "max_output_tokens must be above 0 and within context_window".to_owned(),
        ));
    }
    let prices = match (options.input_price, options.output_price) {
        (Some(input), Some(output)) if input.is_negative() || output.is_negative() => {
            return Err(wrong(
                "input_price and output_price must not be negative".to_owned(),
            ));
        }
        (Some(input), Some(output)) => Some(Prices { input, output }),
        (None, None) => None,
        _ => {
            return Err(wrong(
                "input_price and output_price come together; give both or neither".to_owned(),
            ));
        }
    };
    if options.deployments.is_empty() {
        return Err(wrong(
            "deployments is empty; name a provider that serves it".to_owned(),
        ));
    }
    let deployments = options
        .deployments
        .iter()
        .map(|deployment| check_deployment(deployment, id, providers).map_err(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    let hidden_reasoning = options.hidden_reasoning.unwrap_or_else(|| {
        deployments
            .iter()
            .any(|deployment| openai::is_reasoning(&deployment.model))
    });
    Ok(Model {
        id: id.clone(),
        kind: options.kind,
        context_window: options.context_window,
        max_output_tokens: options.max_output_tokens,
        prices,
        hidden_reasoning,
        deployments,
    })
}

fn check_deployment(
    options: &DeploymentOptions,
    id: &str,
    providers: &[ProviderOptions],
) -> Result<Deployment, String> {
    if !providers
        .iter()
        .any(|provider| provider.name == options.provider)
    {
        let known = providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return Err(format!(
            "deployments.provider `{}` is not one of the providers ({known})",
            options.provider
        ));
    }
    let model = options.model.clone().unwrap_or_else(|| id.to_owned());
    if model.is_empty() {
        return Err(
            "deployments.model is empty; leave it out where the provider uses the same name"
                .to_owned(),
        );
    }
    Ok(Deployment {
        provider: options.provider.clone(),
        model,
        stream: options.stream,
    })
}
