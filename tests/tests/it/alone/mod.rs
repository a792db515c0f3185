//! Tests that measure milliseconds, each alone on the machine. All others wait for them once: in the order of names these
//! come first.

use std::{fs, path::Path};

use zvonar_tests::machine;

mod containment;
mod flood;
mod reload;

/// A test that forgets to say so runs beside those that measure, where the machine has the cores for it.
#[test]
fn every_test_of_this_program_says_at_once_whether_it_needs_the_machine_for_itself() {
    let _machine = machine::shared();
    let (mut looked, mut silent) = (0, Vec::new());
    let mut folders = vec![machine::root().join("tests/tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                look(&path, &mut looked, &mut silent);
            }
        }
    }
    assert!(looked > 70, "only {looked} tests were found");
    assert!(silent.is_empty(), "neither machine::shared() nor machine::alone():\n{}", silent.join("\n"));
}

fn look(file: &Path, looked: &mut usize, silent: &mut Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    while lines.any(|line| line == "#[test]") {
        *looked += 1;
        let name = lines.find(|line| line.starts_with("fn ")).expect("a test is a function");
        let first = lines.next().unwrap_or_default().trim();
        if !["let _machine = machine::shared();", "let _machine = machine::alone();"].contains(&first) {
            silent.push(format!("{}: {name}", file.display()));
        }
    }
}
