//! The known word nearest to a misspelt one.

/// Longer words are not compared: the distance costs the product of both lengths.
const LONGEST: usize = 64;

/// The known word that was probably meant: one slip, and one more for every four letters.
#[must_use]
pub fn nearest<'w>(text: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if text.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(|word| word.len() <= LONGEST)
        .filter_map(|word| {
            let allowed = 1 + word.len().max(text.len()) / 4;
            if word.len().abs_diff(text.len()) > allowed {
                return None;
            }
            let distance = strsim::osa_distance(text, word);
            (distance <= allowed && distance < text.len().max(2)).then_some((distance, word))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["needs", "owner", "rollback", "no_return"];
        assert_eq!(nearest("need", known), Some("needs"));
        assert_eq!(nearest("onwer", known), Some("owner"));
        assert_eq!(nearest("rolback", known), Some("rollback"));
        assert_eq!(nearest("noreturn", known), Some("no_return"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest(&"n".repeat(100), known), None);
    }
}
