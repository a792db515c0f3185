//! Edit distance (Levenshtein): over letters and over words.

/// How many insertions, deletions and replacements lead from one to the other.
///
/// `row` is scratch space that grows to the length of `b` and is kept by who calls often.
pub(crate) fn edits<T: PartialEq>(a: &[T], b: &[T], row: &mut Vec<usize>) -> usize {
    row.clear();
    row.extend(0..=b.len());
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(a: &str, b: &str) -> usize {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        edits(&a, &b, &mut Vec::new())
    }

    #[test]
    fn known_distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "да", 2),
            ("кот", "кит", 1),
            ("кот", "котик", 2),
            ("перезвон", "не звон", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(between(a, b), edits, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_distance_is_one(a in "[аб]{0,8}", b in "[аб]{0,8}", c in "[аб]{0,8}") {
            prop_assert_eq!(between(&a, &b), between(&b, &a));
            prop_assert_eq!(between(&a, &b) == 0, a == b);
            prop_assert!(between(&a, &c) <= between(&a, &b) + between(&b, &c));
        }
    }
}
