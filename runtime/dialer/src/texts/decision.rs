//! Where messages are decided: in a call, which waits for nothing.
//!
//! A decision is checked at once and handed to the tenant's [`Post`], whose task stores it within moments. The call keeps
//! it, too, and the commit that settles the call stores what is not stored by then: the key is the decision's own, so it is
//! one message either way. A full queue is therefore no loss.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zvonar_campaign::{NumberKind, Register};
use zvonar_gateways::segments;
use zvonar_model::{AttemptId, LeadId, PhoneNumber, ProjectId, UnixMillis};
use zvonar_scenario::ports::{Sms, SmsError};

use super::TextRules;
use super::rows::{Text, TextId};
use crate::WallClock;
use crate::run::told;
use crate::tables::Tables;

/// Decisions that may wait to be stored. What comes then is stored when its call is settled.
const WAITING: usize = 1_000;

/// Decisions that are stored in one commit.
const BATCH: usize = 30;

/// How long the store rests when it has failed, before the same decisions are stored once more.
const REST: Duration = Duration::from_secs(2);

/// A message that a scenario has decided to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextDecision {
    /// Which of the call's messages it is, from 1.
    pub ordinal: u32,
    /// To whom.
    pub to: PhoneNumber,
    /// What.
    pub text: String,
    /// In how many parts.
    pub segments: u32,
    /// When.
    pub at: UnixMillis,
    /// After this it is of no use any more.
    pub until: UnixMillis,
}

impl TextDecision {
    pub(crate) fn id(&self, attempt: &AttemptId) -> TextId {
        TextId { attempt: attempt.clone(), ordinal: self.ordinal }
    }
}

/// Whose call it is in which something is decided.
#[derive(Debug, Clone)]
pub struct Whose {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which project.
    pub project: Option<ProjectId>,
    /// With whom.
    pub lead: Option<LeadId>,
}

impl Whose {
    pub(crate) fn text(&self, decision: &TextDecision) -> Text {
        let TextDecision { to, text, segments, at, until, .. } = decision.clone();
        let (project, lead) = (self.project.clone(), self.lead.clone());
        Text { id: decision.id(&self.attempt), project, lead, to, text, segments, decided_at: at, until }
    }
}

/// Where the calls of a tenant put their messages. Clones are the same.
#[derive(Clone)]
pub struct Post {
    most_parts: u32,
    useful: Duration,
    register: Arc<Register>,
    clock: WallClock,
    queue: mpsc::Sender<Text>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("most_parts", &self.most_parts).finish_non_exhaustive()
    }
}

/// The other end of a [`Post`]: what waits to be stored.
#[derive(Debug)]
pub struct PostBox(mpsc::Receiver<Text>);

impl Post {
    /// A tenant's post, and what is put into it.
    pub fn new(rules: &TextRules, register: Arc<Register>, clock: WallClock) -> (Self, PostBox) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let (most_parts, useful) = (rules.most_parts, rules.useful);
        (Self { most_parts, useful, register, clock, queue }, PostBox(waiting))
    }

    /// What one call may send by. `peer`: the far end as the network names it, to whom a message goes unless another
    /// number is named.
    pub fn of_call(&self, whose: Whose, peer: &str) -> CallTexts {
        CallTexts { post: self.clone(), whose, peer: peer.to_owned(), decided: Arc::default(), behind: false }
    }

    /// The number that a message may go to.
    fn number(&self, text: &str) -> Result<PhoneNumber, String> {
        let number = PhoneNumber::parse(text).map_err(|why| why.to_string())?;
        match self.register.check(&number) {
            Ok(NumberKind::Mobile) => Ok(number),
            Ok(NumberKind::Geographic) => Err("a telephone of a city takes no text messages".into()),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// The text messages of one call: [`Sms`] on a real line.
pub struct CallTexts {
    post: Post,
    whose: Whose,
    peer: String,
    decided: Arc<Mutex<Vec<TextDecision>>>,
    /// One did not fit into the queue. Those after it wait with it, so that stored ones have no gap.
    behind: bool,
}

/// What was decided in a call. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct DecidedTexts(Arc<Mutex<Vec<TextDecision>>>);

impl DecidedTexts {
    /// All of it, in order.
    pub fn all(&self) -> Vec<TextDecision> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl CallTexts {
    /// What is decided, for whoever settles the call.
    pub fn decided(&self) -> DecidedTexts {
        DecidedTexts(Arc::clone(&self.decided))
    }
}

impl Sms for CallTexts {
    fn send(&mut self, to: Option<&str>, text: &str) -> Result<String, SmsError> {
        let refused = |why: String| SmsError::Refused(why);
        let to = match to {
            Some(number) => self.post.number(number).map_err(|why| refused(format!("{number}: {why}")))?,
            None => self.post.number(&self.peer).map_err(|why| {
                refused(format!("the far end's own number takes no message ({why}): name another one"))
            })?,
        };
        let counted = segments::check(text, self.post.most_parts).map_err(|why| refused(why.to_string()))?;
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (self.post.clock)();
        let decision = TextDecision {
            ordinal: u32::try_from(decided.len() + 1).map_err(|_| SmsError::Limit)?,
            to,
            text: text.to_owned(),
            segments: counted.parts,
            at,
            until: at.plus(self.post.useful),
        };
        if !self.behind && self.post.queue.try_send(self.whose.text(&decision)).is_err() {
            tracing::warn!("a text message is stored when its call is settled, as many others wait");
            self.behind = true;
        }
        let id = decision.id(&self.whose.attempt).to_string();
        decided.push(decision);
        Ok(id)
    }
}

/// Stores what comes into the post until told to stop; then what is in it, and ends. What could not be stored is stored
/// before all that comes after it, so that the messages of a call have no gap; calls keep theirs when the queue is full by
/// then.
pub(crate) async fn store_decisions(
    tables: Tables,
    PostBox(mut waiting): PostBox,
    mut stop: watch::Receiver<bool>,
) {
    let mut batch: Vec<Text> = Vec::new();
    let mut open = true;
    while open {
        tokio::select! {
            biased;
            one = waiting.recv() => match one {
                Some(one) => batch.push(one),
                None => open = false,
            },
            () = told(&mut stop) => open = false,
        }
        loop {
            while batch.len() < BATCH {
                match waiting.try_recv() {
                    Ok(more) => batch.push(more),
                    Err(_) => break,
                }
            }
            if batch.is_empty() {
                break;
            }
            while let Err(why) = tables.store_texts(&batch).await {
                tracing::error!(%why, texts = batch.len(), "text messages could not be stored at once");
                if !open {
                    // Their calls have them, and store them when they are settled.
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(REST) => {}
                    // Once more, and no more.
                    () = told(&mut stop) => open = false,
                }
            }
            batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(peer: &str) -> (CallTexts, PostBox) {
        let (post, kept) =
            Post::new(&TextRules::default(), Register::sample(), Arc::new(|| UnixMillis(1_790_000_000_000)));
        let whose = Whose { attempt: AttemptId::new("a1").unwrap(), project: None, lead: None };
        (post.of_call(whose, peer), kept)
    }

    fn refusal(sent: Result<String, SmsError>) -> String {
        match sent {
            Err(SmsError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_goes_to_the_far_end_unless_another_number_is_named() {
        let (mut texts, mut kept) = call("89001234567");
        let decided = texts.decided();
        assert_eq!(texts.send(None, "Ждём вас"), Ok("a1-1".into()));
        assert_eq!(texts.send(Some("8 916 000-00-01"), "Ждём вас"), Ok("a1-2".into()));
        let numbers: Vec<_> = decided.all().iter().map(|one| one.to.reveal().to_owned()).collect();
        assert_eq!(numbers, ["+79001234567", "+79160000001"]);
        let stored = kept.0.try_recv().unwrap();
        assert_eq!((stored.id.to_string().as_str(), stored.segments), ("a1-1", 1));
    }

    #[test]
    fn numbers_that_take_no_message_are_refused_with_the_reason() {
        let (mut texts, _kept) = call("sip:anna@192.0.2.1");
        assert!(refusal(texts.send(None, "x")).contains("name another one"));
        for (number, word) in [
            ("+74951234567", "city"),
            ("+77011234567", "Kazakhstan"),
            ("+88005553535", ""),
            ("88005553535", "toll-free"),
            ("+4915112345678", "not Russian"),
            ("Anna", ""),
        ] {
            let why = refusal(texts.send(Some(number), "x"));
            assert!(why.contains(word) && why.contains(number), "{number}: {why}");
        }
        assert!(texts.decided().all().is_empty());
    }

    #[test]
    fn eleven_parts_are_refused_and_a_smiley_on_the_border_of_parts_is_counted_whole() {
        let (mut texts, _kept) = call("+79001234567");
        let why = refusal(texts.send(None, &"я".repeat(67 * 10 + 1)));
        assert!(why.contains("11 parts, and at most 10 are sent: make it 1 characters shorter"), "{why}");
        // 66 letters and a smiley of two units: the smiley does not fit into the first part of 67.
        assert!(texts.send(None, &format!("{}😀{}", "я".repeat(66), "я".repeat(65))).is_ok());
        assert!(texts.send(None, &format!("{}😀{}", "я".repeat(66), "я".repeat(66))).is_ok());
        assert!(texts.send(None, &format!("{}😀", "я".repeat(68))).is_ok());
        let parts: Vec<u32> = texts.decided().all().iter().map(|one| one.segments).collect();
        assert_eq!(parts, [2, 3, 1]);
    }

    #[test]
    fn what_the_queue_does_not_take_is_kept_by_the_call_without_a_gap() {
        let (mut texts, mut kept) = call("+79001234567");
        for _ in 0..WAITING + 2 {
            assert!(texts.send(None, "x").is_ok());
        }
        kept.0.try_recv().unwrap();
        assert!(
            texts.send(None, "x").is_ok(),
            "there is room again, and one before it waits for the settling"
        );
        assert_eq!(texts.decided().all().len(), WAITING + 3);
        let mut stored = 1;
        while kept.0.try_recv().is_ok() {
            stored += 1;
        }
        assert_eq!(stored, WAITING);
    }
}
