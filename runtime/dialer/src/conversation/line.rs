//! A real call as a session sees it: `scenario::ports` over `switch`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::time::sleep_until;
use zvonar_call::{Ended, Side};
use zvonar_media::Prompt;
use zvonar_media::amd::{Verdict, Who};
use zvonar_scenario::ports::{About, Line, LineError, Part, Question};
use zvonar_scenario::question::{Answer, KeyCollector};
use zvonar_switch::{Call, CallEvent, Closed, MediaEvent, clock};

use super::prompts::Clips;

/// Keys that are kept for the record; a caller who presses more is leaning on the telephone.
const KEYS_KEPT: usize = 128;
/// How long the far end's answer to our BYE may take before the call counts as over all the same.
const BYE_WAIT: Duration = Duration::from_secs(2);

/// An answered call and what was noticed on it. The session speaks through a [`SharedLine`]; its owner looks at this
/// afterwards.
#[derive(Debug)]
pub(super) struct Talk {
    call: Call,
    about: About,
    clips: Arc<Clips>,
    started: Instant,
    /// `recordings/<attempt>`, to which a running number is added; `None`: nothing is recorded.
    voice_path: Option<PathBuf>,
    voices: u32,
    pub(super) keys: String,
    /// Something of a prompt has left.
    pub(super) played: bool,
    /// The far end is a machine.
    pub(super) machine: Option<Verdict>,
    /// How the call ended, once it has.
    over: Option<Ended>,
}

/// The session's handle of a [`Talk`].
pub(super) struct SharedLine {
    talk: Arc<Mutex<Talk>>,
    about: About,
}

/// Why the waiting ended without the thing waited for.
enum Waited {
    Event(CallEvent),
    Deadline,
}

impl Talk {
    pub(super) fn new(
        call: Call,
        about: About,
        clips: Arc<Clips>,
        started: Instant,
        voice_path: Option<PathBuf>,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            call,
            about,
            clips,
            started,
            voice_path,
            voices: 0,
            keys: String::new(),
            played: false,
            machine: None,
            over: None,
        }))
    }

    /// The session's side of it.
    pub(super) fn line(talk: &Arc<Mutex<Self>>) -> SharedLine {
        let about =
            talk.try_lock().expect("the session has not begun, so nobody else holds it").about.clone();
        SharedLine { talk: Arc::clone(talk), about }
    }

    /// Waits for the next event, at most until then, and keeps what the record wants to know.
    async fn next(&mut self, until: Instant) -> Waited {
        let event = tokio::select! {
            biased;
            event = self.call.next() => event,
            () = sleep_until(until.into()) => return Waited::Deadline,
        };
        self.notice(&event).await;
        Waited::Event(event)
    }

    async fn notice(&mut self, event: &CallEvent) {
        match event {
            CallEvent::Key { digit, .. } if self.keys.len() < KEYS_KEPT => self.keys.push(*digit),
            CallEvent::Media(event) if left_sound(event) => self.played = true,
            CallEvent::Media(MediaEvent::Machine(verdict)) if verdict.who == Who::Machine => {
                self.machine = Some(*verdict);
                // Dropped at once, as a machine costs by the second; whoever waits on the line hears of the end.
                self.call.hang_up().await;
            }
            CallEvent::Ended { how, .. } => self.over = Some(how.clone()),
            _ => {}
        }
    }

    /// Takes in what has already happened: keys of before do not answer what is asked now.
    async fn catch_up(&mut self) -> Result<(), LineError> {
        while self.over.is_none() {
            let Some(event) = self.call.next().now_or_never() else { return Ok(()) };
            self.notice(&event).await;
        }
        self.standing()
    }

    fn standing(&self) -> Result<(), LineError> {
        match &self.over {
            None => Ok(()),
            Some(Ended::HungUp { by: Side::Near, .. }) if self.machine.is_some() => {
                Err(LineError::Ended("an answering machine picked up".into()))
            }
            Some(Ended::HungUp { by: Side::Near, .. }) => Err(LineError::Ended("this side hung up".into())),
            Some(_) => Err(LineError::HungUp),
        }
    }

    fn at(&self, since_start: Duration) -> Instant {
        self.started + since_start
    }

    fn too_long(&self) -> LineError {
        self.call.media().stop();
        LineError::Ended("the call reached its longest length".into())
    }

    fn prompt(&self, parts: &[Part]) -> Result<Option<Prompt>, LineError> {
        self.clips.prompt(parts).map_err(LineError::Refused)
    }

    async fn play(&mut self, parts: &[Part], until: Duration) -> Result<(), LineError> {
        self.catch_up().await?;
        let Some(prompt) = self.prompt(parts)? else { return Ok(()) };
        let playing = self.call.media().play(prompt, false);
        loop {
            match self.next(self.at(until)).await {
                Waited::Event(CallEvent::Media(
                    MediaEvent::Played { id, .. } | MediaEvent::Stopped { id, .. },
                )) if id == playing => {
                    return Ok(());
                }
                Waited::Event(CallEvent::Ended { .. }) => return self.standing(),
                Waited::Event(_) => {}
                Waited::Deadline => return Err(self.too_long()),
            }
        }
    }

    async fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError> {
        self.catch_up().await?;
        let prompt = self.prompt(&question.prompt)?;
        // Without a recogniser the session lets no question through that does not want keys.
        let Some(keys) = question.keys else {
            return Err(LineError::Refused("this host has no speech recogniser: ask for keys".into()));
        };
        let mut collector = KeyCollector::new(keys, question.key_interrupts);
        let playing = prompt.map(|prompt| self.call.media().play(prompt, question.key_interrupts));
        if playing.is_none() {
            collector.prompt_over(self.elapsed(clock::now()));
        }
        loop {
            if let Some(answer) = collector.answer() {
                return Ok(answer.clone());
            }
            let deadline = collector.poll_timeout().unwrap_or(Duration::MAX);
            match self.next(self.at(deadline.min(until))).await {
                Waited::Event(CallEvent::Key { digit, at }) => {
                    let playing = collector.poll_timeout().is_none();
                    collector.press(self.elapsed(at), digit);
                    // A key in the sound's own stream has stopped the prompt already; one by INFO has not.
                    if playing && collector.stops_prompt() {
                        self.call.media().stop();
                    }
                }
                Waited::Event(CallEvent::Media(
                    MediaEvent::Played { id, .. } | MediaEvent::Stopped { id, .. },
                )) if Some(id) == playing => {
                    collector.prompt_over(self.elapsed(clock::now()));
                }
                Waited::Event(CallEvent::Ended { .. }) => {
                    self.standing()?;
                }
                Waited::Event(_) => {}
                Waited::Deadline if deadline <= until => collector.handle_timeout(self.elapsed(clock::now())),
                Waited::Deadline => return Err(self.too_long()),
            }
        }
    }

    async fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        self.catch_up().await?;
        let end = self.elapsed(clock::now()).saturating_add(time);
        loop {
            match self.next(self.at(end.min(until))).await {
                Waited::Event(CallEvent::Ended { .. }) => return self.standing(),
                Waited::Event(_) => {}
                Waited::Deadline if end <= until => return Ok(()),
                Waited::Deadline => return Err(self.too_long()),
            }
        }
    }

    async fn record_voice(
        &mut self,
        longest: Duration,
        stop_at_silence: Duration,
        until: Duration,
    ) -> Result<String, LineError> {
        self.catch_up().await?;
        let Some(stem) = &self.voice_path else {
            return Err(LineError::Refused("this host keeps no recordings".into()));
        };
        self.voices += 1;
        let mut path = stem.clone().into_os_string();
        path.push(format!("-voice-{}.wav", self.voices));
        let path = PathBuf::from(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let silence = Some(stop_at_silence).filter(|silence| !silence.is_zero());
        let recording = self.call.media().record_voice(path, longest, silence);
        recording.map_err(|why| LineError::Refused(format!("nothing can be recorded: {why}")))?;
        loop {
            match self.next(self.at(until)).await {
                Waited::Event(CallEvent::Media(MediaEvent::VoiceRecorded { length, .. })) => {
                    return match length {
                        Ok(_) => Ok(name),
                        Err(why) => Err(LineError::Refused(format!("the recording failed: {why}"))),
                    };
                }
                Waited::Event(CallEvent::Ended { .. }) => return self.standing().map(|()| name),
                Waited::Event(_) => {}
                Waited::Deadline => return Err(self.too_long()),
            }
        }
    }

    fn elapsed(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// Hangs up if nobody has yet, and says how the call ended and what crossed the wire.
    pub(super) async fn finish(mut self) -> (Finished, Closed) {
        if self.over.is_none() {
            self.call.hang_up().await;
            let deadline = clock::now() + BYE_WAIT;
            while self.over.is_none() {
                if let Waited::Deadline = self.next(deadline).await {
                    break;
                }
            }
        }
        let Self { call, keys, mut played, machine, over, .. } = self;
        // A prompt that was still playing tells now how much of it left.
        let closed = call.close(|event| played |= left_sound(&event)).await;
        (Finished { keys, played, machine, over }, closed)
    }
}

/// Whether the event says that some of a prompt has left.
fn left_sound(event: &MediaEvent) -> bool {
    match event {
        MediaEvent::Played { .. } => true,
        MediaEvent::Stopped { played, .. } => !played.is_zero(),
        _ => false,
    }
}

/// What is left of a [`Talk`].
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) keys: String,
    pub(super) played: bool,
    pub(super) machine: Option<Verdict>,
    pub(super) over: Option<Ended>,
}

#[async_trait]
impl Line for SharedLine {
    fn about(&self) -> About {
        self.about.clone()
    }

    async fn play(&mut self, prompt: &[Part], until: Duration) -> Result<(), LineError> {
        self.talk.lock().await.play(prompt, until).await
    }

    async fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError> {
        self.talk.lock().await.ask(question, until).await
    }

    async fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        self.talk.lock().await.wait(time, until).await
    }

    async fn record_voice(
        &mut self,
        longest: Duration,
        stop_at_silence: Duration,
        until: Duration,
    ) -> Result<String, LineError> {
        self.talk.lock().await.record_voice(longest, stop_at_silence, until).await
    }

    async fn hangup(&mut self) {
        self.talk.lock().await.call.hang_up().await;
    }
}
