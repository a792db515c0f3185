//! The conversations of packages, played; and what a failing one tells.

use std::fs;
use std::path::{Path, PathBuf};

use zvonar_rehearsal::conversation::{self, Conversation};

use crate::{package, scenarios, stage};

/// Interpreters take tens of seconds to compile; their packages are played by the end-to-end tests alone.
const SMALL: u64 = 1 << 20;

/// Every package of the repository that is built, has conversations, and is small.
pub(crate) fn packages() -> Vec<PathBuf> {
    let folders = fs::read_dir(scenarios()).unwrap().map(|entry| entry.unwrap().path());
    let small = |folder: &PathBuf| {
        let component = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let component =
            component.filter(|file| file.extension().is_some_and(|extension| extension == "wasm"));
        let sizes: Vec<u64> = component.map(|file| fs::metadata(file).unwrap().len()).collect();
        if sizes.is_empty() {
            eprintln!("SKIPPED: {} is not built", folder.display());
        }
        sizes.iter().any(|size| *size < SMALL)
    };
    folders.filter(|folder| folder.join(conversation::FOLDER).is_dir()).filter(small).collect()
}

pub(crate) fn read(folder: &Path) -> Vec<Conversation> {
    conversation::of_package(&package(folder)).unwrap_or_else(|faults| panic!("\n{faults}"))
}

#[test]
fn the_conversations_of_every_package_pass() {
    let mut played = 0;
    for folder in packages() {
        let stage = stage(&folder);
        for conversation in read(&folder) {
            let one = conversation.play(&stage).unwrap();
            assert!(one.passed(), "\n{} ({})\n{one}", one.title, one.file.display());
            played += 1;
        }
    }
    assert!(played >= 10, "only {played} were played");
}

/// A copy of the menu's package whose only conversation is this text.
fn with_conversation(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&scenarios().join("menu"), folder.path());
    let conversations = folder.path().join(conversation::FOLDER);
    let _ = fs::remove_dir_all(&conversations);
    fs::create_dir(&conversations).unwrap();
    fs::write(conversations.join("one.yaml"), text).unwrap();
    folder
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a failing conversation prints, without the folder's name.
fn failure(text: &str) -> String {
    let folder = with_conversation(text);
    let played = read(folder.path())[0].play(&stage(folder.path())).unwrap();
    assert!(!played.passed(), "{played}");
    played.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_failure_shows_the_talk_with_the_first_difference_marked() {
    let text = "talk:\n  - press: \"2\"\n    after: 1s\nexpect:\n  result: Записаться\n  seconds: 5\n";
    assert_eq!(
        failure(text),
        "      0:00.000  robot     menu (10.249 s)  ? a key within 10 s; a key stops the prompt\n      \
         0:01.000  caller    presses 2\n      \
         0:01.000  caller    the answer: keys 2\n   \
         ✗  0:01.000  result    Не интересно\n          \
         expected  the result «Записаться»   (conversations/one.yaml:5)\n          \
         got       «Не интересно»\n      \
         0:01.000  robot     goodbye (2.623 s)\n      \
         0:03.623  robot     hangs up\n   \
         ✗  and expected 5 s, got 4 s   (conversations/one.yaml:6)\n"
    );
}

#[test]
fn what_was_expected_and_did_not_come_is_told_each_in_its_words() {
    for (text, expected, got) in [
        ("talk:\n  - hears: again\n", "the prompt again", "menu"),
        ("talk:\n  - hears: menu\n  - hears: menu\n", "the prompt menu", "again"),
        ("talk:\n  - press: \"1\"\n  - press: \"2\"\n", "the caller presses 2", "the talk was over before"),
        ("talk:\n  - transfer: busy\n", "a transfer that ends: busy", "the talk was over before"),
        ("expect: { hangs-up: caller }\n", "the caller hangs up", "the robot did"),
        (
            "expect: { transfer: { operator: sales } }\n",
            "a transfer to an operator of `sales`",
            "no transfer",
        ),
        ("expect: { sms: [ Привет ] }\n", "the text «Привет»", "no more texts"),
        ("expect: { fields: { name: Анна } }\n", "the field name = Анна", "it was not written"),
        ("expect: { notes: [ раз ] }\n", "the note «раз»", "no more notes"),
        ("expect: { blocked: просил }\n", "blocked: просил", "not blocked"),
        ("expect: { kopecks: 1 }\n", "1 kopecks", "156 kopecks (Робот: 39 с"),
        ("expect: { fault: trapped }\n", "trapped", "no fault"),
    ] {
        let told = failure(text);
        let lines = (told.find(&format!("expected  {expected}")), told.find(&format!("got       {got}")));
        assert!(matches!(lines, (Some(first), Some(second)) if first < second), "{text}\n{told}");
    }
}

#[test]
fn names_that_the_package_does_not_have_are_told_before_anything_runs() {
    let text = "settings: { repeat: \"1\" }\ntariff: none.toml\ntalk:\n  - hears: meny\n  - hears: нажмите один\n\
                expect:\n  result: Записатся\n";
    let folder = with_conversation(text);
    // A file that cannot be read at all keeps no other from being looked at.
    fs::write(folder.path().join(conversation::FOLDER).join("two.yaml"), "tolk: []\n").unwrap();
    let faults = conversation::of_package(&package(folder.path())).unwrap_err();
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    let told =
        faults.0.iter().map(|fault| format!("{}:{}: {}", name(&fault.file), fault.line.unwrap(), fault.what));
    let faults: Vec<String> = told.collect();
    assert_eq!(
        faults,
        [
            "one.yaml:1: scenario menu has no setting `repeat`, do you mean `repeats`?",
            "one.yaml:2: the tariff none.toml: it cannot be read: No such file or directory (os error 2)",
            "one.yaml:4: the package has no prompt `meny`, do you mean `menu`?",
            "one.yaml:5: `нажмите один` is compared with the texts of prompts, and scenario.toml has no [texts]",
            "one.yaml:7: the manifest declares no result `Записатся`, nor does the system set it, do you mean `Записаться`?",
            "two.yaml:1: a conversation has no key `tolk`, do you mean `talk`?",
        ]
    );
}
