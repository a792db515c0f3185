//! A whole talk: a module of the real sandbox, a pretend line, and the record that a real call would have left.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Zoned;
use zvonar_ledger::{Charge, PriceList, rate};
use zvonar_media::ClipError;
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Kopecks, MediaReport, Millis, Outcome, Phases, PhoneNumber,
    RECORD_VERSION, SentSms, SystemResult, TalkEnd, TenantId,
};
use zvonar_scenario::LeadCard;
use zvonar_scenario::ports::{About, Destination, Part, Ports};
use zvonar_scenario::{Ending, Limits, Module, SessionEnd, Start, Usage};

use crate::caller::Caller;
use crate::clock::{VirtualClock, ZONE_FIELD, usual_now};
use crate::gateway::{Gateway, GatewayManner, SentText};
use crate::line::{Abilities, Over, PretendLine, Show};
use crate::sounds::Sounds;
use crate::timeline::{Entry, Side, What};

/// How long a fallback prompt may take, as on a real call.
const FALLBACK_LONGEST: Duration = Duration::from_secs(30);

/// A module that is ready to be rehearsed.
#[derive(Debug)]
pub struct Stage {
    module: Arc<Module>,
    sounds: Arc<Sounds>,
    prices: PriceList,
    limits: Limits,
}

/// With whom a talk is, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Who calls whom.
    pub direction: Direction,
    /// The calling number.
    pub caller: String,
    /// The called number.
    pub callee: String,
    /// Which try this is to reach the lead, from 1.
    pub attempt: u32,
    /// When it begins; `None`: [`crate::USUAL_NOW`], in the lead's zone.
    pub now: Option<Zoned>,
    /// What the scenario's random numbers are made of.
    pub seed: u64,
    /// The lead's card.
    pub fields: BTreeMap<String, String>,
    /// The project's settings, filled in: [`zvonar_scenario::Manifest::fill_settings`].
    pub settings: Arc<BTreeMap<String, String>>,
    /// What the host can do.
    pub abilities: Abilities,
    /// Its gateway of text messages.
    pub gateway: GatewayManner,
    /// What the gateway takes for a part of a text.
    pub sms_price: Kopecks,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            direction: Direction::Outbound,
            caller: "+74950000000".into(),
            callee: "+79161234567".into(),
            attempt: 1,
            now: None,
            seed: 1,
            fields: BTreeMap::new(),
            settings: Arc::default(),
            abilities: Abilities::default(),
            gateway: GatewayManner::Takes,
            sms_price: Kopecks::ZERO,
        }
    }
}

/// What is left of a rehearsal.
#[derive(Debug)]
pub struct Rehearsed {
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// The record that a real call of this course would have left.
    pub record: AttemptRecord,
    /// What it would have cost.
    pub charge: Charge,
    /// Who hung up.
    pub hung_up: Side,
    /// What the scenario wrote to the card.
    pub card: LeadCard,
    /// The texts that it sent.
    pub sms: Vec<SentText>,
    /// To whom it handed the caller over.
    pub transfers: Vec<Destination>,
    /// How the scenario came to its end.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
    /// What it was allowed.
    pub limits: Limits,
}

impl Stage {
    /// `limits`: what a host would grant.
    ///
    /// # Errors
    ///
    /// Every sound of the module that cannot be played.
    pub fn new(module: Arc<Module>, prices: PriceList, limits: Limits) -> Result<Self, Vec<ClipError>> {
        let sounds = Arc::new(Sounds::of(&module)?);
        Ok(Self { module, sounds, prices, limits })
    }

    /// The same with other prices.
    #[must_use]
    pub fn with_prices(&self, prices: PriceList) -> Self {
        Self {
            module: Arc::clone(&self.module),
            sounds: Arc::clone(&self.sounds),
            prices,
            limits: self.limits,
        }
    }

    /// What is rehearsed.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Its prompts.
    pub fn sounds(&self) -> &Arc<Sounds> {
        &self.sounds
    }

    /// Plays one talk, from the pick-up to its end; `show` sees what happens as it happens. Blocks for the scenario's
    /// computing alone (and for a caller who is asked at a keyboard).
    ///
    /// # Errors
    ///
    /// A sentence, when the sandbox has no room.
    pub fn play(
        &self,
        setup: &Setup,
        caller: impl Caller + 'static,
        show: impl FnMut(&Entry) + Send + 'static,
    ) -> Result<Rehearsed, String> {
        let clock =
            VirtualClock::new(setup.now.clone().unwrap_or_else(|| usual_now(setup.fields.get(ZONE_FIELD))));
        let began = clock.unix();
        let attempt = AttemptId::fresh(began, setup.seed);
        let about = About {
            call: attempt.to_string(),
            direction: setup.direction,
            caller: setup.caller.clone(),
            callee: setup.callee.clone(),
            attempt: setup.attempt,
        };
        let show: Show = Box::new(show);
        let line = PretendLine::new(
            clock.clone(),
            Box::new(caller),
            about,
            Arc::clone(&self.sounds),
            setup.abilities,
            show,
        );
        let card = Arc::new(Mutex::new(LeadCard::new(setup.fields.clone())));
        let gateway = Gateway::new(setup.gateway.clone());
        let mut chance = Chance(setup.seed);
        let ports = Ports {
            line: Box::new(line.clone()),
            lead: Box::new(Arc::clone(&card)),
            sms: Box::new(gateway.clone()),
            clock: Box::new(clock.clone()),
            random: Box::new(move || chance.next()),
        };
        let start = Start { ports, settings: Arc::clone(&setup.settings), limits: self.limits };
        let seat = self.module.take_seat().ok_or("the sandbox has no room for another session")?;
        let end = without_waiting(self.module.run(seat, start));
        let end = self.finish(end, &line);

        let (sms, card) = (gateway.sent(), card.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let mut talk = line.talk();
        let robot = talk.now().saturating_sub(talk.waited).saturating_sub(talk.talked);
        let far = match setup.direction {
            Direction::Outbound => &setup.callee,
            Direction::Inbound => &setup.caller,
        };
        let record = AttemptRecord {
            version: RECORD_VERSION,
            attempt,
            tenant: TenantId::new("rehearsal").expect("the constant is an id"),
            project: None,
            lead: None,
            direction: setup.direction,
            number: PhoneNumber::parse(far).ok(),
            peer: far.clone(),
            trunk: None,
            started_at: began,
            answered_at: Some(began),
            ended_at: clock.unix(),
            post_dial_delay: None,
            phases: Phases { robot: robot.into(), wait: talk.waited.into(), talk: talk.talked.into() },
            outcome: Outcome::Answered { result: verdict(&end, talk.over, talk.played, talk.meaning) },
            machine: talk.over == Some(Over::Machine),
            sip_code: Some(200),
            keys: std::mem::take(&mut talk.keys),
            answers: std::mem::take(&mut talk.answers),
            transfers: std::mem::take(&mut talk.handed),
            sms: sms.iter().map(|sent| SentSms::priced(sent.segments, setup.sms_price)).collect(),
            scenario: Some(self.module.reference()),
            media: MediaReport::default(),
            recording: None,
            trace: end.trace,
        };
        let hung_up = match talk.over {
            Some(Over::Caller | Over::Waiting) => Side::Caller,
            Some(Over::Robot | Over::Machine) | None => Side::Robot,
        };
        Ok(Rehearsed {
            entries: std::mem::take(&mut talk.entries),
            charge: rate(&self.prices, &record),
            record,
            hung_up,
            card,
            sms,
            transfers: std::mem::take(&mut talk.transfers),
            ending: end.ending,
            usage: end.usage,
            limits: end.limits,
        })
    }

    /// What the host does when the scenario is done: the fallback, and hanging up.
    fn finish(&self, mut end: SessionEnd, line: &PretendLine) -> SessionEnd {
        match &end.ending {
            Ending::Returned => {}
            Ending::Failed(words) => {
                line.talk().note(What::Fault { why: format!("the scenario returned an error: {words}") });
            }
            Ending::Faulted(fault) => line.talk().note(What::Fault { why: fault.to_string() }),
        }
        if end.wants_fallback()
            && let Some(clip) = &self.module.fallback().prompt
        {
            let until = end.ports.clock.elapsed() + FALLBACK_LONGEST;
            // Whoever leaves in the fallback has left; there is nothing more to do about it.
            let _ = without_waiting(end.ports.line.play(&[Part::Clip(Arc::clone(clip))], until));
        }
        line.talk().hang_up();
        end
    }
}

impl Rehearsed {
    /// The result in the words of the reports.
    pub fn result(&self) -> &str {
        self.record.outcome.title()
    }

    /// How the scenario failed, in a sentence.
    pub fn fault(&self) -> Option<&str> {
        self.record.trace.fault.as_deref()
    }

    /// The whole call, in started seconds.
    pub fn seconds(&self) -> u64 {
        let Phases { robot, wait, talk } = self.record.phases;
        Millis(robot.0 + wait.0 + talk.0).seconds_up()
    }
}

/// What the line knows better than the session, as on a real call.
fn verdict(end: &SessionEnd, over: Option<Over>, played: bool, transfer: Option<SystemResult>) -> TalkEnd {
    let unnamed = [SystemResult::NoResult, SystemResult::Connected, SystemResult::NotHeardOut];
    match (end.talk_end(), over) {
        (TalkEnd::Scenario(name), _) => TalkEnd::Scenario(name),
        (TalkEnd::System(_), Some(Over::Machine)) => TalkEnd::System(SystemResult::Machine),
        (TalkEnd::System(_), Some(Over::Waiting)) => TalkEnd::System(SystemResult::Lost),
        (TalkEnd::System(result), _) if transfer.is_some() && unnamed.contains(&result) => {
            TalkEnd::System(transfer.unwrap_or(result))
        }
        (TalkEnd::System(_), Some(Over::Caller)) if !played => TalkEnd::System(SystemResult::NothingPlayed),
        (other, _) => other,
    }
}

/// Runs a future whose waiting is all pretended. It may still ask for another turn: a guest that computes for long gives
/// others theirs.
pub(crate) fn without_waiting<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// SplitMix64: the same numbers from the same seed, in every version of this program.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_repeats_itself() {
        let mut chance = Chance(1);
        assert_eq!([chance.next(), chance.next()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
    }
}
