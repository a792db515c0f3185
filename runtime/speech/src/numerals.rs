//! Numbers in words as numbers in digits: «двадцать пять» and «25» are the same answer, and so are «первый» and «1-й».

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word of a number adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numeral {
    value: u32,
    /// «двадцать пятый» is 25, and nothing is added to it any more.
    ordinal: bool,
}

/// Cardinal numbers, in the cases that differ. «Семью» is left out: more often it is somebody's family.
const CARDINALS: &[(u32, &str)] = &[
    (0, "ноль ноля нолю нолем ноле нуль нуля нулю нулем нуле"),
    (1, "один одна одно одного одному одним одном одной одну"),
    (2, "два две двух двум двумя двое"),
    (3, "три трех трем тремя трое"),
    (4, "четыре четырех четырем четырьмя четверо"),
    (5, "пять пяти пятью"),
    (6, "шесть шести шестью"),
    (7, "семь семи"),
    (8, "восемь восьми восемью восьмью"),
    (9, "девять девяти девятью"),
    (10, "десять десяти десятью"),
    (11, "одиннадцать одиннадцати одиннадцатью"),
    (12, "двенадцать двенадцати двенадцатью"),
    (13, "тринадцать тринадцати тринадцатью"),
    (14, "четырнадцать четырнадцати четырнадцатью"),
    (15, "пятнадцать пятнадцати пятнадцатью"),
    (16, "шестнадцать шестнадцати шестнадцатью"),
    (17, "семнадцать семнадцати семнадцатью"),
    (18, "восемнадцать восемнадцати восемнадцатью"),
    (19, "девятнадцать девятнадцати девятнадцатью"),
    (20, "двадцать двадцати двадцатью"),
    (30, "тридцать тридцати тридцатью"),
    (40, "сорок сорока"),
    (50, "пятьдесят пятидесяти пятьюдесятью"),
    (60, "шестьдесят шестидесяти шестьюдесятью"),
    (70, "семьдесят семидесяти семьюдесятью"),
    (80, "восемьдесят восьмидесяти восьмьюдесятью"),
    (90, "девяносто девяноста"),
    (100, "сто ста"),
    (200, "двести двухсот двумстам двумястами двухстах"),
    (300, "триста трехсот тремстам тремястами трехстах"),
    (400, "четыреста четырехсот четыремстам четырьмястами четырехстах"),
    (500, "пятьсот пятисот пятистам пятьюстами пятистах"),
    (600, "шестьсот шестисот шестистам шестьюстами шестистах"),
    (700, "семьсот семисот семистам семьюстами семистах"),
    (800, "восемьсот восьмисот восьмистам восемьюстами восьмистах"),
    (900, "девятьсот девятисот девятистам девятьюстами девятистах"),
    (1000, "тысяча тысячи тысяче тысячу тысячей тысяч тысячам тысячами тысячах"),
];

/// Stems of ordinal numbers; [`ENDINGS`] follow.
const ORDINALS: &[(u32, &str)] = &[
    (1, "перв"),
    (2, "втор"),
    (4, "четверт"),
    (5, "пят"),
    (6, "шест"),
    (7, "седьм"),
    (8, "восьм"),
    (9, "девят"),
    (10, "десят"),
    (11, "одиннадцат"),
    (12, "двенадцат"),
    (13, "тринадцат"),
    (14, "четырнадцат"),
    (15, "пятнадцат"),
    (16, "шестнадцат"),
    (17, "семнадцат"),
    (18, "восемнадцат"),
    (19, "девятнадцат"),
    (20, "двадцат"),
    (30, "тридцат"),
    (40, "сороков"),
    (50, "пятидесят"),
    (60, "шестидесят"),
    (70, "семидесят"),
    (80, "восьмидесят"),
    (90, "девяност"),
    (100, "сот"),
];
const ENDINGS: [&str; 12] = ["ый", "ой", "ая", "ую", "ое", "ого", "ому", "ым", "ом", "ые", "ых", "ыми"];
const THIRD: &str = "третий третья третье третью третьего третьему третьей третьим третьем третьи третьих";

static NUMERALS: LazyLock<HashMap<String, Numeral>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for (value, forms) in CARDINALS {
        for form in forms.split(' ') {
            known.insert(form.to_owned(), Numeral { value: *value, ordinal: false });
        }
    }
    for (value, stem) in ORDINALS {
        for ending in ENDINGS {
            known.insert(format!("{stem}{ending}"), Numeral { value: *value, ordinal: true });
        }
    }
    for form in THIRD.split(' ') {
        known.insert(form.to_owned(), Numeral { value: 3, ordinal: true });
    }
    known
});

/// A number that is being put together from its words, largest first: thousands, hundreds, tens, units.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    thousands: u32,
    below: u32,
    /// What the next word must be less than; a number without words has no such bound.
    room: Option<u32>,
    /// An ordinal ended it, or a zero, which nothing joins.
    closed: bool,
}

impl Sum {
    /// Adds a word; `false` when it begins a number of its own.
    fn add(&mut self, word: Numeral) -> bool {
        let Some(room) = self.room else {
            *self =
                Self { room: Some(room_after(word.value)), closed: word.ordinal || word.value == 0, ..*self };
            if word.value == 1000 {
                self.thousands = 1
            } else {
                self.below = word.value
            }
            return true;
        };
        if self.closed || word.value == 0 {
            return false;
        }
        if word.value == 1000 {
            if self.thousands > 0 || self.below == 0 {
                return false;
            }
            (self.thousands, self.below, self.room) = (self.below, 0, Some(1000));
        } else {
            if word.value >= room {
                return false;
            }
            self.below += word.value;
            self.room = Some(room_after(word.value));
        }
        self.closed = word.ordinal;
        true
    }

    fn value(&self) -> u32 {
        self.thousands * 1000 + self.below
    }
}

/// After hundreds come less than a hundred, after tens units, after units and teens nothing.
fn room_after(value: u32) -> u32 {
    match value {
        1000 => 1000,
        100..=900 => 100,
        20..=90 => 10,
        _ => 0,
    }
}

/// A normalised text with its numbers in digits. «один два» stays two numbers; the end of «1-го» goes.
pub(crate) fn as_digits(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut sum = Sum::default();
    let flush = |sum: &mut Sum, out: &mut Vec<String>| {
        if sum.room.is_some() {
            out.push(sum.value().to_string());
            *sum = Sum::default();
        }
    };
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if let Some(numeral) = NUMERALS.get(word) {
            if !sum.add(*numeral) {
                flush(&mut sum, &mut out);
                sum.add(*numeral);
            }
            continue;
        }
        flush(&mut sum, &mut out);
        out.push(word.to_owned());
        if is_number(word) {
            words.next_if(|next| ENDS_OF_DIGITS.contains(next));
        }
    }
    flush(&mut sum, &mut out);
    out.join(" ")
}

/// What is written after digits and a hyphen: 1-го, 5-й.
const ENDS_OF_DIGITS: [&str; 12] = ["й", "ый", "ой", "го", "ого", "му", "ому", "м", "ом", "ю", "ую", "ое"];

/// Whether a word is made of digits.
pub(crate) fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_words_become_digits() {
        for (text, digits) in [
            ("один", "1"),
            ("нажмите один", "нажмите 1"),
            ("двадцать пять", "25"),
            ("двадцать пятого марта", "25 марта"),
            ("сто двадцать три", "123"),
            ("две тысячи двадцать шестой", "2026"),
            ("тысяча сто", "1100"),
            ("пять тысяч рублей", "5000 рублей"),
            ("восемь девять один шесть", "8 9 1 6"),
            ("двадцать тридцать", "20 30"),
            ("ноль ноль семь", "0 0 7"),
            ("пятнадцать один", "15 1"),
            ("первый или второй", "1 или 2"),
            ("третья", "3"),
            ("1 го числа", "1 числа"),
            ("первого пятого", "1 5"),
            ("моя семью", "моя семью"),
            ("", ""),
        ] {
            assert_eq!(as_digits(text), digits, "{text}");
        }
    }

    /// A number in words, as it is taught at school.
    fn spoken(number: u32) -> String {
        let word = |value: u32| {
            let found = CARDINALS.iter().find(|(known, _)| *known == value).expect("a word");
            found.1.split(' ').next().expect("a form").to_owned()
        };
        let below = |mut rest: u32| {
            let mut words = Vec::new();
            for size in [100, 10] {
                let part = rest / size * size;
                if part > 0 && (size == 100 || rest >= 20) {
                    words.push(word(part));
                    rest -= part;
                }
            }
            if rest > 0 {
                words.push(word(rest));
            }
            words
        };
        let (thousands, rest) = (number / 1000, number % 1000);
        let mut words = Vec::new();
        if thousands > 0 {
            words.extend(below(thousands));
            words.push("тысяч".to_owned());
        }
        words.extend(below(rest));
        words.join(" ")
    }

    proptest! {
        #[test]
        fn every_number_below_a_million_is_read_back(number in 1u32..1_000_000) {
            prop_assert_eq!(as_digits(&spoken(number)), number.to_string());
        }
    }
}
