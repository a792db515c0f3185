//! Why a row, or a number of it, is not taken: in the words that go back to whoever made the list.

use std::fmt;

use zvonar_model::{IdError, PhoneError};

/// Why something of a list is not taken. `Display` is the sentence for the column «Причина».
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A quotation mark lacks its partner.
    OpenQuote,
    /// Longer than [`MAX_ROW_BYTES`](crate::MAX_ROW_BYTES).
    RowTooLong,
    /// There is something behind the last column.
    MoreCells {
        /// How many columns the header has.
        columns: usize,
    },
    /// No number at all.
    NoNumber,
    /// A cell for numbers that holds something else.
    NotANumber(Malformed),
    /// A number with an extension.
    Extension,
    /// A number that a spreadsheet has rounded.
    LostDigits,
    /// More numbers than a lead has.
    TooManyNumbers {
        /// How many there are.
        numbers: usize,
        /// How many there may be.
        most: usize,
    },
    /// The id is none.
    Id(Malformed),
    /// Another row has the id.
    SameId {
        /// Its line.
        line: u64,
    },
    /// Another row has the number.
    SameNumber {
        /// Its line.
        line: u64,
    },
    /// A lead of the project has the number.
    KnownNumber,
    /// Another lead has the number, and this row is somebody else's.
    OthersNumber {
        /// Its id.
        lead: String,
    },
    /// No zone is called so.
    Zone(String),
    /// More fields than a lead has.
    TooManyFields {
        /// How many there are.
        fields: usize,
        /// How many there may be.
        most: usize,
    },
    /// A field, a tag or all of them are too long.
    TooLong {
        /// What.
        what: String,
        /// How many bytes it may have.
        most: usize,
    },
    /// More tags than a lead has.
    TooManyTags {
        /// How many there may be.
        most: usize,
    },
    /// Whoever keeps the leads does not take it; in his words.
    Elsewhere(String),
}

/// What is wrong with a text that should be a number or an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// A character that does not belong there.
    Character(char),
    /// So many digits or characters.
    Length(usize),
}

impl From<PhoneError> for Refusal {
    fn from(why: PhoneError) -> Self {
        Self::NotANumber(match why {
            PhoneError::Character(c) => Malformed::Character(c),
            PhoneError::Length(digits) => Malformed::Length(digits),
        })
    }
}

impl From<IdError> for Refusal {
    fn from(why: IdError) -> Self {
        Self::Id(match why {
            IdError::Empty => Malformed::Length(0),
            IdError::TooLong(length) => Malformed::Length(length),
            IdError::Character(c) => Malformed::Character(c),
        })
    }
}

impl Refusal {
    /// The reason without its particulars: what refusals are counted by.
    pub fn title(&self) -> &str {
        match self {
            Self::OpenQuote => "Незакрытая кавычка",
            Self::RowTooLong => "Слишком длинная строка",
            Self::MoreCells { .. } => "Лишние ячейки",
            Self::NoNumber => "Нет номера",
            Self::NotANumber(_) => "Не номер телефона",
            Self::Extension => "Добавочный номер",
            Self::LostDigits => "Цифры номера потеряны",
            Self::TooManyNumbers { .. } => "Слишком много номеров",
            Self::Id(_) => "Негодный ID",
            Self::SameId { .. } => "ID уже есть в списке",
            Self::SameNumber { .. } => "Номер уже есть в списке",
            Self::KnownNumber => "Номер уже есть в проекте",
            Self::OthersNumber { .. } => "Номер есть у другого контакта",
            Self::Zone(_) => "Неизвестный часовой пояс",
            Self::TooManyFields { .. } => "Слишком много полей",
            Self::TooLong { .. } => "Слишком длинное значение",
            Self::TooManyTags { .. } => "Слишком много тегов",
            Self::Elsewhere(why) => why,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.title();
        match self {
            Self::OpenQuote => write!(f, "{title}: у кавычки нет пары"),
            Self::RowTooLong => write!(f, "{title}: больше {} КиБ", crate::MAX_ROW_BYTES >> 10),
            Self::MoreCells { columns } => write!(f, "{title}: в заголовке столбцов {columns}"),
            Self::NotANumber(Malformed::Character(c)) => write!(f, "{title}: в нём знак «{c}»"),
            Self::NotANumber(Malformed::Length(digits)) => {
                write!(f, "{title}: цифр {digits}, а бывает от 7 до 15")
            }
            Self::Extension => write!(f, "{title}: робот его не набирает"),
            Self::LostDigits => write!(f, "{title}: таблица округлила номер, сохраните столбец как текст"),
            Self::TooManyNumbers { numbers, most } => write!(f, "{title}: {numbers}, а можно {most}"),
            Self::Id(Malformed::Character(c)) => {
                write!(f, "{title}: в нём «{c}», а можно латинские буквы, цифры, - и _")
            }
            Self::Id(Malformed::Length(length)) => write!(f, "{title}: знаков {length}, а можно от 1 до 64"),
            Self::SameId { line } | Self::SameNumber { line } => write!(f, "{title}: строка {line}"),
            Self::OthersNumber { lead } => write!(f, "{title}: {lead}"),
            Self::Zone(name) => write!(f, "{title}: «{name}»"),
            Self::TooManyFields { fields, most } => write!(f, "{title}: {fields}, а можно {most}"),
            Self::TooLong { what, most } => write!(f, "{title}: {what}, а можно байтов {most}"),
            Self::TooManyTags { most } => write!(f, "{title}: можно {most}"),
            Self::NoNumber | Self::KnownNumber | Self::Elsewhere(_) => f.write_str(title),
        }
    }
}
