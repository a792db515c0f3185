//! `line`: what the caller hears and does. The only interface whose functions wait.

use std::time::Duration;

use serde_json::{Value, json};

use super::types::{LineError, Part};
use super::wit::line::{
    Answer, CallInfo, Destination, Direction, Host, KeysWanted, Question, TransferEnd, TransferOptions,
};
use crate::ports;
use crate::question::{self, is_key};
use crate::session::State;
use crate::trace;

/// Neither speech nor keys can be waited for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

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
                let played = self.ports.line.play(&parts, until).await;
                self.line_answered(call, &played);
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
                let answer = self.ports.line.ask(&question, until).await;
                self.line_answered(call, &answer);
                match &answer {
                    Ok(question::Answer::Keys(_)) => (self.spoke, self.not_heard_out) = (true, false),
                    Ok(question::Answer::Silence) | Err(ports::LineError::HungUp) => {
                        self.not_heard_out = true
                    }
                    Err(_) => {}
                }
                answer
            }
            Err(why) => Err(why),
        };
        let answer = match answer {
            Ok(question::Answer::Keys(keys)) => Ok(Answer::Keys(keys)),
            Ok(question::Answer::Silence) => Ok(Answer::Silence),
            Err(why) => Err(why.into()),
        };
        self.leave(call, || (told(&q), trace::line(&answer, answered)));
        Ok(answer)
    }

    fn transfer(
        &mut self,
        to: Destination,
        _options: TransferOptions,
    ) -> wasmtime::Result<Result<TransferEnd, LineError>> {
        let call = self.enter("line.transfer")?;
        let why = match self.line_until(call) {
            Ok(_) => LineError::Refused("this host does not transfer calls yet".into()),
            Err(why) => why.into(),
        };
        let end = Err(why);
        self.leave(call, || {
            let to = match &to {
                Destination::Operator(group) => json!({ "operator": group }),
                Destination::Number(number) => json!({ "number": number }),
            };
            (to, trace::line(&end, |_| Value::Null))
        });
        Ok(end)
    }

    async fn record_voice(
        &mut self,
        longest: u32,
        stop_at_silence: u32,
    ) -> wasmtime::Result<Result<String, LineError>> {
        let call = self.enter("line.record-voice")?;
        let recorded = match self.line_until(call) {
            Ok(until) => {
                let (longest, silence) =
                    (ms(longest).min(LONGEST_WAIT), ms(stop_at_silence).min(LONGEST_WAIT));
                let recorded = self.ports.line.record_voice(longest, silence, until).await;
                self.line_answered(call, &recorded);
                recorded
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
                let waited = self.ports.line.wait(ms(time), until).await;
                self.line_answered(call, &waited);
                waited
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
            self.ports.line.hangup().await;
            self.line_answered(call, &Ok(()));
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
        let refused = |why: &str| Err(ports::LineError::Refused(why.into()));
        if q.speech.is_some() {
            return refused("this host has no speech recogniser yet: ask for keys");
        }
        let Some(KeysWanted { max, finish, first, between }) = q.keys else {
            return refused("a question wants keys, speech or both; this one wants neither");
        };
        if max == 0 {
            return refused("a question wants at least one key; `max` is 0");
        }
        if finish.is_some_and(|key| !is_key(key)) {
            return refused("`finish` must be a key: 0 to 9, *, # or A to D");
        }
        let keys = question::KeysWanted {
            max,
            finish,
            first: ms(first).min(LONGEST_WAIT),
            between: ms(between).min(LONGEST_WAIT),
        };
        Ok(ports::Question { prompt: self.prompt(&q.prompt)?, keys, key_interrupts: q.key_interrupts })
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
