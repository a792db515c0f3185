//! Which numbers may be dialled: those of the Russian numbering plan.

use zvonar_model::PhoneNumber;

/// Where a Russian number rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberKind {
    /// `+7 9xx`: a person's pocket.
    Mobile,
    /// `+7 3xx`, `4xx`, `8xx`: a desk, and often a menu.
    Geographic,
}

/// Why a number is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NumberRefused {
    /// Another country's code.
    #[error("the number is not Russian")]
    Foreign,
    /// `+7` with more or fewer than ten digits after it.
    #[error("a Russian number has ten digits after +7")]
    Length,
    /// `+7 6xx` and `+7 7xx`.
    #[error("the number belongs to Kazakhstan (+7 6xx, +7 7xx)")]
    Kazakhstan,
    /// `+7 840` and `+7 940`.
    #[error("the number belongs to Abkhazia (+7 840, +7 940)")]
    Abkhazia,
    /// `+7 800` to `+7 809`.
    #[error("the number is toll-free or premium (+7 800 to +7 809), nobody's own")]
    Service,
    /// No range of the plan holds it.
    #[error("no range of the Russian numbering plan holds the number")]
    NoRange,
    /// The project calls mobile numbers alone.
    #[error("the number is not mobile, and the project calls mobile numbers alone")]
    NotMobile,
}

impl NumberRefused {
    /// The reason in the words of the reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Foreign => "Не российский номер",
            Self::Length => "В номере не 11 цифр",
            Self::Kazakhstan => "Номер Казахстана",
            Self::Abkhazia => "Номер Абхазии",
            Self::Service => "Бесплатный или платный номер 800–809",
            Self::NoRange => "Несуществующий номер",
            Self::NotMobile => "Не мобильный номер",
        }
    }
}

/// Whether a number may be dialled, judged by its first three digits alone; [`Register::check`](crate::Register::check)
/// knows the ranges as well.
///
/// # Errors
/// The reason, for the report of an import.
pub fn check_number(number: &PhoneNumber) -> Result<NumberKind, NumberRefused> {
    let Some(rest) = number.digits().strip_prefix('7') else {
        return Err(NumberRefused::Foreign);
    };
    if rest.len() != 10 {
        return Err(NumberRefused::Length);
    }
    match rest.as_bytes() {
        [b'6' | b'7', ..] => Err(NumberRefused::Kazakhstan),
        [b'8' | b'9', b'4', b'0', ..] => Err(NumberRefused::Abkhazia),
        [b'8', b'0', ..] => Err(NumberRefused::Service),
        [b'3' | b'4' | b'8', ..] => Ok(NumberKind::Geographic),
        [b'9', ..] => Ok(NumberKind::Mobile),
        _ => Err(NumberRefused::NoRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_of_the_russian_plan_are_dialled() {
        use NumberKind::*;
        use NumberRefused::*;
        for (text, verdict) in [
            ("+79001234567", Ok(Mobile)),
            ("8 (999) 123-45-67", Ok(Mobile)),
            ("+79781234567", Ok(Mobile)), // Crimea
            ("+73012345678", Ok(Geographic)),
            ("+74951234567", Ok(Geographic)),
            ("+73652123456", Ok(Geographic)),
            ("+78121234567", Ok(Geographic)),
            ("+78692123456", Ok(Geographic)),
            ("+76001234567", Err(Kazakhstan)),
            ("+77012345678", Err(Kazakhstan)),
            ("87012345678", Err(Kazakhstan)),
            ("8 (777) 123-45-67", Err(Kazakhstan)),
            ("+73362212345", Ok(Geographic)), // Baikonur
            ("+79401234567", Err(Abkhazia)),
            ("88401234567", Err(Abkhazia)),
            ("88002000600", Err(Service)),
            ("+78041234567", Err(Service)),
            // 8-10-…: what one dials in Russia for another country.
            ("8 10 49 30 1234567", Err(Foreign)),
            ("810375171234567", Err(Foreign)),
            ("+78401234567", Err(Abkhazia)),
            ("+79401234567", Err(Abkhazia)),
            ("+78001234567", Err(Service)),
            ("+78011234567", Err(Service)),
            ("+78031234567", Err(Service)),
            ("+78091234567", Err(Service)),
            ("+78101234567", Ok(Geographic)),
            ("+70001234567", Err(NoRange)),
            ("+71001234567", Err(NoRange)),
            ("+72001234567", Err(NoRange)),
            ("+75001234567", Err(NoRange)),
            ("+4915112345678", Err(Foreign)),
            ("+380441234567", Err(Foreign)),
            ("+7900123456", Err(Length)),
            ("+790012345678", Err(Length)),
        ] {
            assert_eq!(check_number(&PhoneNumber::parse(text).unwrap()), verdict, "{text}");
        }
    }
}
