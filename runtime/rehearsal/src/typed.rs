//! Steps as they are typed: by a person at a terminal, or by a program that writes lines.

use std::time::Duration;

use zvonar_scenario::ports::TransferEnd;
use zvonar_scenario::question::is_key;

use crate::conversation::{step_of_json, time};
use crate::script::{During, Step, Steps};

/// What can be typed.
pub const HELP: &str = "\
1, 12#          presses keys (0-9 * # A-D), after the prompt and a second
да, согласен    anything else is said
~               says nothing until the question gives up
~3s             lets three seconds pass (500ms, 1.5s, 2m); what is typed next happens at that moment
/hangup         hangs up (so does the end of the input)
/machine        an answering machine has picked up
/help           this table
when the caller is handed over: busy, no-answer, rejected, nobody, talked 30s, failed WHY
a line of JSON is a step as conversations have it: {\"press\": \"1\", \"after\": \"3s\"}";

/// Steps from lines.
pub struct Typed {
    read: Box<dyn FnMut(During) -> Option<String> + Send>,
    remark: Box<dyn FnMut(&str) + Send>,
    lines: usize,
    over: bool,
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("lines", &self.lines).field("over", &self.over).finish_non_exhaustive()
    }
}

impl Typed {
    /// `read` gives the next line, `None` at the end of the input; it may wait for a person. `remark` gets what is to be
    /// said about a line: why it was not understood, the help.
    pub fn new(
        read: impl FnMut(During) -> Option<String> + Send + 'static,
        remark: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        Self { read: Box::new(read), remark: Box::new(remark), lines: 0, over: false }
    }
}

impl Steps for Typed {
    fn next(&mut self, during: During) -> Option<(usize, Step)> {
        // While the robot speaks nobody is asked to type: what counts then is typed at its next question.
        if self.over || during == During::Prompt {
            return None;
        }
        loop {
            let Some(line) = (self.read)(during) else {
                self.over = true;
                (self.remark)("the input is over: the caller hangs up");
                return Some((self.lines, Step::HangsUp { after: Some(Duration::ZERO) }));
            };
            self.lines += 1;
            match understood(&line, during) {
                Ok(Some(step)) => return Some((self.lines, step)),
                Ok(None) if line.trim() == "/help" => (self.remark)(HELP),
                Ok(None) => {}
                Err(why) => (self.remark)(&why),
            }
        }
    }
}

/// What a line means; `None`: nothing.
fn understood(line: &str, during: During) -> Result<Option<Step>, String> {
    let line = line.trim();
    let step = match line {
        "" | "/help" => return Ok(None),
        "/hangup" => Step::HangsUp { after: Some(Duration::ZERO) },
        "/machine" => Step::Machine,
        _ if line.starts_with('{') => step_of_json(line)?,
        _ if line.starts_with('/') => return Err(format!("there is no `{line}`; /help tells what there is")),
        "~" if during == During::Transfer => Step::Transfer { end: TransferEnd::Nobody, after: None },
        "~" => Step::Silence(None),
        _ if line.starts_with('~') => match time(line[1..].trim()) {
            Some(time) => Step::Silence(Some(time)),
            None => return Err(format!("`{line}`: write a time as ~3s, ~1.5s, ~500ms or ~2m")),
        },
        _ if during == During::Transfer => Step::Transfer { end: transfer_end(line)?, after: None },
        _ if line.chars().all(is_key) => Step::Press { keys: line.to_owned(), after: None },
        _ => Step::Says { text: line.to_owned(), after: None },
    };
    Ok(Some(step))
}

fn transfer_end(line: &str) -> Result<TransferEnd, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Ok(match (word, rest.trim()) {
        ("busy", "") => TransferEnd::Busy,
        ("no-answer", "") => TransferEnd::NoAnswer,
        ("rejected", "") => TransferEnd::Rejected,
        ("nobody", "") => TransferEnd::Nobody,
        ("failed", why) => TransferEnd::Failed(why.to_owned()),
        ("talked", length) => match time(length) {
            Some(time) => TransferEnd::Talked(time),
            None => return Err(format!("`{line}`: write how long they talked as `talked 30s`")),
        },
        _ => {
            return Err(format!(
                "`{line}`: the caller is being handed over; write how that ends: busy, no-answer, rejected, nobody, \
                 talked 30s or failed WHY"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_keys_words_silence_or_a_command() {
        let press = |keys: &str| Step::Press { keys: keys.into(), after: None };
        let says = |text: &str| Step::Says { text: text.into(), after: None };
        for (line, step) in [
            ("1", Some(press("1"))),
            (" 12*# ", Some(press("12*#"))),
            ("AB", Some(press("AB"))),
            ("да", Some(says("да"))),
            ("1 да", Some(says("1 да"))),
            ("busy", Some(says("busy"))),
            ("~", Some(Step::Silence(None))),
            ("~3s", Some(Step::Silence(Some(Duration::from_secs(3))))),
            ("~ 500ms", Some(Step::Silence(Some(Duration::from_millis(500))))),
            ("/hangup", Some(Step::HangsUp { after: Some(Duration::ZERO) })),
            (
                r#"{"press": "1", "after": "3s"}"#,
                Some(Step::Press { keys: "1".into(), after: Some(Duration::from_secs(3)) }),
            ),
            ("", None),
            ("/help", None),
        ] {
            assert_eq!(understood(line, During::Question), Ok(step), "{line}");
        }
        for wrong in ["~soon", "/quit", r#"{"pres": "1"}"#, r#"{"press": "x"}"#, "{"] {
            assert!(understood(wrong, During::Question).is_err(), "{wrong}");
        }
    }

    #[test]
    fn while_the_caller_is_handed_over_a_line_says_how_that_ends() {
        for (line, end) in [
            ("busy", TransferEnd::Busy),
            ("~", TransferEnd::Nobody),
            ("talked 30s", TransferEnd::Talked(Duration::from_secs(30))),
            ("failed no route", TransferEnd::Failed("no route".into())),
        ] {
            let step = Step::Transfer { end, after: None };
            assert_eq!(understood(line, During::Transfer), Ok(Some(step)), "{line}");
        }
        for wrong in ["1", "talked", "talked long", "bsy"] {
            assert!(understood(wrong, During::Transfer).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_end_of_the_input_is_a_hang_up_said_aloud_once() {
        let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let mut lines = vec!["", "/nonsense", "1"].into_iter().map(str::to_owned);
        let mut typed =
            Typed::new(move |_| lines.next(), move |text| heard.lock().unwrap().push(text.to_owned()));
        assert_eq!(typed.next(During::Prompt), None);
        assert_eq!(typed.next(During::Question), Some((3, Step::Press { keys: "1".into(), after: None })));
        assert_eq!(typed.next(During::Question).unwrap().1, Step::HangsUp { after: Some(Duration::ZERO) });
        assert_eq!(typed.next(During::Question), None);
        let said = said.lock().unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
    }
}
