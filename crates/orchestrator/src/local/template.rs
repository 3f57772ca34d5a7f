//! Renders a prompt with the chat template of the model's file, as the templates' own renderer (Jinja in Python) would.
//! Not here: tokens (`model`).

use minijinja::{Environment, ErrorKind, context, syntax::SyntaxConfig};

use crate::provider::{ChatMessage, Role};

/// For files without a template: ChatML, the most common form.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + \
    '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
/// What ends a turn in ChatML; a model that never learnt it as a token may write it as text.
pub(super) const CHATML_END: &str = "<|im_end|>";
const NAME: &str = "chat";

/// A chat template, ready to render.
pub(super) struct Template {
    env: Environment<'static>,
    bos: String,
    eos: String,
}

impl Template {
    /// Compiles a template, or takes ChatML where there is none. `bos` and `eos` are the texts of the tokens that begin and
    /// end a text.
    pub fn new(text: Option<&str>, bos: String, eos: String) -> Result<Self, String> {
        let text = text.unwrap_or(CHATML);
        let wrong = |error: minijinja::Error| {
            format!(
                "the file's chat template cannot be used: {:#}",
                Short(&error)
            )
        };
        let mut env = Environment::new();
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |message: String| {
            Err::<String, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        // Today's date would make every day's prompts differ; templates that can do without are told that there is none.
        if !text.contains("strftime_now is defined") {
            env.add_function("strftime_now", |_format: String| String::new());
        }
        // As the templates' own renderer is set up.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(wrong)?;
        env.set_syntax(syntax);
        env.add_template_owned(NAME, text.to_owned())
            .map_err(wrong)?;
        Ok(Self { env, bos, eos })
    }

    /// The prompt as text, up to where the answer begins. A template that refuses the messages as they are (no system
    /// role, roles that do not take turns) gets them once more in the form that every template takes.
    pub fn render(&self, messages: &[ChatMessage]) -> Result<String, String> {
        self.try_render(messages).or_else(|first| {
            self.try_render(&plain(messages)).map_err(|_| {
                format!(
                    "the model's chat template refuses the messages: {:#}",
                    Short(&first)
                )
            })
        })
    }

    fn try_render(&self, messages: &[ChatMessage]) -> Result<String, minijinja::Error> {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => &message.content })
            .collect();
        self.env.get_template(NAME)?.render(context! {
            messages,
            add_generation_prompt => true,
            bos_token => &self.bos,
            eos_token => &self.eos,
        })
    }
}

/// System texts go into the first user's turn, turns of the same role become one, and a user begins.
fn plain(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let system: Vec<&str> = messages
        .iter()
        .filter(|message| message.role == Role::System)
        .map(|message| message.content.as_str())
        .collect();
    let mut turns = vec![ChatMessage::new(Role::User, system.join("\n\n"))];
    for message in messages
        .iter()
        .filter(|message| message.role != Role::System)
    {
        match turns.last_mut() {
            Some(last) if last.role == message.role => {
                if !last.content.is_empty() {
                    last.content.push_str("\n\n");
                }
                last.content.push_str(&message.content);
            }
            _ => turns.push(message.clone()),
        }
    }
    turns
}

/// A template's failure without the lines of the template, and never with what people wrote.
struct Short<'a>(&'a minijinja::Error);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.kind())?;
        if let Some(line) = self.0.line() {
            write!(f, " in line {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(roles: &[(Role, &str)]) -> Vec<ChatMessage> {
        roles
            .iter()
            .map(|(role, content)| ChatMessage::new(*role, *content))
            .collect()
    }

    fn template(text: Option<&str>) -> Template {
        Template::new(text, "<bos>".to_owned(), "<eos>".to_owned()).unwrap()
    }

    /// The template of Gemma's files: no system role in this shorter one, and roles must take turns.
    const STRICT: &str = "{{ bos_token }}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}";

    #[test]
    fn without_a_template_it_is_chatml() {
        let text = template(None)
            .render(&messages(&[
                (Role::System, "Be brief."),
                (Role::User, "Hi"),
            ]))
            .unwrap();
        assert_eq!(
            text,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn a_template_that_knows_no_system_role_gets_it_in_the_first_turn() {
        let said = messages(&[
            (Role::System, "Be brief."),
            (Role::User, "Hi"),
            (Role::User, "there "),
            (Role::Assistant, "Yes?"),
            (Role::User, "1+1?"),
        ]);
        assert_eq!(
            template(Some(STRICT)).render(&said).unwrap(),
            "<bos><start_of_turn>user\nBe brief.\n\nHi\n\nthere<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n\
             <start_of_turn>user\n1+1?<end_of_turn>\n<start_of_turn>model\n"
        );
        let begun_by_the_model = messages(&[(Role::Assistant, "Hello!"), (Role::User, "Hi")]);
        assert!(
            template(Some(STRICT))
                .render(&begun_by_the_model)
                .unwrap()
                .starts_with(
                    "<bos><start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\nHello!"
                )
        );
    }

    /// A conversation, and what the templates' own renderer makes of it (`templates/README.md`).
    #[derive(serde::Deserialize)]
    struct Case {
        template: String,
        what: String,
        messages: Vec<(String, String)>,
        refused: bool,
        prompt: String,
    }

    #[test]
    fn templates_of_real_models_give_the_prompts_they_were_made_for() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("templates/expected.json")).unwrap();
        assert_eq!(cases.len(), 36);
        for case in cases {
            let template = template(Some(match case.template.as_str() {
                "qwen2" => include_str!("templates/qwen2.jinja"),
                "qwen3" => include_str!("templates/qwen3.jinja"),
                "gemma3" => include_str!("templates/gemma3.jinja"),
                other => panic!("{other}"),
            }));
            let role = |name: &str| {
                [Role::System, Role::User, Role::Assistant]
                    .into_iter()
                    .find(|role| role.as_str() == name)
            };
            let said: Vec<ChatMessage> = case
                .messages
                .iter()
                .map(|(name, content)| ChatMessage::new(role(name).unwrap(), content.as_str()))
                .collect();
            let what = format!("{}: {}", case.template, case.what);
            assert_eq!(template.render(&said).unwrap(), case.prompt, "{what}");
            assert_eq!(template.try_render(&said).is_err(), case.refused, "{what}");
        }
    }

    #[test]
    fn what_templates_expect_of_python_is_there() {
        let text = "{%- set ns = namespace(last=messages|length - 1) -%}
{%- for message in messages[::-1] %}{% if loop.first %}{% set ns.last = message.content.split('</think>')[-1].lstrip('\\n') %}{% endif %}{% endfor -%}
{{ ns.last.strip() }}|{{ messages[0].content.startswith('a') }}|{{ strftime_now('%d') }}|{{ tools is defined }}|{{ {'a': 1} | tojson }}";
        let said = messages(&[(Role::User, "<think>x</think>\n\n a ")]);
        assert_eq!(
            template(Some(text)).render(&said).unwrap(),
            "a|False||False|{\"a\": 1}"
        );
    }

    #[test]
    fn what_people_wrote_is_in_no_failure() {
        let text = "{{ raise_exception('no: ' + messages[0].content) }}";
        let error = template(Some(text))
            .render(&messages(&[(Role::User, "secret")]))
            .unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(Template::new(Some("{% if %}"), String::new(), String::new()).is_err());
    }
}
