//! Bytes that nobody meant as a configuration.

use proptest::prelude::*;

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
}
