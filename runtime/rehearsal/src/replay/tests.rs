//! What a trace must be like to be compared at all. Replays themselves are in `tests/it`: they need a guest.

use super::*;

#[test]
fn a_trace_that_says_too_little_is_not_compared_and_says_why() {
    let whole = Trace { version: TRACE_VERSION, ..Trace::default() };
    assert_eq!(not_comparable(&whole), None);
    for (trace, why) in [
        (Trace::default(), "no scenario ran on it"),
        (Trace { version: 99, ..Trace::default() }, "its trace has version 99; this program reads version 1"),
        (
            Trace { fault: Some("the scenario trapped: unreachable".into()), ..whole.clone() },
            "the recorded scenario failed: the scenario trapped: unreachable",
        ),
        (Trace { dropped: 3, ..whole }, "its trace is not whole: 3 calls to the host were not kept"),
    ] {
        assert_eq!(not_comparable(&trace).as_deref(), Some(why));
    }
}

#[test]
fn decisions_print_as_they_are_written_in_a_trace() {
    let call = |given, got| Decision::Call { call: "outcome.set-result".into(), given, got };
    let given = Value::from("Да");
    for (decision, text) in [
        (call(given.clone(), None), "outcome.set-result \"Да\""),
        (call(given.clone(), Some(Value::Null)), "outcome.set-result \"Да\" -> done"),
        (
            call(given, Some(serde_json::json!({"err": "no"}))),
            "outcome.set-result \"Да\" -> {\"err\":\"no\"}",
        ),
        (call(Value::Null, None), "outcome.set-result"),
        (Decision::Returns, "the scenario is done"),
    ] {
        assert_eq!(decision.to_string(), text);
    }
}
