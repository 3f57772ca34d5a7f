//! Words as both databases index them, so that a search means the same on each
//! and no text is ever read as query syntax: lower case, letters and digits
//! only, accents folded, characters of scripts without spaces one by one.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longer words are cut; nobody types more.
const LONGEST: usize = 64;
/// How much of a text is indexed, in bytes; keeps one text within the bounds of
/// PostgreSQL's `tsvector`.
const INDEXED: usize = 256 * 1024;

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
}
