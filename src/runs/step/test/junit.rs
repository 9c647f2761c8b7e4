//! Summarises a `JUnit` report, or a folder of them: number of cases, and which failed.
//! Counts the cases themselves, because tools disagree about the totals in the header.

use std::borrow::Cow;
use std::fs;
use std::io::{BufReader, Read as _};
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::domain::tested::Junit;

/// Of one report.
const LARGEST: u64 = 32 << 20;
/// Reports of one folder.
const MOST: usize = 1_000;
/// Names of failed cases that are kept.
const NAMED: usize = 5;
/// Of one name.
const LONGEST_NAME: usize = 120;

pub(super) fn read(path: &Path) -> Result<Junit, String> {
    let mut sum = Junit::default();
    if path.is_dir() {
        let mut reports: Vec<_> = fs::read_dir(path)
            .map_err(|error| error.to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
            .collect();
        reports.sort();
        if reports.is_empty() {
            return Err("the folder has no .xml file".to_owned());
        }
        for report in reports.iter().take(MOST) {
            one(report, &mut sum)?;
        }
    } else {
        one(path, &mut sum)?;
    }
    Ok(sum)
}

fn one(path: &Path, sum: &mut Junit) -> Result<(), String> {
    let file = fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "it was not kept".to_owned(),
        _ => error.to_string(),
    })?;
    parse(BufReader::new(file.take(LARGEST)), sum)
}

fn parse(text: impl std::io::BufRead, sum: &mut Junit) -> Result<(), String> {
    let mut reader = Reader::from_reader(text);
    let mut buffer = Vec::new();
    let mut is_report = false;
    let mut case: Option<Case> = None;
    loop {
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|error| format!("at byte {}: {error}", reader.error_position()))?;
        match event {
            Event::Eof => break,
            Event::Start(tag) => match tag.local_name().as_ref() {
                "testsuites" | "testsuite" => is_report = true,
                "testcase" => case = Some(Case::of(&tag)),
                other => mark(&mut case, other),
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "testsuites" | "testsuite" => is_report = true,
                "testcase" => Case::of(&tag).count(sum),
                other => mark(&mut case, other),
            },
            Event::End(tag) if tag.local_name().as_ref() == "testcase" => {
                if let Some(case) = case.take() {
                    case.count(sum);
                }
            }
            _ => {}
        }
        buffer.clear();
    }
    if is_report {
        Ok(())
    } else {
        Err("it has no <testsuite>".to_owned())
    }
}

fn mark(case: &mut Option<Case>, tag: &str) {
    let Some(case) = case else { return };
    case.end = match (tag, case.end) {
        ("error" | "rerunError", _) => End::Error,
        ("failure" | "rerunFailure", End::Passed | End::Skipped) => End::Failed,
        ("skipped", End::Passed) => End::Skipped,
        (_, end) => end,
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Error,
    Skipped,
}

struct Case {
    name: String,
    end: End,
}

impl Case {
    fn of(tag: &BytesStart<'_>) -> Self {
        let attribute = |wanted: &str| {
            let found = tag.try_get_attribute(wanted).ok().flatten()?;
            let raw: &str = &found.value;
            Some(quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), Cow::into_owned))
        };
        let name = attribute("name").unwrap_or_default();
        let name = match attribute("classname").filter(|class| !class.is_empty() && *class != name) {
            Some(class) => format!("{class}.{name}"),
            None => name,
        };
        Self {
            name: name.chars().take(LONGEST_NAME).collect(),
            end: End::Passed,
        }
    }

    fn count(self, sum: &mut Junit) {
        sum.tests += 1;
        match self.end {
            End::Passed => return,
            End::Skipped => {
                sum.skipped += 1;
                return;
            }
            End::Failed => sum.failures += 1,
            End::Error => sum.errors += 1,
        }
        if sum.failing.len() < NAMED {
            sum.failing.push(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(text: &str) -> Result<Junit, String> {
        let mut sum = Junit::default();
        parse(text.as_bytes(), &mut sum).map(|()| sum)
    }

    #[test]
    fn cases_are_counted_and_those_that_failed_are_named() {
        let sum = summed(
            r#"<?xml version="1.0"?>
            <testsuites tests="99"><testsuite name="a">
              <testcase classname="cart" name="adds" time="0.1"/>
              <testcase classname="cart" name="removes &amp; more"><failure message="1 != 2">trace <![CDATA[<failure/>]]></failure></testcase>
              <testcase name="sleeps"><skipped/></testcase>
            </testsuite><testsuite name="">
              <testcase name="boots"><system-out>hello</system-out><error>no route</error><failure/></testcase>
            </testsuite></testsuites>"#,
        )
        .unwrap();
        assert_eq!((sum.tests, sum.failures, sum.errors, sum.skipped), (4, 1, 1, 1));
        assert_eq!(sum.failing, ["cart.removes & more", "boots"]);
    }

    #[test]
    fn names_are_bounded_and_only_the_first_are_kept() {
        let case = format!("<testcase name=\"{}\"><failure/></testcase>", "n".repeat(5_000));
        let sum = summed(&format!("<testsuite>{}</testsuite>", case.repeat(100))).unwrap();
        assert_eq!((sum.failures, sum.failing.len()), (100, NAMED));
        assert!(sum.failing.iter().all(|name| name.len() == LONGEST_NAME));
    }

    #[test]
    fn what_is_no_report_is_said_to_be_none() {
        assert!(summed("<html></html>").unwrap_err().contains("<testsuite>"));
        assert!(summed("{}").is_err());
        assert!(
            summed("<testsuite><testcase></wrong>")
                .unwrap_err()
                .contains("at byte")
        );
    }
}
