//! Characters that a reader misses: controls, marks that turn the direction of a
//! text, and what takes no room. In a name they make one thing look like another
//! (Unicode TR36).

/// Why a name is refused that has them.
pub const UNSEEN: &str = "must not contain control characters, characters that cannot be seen, or marks that turn the \
     direction of the text";

/// Whether a text has characters that a reader misses.
#[must_use]
pub fn has_unseen(text: &str) -> bool {
    judged(text).any(|(_, unseen)| unseen)
}

/// The text without them; a break of the line becomes a space.
#[must_use]
pub fn without_unseen(text: &str) -> String {
    judged(text)
        .filter_map(|(c, unseen)| match unseen {
            false => Some(c),
            true => c.is_whitespace().then_some(' '),
        })
        .collect()
}

/// Each character, and whether a reader misses it.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut rest = text.chars().peekable();
    // The last one that is seen.
    let mut before = None;
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let unseen = is_unseen(c, before, rest.peek().copied());
        if !unseen {
            before = Some(c);
        } else if c.is_whitespace() {
            before = Some(' ');
        }
        Some((c, unseen))
    })
}

fn is_unseen(c: char, before: Option<char>, after: Option<char>) -> bool {
    let around = |what: fn(char) -> bool| before.is_some_and(what) && after.is_some_and(what);
    match c {
        '\u{200c}' => !around(is_joined),
        '\u{200d}' => !around(is_joined) && !around(is_picture),
        // The flags of England, Scotland and Wales are a black flag and these.
        '\u{e0020}'..='\u{e007f}' => !before.is_some_and(is_flag),
        _ => {
            c.is_control()
                || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
                    | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                    | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0001}')
        }
    }
}

/// Whether letters of this script are joined, or kept apart, by U+200C and U+200D: Arabic, Syriac,
/// those of India and what is written like them.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}' | '\u{f00}'..='\u{109f}' | '\u{1780}'..='\u{18af}'
        | '\u{1900}'..='\u{1cff}' | '\u{a840}'..='\u{abff}' | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefc}' | '\u{11000}'..='\u{11fff}')
}

/// Whether it is part of an emoji, which U+200D puts together from several.
fn is_picture(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

fn is_flag(c: char) -> bool {
    matches!(c, '\u{1f3f4}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write_is_seen() {
        for text in [
            "",
            "Ana",
            "Jörg O’Neil-Müller 3",
            "اَلْعَرَبِيَّةُ",
            "עִבְרִית",
            "東京 タワー",
            "한글",
            // A Persian word with a non-joiner, Marathi and Sinhala with joiners.
            "می\u{200c}خواهم",
            "र\u{94d}\u{200d}य",
            "ශ\u{dca}\u{200d}රී",
            "👩🏽\u{200d}🚀 and 👨\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        ] {
            assert!(!has_unseen(text), "{text:?}");
            assert_eq!(without_unseen(text), text);
        }
    }

    #[test]
    fn what_nobody_sees_is_found_and_removed() {
        for (text, seen) in [
            ("ad\u{200b}min", "admin"),
            ("ad\u{200c}min", "admin"),
            ("ad\u{200d}min", "admin"),
            ("\u{200d}ana", "ana"),
            ("ana\u{200d}", "ana"),
            ("می\u{200c}", "می"),
            ("می\u{200c}\u{200c}خ", "می\u{200c}خ"),
            ("می\n\u{200c}خ", "می خ"),
            ("\u{202e}nimda", "nimda"),
            ("\u{2067}a\u{2069}", "a"),
            ("a\u{200e}\u{200f}\u{61c}b", "ab"),
            ("\u{feff}a\u{2060}\u{2064}", "a"),
            ("a\u{e0061}b\u{e0062}", "ab"),
            ("\u{3164}", ""),
            ("a\0b\u{7f}\u{9b}", "ab"),
            ("a\nb\tc\u{2028}d", "a b c d"),
        ] {
            assert!(has_unseen(text), "{text:?}");
            assert_eq!(without_unseen(text), seen, "{text:?}");
        }
        for code in (0x200b..=0x200f)
            .chain(0x202a..=0x202e)
            .chain(0x2060..=0x2064)
            .chain(0x2066..=0x2069)
            .chain([0xfeff])
            .chain(0..0x20)
            .chain(0x7f..0xa0)
        {
            let c = char::from_u32(code).unwrap();
            assert!(has_unseen(&format!("a{c}b")), "{code:x}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_seen(text in any::<String>()) {
            let left = without_unseen(&text);
            prop_assert!(!has_unseen(&left), "{left:?}");
            prop_assert_eq!(without_unseen(&left), left);
        }
    }
}
