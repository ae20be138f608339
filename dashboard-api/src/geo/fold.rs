//! Names as they are compared: without case, accents and punctuation. Knows nothing of places.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The text in small letters without accents; letters that are no accented ones are written as people do who lack them.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in
        text.nfkd().filter(|character| !is_combining_mark(*character)).flat_map(char::to_lowercase)
    {
        match character {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            'ŋ' => folded.push('n'),
            'ə' => folded.push('a'),
            other if other.is_alphanumeric() => folded.push(other),
            // "Coeur d'Alene", "St. Louis"
            '\'' | '’' | '‘' | 'ʻ' | 'ʼ' | 'ʿ' | '`' | '´' | '.' => {}
            // "Stratford-upon-Avon"; one blank stands for any number of them.
            _ if folded.is_empty() || folded.ends_with(' ') => {}
            _ => folded.push(' '),
        }
    }
    folded.truncate(folded.trim_end().len());
    // A small letter may come apart once more, such as that of İ.
    if folded.chars().any(is_combining_mark) {
        folded.retain(|character| !is_combining_mark(character));
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is folded once stays so, and case and accents make no difference, whatever was typed.
        #[test]
        fn folding_is_settled(text in "\\PC{0,40}") {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded.clone());
            let nfc: String = text.nfc().collect();
            prop_assert_eq!(fold(&nfc), folded.clone());
            let nfd: String = text.nfd().collect();
            prop_assert_eq!(fold(&nfd), folded);
        }

        /// Whoever types on still sees what he typed towards: the beginning of a word is the beginning of its fold.
        #[test]
        fn a_beginning_stays_a_beginning(text in "[A-Za-zÀ-ÖØ-öø-žß' .-]{0,30}", cut in 0..30_usize) {
            let beginning: String = text.chars().take(cut).collect();
            prop_assert!(fold(&text).starts_with(&fold(&beginning)), "{:?} {:?}", fold(&text), fold(&beginning));
        }
    }
}
