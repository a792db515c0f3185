//! What a callee of the farm does when the phone rings: chosen by the last two digits of the number that was called, so
//! that a contact list alone decides what will happen.

use std::time::Duration;

/// A callee's character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Picks up, says hello, presses a key some time after the answer, stays until the far end leaves.
    Presses(char),
    /// Picks up, says hello and does nothing more.
    Listens,
    /// Picks up and hangs up in the middle of the prompt.
    HangsUp,
    /// 486.
    Busy,
    /// Rings until the caller gives up.
    RingsOut,
    /// 603.
    Declines,
    /// 404.
    Unknown,
    /// Picks up with the greeting of a mailbox, beeps, and stays silent.
    Voicemail,
    /// 503.
    OutOfOrder,
}

/// From the answer to the key.
pub const KEY_AFTER: Duration = Duration::from_secs(2);
/// From the answer to the hang-up.
pub const LEAVES_AFTER: Duration = Duration::from_millis(1500);
/// From the INVITE to the answer.
pub const PICKS_UP_AFTER: Duration = Duration::from_millis(500);

impl Behaviour {
    /// All of them with their numbers and what they do, for the help of the command.
    pub const TABLE: [(&'static str, Self, &'static str); 10] = [
        ("01", Self::Presses('1'), "answers and presses 1 after 2 s"),
        ("02", Self::Presses('2'), "answers and presses 2 after 2 s"),
        ("03", Self::Listens, "answers, presses nothing"),
        ("04", Self::HangsUp, "answers, hangs up after 1.5 s, in mid-prompt"),
        ("05", Self::Busy, "busy (486)"),
        ("06", Self::RingsOut, "rings and is not answered"),
        ("07", Self::Declines, "declines (603)"),
        ("08", Self::Unknown, "no such number (404)"),
        ("09", Self::Voicemail, "a mailbox: greeting, beep, silence"),
        ("10", Self::OutOfOrder, "out of order (503)"),
    ];

    /// By the last two characters of the called user; whoever has no line in the table just listens.
    pub fn of(user: &str) -> Self {
        let found = Self::TABLE.iter().find(|(digits, ..)| user.ends_with(digits));
        found.map_or(Self::Listens, |(_, behaviour, _)| *behaviour)
    }

    /// The table as text, a line each.
    pub fn help() -> String {
        let lines = Self::TABLE.iter().map(|(digits, _, what)| format!("  …{digits}  {what}\n"));
        lines.collect::<String>() + "  any other  answers, presses nothing\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_digits_choose_the_behaviour() {
        assert_eq!(Behaviour::of("+79000000001"), Behaviour::Presses('1'));
        assert_eq!(Behaviour::of("79000000109"), Behaviour::Voicemail);
        assert_eq!(Behaviour::of("anna"), Behaviour::Listens);
        assert_eq!(Behaviour::of("1"), Behaviour::Listens);
    }
}
