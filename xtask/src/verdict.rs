//! What `cargo test` printed: which tests failed, and whether those are all there is to it.

use std::io::{BufRead, BufReader, Read, Write};

/// What a run of all test programs came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Tests that failed, by name, in the order in which they ended.
    pub(crate) failed: Vec<String>,
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Failures by the programs' own count.
    counted: usize,
    /// Programs that began, less those that told how they ended: what is left was killed, or stopped itself.
    unfinished: isize,
}

impl Verdict {
    /// Reads what the programs print to its end, and shows each line as it comes.
    pub(crate) fn read(printed: impl Read, mut screen: impl Write) -> std::io::Result<Self> {
        let mut verdict = Self::default();
        for line in BufReader::new(printed).split(b'\n') {
            let line = line?;
            screen.write_all(&line)?;
            screen.write_all(b"\n")?;
            verdict.take(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(verdict)
    }

    /// Of output that was not read to its end: nothing is known of it.
    pub(crate) fn cut_off() -> Self {
        Self { unfinished: 1, ..Self::default() }
    }

    fn take(&mut self, line: &str) {
        let word = |text: &str| text.split(' ').next().and_then(|word| word.parse::<usize>().ok());
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed.push(name.trim_end_matches(" - should panic").to_owned());
        } else if line
            .strip_prefix("running ")
            .is_some_and(|rest| rest.ends_with(" tests") || rest == "1 test")
        {
            self.unfinished += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.unfinished -= 1;
            for part in result.split(". ").flat_map(|part| part.split("; ")) {
                match part.rsplit(' ').next() {
                    Some("passed") => self.passed += word(part).unwrap_or(0),
                    Some("failed") => self.counted += word(part).unwrap_or(0),
                    _ => {}
                }
            }
        }
    }

    /// Whether the named tests are all that went wrong: no program was killed, none failed without a name.
    pub(crate) fn is_whole(&self) -> bool {
        self.unfinished == 0 && self.counted == self.failed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 3 tests
test sound::is_heard ... ok
test keys::are_heard ... FAILED
test keys::are_refused - should panic ... FAILED

failures:
    keys::are_heard

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 5.29s

running 1 test
test money::is_whole ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    fn read(printed: &str) -> Verdict {
        let mut screen = Vec::new();
        let verdict = Verdict::read(printed.as_bytes(), &mut screen).unwrap();
        assert_eq!(screen, printed.as_bytes(), "all is shown");
        verdict
    }

    #[test]
    fn failures_are_known_by_name() {
        let verdict = read(PRINTED);
        assert_eq!(verdict.failed, ["keys::are_heard", "keys::are_refused"]);
        assert_eq!(verdict.passed, 2);
        assert!(verdict.is_whole());
    }

    #[test]
    fn a_program_that_was_killed_is_more_than_its_failures() {
        let cut = PRINTED.find("\ntest result: ok").unwrap() + 1;
        assert!(!read(&PRINTED[..cut]).is_whole());
    }

    #[test]
    fn a_failure_without_a_name_is_not_passed_over() {
        let cut =
            PRINTED.replace("test keys::are_heard ... FAILED", "test keys::are_heard ... <noise>FAILED");
        assert!(!read(&cut).is_whole());
    }
}
