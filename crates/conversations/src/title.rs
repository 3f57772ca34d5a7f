//! A title from the first prompt, without asking a model.

use kernel::text;

/// Longest title, in characters.
const LONGEST: usize = 60;

/// The first sentence or line that says something, without Markdown, at most 60
/// characters and cut between words. Empty when nothing is left.
#[must_use]
pub fn heuristic_title(prompt: &str) -> String {
    let mut fenced = false;
    let mut fallback = String::new();
    for line in prompt.lines() {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        let cleaned = if fence { String::new() } else { cleaned(line) };
        if !cleaned.chars().any(char::is_alphanumeric) {
            continue;
        }
        if !fenced {
            return shortened(first_sentence(&cleaned));
        }
        // Code is a title only when there is nothing else.
        if fallback.is_empty() {
            fallback = shortened(&cleaned);
        }
    }
    fallback
}

/// The line without marks of Markdown, characters that nobody sees and doubled spaces.
fn cleaned(line: &str) -> String {
    let line = line.trim_start_matches(|c: char| {
        c.is_whitespace() || matches!(c, '#' | '>' | '*' | '-' | '+' | '|' | '=' | '_')
    });
    let line = match line.split_once(['.', ')']) {
        // A numbered item; "3.5 is" stays what it is.
        Some((number, rest))
            if !number.is_empty()
                && number.len() <= 3
                && number.bytes().all(|b| b.is_ascii_digit())
                && rest.starts_with(' ') =>
        {
            rest
        }
        _ => line,
    };
    let mut out = String::new();
    let mut chars = text::without_unseen(&links(line))
        .chars()
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    while let Some(c) = chars.next() {
        let doubled = matches!(c, '*' | '_' | '~') && chars.peek() == Some(&c);
        if doubled {
            chars.next();
        } else if c == '`' || (c == '*' && !out.ends_with(' ') && !out.is_empty()) {
            // Code and emphasis marks; a lone star between spaces is multiplication.
        } else if !c.is_whitespace() {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.trim().to_owned()
}

/// `[text](address)` and `![text](address)` become their text.
fn links(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find("](").and_then(|middle| {
            let end = rest[open + middle..].find(')')?;
            Some((open + middle, open + middle + end + 1))
        });
        let Some((middle, end)) = link else { break };
        out.push_str(rest[..open].trim_end_matches('!'));
        out.push_str(&rest[open + 1..middle]);
        rest = &rest[end..];
    }
    out + rest
}

fn first_sentence(text: &str) -> &str {
    let mut ends = text.char_indices().peekable();
    while let Some((at, c)) = ends.next() {
        let end = at + c.len_utf8();
        let followed = ends.peek().is_none_or(|(_, next)| next.is_whitespace());
        let full = matches!(c, '。' | '！' | '？') || (matches!(c, '.' | '!' | '?') && followed);
        // "Hi." or "1." is not yet a sentence that says something.
        if full && text[..at].chars().count() >= 8 {
            return if matches!(c, '.' | '。') {
                &text[..at]
            } else {
                &text[..end]
            };
        }
    }
    text
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    let Some((end, _)) = text.char_indices().nth(LONGEST) else {
        return text.to_owned();
    };
    // One character is kept for the ellipsis.
    let end = text[..end]
        .char_indices()
        .next_back()
        .map_or(end, |(last, _)| last);
    let cut = &text[..end];
    let at_word = text[end..].starts_with(char::is_whitespace);
    let kept = match cut.rfind(char::is_whitespace) {
        Some(space) if !at_word && cut[..space].chars().count() >= LONGEST / 2 => &cut[..space],
        _ => cut,
    };
    let joins =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '-' | '\u{200d}' | '\u{fe0f}');
    format!("{}…", kept.trim_end_matches(joins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_title_is_the_first_thing_said() {
        for (prompt, title) in [
            ("What is a tertulia?", "What is a tertulia?"),
            (
                "Plan a trip to Cádiz. Then tell me more.",
                "Plan a trip to Cádiz",
            ),
            ("# **Hello** `world`\nmore", "Hello world"),
            (
                "\n\n- see [the docs](https://example.org/x) now",
                "see the docs now",
            ),
            ("```rust\nfn main() {}\n```\nExplain this", "Explain this"),
            ("```rust\nfn main() {}\n```", "fn main() {}"),
            ("1. Version 3.5 is out", "Version 3.5 is out"),
            ("2 * 3 * 4 = ?", "2 * 3 * 4 = ?"),
            ("Hi. How are you today", "Hi. How are you today"),
            ("   ***  \n --- ", ""),
            (
                "明日の天気はどうですか？教えてください。",
                "明日の天気はどうですか？",
            ),
        ] {
            assert_eq!(heuristic_title(prompt), title, "{prompt:?}");
        }
        let long = heuristic_title(&"please explain in simple words ".repeat(9));
        assert_eq!(
            long,
            "please explain in simple words please explain in simple…"
        );
    }

    proptest! {
        #[test]
        fn any_prompt_gives_a_short_line(prompt in "\\PC{0,300}|(.|\n|\0){0,200}") {
            let title = heuristic_title(&prompt);
            prop_assert!(title.chars().count() <= LONGEST, "{}", title);
            prop_assert!(!title.contains(|c: char| c.is_control()));
        }
    }
}
