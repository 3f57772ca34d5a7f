//! Words as both databases index them, so that a search means the same on each
//! and no text is ever read as query syntax: lower case, letters and digits
//! only, accents folded, characters of scripts without spaces one by one.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longer words are cut; nobody types more.
const LONGEST: usize = 64;
/// How much of a text is indexed, in bytes; keeps one text within the bounds of
/// PostgreSQL's `tsvector`.
const INDEXED: usize = 256 * 1024;
/// Characters from which on a word that is searched can be the beginning of another.
const BEGINNING: usize = 2;

/// The words of a text in their order.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    for c in text[..text.floor_char_boundary(INDEXED)]
        .nfkd()
        .flat_map(char::to_lowercase)
    {
        if is_combining_mark(c) {
            continue;
        }
        if !c.is_alphanumeric() || stands_alone(c) {
            if length > 0 {
                found.push(std::mem::take(&mut word));
                length = 0;
            }
            if c.is_alphanumeric() {
                found.push(c.to_string());
            }
        } else if length < LONGEST {
            word.push(c);
            length += 1;
        }
    }
    if length > 0 {
        found.push(word);
    }
    found
}

/// What a search asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// All of these.
    pub(crate) words: Vec<String>,
    /// The last one as the beginning of a word. A letter alone stands for itself only: too many
    /// words begin with it, and the index has those of everybody.
    pub(crate) begins: bool,
}

impl Wanted {
    pub(crate) fn of(query: &str) -> Self {
        let words: Vec<String> = words(query).into_iter().take(16).collect();
        let begins = words
            .last()
            .is_some_and(|last| last.chars().nth(BEGINNING - 1).is_some());
        Self { words, begins }
    }

    /// Whether a word of a text is one of them.
    pub(crate) fn has(&self, word: &str) -> bool {
        let last = self.words.last().filter(|_| self.begins);
        self.words.iter().any(|wanted| wanted == word)
            || last.is_some_and(|last| word.starts_with(last.as_str()))
    }
}

/// The different words of a text.
pub(crate) fn distinct(text: &str) -> Vec<String> {
    let mut words = words(text);
    words.sort_unstable();
    words.dedup();
    words
}

/// Han, Hiragana and Katakana are written without spaces.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_split() {
        assert_eq!(
            words("Café-Bar, naïve_Über x2"),
            ["cafe", "bar", "naive", "uber", "x2"]
        );
        assert_eq!(words("東京tower"), ["東", "京", "tower"]);
        assert_eq!(words("'\"*():&|!<->NEAR\0"), ["near"]);
        assert_eq!(words(&"a".repeat(100))[0].len(), 64);
        assert!(words(" \u{301}\u{200d} ").is_empty());
    }

    #[test]
    fn the_last_word_is_a_beginning_unless_it_is_a_letter() {
        let begins = |query| Wanted::of(query).begins;
        assert!(begins("li") && begins("a li") && begins("x2") && begins("가"));
        assert!(
            !begins("l") && !begins("light a") && !begins("京") && !begins("東京") && !begins(" ")
        );
        assert!(!begins("é") && !begins("7"));
        let wanted = Wanted::of("the li");
        assert!(wanted.has("the") && wanted.has("lighthouse"));
        assert!(!wanted.has("there") && !wanted.has("l"));
        assert!(!Wanted::of("a").has("anchor") && Wanted::of("a").has("a"));
    }
}
