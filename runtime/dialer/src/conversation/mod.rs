//! One real call with its scenario: placed or taken, talked, recorded, and told as a [`CallReport`].
//!
//! Whatever happens is a report. A scenario that traps, a trunk that is down, a far end that leaves in mid-word: each has
//! its outcome, and a person on the line hears the fallback rather than silence.

mod answers;
mod ending;
mod hearing;
mod line;
mod observed;
mod prompts;
mod scene;
mod transfer;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use zvonar_media::amd::MachineSettings;
use zvonar_model::{
    AttemptId, Direction, LeadId, MediaReport, Outcome, Phases, PhoneNumber, ProjectId, RecognisedAnswer,
    ScenarioName, SystemResult, TalkEnd, TenantId, Trace, Transfer, TrunkId,
};
use zvonar_scenario::LeadCard;
use zvonar_scenario::ports::{About, Line, NoSms, Part, Ports};
use zvonar_scenario::rollout::{Sample, draw};
use zvonar_scenario::{Ending, Fallback, Limits, OnCall, Registry, Seat, Slot, Start};
use zvonar_speech::Recognizer;
use zvonar_switch::media_io::Recorded;
use zvonar_switch::{Call, CallEvent, DialError, IncomingCall, Reservation, Switch, Target, clock};

use crate::caller::{CallReport, Caller, Effects, NotPlaced, Order, Reserved};
use crate::desks::Desks;
use crate::grant::{Calls, Grant, Place};
use crate::operators::{CallerView, lead_name};
use crate::texts::{CallTexts, Post, Whose};
use answers::Answers;
use ending::{media_report, since, unanswered, verdict, whole_time};
use hearing::Ear;
use line::{Finished, Speech, Talk};
pub use observed::Observed;
pub use prompts::Clips;
pub use scene::{Scene, load_clips};
pub use transfer::{
    Consultations, Handing, LONGEST_CONSULTATION, MOST_HANDS, On, Pulse, Switchboard, TimeSheet,
};

/// How long a fallback prompt may take.
const FALLBACK_LONGEST: Duration = Duration::from_secs(30);

/// What all conversations of a host share.
#[derive(Debug)]
pub struct Conversations {
    switch: Switch,
    scenes: Arc<Registry<Scene>>,
    /// What sessions of tenants without a grant of their own may use.
    limits: Limits,
    tenants: BTreeMap<TenantId, Tenant>,
    /// Where recordings go; `None`: nothing is recorded.
    recordings: Option<PathBuf>,
    /// By which numbers answering machines are told from people; `None`: nobody looks.
    machines: Option<MachineSettings>,
    /// `None`: nobody recognises what callers say.
    listening: Option<Listening>,
    counts: Arc<SpeechCounts>,
    /// `None`: callers are handed to nobody.
    board: Option<Switchboard>,
    /// Tenants without one send no text messages.
    posts: BTreeMap<TenantId, Post>,
}

/// What came of all that callers said so far.
#[derive(Debug, Default)]
pub struct SpeechCounts {
    /// Answers in words: those that are billed.
    pub answers: AtomicU64,
    /// Answers that the recogniser had no time for.
    pub busy: AtomicU64,
    /// Voices without words: laughter, a breath, somebody in the background.
    pub without_words: AtomicU64,
}

/// Who recognises what callers say, and where the answers that are charged are kept.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Who does.
    pub recogniser: Arc<dyn Recognizer>,
    /// The folder of their sounds: a folder for each tenant, and in it `<attempt>-<n>.wav`.
    pub answers: PathBuf,
}

/// The numbers by which the calls to leads are listened to. Ours speak at once, so silence from the answer on is no
/// sign of a machine: a person who picks up and hears a voice listens. A greeting counts as a machine's only when it is
/// longer than what people say into a telephone that talks.
pub fn machine_settings() -> MachineSettings {
    MachineSettings {
        initial_silence: Duration::from_secs(60),
        greeting: Duration::from_millis(2500),
        ..MachineSettings::default()
    }
}

/// What one tenant's conversations may use, and the calls he has.
#[derive(Debug)]
struct Tenant {
    limits: Limits,
    calls: Calls,
}

/// Whom a call is with, and what is to run on it.
#[derive(Debug, Clone)]
pub struct Brief {
    /// Names the recording and the log lines.
    pub attempt: AttemptId,
    /// On whose behalf.
    pub tenant: TenantId,
    /// The project that dials; `None`: the call comes in, or is placed by hand.
    pub project: Option<ProjectId>,
    /// Whom it means to reach.
    pub lead: Option<LeadId>,
    /// What runs once somebody picks up.
    pub scenario: ScenarioName,
    /// The scenario's settings.
    pub settings: BTreeMap<String, String>,
    /// The lead's fields.
    pub fields: BTreeMap<String, String>,
    /// Which try this is to reach the lead, from 1.
    pub attempt_number: u32,
    /// The far end's number, if it has one.
    pub number: Option<PhoneNumber>,
}

impl Brief {
    /// The person as operators' telephones show him.
    fn caller(&self) -> CallerView {
        let name = lead_name(&self.fields).map(str::to_owned);
        let (project, lead, number) = (self.project.clone(), self.lead.clone(), self.number.clone());
        CallerView { project, lead, number, name, ..CallerView::of(self.attempt.clone()) }
    }

    fn of(order: &Order) -> Self {
        Self {
            attempt: order.attempt.clone(),
            tenant: order.tenant.clone(),
            project: order.project.clone(),
            lead: order.lead.clone(),
            scenario: order.scenario.clone(),
            settings: order.settings.clone(),
            fields: order.fields.clone(),
            attempt_number: order.attempt_number,
            number: Some(order.number.clone()),
        }
    }
}

/// A call to place.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// What it is about.
    pub brief: Brief,
    /// By which trunk.
    pub trunk: TrunkId,
    /// Whom to call.
    pub target: Target,
    /// How long to let it ring.
    pub ring: Duration,
}

/// A scenario, its settings, and a place to run it.
struct Prepared {
    /// The version that the call got; it is held until the call is over.
    scene: OnCall<Scene>,
    seat: Seat,
    /// `None`: of a tenant whose calls nobody counts.
    place: Option<Place>,
    settings: Arc<BTreeMap<String, String>>,
}

/// All that a call needs before it may ring.
struct Ready<'c> {
    conversations: &'c Conversations,
    prepared: Prepared,
    line: Reservation,
}

impl Conversations {
    /// `limits`: what the host grants each session.
    pub fn new(
        switch: Switch,
        limits: Limits,
        recordings: Option<PathBuf>,
        machines: Option<MachineSettings>,
    ) -> Self {
        Self {
            switch,
            scenes: Arc::default(),
            limits,
            tenants: BTreeMap::new(),
            recordings,
            machines,
            listening: None,
            counts: Arc::default(),
            board: None,
            posts: BTreeMap::new(),
        }
    }

    /// The same, with those whom callers can be handed to.
    #[must_use]
    pub fn with_desks(mut self, desks: Desks) -> Self {
        let consultations = Arc::default();
        self.board = Some(Switchboard { desks, switch: self.switch.clone(), consultations });
        self
    }

    /// With whom calls can be joined.
    pub fn switchboard(&self) -> Option<&Switchboard> {
        self.board.as_ref()
    }

    /// The same, with tenants who send text messages.
    #[must_use]
    pub fn with_texts(self, posts: BTreeMap<TenantId, Post>) -> Self {
        Self { posts, ..self }
    }

    /// The same, with somebody who recognises what callers say.
    #[must_use]
    pub fn listening(self, listening: Option<Listening>) -> Self {
        Self { listening, ..self }
    }

    /// The same, running the scenarios that somebody else puts there.
    #[must_use]
    pub fn over(self, scenes: Arc<Registry<Scene>>) -> Self {
        Self { scenes, ..self }
    }

    /// The same, with what these tenants may use.
    #[must_use]
    pub fn with_grants(mut self, grants: impl IntoIterator<Item = (TenantId, Grant)>) -> Self {
        let tenant = |grant: Grant| Tenant { limits: grant.limits, calls: Calls::new(grant.calls) };
        self.tenants.extend(grants.into_iter().map(|(id, grant)| (id, tenant(grant))));
        self
    }

    /// What came of all that callers said so far.
    pub fn speech_counts(&self) -> &SpeechCounts {
        &self.counts
    }

    /// Makes a scenario the live one of its tenant and name. Calls in progress stay on the one they began with.
    pub fn publish(&self, tenant: &TenantId, scene: Scene) {
        let name = scene.module.manifest().name.clone();
        self.scenes.publish(tenant, &name, scene);
    }

    fn slot(&self, tenant: &TenantId, name: &ScenarioName) -> Result<Slot<Scene>, NotPlaced> {
        self.scenes.slot(tenant, name.as_str()).ok_or_else(|| {
            NotPlaced::NotNow(format!(
                "tenant {tenant} has no version of scenario {name} yet: deploy one (`zvonar deploy`)"
            ))
        })
    }

    /// The version that this call gets, and a place to run it.
    fn prepare(&self, brief: &Brief) -> Result<Prepared, NotPlaced> {
        let calls = self.tenants.get(&brief.tenant).map(|tenant| &tenant.calls);
        let place = calls.map(Calls::take).transpose().map_err(NotPlaced::NotNow)?;
        let scene = self.slot(&brief.tenant, &brief.scenario)?.assign(draw(&brief.attempt));
        let settings = fill(&scene, &brief.settings)?;
        let seat = scene.module.take_seat().ok_or_else(no_seat)?;
        Ok(Prepared { scene, seat, place, settings })
    }

    /// Places a call and lets the scenario talk.
    pub async fn outbound(&self, order: Outbound) -> CallReport {
        let reserved = async {
            let line = self.switch.reserve(&order.trunk, &order.brief.tenant).await.map_err(not_placed)?;
            Ok::<_, NotPlaced>((line, self.prepare(&order.brief)?))
        };
        match reserved.await {
            Ok((line, prepared)) => self.dial(order, prepared, line).await,
            Err(why) => CallReport::failed(clock::wall(), why.to_string()),
        }
    }

    async fn dial(&self, order: Outbound, prepared: Prepared, line: Reservation) -> CallReport {
        let callee = match &order.target {
            Target::Number(number) => number.reveal().to_owned(),
            Target::Uri(uri) => uri.clone(),
        };
        let call = match self.switch.place(line, order.target, order.ring).await {
            Ok(call) => call,
            Err(why) => return CallReport::failed(clock::wall(), why.to_string()),
        };
        let about = About {
            call: order.brief.attempt.to_string(),
            direction: Direction::Outbound,
            caller: self.switch.caller(&order.trunk).unwrap_or_default(),
            callee: callee.clone(),
            attempt: order.brief.attempt_number,
        };
        let far = match self.switch.address(&order.trunk) {
            Some(address) => format!("trunk {} at {address}", order.trunk),
            None => callee.clone(),
        };
        self.converse(call, about, order.brief, Some(order.trunk), prepared, (callee, far)).await
    }

    /// Takes a call and lets the scenario talk.
    pub async fn inbound(&self, incoming: IncomingCall, brief: Brief) -> CallReport {
        let peer = incoming.about.from_uri.clone();
        let prepared = match self.prepare(&brief) {
            Ok(prepared) => prepared,
            Err(why) => {
                incoming.reject(503, "Service Unavailable").await;
                let report = CallReport::failed(clock::wall(), why.to_string());
                return CallReport { peer, sip_code: Some(503), ..report };
            }
        };
        let about = About {
            call: brief.attempt.to_string(),
            direction: Direction::Inbound,
            caller: incoming.about.from_user.clone(),
            callee: incoming.about.to_user.clone(),
            attempt: 1,
        };
        match incoming.answer().await {
            Ok(call) => self.converse(call, about, brief, None, prepared, (peer.clone(), peer)).await,
            Err(why) => {
                CallReport { peer, sip_code: Some(503), ..CallReport::failed(clock::wall(), why.to_string()) }
            }
        }
    }

    async fn converse(
        &self,
        mut call: Call,
        about: About,
        brief: Brief,
        trunk: Option<TrunkId>,
        prepared: Prepared,
        (peer, far): (String, String),
    ) -> CallReport {
        let scenario = Some(prepared.scene.module.reference());
        let dialled = clock::now();
        let mut post_dial_delay = None;
        let mut code = None;
        let answered = loop {
            match call.next().await {
                CallEvent::Progress { code: provisional, .. } => {
                    code = Some(provisional);
                    if provisional > 100 {
                        post_dial_delay.get_or_insert_with(|| since(dialled));
                    }
                }
                CallEvent::Answered { at } => break at,
                CallEvent::Ended { how, .. } => {
                    let (outcome, last) = unanswered(&how, &far);
                    let report = call.close(|_| ()).await.report;
                    return CallReport {
                        peer,
                        post_dial_delay,
                        sip_code: last.or(code),
                        media: media_report(&report),
                        ..CallReport::unanswered(clock::wall(), outcome)
                    };
                }
                CallEvent::Key { .. }
                | CallEvent::Media(_)
                | CallEvent::Held { .. }
                | CallEvent::Refer(_) => {}
            }
        };
        post_dial_delay.get_or_insert_with(|| since(dialled));
        let answered_at = clock::wall();
        let talked = self.talk(call, about, &brief, trunk, prepared, answered).await;
        CallReport {
            peer,
            answered_at: Some(answered_at),
            ended_at: clock::wall(),
            post_dial_delay,
            phases: talked.phases,
            outcome: Outcome::Answered { result: talked.result },
            machine: talked.machine,
            sip_code: Some(200),
            keys: talked.keys,
            answers: talked.answers,
            transfers: talked.transfers,
            sms: Vec::new(),
            scenario,
            media: talked.media,
            recording: talked.recording,
            trace: talked.trace,
            effects: talked.effects,
        }
    }

    async fn talk(
        &self,
        call: Call,
        about: About,
        brief: &Brief,
        trunk: Option<TrunkId>,
        prepared: Prepared,
        answered: Instant,
    ) -> Talked {
        // The place comes free when the talk is over.
        let Prepared { scene, seat, place: _place, settings } = prepared;
        let mut recording = self.recordings.as_ref().map(|folder| folder.join(brief.attempt.as_str()));
        if let Some(stem) = &recording
            && let Err(why) = call.media().record(stem.with_extension("wav"))
        {
            tracing::error!(%why, "a call is not recorded");
            recording = None;
        }
        if let Some(settings) = self.machines.filter(|_| about.direction == Direction::Outbound) {
            call.media().detect_machine(settings);
        }
        let card = Arc::new(Mutex::new(LeadCard::new(brief.fields.clone())));
        let speech = self.listening.as_ref().map(|listening| {
            let Listening { recogniser, answers } = listening.clone();
            let answers = Answers::new(answers, &brief.tenant, &brief.attempt);
            let counts = Arc::clone(&self.counts);
            Speech { ear: Ear { recogniser, tenant: brief.tenant.clone() }, answers, counts }
        });
        let texts = self.posts.get(&brief.tenant).map(|post| {
            let (attempt, project, lead) = (brief.attempt.clone(), brief.project.clone(), brief.lead.clone());
            let far_end = if about.direction == Direction::Outbound { &about.callee } else { &about.caller };
            post.of_call(Whose { attempt, project, lead }, far_end)
        });
        let decided = texts.as_ref().map(CallTexts::decided).unwrap_or_default();
        let handing = self.board.clone().map(|board| {
            let parties = [&about.caller, &about.callee].map(|party| PhoneNumber::parse(party).ok());
            let parties = parties.into_iter().flatten().chain(brief.number.clone()).collect();
            Handing::new(board, brief.tenant.clone(), brief.caller(), trunk, parties)
        });
        let clips = Arc::clone(&scene.clips);
        let talk = Talk::new(call, about, clips, answered, recording.clone(), speech, handing);
        let ports = Ports {
            line: Box::new(Talk::line(&talk)),
            lead: Box::new(Arc::clone(&card)),
            sms: match texts {
                Some(texts) => Box::new(texts),
                None => Box::new(NoSms),
            },
            clock: Box::new(world::Clock::new(answered, brief.fields.get(world::ZONE_FIELD))),
            random: Box::new(rand::random),
        };
        let limits = self.tenants.get(&brief.tenant).map_or(self.limits, |tenant| tenant.limits);
        let start = Start { ports, settings, limits };
        let mut end = scene.module.run(seat, start).await;
        if let Ending::Failed(why) = &end.ending {
            tracing::warn!(scenario = %brief.scenario, %why, "a scenario gave up");
        } else if let Ending::Faulted(fault) = &end.ending {
            tracing::warn!(scenario = %brief.scenario, %fault, "a scenario was stopped");
        }
        if end.wants_fallback() {
            play_fallback(scene.module.fallback(), &mut *end.ports.line, end.ports.clock.elapsed()).await;
        }
        let result = end.talk_end();
        let fault = !matches!(end.ending, Ending::Returned);
        let trace = end.trace;
        drop(end.ports); // the session's handle of the line: the next lines take the line apart
        let talk = Arc::into_inner(talk).expect("the session gave its handle back");
        let (finished, closed) = talk.into_inner().finish().await;
        let card = card.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let whole = whole_time(&finished, answered);
        let Finished { answers, heard, handing } = finished;
        let (sheet, call_back, handed) = match handing {
            Some(handing) => handing.finish(heard.machine.is_some()).await,
            None => Default::default(),
        };
        let (phases, transfers) = sheet.close(whole);
        let result = verdict(result, &heard, handed);
        scene.ended(Sample { fault, without_result: !fault && is_without_result(&result) });
        Talked {
            phases,
            transfers,
            result,
            machine: heard.machine.is_some(),
            keys: heard.keys,
            answers,
            recording: closed.recording.and_then(kept),
            media: media_report(&closed.report),
            trace,
            effects: Effects {
                set_fields: card.written,
                notes: card.notes,
                block: card.blocked,
                call_back,
                texts: decided.all(),
            },
        }
    }
}

struct Talked {
    phases: Phases,
    transfers: Vec<Transfer>,
    result: TalkEnd,
    machine: bool,
    keys: String,
    answers: Vec<RecognisedAnswer>,
    recording: Option<String>,
    media: MediaReport,
    trace: Trace,
    effects: Effects,
}

#[async_trait]
impl Caller for Conversations {
    async fn reserve(&self, order: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        // What can be known without a line is found before one is waited for.
        let slot = self.slot(&order.tenant, &order.scenario)?;
        fill(slot.lineup().live().what(), &order.settings)?;
        // Version and seat come after the line: whoever waits for a line keeps nobody else out, and gets what is live
        // when he is dialled.
        let line = self.switch.reserve(&order.trunk, &order.tenant).await.map_err(not_placed)?;
        let prepared = self.prepare(&Brief::of(order))?;
        Ok(Box::new(Ready { conversations: self, prepared, line }))
    }
}

#[async_trait]
impl Reserved for Ready<'_> {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        let brief = Brief::of(&order);
        let Ready { conversations, prepared, line } = *self;
        let target = Target::Number(order.number);
        let order = Outbound { brief, trunk: order.trunk, target, ring: order.ring };
        conversations.dial(order, prepared, line).await
    }
}

/// The settings filled into the scenario's form.
fn fill(
    scene: &Scene,
    settings: &BTreeMap<String, String>,
) -> Result<Arc<BTreeMap<String, String>>, NotPlaced> {
    scene.module.manifest().fill_settings(settings).map_err(|faults| NotPlaced::Never(faults.join("; ")))
}

/// Whether a talk came to its end with somebody there, and the scenario found no name for it.
fn is_without_result(result: &TalkEnd) -> bool {
    matches!(result, TalkEnd::System(SystemResult::NoResult | SystemResult::Connected))
}

fn no_seat() -> NotPlaced {
    NotPlaced::NotNow(
        "all places for scenarios are taken: raise vm.max_map_count, or dial fewer lines".into(),
    )
}

fn not_placed(why: DialError) -> NotPlaced {
    match why {
        DialError::NoTrunk(_) => NotPlaced::Never(why.to_string()),
        DialError::Media(_) | DialError::Closed => NotPlaced::NotNow(why.to_string()),
    }
}

async fn play_fallback(fallback: &Fallback, line: &mut dyn Line, elapsed: Duration) {
    let Some(clip) = &fallback.prompt else { return };
    if let Err(why) = line.play(&[Part::Clip(Arc::clone(clip))], elapsed + FALLBACK_LONGEST).await {
        tracing::debug!(%why, "the fallback was not heard out");
    }
}

/// The recording's name, if there is a file behind it.
fn kept(recorded: Recorded) -> Option<String> {
    match recorded.length {
        Ok(_) => Some(file_name(&recorded.path)),
        Err(why) => {
            tracing::error!(%why, file = %recorded.path.display(), "a recording failed");
            None
        }
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
