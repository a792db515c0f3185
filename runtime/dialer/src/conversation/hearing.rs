//! One listening of a call: the parts of an answer on their way through the recogniser, and what they come to.
//!
//! Recognition begins while the caller speaks, piece by piece, and on his first short pause; should he go on, that part is
//! taken back. A [`Hearing`] that is dropped takes all of it back.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, MaybeDone, maybe_done};
use zvonar_model::TenantId;
use zvonar_speech::answer::Spoken;
use zvonar_speech::pool::PATIENCE;
use zvonar_speech::{Recognised, Recognizer, Request};
use zvonar_switch::media_io::{ListenId, SpeechStep};

/// A piece of a long answer is recognised while the caller goes on: no sooner than the next one comes does it get late.
const PIECE_PATIENCE: Duration = Duration::from_secs(8);

/// Who turns the sound of this call into words.
#[derive(Debug, Clone)]
pub(super) struct Ear {
    pub(super) recogniser: Arc<dyn Recognizer>,
    pub(super) tenant: TenantId,
}

/// One listening.
pub(super) struct Hearing {
    ear: Ear,
    pub(super) listening: ListenId,
    parts: Vec<Part>,
    /// The last of the parts is that of a pause, and void should he go on.
    paused: bool,
    /// What is known once he is done.
    over: Option<Over>,
}

/// A part of an answer, at the recogniser.
struct Part {
    sound: Arc<[i16]>,
    work: Pin<Box<MaybeDone<BoxFuture<'static, Recognised>>>>,
}

struct Over {
    voiced: Duration,
    sound: Arc<[i16]>,
    /// When nobody waits for the words any longer.
    give_up: Instant,
}

/// What a caller said, whole.
pub(super) struct Said {
    pub(super) spoken: Spoken,
    /// All of the answer, 8 kHz.
    pub(super) sound: Arc<[i16]>,
}

/// What a step of the listening means for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noticed {
    /// Somebody begins to speak.
    Begins,
    /// That was no speech.
    Nothing,
    /// Nothing that the question need know.
    More,
}

impl Hearing {
    pub(super) fn new(ear: Ear, listening: ListenId) -> Self {
        Self { ear, listening, parts: Vec::new(), paused: false, over: None }
    }

    /// Takes the next thing that was noticed of the answer.
    pub(super) fn take(&mut self, step: SpeechStep, now: Instant) -> Noticed {
        match step {
            SpeechStep::Began => return Noticed::Begins,
            SpeechStep::Piece(sound) => {
                self.take_back();
                self.recognise(sound, now + PIECE_PATIENCE);
            }
            SpeechStep::Pause(sound) => {
                self.take_back();
                self.recognise(sound, now + PATIENCE);
                self.paused = true;
            }
            SpeechStep::WentOn => self.take_back(),
            SpeechStep::Nothing => {
                self.parts.clear();
                self.paused = false;
                return Noticed::Nothing;
            }
            SpeechStep::Ended { voiced, last, sound, .. } => {
                let begun = self.parts.last().filter(|_| self.paused);
                match last {
                    // It was begun at the pause, and is half done by now.
                    Some(last) if begun.is_some_and(|part| Arc::ptr_eq(&part.sound, &last)) => {}
                    Some(last) => {
                        self.take_back();
                        self.recognise(last, now + PATIENCE);
                    }
                    None => self.take_back(),
                }
                self.over = Some(Over { voiced, sound, give_up: now + PATIENCE });
            }
        }
        Noticed::More
    }

    fn recognise(&mut self, sound: Arc<[i16]>, deadline: Instant) {
        let Ear { recogniser, tenant } = self.ear.clone();
        let request = Request { tenant, sound: Arc::clone(&sound), deadline };
        let work = async move { recogniser.recognise(request).await }.boxed();
        self.parts.push(Part { sound, work: Box::pin(maybe_done(work)) });
    }

    /// What was recognised since the pause is void.
    fn take_back(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.parts.pop();
        }
    }

    /// When nobody waits for the words any longer; `None` while he speaks.
    pub(super) fn give_up(&self) -> Option<Instant> {
        self.over.as_ref().map(|over| over.give_up)
    }

    /// What he said, once he is done and all of it is recognised. Recognition goes on while somebody waits for this.
    pub(super) async fn said(&mut self) -> Said {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Said> {
        let mut all = true;
        for part in &mut self.parts {
            all &= part.work.as_mut().poll(context).is_ready();
        }
        match self.over.take_if(|_| all) {
            Some(over) => Poll::Ready(self.come_to(over)),
            None => Poll::Pending,
        }
    }

    /// What is there by now: a part that is not counts as one that nobody had time for. `None` while he speaks.
    pub(super) fn cut_short(&mut self) -> Option<Said> {
        self.over.take().map(|over| self.come_to(over))
    }

    fn come_to(&mut self, over: Over) -> Said {
        let parts = std::mem::take(&mut self.parts);
        let heard =
            parts.into_iter().map(|mut part| part.work.as_mut().take_output().unwrap_or(Recognised::Late));
        Said { spoken: Spoken::of(heard, over.voiced), sound: over.sound }
    }
}
