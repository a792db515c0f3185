//! The person on a pretend line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zvonar_scenario::ports::{Destination, Part, Question, TransferEnd, TransferOptions};
use zvonar_scenario::question::Answer;

/// What the robot is doing. Moments are of the session's virtual clock.
#[derive(Debug, Clone, Copy)]
pub enum Scene<'a> {
    /// It plays a prompt.
    Play {
        /// Which.
        prompt: &'a [Part],
    },
    /// It asks.
    Ask {
        /// What.
        question: &'a Question,
        /// When the prompt is over if nobody stops it.
        prompt_over: Duration,
    },
    /// It waits without a word.
    Wait,
    /// It records the caller.
    Record,
    /// It hands the caller over.
    Transfer {
        /// To whom.
        to: &'a Destination,
        /// How.
        options: &'a TransferOptions,
    },
}

/// What a caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Presses a key.
    Press(char),
    /// Begins to say something.
    Say {
        /// What.
        text: String,
        /// How long it takes.
        lasts: Duration,
    },
    /// Leaves.
    HangUp,
    /// Turns out to be an answering machine.
    IsMachine,
}

/// Somebody who picked up. The line drives it: it tells what begins and what ends, and asks what the caller does next.
pub trait Caller: Send {
    /// From `now` on the robot does this.
    fn begin(&mut self, now: Duration, scene: Scene<'_>);

    /// The next thing that the caller does before `until`, and when; `None`: nothing up to then. Moments do not go back.
    fn next(&mut self, until: Duration) -> Option<(Duration, Act)>;

    /// What began has ended; `answer`: of a question, unless the line ended under it.
    fn end(&mut self, now: Duration, answer: Option<&Answer>);

    /// How the transfer that has just begun ends, and after what time; `None`: the caller waits until patience is over.
    fn transfer(&mut self) -> Option<(Duration, TransferEnd)>;
}

/// A caller that its owner keeps a hold of.
impl<C: Caller> Caller for Arc<Mutex<C>> {
    fn begin(&mut self, now: Duration, scene: Scene<'_>) {
        self.lock().unwrap_or_else(PoisonError::into_inner).begin(now, scene);
    }

    fn next(&mut self, until: Duration) -> Option<(Duration, Act)> {
        self.lock().unwrap_or_else(PoisonError::into_inner).next(until)
    }

    fn end(&mut self, now: Duration, answer: Option<&Answer>) {
        self.lock().unwrap_or_else(PoisonError::into_inner).end(now, answer);
    }

    fn transfer(&mut self) -> Option<(Duration, TransferEnd)> {
        self.lock().unwrap_or_else(PoisonError::into_inner).transfer()
    }
}
