//! What the upstream does with one request, and how a test says so.

use std::time::Duration;

/// One answer, or one way to fail. Written as words apart by spaces (or commas): `tokens=50 delay=10ms cut=20`.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// `tokens=8`: how many tokens the answer has; less if the request's limit is lower.
    pub tokens: u64,
    /// `delay=10ms`: between two tokens.
    pub delay: Duration,
    /// `first=10ms`: from the head of the answer to its first token.
    pub first: Duration,
    /// `head=10ms`: until the head of the answer.
    pub head: Duration,
    /// `hang`: no answer at all, the connection stays.
    pub hang: bool,
    /// `refuse`: the connection is closed instead of an answer.
    pub refuse: bool,
    /// `stall=5`: silent after so many tokens, the connection stays.
    pub stall: Option<u64>,
    /// `cut=5`: the connection breaks within the event after so many tokens.
    pub cut: Option<u64>,
    /// `garbage=5`: what is no JSON after so many tokens, then a proper end.
    pub garbage: Option<u64>,
    /// `error=5`: an error object after so many tokens, then the end without a terminator.
    pub error: Option<u64>,
    /// `no_done`: a proper end of the body without `[DONE]`.
    pub no_done: bool,
    /// `status=429`: an error answer.
    pub status: Option<u16>,
    /// `retry_after=3`: its `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `code=context_length_exceeded`: the code in an error object.
    pub code: String,
    /// `usage=none`, `usage=zero`, `usage=-5/70`: what is reported (of the prompt and of the answer); the truth otherwise.
    pub usage: Usage,
    /// `finish=length`: the reason given; without it `stop`, or `length` where the limit of the request was met.
    pub finish: Option<String>,
    /// `reasoning=3`: so many pieces of hidden reasoning before the answer; they count as completion tokens.
    pub reasoning: u64,
    /// `split=7`: bytes go out in pieces of this size.
    pub split: Option<usize>,
    /// `crlf`: lines end with CR LF.
    pub crlf: bool,
    /// `comments`: a comment line before each event.
    pub comments: bool,
    /// `unicode`: tokens with characters of two and four bytes.
    pub unicode: bool,
    /// `times=1`: only the first so many requests with the same model and prompt meet this script; later ones get the
    /// same number of tokens without a failure.
    pub times: Option<u32>,
    /// `text=...` up to the end of the line: the answer itself, a word a token. `echo` instead: what stands below the
    /// directive's line, for answers of several lines.
    pub text: Option<String>,
}

/// What usage is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// The truth.
    #[default]
    Real,
    /// None.
    None,
    /// Zeros.
    Zero,
    /// These tokens of the prompt and of the answer, possible or not.
    Claimed(i128, i128),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tokens: 8,
            delay: Duration::ZERO,
            first: Duration::ZERO,
            head: Duration::ZERO,
            hang: false,
            refuse: false,
            stall: None,
            cut: None,
            garbage: None,
            error: None,
            no_done: false,
            status: None,
            retry_after: None,
            code: "scripted".to_owned(),
            usage: Usage::Real,
            finish: None,
            reasoning: 0,
            split: None,
            crlf: false,
            comments: false,
            unicode: false,
            times: None,
            text: None,
        }
    }
}

impl Script {
    /// The script for a request: a directive `!script ...` in the last user message (up to the end of its line), else the model's name if it
    /// reads like one (it has a `=`), else the given one.
    ///
    /// # Errors
    /// The word that is not understood.
    pub fn choose(model: &str, prompt: &str, otherwise: &Self) -> Result<Self, String> {
        if let Some((_, rest)) = prompt.split_once("!script") {
            let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
            let Some((before, after)) = line.trim_end().split_once(" echo") else {
                return otherwise.with(line);
            };
            let mut script = otherwise.with(&format!("{before}{after}"))?;
            script.text = Some(below.to_owned());
            return Ok(script);
        }
        if model.contains('=') {
            return otherwise.with(model);
        }
        Ok(otherwise.clone())
    }

    /// This script with changes.
    ///
    /// # Errors
    /// The word that is not understood.
    pub fn with(&self, words: &str) -> Result<Self, String> {
        let mut script = self.clone();
        let words = match words.split_once("text=") {
            Some((words, text)) => {
                script.text = Some(text.trim().to_owned());
                words
            }
            None => words,
        };
        for word in words
            .split([' ', ',', '\t'])
            .filter(|word| !word.is_empty())
        {
            script
                .change(word)
                .ok_or_else(|| format!("`{word}` is no word of a script"))?;
        }
        Ok(script)
    }

    fn change(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "tokens" => self.tokens = value.parse().ok()?,
            "delay" => self.delay = duration(value)?,
            "first" => self.first = duration(value)?,
            "head" => self.head = duration(value)?,
            "hang" => self.hang = flag(value)?,
            "refuse" => self.refuse = flag(value)?,
            "stall" => self.stall = Some(value.parse().ok()?),
            "cut" => self.cut = Some(value.parse().ok()?),
            "garbage" => self.garbage = Some(value.parse().ok()?),
            "error" => self.error = Some(value.parse().ok()?),
            "no_done" => self.no_done = flag(value)?,
            "status" => self.status = Some(value.parse().ok()?),
            "retry_after" => self.retry_after = Some(value.parse().ok()?),
            "code" => value.clone_into(&mut self.code),
            "usage" => {
                self.usage = match value {
                    "real" => Usage::Real,
                    "none" => Usage::None,
                    "zero" => Usage::Zero,
                    claimed => {
                        let (prompt, answer) = claimed.split_once('/')?;
                        Usage::Claimed(prompt.parse().ok()?, answer.parse().ok()?)
                    }
                }
            }
            "finish" => self.finish = Some(value.to_owned()),
            "reasoning" => self.reasoning = value.parse().ok()?,
            "split" => self.split = Some(value.parse().ok().filter(|size| *size > 0)?),
            "crlf" => self.crlf = flag(value)?,
            "comments" => self.comments = flag(value)?,
            "unicode" => self.unicode = flag(value)?,
            "times" => self.times = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// The same answer without any failure.
    #[must_use]
    pub fn healed(&self) -> Self {
        Self {
            hang: false,
            refuse: false,
            stall: None,
            cut: None,
            garbage: None,
            error: None,
            no_done: false,
            status: None,
            ..self.clone()
        }
    }

    /// How many tokens the answer has if nothing limits it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.text
            .as_ref()
            .map_or(self.tokens, |text| text.split_inclusive(' ').count() as u64)
    }

    /// The token at this place, from 0.
    #[must_use]
    pub fn token(&self, at: u64) -> String {
        match &self.text {
            Some(text) => usize::try_from(at)
                .ok()
                .and_then(|at| text.split_inclusive(' ').nth(at))
                .unwrap_or_default()
                .to_owned(),
            None if self.unicode => format!("ü{at}\u{1f600} "),
            None => format!("w{at} "),
        }
    }

    /// The whole text of the first so many tokens: what a correct client has read by then.
    #[must_use]
    pub fn answer(&self, tokens: u64) -> String {
        (0..tokens.min(self.length()))
            .map(|at| self.token(at))
            .collect()
    }
}

fn flag(value: &str) -> Option<bool> {
    value.is_empty().then_some(true)
}

/// `10ms`, `2s`, `150us`; a bare number is milliseconds.
fn duration(text: &str) -> Option<Duration> {
    let unit = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number = number.parse().ok()?;
    match unit {
        "" | "ms" => Some(Duration::from_millis(number)),
        "us" => Some(Duration::from_micros(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_wins_over_the_model_and_that_over_the_default() {
        let otherwise = Script {
            tokens: 3,
            ..Script::default()
        };
        let choose = |model, prompt| Script::choose(model, prompt, &otherwise);
        assert_eq!(choose("fast", "hello").unwrap(), otherwise);
        assert_eq!(choose("tokens=5,delay=1ms", "hello").unwrap().tokens, 5);
        let script = choose("tokens=5", "please !script tokens=9 cut=2 hang\ntokens=1").unwrap();
        assert_eq!((script.tokens, script.cut, script.hang), (9, Some(2), true));
        assert!(
            choose("fast", "!script speed=9")
                .unwrap_err()
                .contains("speed=9")
        );
        let said = choose("fast", "!script delay=2ms text=Hello, wide world").unwrap();
        assert_eq!(
            (said.length(), said.answer(2)),
            (3, "Hello, wide ".to_owned())
        );
        let lines = choose("fast", "!script echo delay=2ms\n# Title\n\n- one two\n").unwrap();
        assert_eq!(lines.delay, Duration::from_millis(2));
        assert_eq!(lines.answer(u64::MAX), "# Title\n\n- one two\n");
    }
}
