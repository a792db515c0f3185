//! A real call as a session sees it: `scenario::ports` over `switch`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::time::sleep_until;
use zvonar_media::utterance::Settings;
use zvonar_media::{PlayId, Prompt};
use zvonar_model::RecognisedAnswer;
use zvonar_scenario::asking::Asking;
use zvonar_scenario::ports::{
    About, Destination, Line, LineError, Part, Question, TransferEnd, TransferOptions,
};
use zvonar_scenario::question::{Answer, Heard, SpeechWanted};
use zvonar_speech::PhraseSet;
use zvonar_speech::answer::{NoWords, Spoken};
use zvonar_speech::text::normalised;

use zvonar_switch::{Call, CallEvent, Closed, MediaEvent, clock};

use super::SpeechCounts;
use super::answers::Answers;
use super::hearing::{Ear, Hearing, Noticed, Said};
use super::observed::{Observed, left_sound};
use super::prompts::Clips;
use super::transfer::{Handing, On};

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
    /// `None`: nobody recognises what is said.
    speech: Option<Speech>,
    /// `None`: this host hands nobody over.
    handing: Option<Handing>,
    heard: Observed,
}

/// Who recognises what is said on a call, and what he has recognised.
#[derive(Debug)]
pub(super) struct Speech {
    pub(super) ear: Ear,
    pub(super) answers: Answers,
    /// Counts of all calls.
    pub(super) counts: Arc<SpeechCounts>,
}

/// The session's handle of a [`Talk`].
pub(super) struct SharedLine {
    talk: Arc<Mutex<Talk>>,
    about: About,
    hears_speech: bool,
}

/// What the waiting came to.
enum Waited {
    Event(CallEvent),
    Deadline,
}

/// What the waiting for an answer came to.
enum Answered {
    Event(CallEvent),
    Said(Said),
    Deadline,
}

/// Words that a question wants, and the listening for them, while there is one.
struct Wanted<'q> {
    speech: &'q SpeechWanted,
    phrases: PhraseSet,
    hearing: Option<Hearing>,
}

impl Talk {
    pub(super) fn new(
        call: Call,
        about: About,
        clips: Arc<Clips>,
        started: Instant,
        voice_path: Option<PathBuf>,
        speech: Option<Speech>,
        handing: Option<Handing>,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            call,
            about,
            clips,
            started,
            voice_path,
            voices: 0,
            speech,
            handing,
            heard: Observed::default(),
        }))
    }

    /// The session's side of it.
    pub(super) fn line(talk: &Arc<Mutex<Self>>) -> SharedLine {
        let known = talk.try_lock().expect("the session has not begun, so nobody else holds it");
        let (about, hears_speech) = (known.about.clone(), known.speech.is_some());
        SharedLine { talk: Arc::clone(talk), about, hears_speech }
    }

    /// Waits for the next event, at most until then, and keeps what the record wants to know.
    async fn next(&mut self, until: Instant) -> Waited {
        match self.next_or_said(until, None).await {
            Answered::Event(event) => Waited::Event(event),
            // Nothing can be said where nobody listens.
            Answered::Said(_) | Answered::Deadline => Waited::Deadline,
        }
    }

    /// The same, or until somebody has said all that he has to say.
    async fn next_or_said(&mut self, until: Instant, hearing: Option<&mut Hearing>) -> Answered {
        let said = async {
            match hearing {
                Some(hearing) => hearing.said().await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            event = self.call.next() => event,
            said = said => return Answered::Said(said),
            () = sleep_until(until.into()) => return Answered::Deadline,
        };
        self.notice(&event).await;
        Answered::Event(event)
    }

    async fn notice(&mut self, event: &CallEvent) {
        if self.heard.notice(event) {
            // Whoever waits on the line hears of the end.
            self.call.hang_up().await;
        }
    }

    /// Takes in what has already happened: keys of before do not answer what is asked now.
    async fn catch_up(&mut self) -> Result<(), LineError> {
        while self.heard.over.is_none() {
            let Some(event) = self.call.next().now_or_never() else { return Ok(()) };
            self.notice(&event).await;
        }
        self.standing()
    }

    fn standing(&self) -> Result<(), LineError> {
        self.heard.standing()
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
        let wanted = question.speech.as_ref().map(|speech| self.wanted(speech)).transpose()?;
        let answer = self.answer(question, prompt, wanted, until).await;
        self.call.media().stop_listening();
        answer
    }

    /// The words of a question, ready to be looked for.
    fn wanted<'q>(&self, speech: &'q SpeechWanted) -> Result<Wanted<'q>, LineError> {
        // The session lets no such question through on a line that does not hear.
        if self.speech.is_none() {
            return Err(LineError::Refused("this host has no speech recogniser: ask for keys".into()));
        }
        let phrases = speech.phrases.iter().map(|phrase| (phrase.id.as_str(), phrase.any_of.as_slice()));
        let phrases = PhraseSet::of(phrases).map_err(LineError::Refused)?;
        Ok(Wanted { speech, phrases, hearing: None })
    }

    async fn answer(
        &mut self,
        question: &Question,
        prompt: Option<Prompt>,
        mut wanted: Option<Wanted<'_>>,
        until: Duration,
    ) -> Result<Answer, LineError> {
        let mut asking = Asking::new(question);
        let mut playing = prompt.map(|prompt| self.call.media().play(prompt, question.key_interrupts));
        if playing.is_none() {
            asking.prompt_over(self.elapsed(clock::now()));
        }
        loop {
            let now = self.elapsed(clock::now());
            if let Some(answer) = asking.answer(now) {
                return Ok(answer);
            }
            if let Some(wanted) = &mut wanted {
                self.listen_while(&asking, wanted, now)?;
            }
            let hearing = wanted.as_mut().and_then(|wanted| wanted.hearing.as_mut());
            let give_up = hearing.as_ref().and_then(|hearing| hearing.give_up());
            let deadline = [asking.poll_timeout(), give_up.map(|at| self.elapsed(at)), Some(until)];
            let deadline = deadline.into_iter().flatten().min().unwrap_or(until);
            match self.next_or_said(self.at(deadline), hearing).await {
                Answered::Event(CallEvent::Key { digit, at }) => {
                    asking.press(self.elapsed(at), digit);
                    // A key in the sound's own stream has stopped the prompt already; one by INFO has not.
                    self.stop_prompt(&asking, &mut playing);
                }
                Answered::Event(CallEvent::Media(
                    MediaEvent::Played { id, .. } | MediaEvent::Stopped { id, .. },
                )) if Some(id) == playing => {
                    playing = None;
                    asking.prompt_over(self.elapsed(clock::now()));
                }
                Answered::Event(CallEvent::Media(MediaEvent::Speech { listening, step })) => {
                    let hearing = wanted.as_mut().and_then(|wanted| wanted.hearing.as_mut());
                    // What is still on its way from a listening before is nobody's.
                    let Some(hearing) = hearing.filter(|hearing| hearing.listening == listening) else {
                        continue;
                    };
                    let at = clock::now();
                    match hearing.take(step, at) {
                        Noticed::Begins => drop(asking.begins(self.elapsed(at))),
                        Noticed::Nothing => asking.said_nothing(),
                        Noticed::More => {}
                    }
                    self.stop_prompt(&asking, &mut playing);
                }
                Answered::Event(CallEvent::Ended { .. }) => {
                    self.standing()?;
                }
                Answered::Event(_) => {}
                Answered::Said(said) => self.take_in(&mut asking, &mut wanted, said),
                Answered::Deadline => {
                    if self.elapsed(clock::now()) >= until {
                        return Err(self.too_long());
                    }
                    let hearing = wanted.as_mut().and_then(|wanted| wanted.hearing.as_mut());
                    let late = hearing.filter(|_| give_up.is_some_and(|at| clock::now() >= at));
                    if let Some(said) = late.and_then(Hearing::cut_short) {
                        self.take_in(&mut asking, &mut wanted, said);
                    }
                }
            }
        }
    }

    /// Listens from when words count until they no longer do.
    fn listen_while(&self, asking: &Asking, wanted: &mut Wanted<'_>, now: Duration) -> Result<(), LineError> {
        let Some(speech) = &self.speech else { return Ok(()) };
        if wanted.hearing.is_some() && asking.is_deaf(now) {
            wanted.hearing = None;
            self.call.media().stop_listening();
        }
        if wanted.hearing.is_none() && asking.listens(now) {
            let settings = Settings { longest: wanted.speech.longest, ..Settings::default() };
            let listening = self.call.media().listen(settings);
            let listening =
                listening.map_err(|why| LineError::Refused(format!("nobody can listen: {why}")))?;
            wanted.hearing = Some(Hearing::new(speech.ear.clone(), listening));
        }
        Ok(())
    }

    fn stop_prompt(&self, asking: &Asking, playing: &mut Option<PlayId>) {
        if asking.stops_prompt() && playing.take().is_some() {
            self.call.media().stop();
        }
    }

    /// What somebody has said, as the question's answer; only words are kept and charged.
    fn take_in(&mut self, asking: &mut Asking, wanted: &mut Option<Wanted<'_>>, said: Said) {
        let (Some(wanted), Some(speech)) = (wanted, &mut self.speech) else { return };
        wanted.hearing = None;
        let count = match &said.spoken {
            Spoken::Words { .. } => &speech.counts.answers,
            Spoken::Busy => &speech.counts.busy,
            Spoken::NoWords { .. } | Spoken::Silence => &speech.counts.without_words,
        };
        count.fetch_add(1, Ordering::Relaxed);
        match said.spoken {
            Spoken::Words { text, voiced } => {
                let found = wanted.phrases.find(&text.text);
                let phrase = found.phrase.map(str::to_owned);
                let heard = RecognisedAnswer {
                    speech: voiced.into(),
                    text: text.text.clone(),
                    phrase: phrase.clone(),
                    score: found.score,
                    confidence: text.confidence,
                    model: speech.ear.recogniser.model().to_string(),
                    sound: None,
                };
                speech.answers.add(heard, said.sound);
                let (text, confidence) = (normalised(&text.text), text.confidence);
                asking.said(Answer::Speech(Heard { phrase, text, confidence, voiced }));
            }
            Spoken::Busy => asking.said(Answer::RecogniserBusy),
            Spoken::NoWords { why: NoWords::Failed(why), .. } => {
                tracing::error!(%why, "the recogniser failed");
                asking.said(Answer::RecogniserBusy);
            }
            Spoken::NoWords { .. } | Spoken::Silence => asking.said_nothing(),
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

    async fn transfer(
        &mut self,
        to: &Destination,
        options: &TransferOptions,
        until: Duration,
    ) -> Result<TransferEnd, LineError> {
        self.catch_up().await?;
        let until = self.at(until);
        let music = options.music.as_ref().map(|clip| self.prompt(&[Part::Clip(Arc::clone(clip))]));
        let music = music.transpose()?.flatten();
        let Some(handing) = &mut self.handing else {
            return Err(LineError::Refused("this host does not transfer calls".into()));
        };
        let on = On::new(&mut self.call, &mut self.heard, music, self.started, until);
        handing.hand_over(on, to, options).await
    }

    fn elapsed(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.started)
    }

    /// Hangs up if nobody has yet, and says how the call ended and what crossed the wire.
    pub(super) async fn finish(mut self) -> (Finished, Closed) {
        if self.heard.over.is_none() {
            self.call.hang_up().await;
            let deadline = clock::now() + BYE_WAIT;
            while self.heard.over.is_none() {
                if let Waited::Deadline = self.next(deadline).await {
                    break;
                }
            }
        }
        let Self { call, mut heard, speech, handing, .. } = self;
        // A prompt that was still playing tells now how much of it left.
        let closed = call.close(|event| heard.played |= left_sound(&event)).await;
        let answers = match speech {
            Some(speech) => speech.answers.finish().await,
            None => Vec::new(),
        };
        (Finished { answers, heard, handing }, closed)
    }
}

/// What is left of a [`Talk`].
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) answers: Vec<RecognisedAnswer>,
    pub(super) heard: Observed,
    pub(super) handing: Option<Handing>,
}

#[async_trait]
impl Line for SharedLine {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn hears_speech(&self) -> bool {
        self.hears_speech
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

    async fn transfer(
        &mut self,
        to: &Destination,
        options: &TransferOptions,
        until: Duration,
    ) -> Result<TransferEnd, LineError> {
        self.talk.lock().await.transfer(to, options, until).await
    }

    async fn hangup(&mut self) {
        self.talk.lock().await.call.hang_up().await;
    }
}

#[cfg(test)]
mod tests;
