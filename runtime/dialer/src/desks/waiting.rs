//! A caller's place at the desk, from the queue to the end of his talk.

use tokio::sync::{mpsc, oneshot};
use zvonar_desk::{GivenUp, Miss};
use zvonar_model::{AttemptId, Millis, OperatorId};

use zvonar_switch::media_io::MediaPlace;

use super::Handle;
use super::worker::Ask;
use crate::operators::CallerView;

/// What somebody who waits is told.
#[derive(Debug)]
pub enum Told<L> {
    /// His place in the queue: 1, he is the next.
    Position {
        /// Which.
        position: u32,
        /// About how long it will take, if that is known.
        wait: Option<Millis>,
    },
    /// An operator has picked up: they talk. The last that is told.
    Connected {
        /// Who.
        operator: OperatorId,
        /// His telephone.
        leg: L,
    },
    /// He gets nobody. The last that is told.
    GaveUp {
        /// Why.
        why: GivenUp,
        /// Whose telephone rang at that moment, or rang last: he is responsible for the missed call.
        responsible: Option<OperatorId>,
        /// How the last one who was asked did not take it.
        last: Option<Miss>,
    },
    /// He has left. The last that is told.
    Lost {
        /// Whose telephone rang at that moment: he is responsible for the missed call.
        responsible: Option<OperatorId>,
    },
    /// The desk is no more: a bug of ours, or the host stops. The last that is told.
    Broken,
}

/// Somebody who waits for an operator. Dropped, he has left.
#[derive(Debug)]
pub struct Waiting<L> {
    news: mpsc::Receiver<Told<L>>,
    end: oneshot::Receiver<Told<L>>,
    /// Dropped last: a desk that hears of the leaving finds that nobody listens any more.
    place: Place<L>,
}

/// A place at the desk. Dropped, it is free: whoever waited there has left, whoever talked there has ended his talk.
#[derive(Debug)]
pub struct Place<L> {
    handle: Handle<L>,
    call: AttemptId,
    /// The desk knows that it is free.
    free: bool,
}

impl<L> Waiting<L> {
    pub(super) fn new(
        place: Place<L>,
        news: mpsc::Receiver<Told<L>>,
        end: oneshot::Receiver<Told<L>>,
    ) -> Self {
        Self { news, end, place }
    }

    /// What he is told next. Not to be asked again after an end. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Told<L> {
        tokio::select! {
            biased; // an end makes all before it old
            end = &mut self.end => end.unwrap_or(Told::Broken),
            Some(news) = self.news.recv() => news,
        }
    }

    /// He leaves. Gives whose telephone rang at that moment: he is responsible for the missed call.
    pub async fn leave(mut self) -> Option<OperatorId> {
        self.place.free = true;
        if self.place.handle.ask(Ask::Leave(self.place.call.clone())).await.is_err() {
            return None;
        }
        match (&mut self.end).await {
            Ok(Told::Lost { responsible } | Told::GaveUp { responsible, .. }) => responsible,
            // Picked up in this very moment: his telephone hangs up, since nobody is there any more.
            Ok(Told::Connected { operator, .. }) => Some(operator),
            _ => None,
        }
    }

    /// His place, once he talks.
    pub fn into_place(self) -> Place<L> {
        self.place
    }
}

impl<L> Place<L> {
    pub(super) fn new(handle: Handle<L>, call: AttemptId) -> Self {
        Self { handle, call, free: false }
    }

    /// The talk was none: the operator picked up, and nothing is heard of him. Frees the place, and counts as a call that
    /// he did not take.
    pub async fn silent(mut self) {
        self.free = true;
        // A desk that is gone counts nothing.
        let _ = self.handle.ask(Ask::NoTalk(self.call.clone())).await;
    }

    /// The operator talks with this caller now, in place of whom he talked with before. `beside`: where that one's sound
    /// is.
    pub async fn joined(&self, caller: CallerView, beside: Option<MediaPlace>) {
        // A desk that is gone shows nobody.
        let _ = self.handle.ask(Ask::Joined { key: self.call.clone(), caller, beside }).await;
    }

    /// Nobody is there: the desk has said so itself.
    pub(super) fn forget(mut self) {
        self.free = true;
    }
}

impl<L> Drop for Place<L> {
    fn drop(&mut self) {
        if !self.free {
            self.handle.office.gone.add(self.call.clone());
        }
    }
}
