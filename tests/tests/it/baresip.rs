//! A call to a real user agent: sound both ways, and a key pressed on its keypad.

use std::{path::Path, time::Duration};

use zvonar_tests::{
    audio::Recording,
    baresip::{Baresip, VOICE_HZ},
    machine,
};

use crate::calls::{call, recording};

#[test]
fn the_callee_hears_the_prompt_and_the_recording_holds_the_callee() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut baresip) = Baresip::start(folder.path()).unwrap() else { return };
    let file = recording(folder.path());
    let call = call("uas", baresip.address, &["--record", &file]).unwrap();
    baresip.wait_for_call(Duration::from_secs(10)).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    baresip.press('1').unwrap();
    let called = call.ended().unwrap();
    let heard = baresip.finish().unwrap();

    assert_eq!((called.keys.as_str(), called.result.as_str()), ("1", "Записаться"), "{called:?}");
    assert!(called.packets_heard > 50 && called.packets_lost == 0, "{called:?}");
    assert!(heard.loudest() > 0.02, "the callee heard nothing: {}", heard.loudest());
    assert!(
        heard.seconds() > 1.0,
        "the callee heard {} s, we sent {} packets",
        heard.seconds(),
        called.packets_sent
    );
    let recorded = Recording::read(Path::new(&file)).unwrap();
    let level = recorded.tone_level(VOICE_HZ);
    assert!(level > 0.05, "the callee's tone of {VOICE_HZ} Hz is not on the recording: {level}");
    assert!(
        heard.tone_level(VOICE_HZ) < level / 2.0,
        "the callee heard its own voice: {}",
        heard.tone_level(VOICE_HZ)
    );
}
