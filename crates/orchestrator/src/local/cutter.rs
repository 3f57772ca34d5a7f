//! Cuts the bytes of tokens into text that may be shown: whole characters, and nothing that is, or may still
//! become, a stop text. Not here: why an answer ends otherwise.

/// Holds back what is not decided yet.
pub(super) struct Cutter {
    stops: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Cutter {
    pub fn new<'a>(stops: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            stops: stops
                .into_iter()
                .filter(|stop| !stop.is_empty())
                .map(|stop| stop.as_bytes().to_vec())
                .collect(),
            held: Vec::new(),
        }
    }

    /// Takes the bytes of a token. Gives the text that may be shown, and whether a stop text was met (then that is all).
    pub fn push(&mut self, bytes: &[u8]) -> (String, bool) {
        self.held.extend_from_slice(bytes);
        if let Some(at) = self.first_stop() {
            self.held.truncate(at);
            return (self.take(at), true);
        }
        let mut safe = self.held.len() - self.longest_stop_begun();
        safe -= unfinished(&self.held[..safe]);
        (self.take(safe), false)
    }

    /// What was held back, at the end. Half a character is dropped.
    pub fn finish(mut self) -> String {
        let whole = self.held.len() - unfinished(&self.held);
        self.take(whole)
    }

    fn take(&mut self, bytes: usize) -> String {
        let rest = self.held.split_off(bytes);
        let taken = std::mem::replace(&mut self.held, rest);
        String::from_utf8(taken)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// The stop text that begins first wins, as it would have come first.
    fn first_stop(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| {
                self.held
                    .windows(stop.len())
                    .position(|window| window == stop)
            })
            .min()
    }

    fn longest_stop_begun(&self) -> usize {
        self.stops
            .iter()
            .filter_map(|stop| {
                (1..stop.len())
                    .rev()
                    .find(|&length| self.held.ends_with(&stop[..length]))
            })
            .max()
            .unwrap_or(0)
    }
}

/// How many bytes at the end are the beginning of a character that is not whole yet.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let needs = match bytes[bytes.len() - back] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if needs > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(stops: &[&str], pieces: &[&[u8]]) -> (String, bool) {
        let mut cutter = Cutter::new(stops.iter().copied());
        let mut all = String::new();
        for piece in pieces {
            let (text, stopped) = cutter.push(piece);
            all.push_str(&text);
            if stopped {
                return (all, true);
            }
        }
        all.push_str(&cutter.finish());
        (all, false)
    }

    #[test]
    fn a_stop_text_in_pieces_is_never_shown() {
        assert_eq!(
            cut(&["STOP"], &[b"a S", b"T", b"OP b"]),
            ("a ".to_owned(), true)
        );
        assert_eq!(
            cut(&["STOP"], &[b"a S", b"TO", b"UT"]),
            ("a STOUT".to_owned(), false)
        );
        assert_eq!(
            cut(&["\n\nUser:", "\n"], &[b"x\n\nUs", b"er:"]),
            ("x".to_owned(), true)
        );
        assert_eq!(
            cut(&["aab"], &[b"a", b"a", b"a", b"b"]),
            ("a".to_owned(), true)
        );
        assert_eq!(cut(&[""], &[b"abc"]), ("abc".to_owned(), false));
        assert_eq!(
            cut(&["end"], &[b"almost e"]),
            ("almost e".to_owned(), false)
        );
    }

    #[test]
    fn half_a_character_waits_and_is_dropped_at_the_end() {
        let smile = "😀".as_bytes();
        assert_eq!(
            cut(&[], &[&smile[..1], &smile[1..3], &smile[3..]]),
            ("😀".to_owned(), false)
        );
        assert_eq!(cut(&[], &[b"a", &smile[..3]]), ("a".to_owned(), false));
        assert_eq!(cut(&[], &[b"a\xFFb"]), ("a\u{FFFD}b".to_owned(), false));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_text_up_to_the_stop(text in "[ab😀中]{0,24}", stop in "[ab中]{1,3}", cuts in prop::collection::vec(0usize..100, 0..20)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let (shown, stopped) = cut(&[&stop], &pieces);
            match text.find(&stop) {
                Some(end) => prop_assert_eq!((shown.as_str(), stopped), (&text[..end], true)),
                None => prop_assert_eq!((shown.as_str(), stopped), (text.as_str(), false)),
            }
        }
    }
}
