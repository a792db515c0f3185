//! `line`: what the caller hears and does. The only interface whose functions wait.

use std::time::Duration;

use serde_json::{Value, json};

use super::types::{LineError, Part, shorten};
use super::wit::line::{
    Answer, CallInfo, Destination, Direction, Heard, Host, KeysWanted, Question, SpeechWanted, TransferEnd,
    TransferOptions,
};
use crate::limits::{PHRASE_BYTES, PHRASES, RECORDINGS, TRANSFERS, WAYS_TO_SAY};
use crate::ports;
use crate::question::{self, is_key};
use crate::session::{State, waiting};
use crate::trace;

/// Neither speech nor keys can be waited for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Where a long answer is cut.
const LONGEST_UTTERANCE: Duration = Duration::from_secs(30);

fn ms(milliseconds: u32) -> Duration {
    Duration::from_millis(milliseconds.into())
}

impl Host for State {
    fn about(&mut self) -> wasmtime::Result<CallInfo> {
        let call = self.enter("line.about")?;
        let about = self.ports.line.about();
        let direction = match about.direction {
            ports::Direction::Outbound => Direction::Outbound,
            ports::Direction::Inbound => Direction::Inbound,
        };
        let about = CallInfo {
            call: about.call,
            direction,
            caller: about.caller,
            callee: about.callee,
            attempt: about.attempt,
        };
        self.leave(call, || {
            let direction = match about.direction {
                Direction::Outbound => "outbound",
                Direction::Inbound => "inbound",
            };
            let got = json!({
                "call": about.call, "direction": direction, "caller": about.caller, "callee": about.callee,
                "attempt": about.attempt,
            });
            (Value::Null, got)
        });
        Ok(about)
    }

    async fn play(&mut self, prompt: Vec<Part>) -> wasmtime::Result<Result<(), LineError>> {
        let call = self.enter("line.play")?;
        let asked = self.line_until(call).and_then(|until| Ok((self.prompt(&prompt)?, until)));
        let played = match asked {
            Ok((parts, until)) => {
                let played = waiting(self.ports.line.play(&parts, until)).await;
                let played = self.line_answered(call, played);
                match &played {
                    Ok(()) => self.spoke |= !parts.is_empty(),
                    Err(ports::LineError::HungUp) => self.not_heard_out = true,
                    Err(_) => {}
                }
                played
            }
            Err(why) => Err(why),
        };
        let played = played.map_err(LineError::from);
        self.leave(call, || (trace::prompt(&prompt), trace::line(&played, |()| Value::Null)));
        Ok(played)
    }

    async fn ask(&mut self, q: Question) -> wasmtime::Result<Result<Answer, LineError>> {
        let call = self.enter("line.ask")?;
        let asked = self.line_until(call).and_then(|until| Ok((self.question(&q)?, until)));
        let answer = match asked {
            Ok((question, until)) => {
                let answer = waiting(self.ports.line.ask(&question, until)).await;
                let answer = self.line_answered(call, answer);
                match &answer {
                    Ok(question::Answer::Keys(_) | question::Answer::Speech(_)) => {
                        (self.spoke, self.not_heard_out) = (true, false);
                    }
                    Ok(question::Answer::Silence) | Err(ports::LineError::HungUp) => {
                        self.not_heard_out = true;
                    }
                    Ok(question::Answer::RecogniserBusy) | Err(_) => {}
                }
                answer
            }
            Err(why) => Err(why),
        };
        let answer = answer.map(Answer::from).map_err(LineError::from);
        self.leave(call, || (told(&q), trace::line(&answer, answered)));
        Ok(answer)
    }

    async fn transfer(
        &mut self,
        to: Destination,
        options: TransferOptions,
    ) -> wasmtime::Result<Result<TransferEnd, LineError>> {
        let call = self.enter("line.transfer")?;
        let asked = self.line_until(call).and_then(|until| Ok((self.handing_over(&to, &options)?, until)));
        let end = match asked {
            Ok(_) if self.transfers >= TRANSFERS => {
                Err(ports::LineError::Refused(format!("one call is handed over at most {TRANSFERS} times")))
            }
            Ok(((to, options), until)) => {
                self.transfers += 1;
                let end = waiting(self.ports.line.transfer(&to, &options, until)).await;
                let end = self.line_answered(call, end);
                self.spoke |= matches!(end, Ok(ports::TransferEnd::Talked(_)));
                end
            }
            Err(why) => Err(why),
        };
        let end = end.map(TransferEnd::from).map_err(LineError::from);
        self.leave(call, || (handed(&to, &options), trace::line(&end, came_of)));
        Ok(end)
    }

    async fn record_voice(
        &mut self,
        longest: u32,
        stop_at_silence: u32,
    ) -> wasmtime::Result<Result<String, LineError>> {
        let call = self.enter("line.record-voice")?;
        let recorded = match self.line_until(call) {
            Ok(_) if self.recordings >= RECORDINGS => {
                Err(ports::LineError::Refused(format!("one call keeps at most {RECORDINGS} recordings")))
            }
            Ok(until) => {
                self.recordings += 1;
                let (longest, silence) =
                    (ms(longest).min(LONGEST_WAIT), ms(stop_at_silence).min(LONGEST_WAIT));
                let recorded = waiting(self.ports.line.record_voice(longest, silence, until)).await;
                self.line_answered(call, recorded)
            }
            Err(why) => Err(why),
        };
        let recorded = recorded.map_err(LineError::from);
        self.leave(call, || (json!([longest, stop_at_silence]), trace::line(&recorded, |name| json!(name))));
        Ok(recorded)
    }

    async fn wait(&mut self, time: u32) -> wasmtime::Result<Result<(), LineError>> {
        let call = self.enter("line.wait")?;
        let waited = match self.line_until(call) {
            Ok(until) => {
                let waited = waiting(self.ports.line.wait(ms(time), until)).await;
                self.line_answered(call, waited)
            }
            Err(why) => Err(why),
        };
        let waited = waited.map_err(LineError::from);
        self.leave(call, || (json!(time), trace::line(&waited, |()| Value::Null)));
        Ok(waited)
    }

    async fn hangup(&mut self) -> wasmtime::Result<()> {
        let call = self.enter("line.hangup")?;
        if self.line_until(call).is_ok() {
            let line = &mut self.ports.line;
            let gone = waiting(async {
                line.hangup().await;
                Ok(())
            });
            let gone = gone.await;
            // It cannot fail: that nobody is there any more is said below.
            let _ = self.line_answered(call, gone);
            let why = ports::LineError::Ended("the scenario hung up".into());
            self.line_is_over(why, self.ports.clock.elapsed());
        }
        self.leave(call, || (Value::Null, Value::Null));
        Ok(())
    }
}

impl State {
    /// The question as the line takes it; `Refused`, with a sentence, when it makes no sense or cannot be served.
    fn question(&self, q: &Question) -> Result<ports::Question, ports::LineError> {
        let refused = |why: String| Err(ports::LineError::Refused(why));
        if q.keys.is_none() && q.speech.is_none() {
            return refused("a question wants keys, speech or both; this one wants neither".into());
        }
        let keys = match q.keys {
            None => None,
            Some(KeysWanted { max: 0, .. }) => {
                return refused("a question wants at least one key; `max` is 0".into());
            }
            Some(KeysWanted { finish: Some(key), .. }) if !is_key(key) => {
                return refused("`finish` must be a key: 0 to 9, *, # or A to D".into());
            }
            Some(KeysWanted { max, finish, first, between }) => Some(question::KeysWanted {
                max,
                finish,
                first: ms(first).min(LONGEST_WAIT),
                between: ms(between).min(LONGEST_WAIT),
            }),
        };
        if q.speech.is_some() && self.module.manifest().speech.is_none() {
            return refused(
                "scenario.toml says nothing of speech: write the language of the answers into it (`speech = \"ru\"`)"
                    .into(),
            );
        }
        if q.speech.is_some() && !self.ports.line.hears_speech() {
            return refused("this host has no speech recogniser: ask for keys".into());
        }
        let speech = q.speech.as_ref().map(speech_wanted).transpose().map_err(ports::LineError::Refused)?;
        let (key_interrupts, voice_interrupts) = (q.key_interrupts, q.voice_interrupts);
        Ok(ports::Question {
            prompt: self.prompt(&q.prompt)?,
            keys,
            speech,
            key_interrupts,
            voice_interrupts,
        })
    }

    /// The transfer as the line takes it.
    fn handing_over(
        &self,
        to: &Destination,
        options: &TransferOptions,
    ) -> Result<(ports::Destination, ports::TransferOptions), ports::LineError> {
        let music = options.music.as_ref();
        let music = music.map(|name| self.clip(name).ok_or_else(|| self.no_such_clip(name)));
        let music = music.transpose().map_err(ports::LineError::Refused)?;
        let to = match to {
            Destination::Operator(group) => ports::Destination::Operator(group.clone()),
            Destination::Number(number) => ports::Destination::Number(number.clone()),
        };
        let longest_wait = ms(options.longest_wait).min(LONGEST_WAIT);
        let call_back_project = options.call_back_project.clone();
        Ok((to, ports::TransferOptions { longest_wait, music, call_back_project }))
    }
}

/// The speech that a question wants; the error is a sentence.
fn speech_wanted(speech: &SpeechWanted) -> Result<question::SpeechWanted, String> {
    if speech.phrases.len() > PHRASES {
        return Err(format!(
            "a question listens for at most {PHRASES} phrases, not {}",
            speech.phrases.len()
        ));
    }
    let mut phrases: Vec<question::Phrase> = Vec::with_capacity(speech.phrases.len());
    for phrase in &speech.phrases {
        let id = shorten(&phrase.id, PHRASE_BYTES);
        let fits = |way: &String| !way.trim().is_empty() && way.len() <= PHRASE_BYTES;
        if phrase.any_of.is_empty() || phrase.any_of.len() > WAYS_TO_SAY || !phrase.any_of.iter().all(fits) {
            return Err(format!(
                "phrase `{id}` needs 1 to {WAYS_TO_SAY} ways of saying it, of 1 to {PHRASE_BYTES} bytes each"
            ));
        }
        if phrases.iter().any(|other| other.id == phrase.id) {
            return Err(format!("two phrases of the question are called `{id}`"));
        }
        phrases.push(question::Phrase { id: phrase.id.clone(), any_of: phrase.any_of.clone() });
    }
    let (wait, longest) = (ms(speech.wait).min(LONGEST_WAIT), ms(speech.longest).min(LONGEST_UTTERANCE));
    Ok(question::SpeechWanted { phrases, wait, longest })
}

impl From<question::Answer> for Answer {
    fn from(answer: question::Answer) -> Self {
        match answer {
            question::Answer::Keys(keys) => Self::Keys(keys),
            question::Answer::Silence => Self::Silence,
            question::Answer::RecogniserBusy => Self::RecogniserBusy,
            question::Answer::Speech(heard) => Self::Speech(Heard {
                phrase: heard.phrase,
                text: heard.text,
                confidence: heard.confidence,
                voiced: whole_ms(heard.voiced),
            }),
        }
    }
}

impl From<ports::TransferEnd> for TransferEnd {
    fn from(end: ports::TransferEnd) -> Self {
        match end {
            ports::TransferEnd::Talked(time) => Self::Talked(whole_ms(time)),
            ports::TransferEnd::Busy => Self::Busy,
            ports::TransferEnd::NoAnswer => Self::NoAnswer,
            ports::TransferEnd::Rejected => Self::Rejected,
            ports::TransferEnd::Nobody => Self::Nobody,
            ports::TransferEnd::Failed(why) => Self::Failed(why),
        }
    }
}

fn whole_ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// A transfer for the trace.
fn handed(to: &Destination, options: &TransferOptions) -> Value {
    let mut told = match to {
        Destination::Operator(group) => json!({ "operator": group }),
        Destination::Number(number) => json!({ "number": number }),
    };
    told["longest-wait"] = json!(options.longest_wait);
    if let Some(music) = &options.music {
        told["music"] = json!(music);
    }
    if let Some(project) = &options.call_back_project {
        told["call-back-project"] = json!(project);
    }
    told
}

fn came_of(end: &TransferEnd) -> Value {
    match end {
        TransferEnd::Talked(ms) => json!({ "talked": ms }),
        TransferEnd::Busy => json!("busy"),
        TransferEnd::NoAnswer => json!("no-answer"),
        TransferEnd::Rejected => json!("rejected"),
        TransferEnd::Nobody => json!("nobody"),
        TransferEnd::Failed(why) => json!({ "failed": why }),
    }
}

/// A question for the trace. What is as usual is left out: no finish key, an interruptible prompt, no speech.
fn told(q: &Question) -> Value {
    let mut told = json!({ "prompt": trace::prompt(&q.prompt) });
    if let Some(keys) = &q.keys {
        told["keys"] = json!({ "max": keys.max, "first": keys.first, "between": keys.between });
        if let Some(finish) = keys.finish {
            told["keys"]["finish"] = json!(finish);
        }
    }
    if let Some(speech) = &q.speech {
        let phrases: Vec<Value> =
            speech.phrases.iter().map(|phrase| json!({ "id": phrase.id, "any-of": phrase.any_of })).collect();
        told["speech"] = json!({ "phrases": phrases, "wait": speech.wait, "longest": speech.longest });
    }
    if !q.key_interrupts {
        told["key-interrupts"] = json!(false);
    }
    if q.voice_interrupts {
        told["voice-interrupts"] = json!(true);
    }
    told
}

fn answered(answer: &Answer) -> Value {
    match answer {
        Answer::Keys(keys) => json!({ "keys": keys }),
        Answer::Silence => json!("silence"),
        Answer::RecogniserBusy => json!("recogniser-busy"),
        Answer::Speech(heard) => json!({
            "speech": {
                "phrase": heard.phrase, "text": heard.text, "confidence": heard.confidence, "voiced": heard.voiced,
            }
        }),
    }
}
