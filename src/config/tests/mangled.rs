//! Bytes that nobody meant as a configuration.

use proptest::prelude::*;

use super::compose::{USUAL, WEB, machine};
use super::{HOSTS, Machine, SERVICE, USER};

/// Whatever stands in the file: no panic, and every fault has a place within the text.
fn check_places(bytes: &[u8]) -> Result<(), TestCaseError> {
    let machine = Machine::new();
    machine.write(USER, bytes);
    if let Err(faults) = machine.load() {
        prop_assert!(!faults.is_empty());
        let lines = bytes.split(|byte| *byte == b'\n').count();
        for fault in faults {
            prop_assert!(
                fault.line >= 1 && usize::try_from(fault.line).unwrap() <= lines,
                "{fault}"
            );
            prop_assert!(fault.column >= 1, "{fault}");
            prop_assert!(!fault.what.is_empty());
        }
    }
    Ok(())
}

/// Whatever stands in the compose file: no panic, and every fault in it has a place within its text.
fn check_compose(compose: &str) -> Result<(), TestCaseError> {
    if let Err(faults) = machine(compose, WEB).load() {
        prop_assert!(!faults.is_empty());
        for fault in faults {
            prop_assert!(!fault.what.is_empty());
            if fault.file.ends_with("compose.yaml") {
                let lines = compose.split('\n').count();
                prop_assert!(usize::try_from(fault.line).unwrap() <= lines, "{fault}");
                prop_assert!(fault.line == 0 || fault.column > 0, "{fault}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic_and_every_fault_has_a_place(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_places(&bytes)?;
    }

    #[test]
    fn a_mangled_configuration_never_panics_and_every_fault_has_a_place(
        at in 0_usize..1_000, length in 0_usize..40, filling in "[a-z0-9\"'\\[\\]{}=.,:#\n é-]{0,12}"
    ) {
        let mut text: Vec<char> = format!("{HOSTS}{SERVICE}").chars().collect();
        let from = at.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, filling.chars());
        check_places(text.into_iter().collect::<String>().as_bytes())?;
    }

    #[test]
    fn arbitrary_text_as_a_compose_file_never_panics(text in "[a-z0-9\"'\\[\\]{}:,&*<|>!#%@\t\n é-]{0,200}") {
        check_compose(&text)?;
    }

    #[test]
    fn a_mangled_compose_file_never_panics_and_every_fault_has_a_place(
        at in 0_usize..2_000, length in 0_usize..40, filling in "[a-z0-9\"'\\[\\]{}:,&*<|>!#$\n é-]{0,12}"
    ) {
        let mut text: Vec<char> = USUAL.chars().collect();
        let from = at.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, filling.chars());
        check_compose(&text.into_iter().collect::<String>())?;
    }
}
