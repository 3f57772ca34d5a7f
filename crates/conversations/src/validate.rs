//! What a person may write. PostgreSQL cannot store the character NUL in a
//! text, so it is refused everywhere.

use kernel::{Error, Result, text};

use crate::{Conversations, Create, Patch};

impl Conversations {
    /// Checks a prompt before anything is spent on it.
    ///
    /// # Errors
    /// `validation_failed` when it is blank, too large or has a NUL character.
    pub fn validate_prompt(&self, prompt: &str) -> Result<()> {
        if prompt.trim().is_empty() {
            return Err(Error::invalid("prompt", "must not be empty."));
        }
        let most = self.options.prompt_bytes;
        if prompt.len() > most {
            return Err(Error::invalid(
                "prompt",
                format!("must be at most {most} bytes long."),
            ));
        }
        no_nul("prompt", prompt)
    }

    pub(crate) fn validate_create(&self, input: &Create) -> Result<()> {
        self.title(input.title.as_deref())?;
        self.system_prompt(input.system_prompt.as_deref())?;
        no_nul("model_id", &input.model_id)
    }

    pub(crate) fn validate_patch(&self, patch: &Patch) -> Result<()> {
        self.title(patch.title.as_deref())?;
        self.system_prompt(
            patch
                .system_prompt
                .as_ref()
                .and_then(|text| text.as_deref()),
        )?;
        no_nul("model_id", patch.model_id.as_deref().unwrap_or_default())
    }

    fn title(&self, title: Option<&str>) -> Result<()> {
        within("title", title.unwrap_or_default(), self.options.title_chars)
    }

    fn system_prompt(&self, text: Option<&str>) -> Result<()> {
        within(
            "system_prompt",
            text.unwrap_or_default(),
            self.options.system_prompt_chars,
        )
    }
}

/// A title as it is kept: characters that nobody sees come along with what is pasted, and stand for
/// nothing.
pub(crate) fn title(text: &str) -> String {
    text::without_unseen(text).trim().to_owned()
}

pub(crate) fn within(field: &str, text: &str, most: usize) -> Result<()> {
    if text.chars().nth(most).is_some() {
        return Err(Error::invalid(
            field,
            format!("must be at most {most} characters long."),
        ));
    }
    no_nul(field, text)
}

pub(crate) fn no_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain the character NUL."));
    }
    Ok(())
}
