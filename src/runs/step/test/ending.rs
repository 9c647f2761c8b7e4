//! Whether a test passed: by the exit code, or by the last line of standard output and a pattern.
//! Judges only; the line's length is limited.

use std::sync::LazyLock;

use regex::Regex;

use super::TestResult;
use crate::config::test::Passes;

/// Of one line; a verdict is shorter.
const LONGEST: usize = 16 << 10;
/// Of a line that is told in a fault.
const SHOWN: usize = 200;

/// Colours and other escape sequences: they are for eyes, not for a verdict.
static ESCAPES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])").ok());

/// The last line that is not empty, as bytes come in.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    last: Vec<u8>,
    broken: bool,
}

impl LastLine {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.ends_with(b"\n") {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        if self.line.trim_ascii().is_empty() {
            self.line.clear();
        } else {
            std::mem::swap(&mut self.last, &mut self.line);
            self.line.clear();
        }
    }

    /// What came after is not known.
    pub(super) fn broke_off(&mut self) {
        self.broken = true;
    }

    /// Without colours and the white space around it; `Err` when the output broke off before its end.
    fn text(mut self) -> Result<Option<String>, String> {
        if self.broken {
            return Err("its last line is unknown: its output was cut off".to_owned());
        }
        self.end();
        let text = String::from_utf8_lossy(&self.last);
        let text = match &*ESCAPES {
            Some(escapes) => escapes.replace_all(&text, "").into_owned(),
            None => text.into_owned(),
        };
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

/// A test that was killed or ran out of memory has failed, whatever it printed.
pub(super) fn judge(ended: TestResult, passes: &Passes, last: LastLine) -> Result<TestResult, String> {
    let Passes::LastLine { pattern, exit_code } = passes else {
        return Ok(ended);
    };
    match ended {
        TestResult::Passed => {}
        TestResult::Failed { .. } if !exit_code => {}
        other => return Ok(other),
    }
    let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
    let line = last.text()?;
    if line.as_deref().is_some_and(|line| whole.is_match(line)) {
        return Ok(TestResult::Passed);
    }
    Ok(TestResult::LastLine {
        line: line.map(|line| line.chars().take(SHOWN).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ended: TestResult, exit_code: bool, output: &[&str]) -> TestResult {
        let mut last = LastLine::default();
        for piece in output {
            last.push(piece.as_bytes());
        }
        let passes = Passes::LastLine {
            pattern: "Result: SUCCESS!".to_owned(),
            exit_code,
        };
        judge(ended, &passes, last).unwrap()
    }

    #[test]
    fn the_last_line_that_is_not_empty_counts_whole_and_without_colours() {
        for output in [
            &["one\nResult: SUCCESS!\n"][..],
            &["Result: SUC", "CESS!\r\n\n  \n"],
            &["\u{1b}[32mResult: SUCCESS!\u{1b}[0m"],
            &["\u{1b}]0;title\u{7}Result: SUCCESS!"],
        ] {
            assert_eq!(
                judged(TestResult::Passed, true, output),
                TestResult::Passed,
                "{output:?}"
            );
        }
        for output in [
            &["Result: SUCCESS!\nbut then\n"][..],
            &["no Result: SUCCESS!"],
            &["Result: SUCCESS! 1 failed"],
            &[""],
        ] {
            let result = judged(TestResult::Passed, true, output);
            assert!(
                matches!(result, TestResult::LastLine { .. }),
                "{output:?}: {result:?}"
            );
        }
    }

    #[test]
    fn the_exit_code_counts_too_unless_it_is_said_not_to() {
        let failed = || TestResult::Failed { code: 2 };
        assert_eq!(judged(failed(), true, &["Result: SUCCESS!"]), failed());
        assert_eq!(judged(failed(), false, &["Result: SUCCESS!"]), TestResult::Passed);
        let memory = TestResult::OutOfMemory { code: 137 };
        assert_eq!(judged(memory.clone(), false, &["Result: SUCCESS!"]), memory);
    }

    #[test]
    fn a_line_without_end_stays_bounded_and_what_broke_off_is_no_verdict() {
        let mut last = LastLine::default();
        for _ in 0..1_000 {
            last.push(&[b'x'; 4_096]);
        }
        assert!(last.line.len() <= LONGEST);
        last.push(b"\nResult: SUCCESS!\n");
        last.broke_off();
        let passes = Passes::LastLine {
            pattern: "Result: SUCCESS!".to_owned(),
            exit_code: true,
        };
        assert!(
            judge(TestResult::Passed, &passes, last)
                .unwrap_err()
                .contains("cut off")
        );
    }
}
