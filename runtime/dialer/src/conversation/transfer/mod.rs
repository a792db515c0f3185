//! A caller is handed over: to an operator of the tenant, or to an external number. He hears music or the ringing tone until
//! somebody has picked up, is bridged with him, and comes back to the scenario when the other side hangs up.
//!
//! # What always holds
//!
//! * A caller who leaves while he waits or talks leaves nothing behind: his place at the desk is free, and whatever rang or
//!   talked for him hangs up.
//! * The call's longest length ends waits and talks as it ends everything else.
//! * An external number is dialled only if the numbering plan, the tenant's blacklist and its caps allow it, whoever asked.
//! * One call is handed on [`MOST_HANDS`] times at most, and never to a number that is in it already.
//! * Whom he is with hears him, or is hung up: nobody is left in silence because two calls cannot be joined.

mod consultation;
mod external;
mod note;
mod pulse;
mod refer;
mod ringing;
mod sheet;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use zvonar_desk::{GivenUp, Group, Miss};
use zvonar_media::{PlayId, Prompt, tones};
use zvonar_model::{
    AttemptId, OperatorId, PhoneNumber, ProjectId, SystemResult, TenantId, Transfer, TrunkId,
};
use zvonar_scenario::ports::{Destination, LineError, TransferEnd, TransferOptions};
use zvonar_switch::{Call, CallEvent, MediaEvent, Switch, clock};

use self::note::Note;
use super::observed::Observed;
use crate::call_back::Waits;
use crate::desks::{Desks, ExternalCall, Place, SilenceRules, Told, Wanted};
use crate::operators::CallerView;
use crate::purse::Held;

pub use consultation::{Consultations, LONGEST_CONSULTATION};
pub use pulse::Pulse;
pub use sheet::TimeSheet;

/// How often one call may be handed on by those who took it.
pub const MOST_HANDS: u32 = 10;

/// A wait in which nobody was even rung, as the reports have it.
const NOBODY_FREE: &str = "Нет свободного оператора";

/// With whom calls can be joined: the desks of a host and its switch. Clones are the same.
#[derive(Debug, Clone)]
pub struct Switchboard {
    /// Who takes calls.
    pub desks: Desks,
    /// Where calls to external numbers leave.
    pub switch: Switch,
    /// The talks between operators, which a third may be joined to.
    pub consultations: Arc<Consultations>,
}

/// How one call is handed over, and what came of that so far.
#[derive(Debug)]
pub struct Handing {
    board: Switchboard,
    tenant: TenantId,
    /// Who is handed over.
    caller: CallerView,
    /// By which trunk the call goes; `None`: it came in.
    trunk: Option<TrunkId>,
    /// The numbers that are in the call.
    parties: Vec<PhoneNumber>,
    /// How often it was handed on.
    hands: u32,
    /// The parts of the call.
    sheet: TimeSheet,
    /// The project that the caller is added to, as nobody talked with him.
    call_back: Option<ProjectId>,
    /// What is stored of that while the call goes on.
    note: Note,
    /// What the last transfer means for a call whose scenario says nothing.
    result: Option<SystemResult>,
    /// The prices of talks with external numbers, until they are charged.
    held: Vec<Held>,
}

/// A call that is being handed over, and what it hears meanwhile.
pub struct On<'c> {
    call: &'c mut Call,
    heard: &'c mut Observed,
    music: Prompt,
    started: Instant,
    until: Instant,
}

/// The other side of a talk.
struct With {
    leg: Call,
    /// His place at the desk; `None`: he is no operator.
    place: Option<Place<Call>>,
    operator: Option<OperatorId>,
    /// One of the calls to external numbers that the tenant may have.
    _external: Option<ExternalCall>,
    /// His part of the time sheet.
    part: usize,
    /// Whether his telephone is still there.
    pulse: Pulse,
}

/// What a wait for an operator came to.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each telephone that is picked up, and taken apart at once"
)]
enum Waited {
    Picked { operator: OperatorId, leg: Call, place: Place<Call> },
    Nobody(TransferEnd),
}

/// What a talk came to.
enum Talked {
    /// The other side has hung up.
    Over,
    /// There was no talk, or the one to whom the caller was handed on did not pick up: he waits for an operator again, for
    /// this part of the time sheet. `anew`: as if he had just come.
    Back { part: usize, anew: bool },
}

impl<'c> On<'c> {
    /// `music`: what is heard while he waits; `None`: the ringing tone. `started`: the answer. `until`: the end of the
    /// longest call.
    pub fn new(
        call: &'c mut Call,
        heard: &'c mut Observed,
        music: Option<Prompt>,
        started: Instant,
        until: Instant,
    ) -> Self {
        let music = music.unwrap_or_else(tones::ring_back);
        Self { call, heard, music, started, until }
    }

    fn at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.started)
    }

    fn now(&self) -> Duration {
        self.at(clock::now())
    }

    fn play_music(&self) {
        self.call.unbridge();
        self.call.media().play_loop(self.music.clone());
    }

    fn silence(&self) {
        self.call.unbridge();
        self.call.media().stop();
    }

    /// The next event of the caller's own call, at most until the longest call is over. An error: he has gone, or time is
    /// up.
    async fn next(&mut self) -> Result<CallEvent, Instant> {
        tokio::select! {
            biased;
            event = self.call.next() => {
                if self.heard.notice(&event) {
                    self.call.hang_up().await;
                }
                match event {
                    CallEvent::Ended { at, .. } => Err(at),
                    // Nobody hands on for the one who was called: what is asked for is refused.
                    CallEvent::Refer(_) => {
                        self.call.answer_refer(false).await;
                        Ok(event)
                    }
                    event => Ok(event),
                }
            }
            () = sleep_until(self.until.into()) => Err(self.until),
        }
    }

    /// Why it cannot go on.
    fn gone(&self) -> LineError {
        match self.heard.standing() {
            Err(why) => why,
            Ok(()) => LineError::Ended("the call reached its longest length".into()),
        }
    }
}

impl Handing {
    /// Of a call of this tenant. `trunk`: by which trunk it was placed. `parties`: the numbers that are in it.
    pub fn new(
        board: Switchboard,
        tenant: TenantId,
        caller: CallerView,
        trunk: Option<TrunkId>,
        parties: Vec<PhoneNumber>,
    ) -> Self {
        let (sheet, note) = (TimeSheet::default(), Note::default());
        let (hands, call_back, result, held) = (0, None, None, Vec::new());
        Self { board, tenant, caller, trunk, parties, hands, sheet, call_back, note, result, held }
    }

    /// What is left once the call is over: its parts, the project that the caller is added to, and what the transfers
    /// mean for a call whose scenario says nothing. `is_machine`: a voicemail that waited for a person is called again as one,
    /// by its own project's rules.
    pub async fn finish(self, is_machine: bool) -> (TimeSheet, Option<ProjectId>, Option<SystemResult>) {
        self.note.finish().await;
        (self.sheet, self.call_back.filter(|_| !is_machine), self.result)
    }

    /// Hands the caller over, and comes back when that is over.
    ///
    /// # Errors
    /// The caller has gone, or the call has reached its longest length. What cannot be done is no error but
    /// [`TransferEnd::Failed`], or [`LineError::Refused`] before anything begins.
    pub async fn hand_over(
        &mut self,
        mut on: On<'_>,
        to: &Destination,
        options: &TransferOptions,
    ) -> Result<TransferEnd, LineError> {
        let project = self.call_back_project(options).await?;
        self.waits(project.as_ref(), &on);
        let first = self.sheet.begin(on.now(), Transfer::default());
        let parties = self.parties.len();
        let end = match to {
            Destination::Operator(group) => {
                self.hand_to_operator(&mut on, first, group.as_deref(), options, project.as_ref()).await
            }
            Destination::Number(number) => self.hand_to_number(&mut on, first, number, options).await,
        };
        self.sheet.stop(on.now());
        on.silence();
        // Whoever he was handed to has hung up, and may be called again.
        self.parties.truncate(parties);
        if self.sheet.connected_since(first) {
            self.result = Some(SystemResult::Connected);
            self.call_back = None;
        } else if let Some(project) = project {
            self.call_back = Some(project);
        }
        end
    }

    /// The project that the caller is to be added to if nobody talks with him.
    async fn call_back_project(&self, options: &TransferOptions) -> Result<Option<ProjectId>, LineError> {
        let Some(name) = &options.call_back_project else { return Ok(None) };
        let refused = |why: String| LineError::Refused(format!("nobody is handed over: {why}"));
        let project = ProjectId::new(name)
            .map_err(|why| refused(format!("`{name}`, where missed callers go, is no project: {why}")))?;
        let office = &self.board.desks.of(&self.tenant).map_err(|why| refused(why.to_string()))?.office;
        match office.tables.project(&project).await {
            Ok(Some(_)) => Ok(Some(project)),
            Ok(None) => Err(refused(format!(
                "there is no project {project}, where missed callers go: make it, or name another one"
            ))),
            Err(why) => Err(refused(why.to_string())),
        }
    }

    /// It is stored that he waits, and is to be called back should the program die.
    fn waits(&mut self, project: Option<&ProjectId>, on: &On<'_>) {
        let (Some(project), Ok(handle)) = (project, self.board.desks.of(&self.tenant)) else { return };
        let (office, caller) = (&handle.office, &self.caller);
        let since = office.now();
        let waits = Waits {
            attempt: caller.attempt.clone(),
            back_to: project.clone(),
            whose: caller.project.clone().zip(caller.lead.clone()),
            number: caller.number.clone(),
            since,
            until: since.plus(on.until.saturating_duration_since(clock::now())),
        };
        self.note.waits(office.tables.clone(), waits);
    }

    /// Somebody has picked up for him.
    fn found(&mut self) {
        if let Ok(handle) = self.board.desks.of(&self.tenant) {
            self.note.found(handle.office.tables.clone(), self.caller.attempt.clone());
        }
    }

    async fn hand_to_operator(
        &mut self,
        on: &mut On<'_>,
        mut part: usize,
        group: Option<&str>,
        options: &TransferOptions,
        call_back: Option<&ProjectId>,
    ) -> Result<TransferEnd, LineError> {
        let first = part;
        self.sheet.transfer(part).to_operator = true;
        let group = match group.map(Group::new).transpose() {
            Ok(group) => group,
            Err(why) => return Ok(self.failed(part, why.to_string())),
        };
        let desks = self.board.desks.clone();
        let mut since = None;
        // How long he was with those whose telephones were picked up in vain: that is no waiting.
        let mut in_vain = Duration::ZERO;
        on.play_music();
        loop {
            let (now, ring) = match desks.of(&self.tenant) {
                Ok(handle) => (handle.office.now(), handle.office.settings.queue.ring),
                Err(why) => return Ok(self.failed(part, why.to_string())),
            };
            let came = *since.get_or_insert(now);
            // Whoever comes back has time for one more telephone.
            let longest_wait = match in_vain {
                Duration::ZERO => options.longest_wait,
                _ => {
                    let gone_by = u64::try_from(now.0.saturating_sub(came.0)).unwrap_or(0);
                    let once_more = Duration::from_millis(gone_by) + Duration::from(ring) * 2;
                    (options.longest_wait + in_vain).max(once_more)
                }
            };
            let wanted = Wanted {
                caller: self.caller.clone(),
                group: group.clone(),
                since: Some(came),
                longest_wait,
                beside: Some(on.call.media().place()),
            };
            let (operator, leg, place) = match self.wait(on, part, wanted).await? {
                Waited::Picked { operator, leg, place } => (operator, leg, place),
                Waited::Nobody(end) => {
                    // One who has talked and was handed on to nobody has talked all the same.
                    let talked = self.sheet.talked_since(first);
                    return Ok(if talked.is_zero() { end } else { TransferEnd::Talked(talked) });
                }
            };
            let picked_up = clock::now();
            self.found();
            self.sheet.talk(on.at(picked_up), part);
            self.sheet.transfer(part).operator = Some(operator.clone());
            let (place, operator) = (Some(place), Some(operator));
            let pulse = Pulse::new(picked_up, leg.is_held(), true);
            let with = With { leg, place, operator, _external: None, part, pulse };
            match self.talk(on, with).await? {
                Talked::Over => return Ok(TransferEnd::Talked(self.sheet.talked_since(first))),
                Talked::Back { part: again, anew } => {
                    part = again;
                    if anew {
                        (since, in_vain) = (None, Duration::ZERO);
                    } else {
                        in_vain += clock::now().saturating_duration_since(picked_up);
                    }
                    self.waits(call_back, on);
                    on.play_music();
                }
            }
        }
    }

    /// Waits in the queue until an operator has picked up.
    async fn wait(&mut self, on: &mut On<'_>, part: usize, wanted: Wanted) -> Result<Waited, LineError> {
        let mut waiting = match self.board.desks.wait(&self.tenant, wanted).await {
            Ok(waiting) => waiting,
            Err(why) => return Ok(Waited::Nobody(self.failed(part, why.to_string()))),
        };
        // The announcement that is being said.
        let mut saying: Option<PlayId> = None;
        loop {
            let told = tokio::select! {
                biased;
                event = on.next() => match event {
                    Ok(CallEvent::Media(MediaEvent::Played { id, .. } | MediaEvent::Stopped { id, .. }))
                        if saying == Some(id) =>
                    {
                        saying = None;
                        on.play_music();
                        continue;
                    }
                    Ok(_) => continue,
                    Err(at) => {
                        let responsible = waiting.leave().await;
                        self.sheet.stop(on.at(at));
                        let transfer = self.sheet.transfer(part);
                        // Nobody is to blame for a voicemail.
                        transfer.operator = responsible.filter(|_| on.heard.machine.is_none());
                        transfer.missed = Some(NOBODY_FREE.into());
                        // It may be this side that has had enough of the call.
                        let gone = on.gone();
                        if gone == LineError::HungUp {
                            transfer.missed = Some(SystemResult::Lost.title().into());
                            self.result = Some(SystemResult::Lost);
                        }
                        return Err(gone);
                    }
                },
                told = waiting.next() => told,
            };
            match told {
                Told::Position { position, .. } => {
                    if let Some(words) = self.board.desks.announcement(&self.tenant, position) {
                        saying = Some(on.call.media().play(words, false));
                    }
                }
                Told::Connected { operator, leg } => {
                    return Ok(Waited::Picked { operator, leg, place: waiting.into_place() });
                }
                Told::GaveUp { why, responsible, last } => {
                    self.sheet.stop(on.now());
                    // His telephone rang, and he has not taken it. What others did before is not his doing.
                    let last = responsible.as_ref().map(|_| Miss::NoAnswer).or(last);
                    self.sheet.transfer(part).operator = responsible;
                    return Ok(Waited::Nobody(self.nobody(part, why, last)));
                }
                // Who has not left is not told so.
                Told::Lost { .. } | Told::Broken => {
                    let why = "a bug of ours has closed the queue of callers: let him try again";
                    return Ok(Waited::Nobody(self.failed(part, why.into())));
                }
            }
        }
    }

    /// The end of a wait in which nobody picked up.
    fn nobody(&mut self, part: usize, why: GivenUp, last: Option<Miss>) -> TransferEnd {
        let (end, missed, result) = match (why, last) {
            (GivenUp::NoSuchOperator, _) => {
                let why =
                    "the tenant has no operator who takes such callers: make one, or name another group";
                tracing::warn!(tenant = %self.tenant, call = %self.caller.attempt, why, "a caller was not handed over");
                let end = self.failed(part, why.into());
                self.sheet.transfer(part).missed = Some("Нет таких операторов".into());
                return end;
            }
            (GivenUp::QueueFull, _) => (TransferEnd::Nobody, "Очередь заполнена", None),
            (GivenUp::WaitedLongEnough, None) => (TransferEnd::Nobody, NOBODY_FREE, None),
            (GivenUp::WaitedLongEnough, Some(how)) => {
                let (end, result) = match how {
                    Miss::NoAnswer | Miss::Unreachable => {
                        (TransferEnd::NoAnswer, SystemResult::OperatorNoAnswer)
                    }
                    Miss::Busy => (TransferEnd::Busy, SystemResult::OperatorBusy),
                    Miss::Declined | Miss::WentAway => {
                        (TransferEnd::Rejected, SystemResult::OperatorDeclined)
                    }
                };
                (end, how.title(), Some(result))
            }
        };
        self.sheet.transfer(part).missed = Some(missed.into());
        // «Соединён» would be read as a talk with whom he wanted.
        self.result = result.or(self.result).or(Some(SystemResult::NoResult));
        end
    }

    /// The end of a transfer that could not be made.
    fn failed(&mut self, part: usize, why: String) -> TransferEnd {
        self.sheet.transfer(part).missed = Some(why.clone());
        self.result = self.result.or(Some(SystemResult::NoResult));
        TransferEnd::Failed(why)
    }

    /// Lets the caller talk until one of them hangs up.
    async fn talk(&mut self, on: &mut On<'_>, mut with: With) -> Result<Talked, LineError> {
        let rules = match self.board.desks.of(&self.tenant) {
            Ok(handle) => handle.office.settings.transfers.silence,
            Err(_) => SilenceRules::default(),
        };
        on.heard.taken = true;
        // He has talked with somebody who handed him on.
        let mut was_handed = false;
        let mut joined = join(on, &with);
        loop {
            if !joined {
                return Ok(self.apart(on, with, was_handed).await);
            }
            let gone = with.pulse.poll_timeout(&rules);
            let event = tokio::select! {
                biased;
                event = on.next() => match event {
                    Ok(_) => continue,
                    Err(at) => {
                        self.sheet.stop(on.at(at));
                        on.silence();
                        with.leg.hang_up().await;
                        self.result = Some(SystemResult::Connected);
                        return Err(on.gone());
                    }
                },
                event = with.leg.next() => event,
                () = moment(gone) => return Ok(self.part_with_the_silent(on, with, &rules).await),
            };
            with.pulse.handle(clock::now(), &event);
            match event {
                CallEvent::Ended { at, .. } => {
                    self.sheet.stop(on.at(at));
                    return Ok(Talked::Over);
                }
                CallEvent::Held { .. } => joined = join(on, &with),
                CallEvent::Refer(request) => match self.hand_on(on, with, request).await? {
                    refer::Next::Talk(next) => {
                        with = *next;
                        was_handed = true;
                        joined = join(on, &with);
                    }
                    refer::Next::Back(part) => return Ok(Talked::Back { part, anew: true }),
                },
                _ => {}
            }
        }
    }

    /// The two cannot hear each other, by a fault of ours: whoever picked up is hung up, and the caller waits for an
    /// operator again, or goes back to the scenario.
    async fn apart(&mut self, on: &On<'_>, with: With, anew: bool) -> Talked {
        let With { leg, place, part, .. } = with;
        leg.hang_up().await;
        if place.is_none() {
            self.sheet.stop(on.now());
            return Talked::Over;
        }
        self.sheet.wait_again(on.now(), part, Some(Duration::ZERO));
        Talked::Back { part, anew }
    }

    /// Hangs up a telephone that is gone, as far as anybody can know.
    async fn part_with_the_silent(&mut self, on: &On<'_>, with: With, rules: &SilenceRules) -> Talked {
        let With { leg, place, operator, part, pulse, .. } = with;
        let held = pulse.is_held();
        tracing::warn!(
            ?operator,
            held,
            "nothing is heard any more of a telephone that was picked up: it is hung up"
        );
        leg.hang_up().await;
        match place {
            Some(place) if pulse.is_no_talk(rules) => {
                self.sheet.wait_again(on.now(), part, pulse.silent_since().map(|since| on.at(since)));
                place.silent().await;
                Talked::Back { part, anew: false }
            }
            _ => {
                self.sheet.stop(on.now());
                Talked::Over
            }
        }
    }

    /// A name for one more talk of this call at the desk.
    fn talk_key(&self) -> Option<AttemptId> {
        AttemptId::new(&format!("{}-{}", self.caller.attempt, self.hands)).ok()
    }
}

/// Joins the two, or plays music to the caller while he is held. `false`: they cannot be joined.
fn join(on: &On<'_>, with: &With) -> bool {
    if with.pulse.is_held() {
        on.play_music();
        return true;
    }
    // What he is being told of the queue would drown the first words of whoever picked up.
    on.call.media().stop();
    let joined = on.call.bridge(&with.leg);
    if let Err(why) = &joined {
        tracing::error!(%why, "a caller and whom he was handed to cannot hear each other");
    }
    joined.is_ok()
}

/// Waits until then; `None`: for ever.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
