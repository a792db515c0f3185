//! Telephone numbers out of one cell: people write several into it, and more than numbers.

use zvonar_model::PhoneNumber;

use crate::Refusal;

/// What stands in a cell for numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The numbers, in order, each once.
    pub numbers: Vec<PhoneNumber>,
    /// Why something of the cell is none.
    pub refused: Vec<Refusal>,
}

/// Words before a number that say nothing more.
const LABELS: [&str; 11] =
    ["телефон", "тел", "мобильный", "моб", "сотовый", "сот", "раб", "дом", "phone", "mobile", "tel"];

/// What an extension begins with.
const EXTENSIONS: [&str; 8] = ["доб", "внутр", "вн.", "вн ", "ext", "#", "x", "х"];

/// A number behind a comma with so few digits is an extension of the one before the comma.
const LONGEST_EXTENSION: usize = 5;

/// Reads a cell. Numbers are parted by commas, semicolons, slashes, bars, lines, «и» and «или», and by spaces where each
/// part is a whole number. A number with an extension is refused, wherever the extension stands: without it somebody else
/// would be called.
pub fn numbers(cell: &str) -> Found {
    let mut found = Found::default();
    let cell: String = cell.chars().filter(|c| !is_invisible(*c)).collect();
    match as_saved(cell.trim()) {
        Some(Ok(number)) => found.part(&number, ' '),
        Some(Err(why)) => found.refused.push(why),
        None => {
            let words = cell.replace(" или ", ";").replace(" и ", ";");
            let mut before = ' ';
            for part in words.split_inclusive([',', ';', '/', '|', '\n', '\r']) {
                let text = part.trim_end_matches([',', ';', '/', '|', '\n', '\r']);
                found.part(text.trim(), before);
                before = part.chars().last().unwrap_or(' ');
            }
        }
    }
    found
}

/// Marks of direction and width, which come along when a number is copied from elsewhere.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A number as spreadsheets and programs save it that take it for a quantity: `7,9161234567E+10`, `79161234567.0`.
/// `None`: it is written as a number for people.
fn as_saved(cell: &str) -> Option<Result<String, Refusal>> {
    let (mantissa, power) = match cell.split_once(['e', 'E', 'е', 'Е']) {
        Some((mantissa, power)) => {
            (mantissa, power.strip_prefix('+').unwrap_or(power).parse::<usize>().ok().filter(|p| *p < 20)?)
        }
        None => (cell, 0),
    };
    let (whole, fraction) = mantissa.split_once(['.', ','])?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole.strip_prefix('+').unwrap_or(whole)) || !digits(fraction) {
        return None;
    }
    if power == 0 {
        // `8.916.123` is how some people write; a quantity has nothing but zeros behind its point.
        let zeros = fraction.bytes().all(|byte| byte == b'0') && whole.len() >= 10;
        return zeros.then(|| Ok(whole.to_owned()));
    }
    // Digits that are not written were rounded away.
    Some(if fraction.len() == power { Ok(format!("{whole}{fraction}")) } else { Err(Refusal::LostDigits) })
}

impl Found {
    fn part(&mut self, text: &str, before: char) {
        let text = text.strip_prefix('\'').unwrap_or(text);
        if text.is_empty() {
            return;
        }
        let lower = text.to_lowercase();
        let digits = text.chars().filter(char::is_ascii_digit).count();
        let begins = EXTENSIONS.iter().any(|word| lower.trim_start_matches(['(', ' ']).starts_with(word));
        let short = before == ',' && digits <= LONGEST_EXTENSION && digits == text.chars().count();
        if begins || short {
            // It belongs to the number before, which nobody must dial without it.
            self.numbers.pop();
            self.refused.push(Refusal::Extension);
            return;
        }
        let first = lower.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        if EXTENSIONS.iter().any(|word| lower[first..].contains(word)) {
            self.refused.push(Refusal::Extension);
            return;
        }
        let text = unlabelled(text);
        match PhoneNumber::parse(text) {
            Ok(number) => self.add(number),
            Err(why) => match spaced(text) {
                Some(numbers) => numbers.into_iter().for_each(|number| self.add(number)),
                None => self.refused.push(why.into()),
            },
        }
    }

    fn add(&mut self, number: PhoneNumber) {
        if !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
    }
}

/// `тел.: 8 916 …` without its label.
fn unlabelled(text: &str) -> &str {
    let lower = text.to_lowercase();
    for label in LABELS {
        if let Some(rest) = lower.strip_prefix(label) {
            // Lower case may be longer or shorter than the text; these words are not.
            return text.get(text.len() - rest.len()..).unwrap_or(text).trim_start_matches(['.', ':', ' ']);
        }
    }
    text
}

/// Whole numbers with nothing but spaces between them.
fn spaced(text: &str) -> Option<Vec<PhoneNumber>> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let whole = |part: &&str| {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        if digits >= 10 { PhoneNumber::parse(part).ok() } else { None }
    };
    if parts.len() < 2 { None } else { parts.iter().map(whole).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Malformed;

    fn read(cell: &str) -> (Vec<String>, Vec<Refusal>) {
        let found = numbers(cell);
        (found.numbers.iter().map(|number| number.reveal().to_owned()).collect(), found.refused)
    }

    #[test]
    fn numbers_are_found_as_people_write_them() {
        let one = "+79161234567";
        let two = "+74951234567";
        for (cell, expected) in [
            ("8 (916) 123-45-67", vec![one]),
            ("79161234567", vec![one]),
            ("7.9161234567E10", vec![one]),
            ("7,9161234567E+10", vec![one]),
            ("79161234567.0", vec![one]),
            ("9161234567,00", vec![one]),
            ("8.916.123.45.67", vec![one]),
            ("'+79161234567", vec![one]),
            ("\u{202a}+7 916 123-45-67\u{202c}", vec![one]),
            ("тел.: 8 916 123 45 67", vec![one]),
            ("Моб 89161234567", vec![one]),
            ("8 916 123-45-67, 8 (495) 123-45-67", vec![one, two]),
            ("89161234567;84951234567;", vec![one, two]),
            ("89161234567/84951234567", vec![one, two]),
            ("89161234567\n84951234567", vec![one, two]),
            ("89161234567 или 84951234567 и 89161234567", vec![one, two]),
            ("89161234567 84951234567", vec![one, two]),
            ("", vec![]),
            (" , ", vec![]),
        ] {
            assert_eq!(read(cell), (expected.into_iter().map(String::from).collect(), vec![]), "{cell}");
        }
    }

    /// «…доб. 12» used to be a way to call the switchboard of somebody else's office.
    #[test]
    fn a_number_with_an_extension_is_not_called_without_it() {
        let one = vec!["+79161234567".to_owned()];
        for (cell, left) in [
            ("8 495 123-45-67 доб. 12", vec![]),
            ("8 495 123-45-67, доб. 12", vec![]),
            ("8 495 123-45-67 (доб.12)", vec![]),
            ("8 495 123-45-67 (вн. 12)", vec![]),
            ("84951234567#12", vec![]),
            ("84951234567 x12", vec![]),
            ("84951234567 ext 12", vec![]),
            ("84951234567,123", vec![]),
            ("8916 123-45-67, 8495 123-45-67 доб. 12", one.clone()),
            ("8495 123-45-67 доб. 12, 8916 123-45-67", one.clone()),
            ("89161234567; 84951234567, 12", one.clone()),
        ] {
            assert_eq!(read(cell), (left, vec![Refusal::Extension]), "{cell}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_and_the_rest_is_taken() {
        for (cell, why) in [
            ("7,91612E+10", Refusal::LostDigits),
            ("8E+10", Refusal::NotANumber(Malformed::Character('E'))),
            ("12", Refusal::NotANumber(Malformed::Length(2))),
            ("нет", Refusal::NotANumber(Malformed::Character('н'))),
            ("#N/A", Refusal::Extension),
            ("8916123456789012345", Refusal::NotANumber(Malformed::Length(19))),
        ] {
            let (numbers, refused) = read(cell);
            assert_eq!((numbers, refused.first()), (vec![], Some(&why)), "{cell}");
        }
        let (numbers, refused) = read("89161234567; нет; 8495 123-45-67");
        assert_eq!(numbers, ["+79161234567", "+74951234567"]);
        assert_eq!(refused, [Refusal::NotANumber(Malformed::Character('н'))]);
        // What may be one number or two is neither.
        assert_eq!(read("89161234567 8495 1234567").1, [Refusal::NotANumber(Malformed::Length(22))]);
    }
}
