//! What was said on a call, in files.

use super::*;

#[tokio::test]
async fn a_prompt_is_heard_at_the_other_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("voice").join("heard.wav");
    let (first, second) = (engine(), engine());
    let [(us, mut our_events), (them, mut their_events)] = pair(&first, &second);
    them.record_voice(path.clone(), Duration::from_secs(10), Some(Duration::from_secs(2)))
        .expect("a recorder");
    let id = us.play(tone(700.0, 1500), true);
    until(&mut our_events, |event| {
        matches!(event, MediaEvent::Played { id: played } if played == id).then_some(())
    })
    .await;
    let (file, end, length) = until(&mut their_events, |event| match event {
        MediaEvent::VoiceRecorded { path, end, length } => Some((path, end, length)),
        _ => None,
    })
    .await;
    assert_eq!((file, end), (path.clone(), VoiceEnd::Silence));
    let samples = wav(&path).remove(0);
    assert_eq!(length, Ok(Duration::from_micros(samples.len() as u64 * 125)));
    begins_with_tone(&samples, 700.0, 11_000, calm(&[&first, &second]).await);
    drop((us, them));
    let (us, them) = (closed(&mut our_events).await, closed(&mut their_events).await);
    assert_eq!((us.report.packets_sent, them.report.packets_heard, them.report.packets_lost), (75, 75, 0));
    assert_eq!(first.stats().streams, 0);
}

#[tokio::test]
async fn a_recorded_call_has_the_far_end_left_and_us_right_and_is_complete_when_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (engine(), engine());
    let [(us, mut our_events), (them, mut their_events)] = pair(&first, &second);
    us.record(folder.path().join("call.wav")).expect("a recorder");
    us.record(folder.path().join("again.wav")).expect("a recorder");
    // A thread that stood still left something out: then there is more to record.
    for packets in [50, 100, 150] {
        us.play(tone(400.0, 1000), false);
        them.play(tone(1000.0, 1000), false);
        for events in [&mut our_events, &mut their_events] {
            until(events, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
        }
        settled(&first, |stats| stats.packets_read >= packets).await;
        if calm(&[&first, &second]).await {
            break;
        }
    }
    // What the reorder buffer still holds.
    let ticks = first.stats().ticks + 20;
    settled(&first, |stats| stats.ticks >= ticks).await;
    let whole = calm(&[&first, &second]).await;
    drop(us);
    let closed = closed(&mut our_events).await;
    let recorded = closed.recording.expect("a recording");
    assert_eq!(recorded.path, folder.path().join("call.wav"));
    assert_eq!(closed.report.frames_dropped, 0);
    let channels = wav(&recorded.path);
    assert_eq!(recorded.length, Ok(Duration::from_micros(channels[0].len() as u64 * 125)));
    for (samples, hz) in channels.iter().zip([1000.0, 400.0]) {
        begins_with_tone(samples, hz, 7600, whole);
    }
    assert!(!folder.path().join("again.wav").exists());
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_is_said_to_be_so_and_the_call_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned(); // a folder is no file
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    port.record(path.clone()).expect("a recorder");
    port.play(tone(400.0, 100), false);
    until(&mut events, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
    drop(port);
    let recorded = closed(&mut events).await.recording.expect("it was asked for");
    assert_eq!(recorded.path, path);
    let fault = recorded.length.expect_err("no file");
    assert!(fault.starts_with("the recording could not be created: "), "{fault}");
}
