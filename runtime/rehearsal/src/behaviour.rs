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
    /// Picks up, presses a key, and hangs up when he has waited for a while.
    GivesUp(char),
    /// Picks up, says hello, talks for a few seconds and hangs up: whom callers are handed to.
    Colleague,
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
    /// Picks up, says hello, listens, and says this once the far end has fallen silent; again when it is asked again.
    Says(Saying),
    /// The same with an answer of the user's own ([`Voices::with_answers`](crate::Voices::with_answers)).
    SaysOwn,
    /// The same, but does not listen to the end first: says it over the far end's voice.
    Interrupts(Saying),
}

/// What the callees that speak have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saying {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Call me later.
    Later,
    /// An operator, please.
    Operator,
    /// No more calls.
    Stop,
    /// A whole story.
    Story,
    /// No word at all.
    Cough,
}

impl Saying {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Yes, Self::No, Self::Later, Self::Operator, Self::Stop, Self::Story, Self::Cough];

    /// Word for word; empty where no word is said.
    pub fn words(self) -> &'static str {
        match self {
            Self::Yes => "Да, конечно.",
            Self::No => "Нет.",
            Self::Later => "Перезвоните позже.",
            Self::Operator => "Хочу поговорить с оператором.",
            Self::Stop => "Больше мне не звоните.",
            Self::Story => {
                "Извините, я сейчас за рулём и не могу говорить, перезвоните мне, пожалуйста, завтра после обеда, тогда \
                 я точно скажу, приду или нет."
            }
            Self::Cough => "",
        }
    }
}

/// From the answer to the key.
pub const KEY_AFTER: Duration = Duration::from_secs(2);
/// From the answer to the hang-up.
pub const LEAVES_AFTER: Duration = Duration::from_millis(1500);
/// From the key to the hang-up of those who do not like to wait.
pub(crate) const WAITS_FOR: Duration = Duration::from_secs(5);
/// How long a colleague talks.
pub(crate) const TALKS_FOR: Duration = Duration::from_secs(6);
/// From the INVITE to the answer.
pub const PICKS_UP_AFTER: Duration = Duration::from_millis(500);
/// From the answer to the words of those who do not listen to the end.
pub const INTERRUPTS_AFTER: Duration = Duration::from_secs(4);

impl Behaviour {
    /// All of them with their numbers and what they do, for the help of the command.
    pub const TABLE: [(&'static str, Self, &'static str); 22] = [
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
        ("11", Self::Says(Saying::Yes), "says «да, конечно» when the robot is silent"),
        ("12", Self::Says(Saying::No), "says «нет»"),
        ("13", Self::Says(Saying::Later), "says «перезвоните позже»"),
        ("14", Self::Says(Saying::Operator), "says «хочу поговорить с оператором»"),
        ("15", Self::Says(Saying::Stop), "says «больше мне не звоните»"),
        ("16", Self::Says(Saying::Story), "says a long sentence: drives now, call me tomorrow"),
        ("17", Self::Says(Saying::Cough), "coughs: no word, nothing to pay for"),
        ("18", Self::Interrupts(Saying::Yes), "says «да, конечно» after 4 s, over the robot"),
        ("19", Self::GivesUp('1'), "answers, presses 1 after 2 s, waits 5 s and hangs up"),
        ("20", Self::Presses('3'), "answers and presses 3 after 2 s"),
        ("21", Self::Presses('4'), "answers and presses 4 after 2 s"),
        ("22", Self::Colleague, "answers, talks for 6 s, hangs up"),
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
        assert_eq!(Behaviour::of("+79000000014"), Behaviour::Says(Saying::Operator));
    }
}
