//! The nine ways in which SMSC says no, and what each means for a message; and what a tenth would mean.

use std::fmt;

/// Why SMSC refused, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The account is locked out for a while: later, the whole queue.
    Wait,
    /// The reason is none that is known here: this message, later. The queue goes on, unless several are refused so.
    Unknown,
    /// It has this very message, or the same text to the same number, from just now: ask by our number first.
    Repeated,
    /// The account is empty: the tenant's queue stops, and somebody has to pay.
    NoMoney,
    /// Login or password: the tenant's queue stops, and somebody has to mend the configuration.
    Account,
    /// This message cannot be sent as it is: whoever wrote it has to mend it.
    Message,
    /// This number gets no messages.
    Number,
}

impl Code {
    /// What it means.
    pub fn class(self) -> Class {
        match self.0 {
            1 | 5 | 6 => Class::Message,
            2 => Class::Account,
            3 => Class::NoMoney,
            7 | 8 => Class::Number,
            9 => Class::Repeated,
            4 => Class::Wait,
            _ => Class::Unknown,
        }
    }

    /// The reason, in words that say what to do.
    pub fn reason(self) -> &'static str {
        match self.0 {
            1 => "a parameter is wrong: look at the sender's name and the text",
            2 => "the login or the password is wrong, or this address is not in the account's list",
            3 => "there is not enough money on the account: pay in",
            4 => "this address is locked out for a while after too many errors",
            5 => "a date is wrong",
            6 => "the text or the sender's name is forbidden: have it allowed in the account",
            7 => "the number has no such form",
            8 => "nothing can be delivered to this number",
            9 => "the same message was given within a minute, or too many at once",
            _ => "the reason is unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.reason(), self.0)
    }
}
